// @ts-check
/** The frame of the console: session, navigation, theme and keys. */
import { html, render, useEffect, useRef, useState } from "./lib.js";
import { BASE, events } from "./api.js";
import { listen, PLACES } from "./keyboard.js";
import { useWhere } from "./router.js";
import { current, Login, signOut } from "./session.js";
import { Dialog, Failure, Toasts } from "./ui.js";
import { Overview } from "./screens/overview.js";
import { Jobs } from "./screens/jobs.js";
import { Job } from "./screens/job.js";
import { DeadLetters } from "./screens/dead-letters.js";
import { DeadLetter } from "./screens/dead-letter.js";
import { Models } from "./screens/models.js";
import { Model } from "./screens/model.js";
import { Batches } from "./screens/batches.js";
import { Batch } from "./screens/batch.js";
import { Pipelines } from "./screens/pipelines.js";
import { Pipeline } from "./screens/pipeline.js";
import { Trainings } from "./screens/trainings.js";
import { Schedules } from "./screens/schedules.js";
import { Schedule } from "./screens/schedule.js";
import { Webhooks } from "./screens/webhooks.js";
import { Webhook } from "./screens/webhook.js";
import { Keys } from "./screens/keys.js";
import { Audit } from "./screens/audit.js";
import { Workers } from "./screens/workers.js";
import { Usage } from "./screens/usage.js";

/** Address, name, screen of the list, screen of one thing, and the scope without which the list is refused. */
const SCREENS = [
  ["overview", "Overview", Overview, null, "jobs:read"],
  ["jobs", "Jobs", Jobs, Job, "jobs:read"],
  ["dead-letters", "Dead letters", DeadLetters, DeadLetter, "operate"],
  ["models", "Models", Models, Model, ""],
  ["batches", "Batches", Batches, Batch, "jobs:read"],
  ["pipelines", "Pipelines", Pipelines, Pipeline, ""],
  ["trainings", "Trainings", Trainings, null, "jobs:read"],
  ["schedules", "Schedules", Schedules, Schedule, "jobs:read"],
  ["workers", "Workers", Workers, null, "operate"],
  ["usage", "Usage", Usage, null, "jobs:read"],
  ["webhooks", "Webhooks", Webhooks, Webhook, "admin"],
  ["keys", "Keys", Keys, null, "admin"],
  ["audit", "Audit log", Audit, null, "admin"],
];
const HELP = [["/", "Search"], ["j, k", "Next and previous row"], ["Enter", "Open the row"], ["?", "This list"]];

function Theme() {
  const [theme, setTheme] = useState(localStorage.getItem("theme") ?? "");
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    theme ? localStorage.setItem("theme", theme) : localStorage.removeItem("theme");
  }, [theme]);
  const next = { "": "light", light: "dark", dark: "" }[theme];
  return html`<button type="button" class="plain" onClick=${() => setTheme(next)}>Theme: ${theme || "system"}</button>`;
}

function Navigation({ at, session, leave, help }) {
  const [open, setOpen] = useState(false);
  useEffect(() => setOpen(false), [at]);
  const may = (scope) => !scope || !session.key || session.key.scopes.includes(scope);
  return html`<header class=${`side ${open ? "open" : ""}`}>
    <div class="bar">
      <a class="brand" href="#/overview"><img src=${new URL("icon.svg", import.meta.url).href} alt="" />Celeriac</a>
      <button type="button" class="menu" aria-expanded=${open} onClick=${() => setOpen(!open)}>Menu</button>
    </div>
    <nav aria-label="Screens">
      <ul>
        ${SCREENS.filter(([, , , , scope]) => may(scope)).map(
          ([address, name]) => html`<li><a href=${`#/${address}`} aria-current=${at === address ? "page" : undefined}>${name}</a></li>`,
        )}
      </ul>
    </nav>
    <div class="foot">
      ${session.key && html`<div><strong>${session.key.name}</strong><div class="quiet">${session.key.owner} · ${session.key.id}</div></div>`}
      ${session.key && html`<button type="button" class="plain" onClick=${leave}>Sign out</button>`}
      <${Theme} />
      <button type="button" class="plain" onClick=${help}>Keys: ?</button>
      <a href=${`${BASE}docs`}>API reference</a>
      <span class="quiet">Version ${session.version}</span>
    </div>
  </header>`;
}

function Help({ close }) {
  const places = SCREENS.flatMap(([address, name]) => Object.entries(PLACES).filter(([, place]) => place === address).map(([key]) => [`g ${key}`, name]));
  return html`<${Dialog} title="Keys" close=${close}>
    <dl class="facts">${[...HELP, ...places].map(([key, text]) => html`<dt><kbd>${key}</kbd></dt><dd>${text}</dd>`)}</dl>
    <div class="actions"><button type="button" onClick=${close}>Close</button></div>
  <//>`;
}

function App() {
  const at = useWhere();
  const main = useRef(null);
  const [session, setSession] = useState(undefined);
  const [error, setError] = useState(null);
  const [helping, setHelping] = useState(false);
  useEffect(() => {
    current().then(setSession, setError);
    const ended = () => setSession(null);
    events.addEventListener("signed-out", ended);
    const stop = listen(() => setHelping(true));
    return () => (events.removeEventListener("signed-out", ended), stop());
  }, []);
  if (error) return html`<main class="login"><h1>Celeriac</h1><${Failure} error=${error} /></main>`;
  if (session === undefined) return null;
  if (session === null) return html`<${Login} signedIn=${setSession} /><${Toasts} />`;
  const leave = () => signOut().finally(() => setSession(null));
  const [address, id, ...rest] = at.path.length ? at.path : ["overview"];
  const screen = SCREENS.find(([name]) => name === address);
  const Shown = screen && (id === undefined ? screen[2] : screen[3]);
  const skip = (event) => {
    event.preventDefault();
    main.current?.focus();
  };
  return html`<a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    ${session.authentication === "none" &&
    html`<div class="banner" role="note"><strong>Authentication is off.</strong> Everybody who reaches this server may do everything. Set <code>CELERIAC_AUTH=keys</code>.</div>`}
    <div class="frame">
      <${Navigation} at=${address} session=${session} leave=${leave} help=${() => setHelping(true)} />
      <main id="main" tabindex="-1" ref=${main}>
        ${Shown ? html`<${Shown} key=${at.path.join("/")} id=${id} rest=${rest} search=${at.search} session=${session} />` : html`<h1>Not found</h1><p>This screen does not exist.</p>`}
      </main>
    </div>
    ${helping && html`<${Help} close=${() => setHelping(false)} />`}
    <${Toasts} />`;
}

render(html`<${App} />`, document.getElementById("app"));
