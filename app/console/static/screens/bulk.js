// @ts-check
/** Bulk actions: what a filter matches is counted and confirmed, and the server does the rest. Its progress is there for every browser. */
import { html, useEffect, useState } from "../lib.js";
import { call, query, useResource } from "../api.js";
import { count } from "../format.js";
import { Action, State } from "../ui.js";

const NOUNS = { cancel: "jobs", replay: "dead letters", discard: "dead letters" };
const DONE = { cancel: "cancelled", replay: "replayed", discard: "discarded" };
const SHOWN_S = 60;
let changed = () => {};

/** @param {Record<string, any>} filter */
const given = (filter) => Object.entries(filter).filter(([, value]) => value);

/** @param {Record<string, any>} filter */
const selection = (filter) => given(filter).map(([name, value]) => `${name} ${value}`).join(" and ") || "no filter";

/** @param {Record<string, any>} filter */
const body = (filter) => (given(filter).length ? Object.fromEntries(given(filter)) : { all: true });

/**
 * A button that starts a bulk action, after a dialog that says how much matches.
 * @param {{label: string, verb: "cancel" | "replay" | "discard", filter: Record<string, any>, confirm: string, options?: any, danger?: boolean, disabled?: boolean,
 *   children?: any}} properties
 */
export function Bulk({ label, verb, filter, confirm, options = {}, danger, disabled, children }) {
  const start = async () => {
    await call("POST", `v1/bulk-actions/${verb}`, { body: { ...body(filter), ...options } });
    changed();
  };
  return html`<${Action} label=${label} danger=${danger} disabled=${disabled} act=${start} confirm=${confirm}>
    <${Count} verb=${verb} filter=${filter} />${children}<//>`;
}

function Count({ verb, filter }) {
  const [text, setText] = useState("Counting…");
  useEffect(() => {
    call("POST", `v1/bulk-actions/${verb}`, { body: { ...body(filter), dry_run: true } }).then(
      (found) => setText(`${count(found.matching)}${found.complete ? "" : " or more"} ${NOUNS[verb]} match: ${selection(filter)}.`),
      (error) => setText(error.message),
    );
  }, []);
  return html`<p role="status"><strong>${text}</strong></p>`;
}

/** Bulk actions that run, or have just ended. */
export function BulkProgress() {
  const [busy, setBusy] = useState(false);
  const actions = useResource(`v1/bulk-actions${query({ limit: 5 })}`, busy ? 2 : 10);
  changed = actions.reload;
  const recent = (action) => action.state === "running" || Date.now() - new Date(action.finished_at).getTime() < SHOWN_S * 1000;
  const shown = (actions.data?.items ?? []).filter(recent);
  const running = shown.some((action) => action.state === "running");
  if (running !== busy) setBusy(running);
  return html`<div role="status" aria-live="polite">${shown.map((action) => html`<${Line} key=${action.id} action=${action} />`)}</div>`;
}

function Line({ action }) {
  const past = action.done + action.skipped;
  const skipped = action.skipped ? `, ${count(action.skipped)} skipped${action.error ? `: ${action.error.detail}` : ""}` : "";
  return html`<section class="card" aria-label=${`Bulk action ${action.id}`}>
    <div class="actions">
      <${State} value=${action.state} />
      <progress value=${action.state === "completed" ? 1 : past} max=${action.state === "completed" ? 1 : Math.max(action.matching, past, 1)} aria-label="Progress"></progress>
      <span>${count(action.done)} of ${count(action.matching)}${action.complete ? "" : " or more"} ${NOUNS[action.action]} ${DONE[action.action]}${skipped}</span>
      <span class="quiet">${selection(action.filter)}</span>
    </div>
  </section>`;
}
