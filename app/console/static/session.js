// @ts-check
/** Signing in with an API key and out again. The browser keeps a cookie that no script can read, and never the key. */
import { html, useState } from "./lib.js";
import { call } from "./api.js";
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
    <form class="card" onSubmit=${submit}>
      <label for="key">API key</label>
      <input id="key" name="key" type="password" required autocomplete="off" spellcheck="false" placeholder="cel_…" autofocus />
      <p class="quiet">The key is checked once and not kept. This browser gets a session that ends with the key.</p>
      <button class="main">Sign in</button>
    </form>
    <${Failure} error=${error} />
  </main>`;
}
