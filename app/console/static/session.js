// @ts-check
/** Signing in with an API key or a provider, and out again. The browser keeps a cookie that no script can read, and never the key. */
import { html, useState } from "./lib.js";
import { BASE, call, query } from "./api.js";
import { where } from "./router.js";
import { Failure } from "./ui.js";

/** @returns {Promise<any>} the session, or null if the caller must sign in. */
export async function current() {
  try {
    return await call("GET", "console/session");
  } catch (error) {
    if (error.status === 401) return null;
    throw error;
  }
}

export const signOut = () => call("DELETE", "console/session");

/** Name of the provider with which people sign in, or an empty text. */
const PROVIDER = /** @type {HTMLMetaElement | null} */ (document.querySelector('meta[name="sign-in"]'))?.content ?? "";

/** Why a sign-in with the provider failed. */
const REASONS = {
  denied: "The provider did not sign you in. Try again, or choose another account.",
  state: "The answer of the provider belongs to another sign-in. Sign in again in this tab.",
  expired: "The sign-in took more than ten minutes, or it was started in another browser. Sign in again.",
  invalid_token: "The identity token of the provider is not accepted. An operator finds the reason in the log of the API.",
  role_missing: "Your account has no role here. Ask the administrator of this installation for one.",
  issuer_unavailable: "The provider does not answer. Try again, or sign in with an API key.",
  invalid_input: "The address of this page cannot be used to sign in. Open the console at its usual address.",
};

function Provider() {
  const reason = where().search.sign_in;
  const page = reason ? "#/" : location.hash;
  const target = `${BASE}console/sign-in${query({ console: `${BASE}console/`, return_to: page })}`;
  return html`<section class="card" aria-label="Sign in with a provider">
    ${reason && html`<p role="alert">${REASONS[reason] ?? "The sign-in failed. Sign in again."}</p>`}
    <a class="button main" href=${target}>Sign in with ${PROVIDER}</a>
  </section>`;
}

/** @param {{signedIn: (session: any) => void}} properties */
export function Login({ signedIn }) {
  const [error, setError] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    const field = event.target.elements.key;
    try {
      signedIn(await call("POST", "console/session", { headers: { Authorization: `Bearer ${field.value.trim()}` } }));
    } catch (problem) {
      setError(problem);
    } finally {
      field.value = "";
    }
  };
  return html`<main class="login">
    <div class="head"><h1>Celeriac</h1></div>
    ${PROVIDER && html`<${Provider} />`}
    <form class="card" onSubmit=${submit}>
      <label for="key">API key</label>
      <input id="key" name="key" type="password" required autocomplete="off" spellcheck="false" placeholder="cel_…" autofocus />
      <p class="quiet">The key is checked once and not kept. This browser gets a session that ends with the key.</p>
      <button class="main">Sign in</button>
    </form>
    <${Failure} error=${error} />
  </main>`;
}
