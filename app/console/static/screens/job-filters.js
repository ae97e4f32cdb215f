// @ts-check
/** The filters of the jobs: each one that is set is a chip in the address, and a form sets those that are rare. */
import { html } from "../lib.js";
import { local } from "../format.js";
import { go, link } from "../router.js";

const NAMES = ["state", "model", "error", "owner", "kind", "pool", "id_prefix", "since", "until"];
const STATES = ["queued", "running", "succeeded", "failed", "cancelled", "expired"];
const KINDS = ["prediction", "pipeline", "training", "replay"];
const LABELS = { id_prefix: "ID" };
const ID = /^[0-9a-f]{32}(-\d+)?$/;

/** The filters in an address. @param {Record<string, string>} search */
export const filtersOf = (search) => Object.fromEntries(NAMES.map((name) => [name, search[name]]));

/** @param {string | undefined} time */
const field = (time) => {
  if (!time) return "";
  const date = new Date(time);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
};

export function JobFilters({ search }) {
  const filters = filtersOf(search);
  const filter = (change) => go(link(["jobs"], { ...filters, ...change }));
  const find = (event) => {
    event.preventDefault();
    const text = event.target.elements.text.value.trim();
    if (ID.test(text)) go(link(["jobs", text]));
    else filter({ model: text });
  };
  const apply = (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(event.target));
    const time = (name) => given[name] && new Date(String(given[name])).toISOString();
    filter({ ...given, since: time("since"), until: time("until") });
  };
  const text = (name, label) => html`<div><label for=${name}>${label}</label><input id=${name} name=${name} defaultValue=${filters[name] ?? ""} autocomplete="off" /></div>`;
  const time = (name, label) => html`<div><label for=${name}>${label}</label><input id=${name} name=${name} type="datetime-local" defaultValue=${field(filters[name])} /></div>`;
  return html`<div class="chips" role="group" aria-label="State">
      <button type="button" class="chip" aria-pressed=${!search.state} onClick=${() => filter({ state: undefined })}>all</button>
      ${STATES.map((state) => html`<button type="button" class="chip" aria-pressed=${search.state === state} onClick=${() => filter({ state })}>${state}</button>`)}
      <form onSubmit=${find} role="search">
        <label class="hidden" for="search">Model, or ID of a job</label>
        <input id="search" data-search name="text" placeholder="Model, or ID of a job" autocomplete="off" />
      </form>
      ${NAMES.slice(1).map((name) => filters[name] && html`<button type="button" class="chip" aria-pressed="true" onClick=${() => filter({ [name]: undefined })}>
        ${LABELS[name] ?? name}: ${["since", "until"].includes(name) ? local(filters[name]) : filters[name]} ✕</button>`)}
    </div>
    <details class="card filters">
      <summary>More filters</summary>
      <form key=${JSON.stringify(filters)} class="fields" onSubmit=${apply}>
        ${text("model", "Model, or model@version")} ${text("error", "Error code")} ${text("owner", "Owner")} ${text("pool", "Pool")}
        ${text("id_prefix", "Beginning of the ID")}
        <div><label for="kind">Kind</label><select id="kind" name="kind">
          <option value="">all</option>
          ${KINDS.map((kind) => html`<option value=${kind} selected=${filters.kind === kind}>${kind}</option>`)}
        </select></div>
        ${time("since", "Created since")} ${time("until", "Created until")}
        <div><button>Filter</button></div>
      </form>
    </details>`;
}
