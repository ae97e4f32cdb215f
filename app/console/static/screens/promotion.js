// @ts-check
/** Aliases of a model: where they point, how they move, and how they move back. */
import { html, useState } from "../lib.js";
import { local } from "../format.js";
import { Action, List, State } from "../ui.js";

const STAYS = "Requests to the alias go to the version before until a worker serves the new one. If no worker can, the alias stays.";

/** @param {{model: any, version: string, promote: (alias: string, version: string) => Promise<any>}} properties */
export function Promote({ model, version, promote }) {
  const [alias, setAlias] = useState("production");
  const known = [...new Set(["production", ...Object.keys(model.aliases)])];
  const field = `alias-${version}`;
  return html`<${Action} label="Promote" act=${() => promote(alias.trim(), version)} confirm=${`The alias moves to version ${version} of ${model.name}. ${STAYS}`}>
    <label for=${field}>Alias</label>
    <input id=${field} list=${`${field}-known`} value=${alias} onInput=${(event) => setAlias(event.target.value)} autocomplete="off" spellcheck="false" />
    <datalist id=${`${field}-known`}>${known.map((name) => html`<option value=${name} />`)}</datalist>
  <//>`;
}

/** @param {{model: any, write: boolean, promote: (alias: string, version: string) => Promise<any>}} properties */
export function Aliases({ model, write, promote }) {
  const back = ([alias, version]) => {
    const previous = model.previous[alias];
    return previous && html`<${Action} label="Roll back" danger act=${() => promote(alias, previous)}
      confirm=${`${alias} moves from version ${version} back to version ${previous}. ${STAYS}`} />`;
  };
  const columns = [
    { name: "Alias", show: ([alias]) => alias },
    { name: "Version", show: ([, version]) => version },
    { name: "Version before", show: ([alias]) => model.previous[alias] ?? "–" },
    ...(write ? [{ name: "", show: back }] : []),
  ];
  return html`<section class="card" aria-label="Aliases"><h2>Aliases</h2>
    <${List} label="List of aliases" columns=${columns} items=${Object.entries(model.aliases)} id=${([alias]) => alias} empty="No alias exists." />
  </section>`;
}

/**
 * Moves of aliases as they happen: those that the API lists, and those of this page that have ended since.
 * @param {{model: any, requested: Record<string, any>}} properties
 */
export function Moves({ model, requested }) {
  const listed = Object.fromEntries(model.promotions.map((move) => [move.alias ?? "", move]));
  const moves = Object.values({ ...requested, ...listed });
  return html`<div role="status" aria-live="polite">${moves.map((move) => {
    const served = !(move.alias in listed) && model.aliases[move.alias] === move.version;
    return html`<${Move} key=${move.alias} move=${served ? { ...move, state: "served" } : move} />`;
  })}</div>`;
}

function Move({ move }) {
  const alias = move.alias ?? "the bare name";
  const served = move.state === "served";
  const stays = move.before ? `${alias} points to version ${move.before}.` : `${alias} does not exist yet.`;
  return html`<section class=${`card ${move.state === "failed" ? "failure" : ""}`} aria-label=${`Promotion of ${alias}`}>
    <div class="head"><h2>${alias} → version ${move.version}</h2><${State} value=${move.state} /></div>
    <ol class="timeline">
      ${move.requested_at && html`<li><span>Requested</span><span>${local(move.requested_at)}</span></li>`}
      <li class=${served ? "" : "open"}><span>Check</span><span>${served ? "A worker serves the version." : move.reason || "A worker loads it and checks its golden sample."}</span></li>
      <li class=${served ? "" : "open"}><span>Moved</span><span>${served ? `${alias} points to version ${move.version}.` : html`<span class="quiet">${stays}</span>`}</span></li>
    </ol>
  </section>`;
}
