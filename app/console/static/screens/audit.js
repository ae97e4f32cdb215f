// @ts-check
/** The audit log: who changed what. */
import { html } from "../lib.js";
import { query, useResource } from "../api.js";
import { local } from "../format.js";
import { go, link } from "../router.js";
import { Failure, Head, List, Loading, Pager, State } from "../ui.js";

const COLUMNS = [
  { name: "Time", show: (entry) => local(entry.occurred_at) },
  { name: "Action", show: (entry) => entry.action },
  { name: "Actor", show: (entry) => html`${entry.actor.name ?? entry.actor.type}<div class="quiet">${entry.actor.id}</div>` },
  { name: "Target", show: (entry) => entry.targets.map((target) => `${target.type} ${target.id}`).join(", ") },
  { name: "Outcome", show: (entry) => html`<${State} value=${entry.outcome} />${entry.reason && html`<div class="quiet">${entry.reason}</div>`}` },
  { name: "Count", number: true, wide: true, show: (entry) => entry.count },
  { name: "Address", wide: true, show: (entry) => entry.context.ip ?? "" },
];

export function Audit({ search }) {
  const entries = useResource(`v1/audit${query({ limit: 50, action: search.action, cursor: search.cursor })}`, search.cursor ? 0 : 5);
  const filter = (event) => {
    event.preventDefault();
    go(link(["audit"], { action: event.target.elements.action.value.trim() }));
  };
  return html`<${Head} title="Audit log" />
    <form class="chips" role="search" onSubmit=${filter}>
      <label class="hidden" for="action">Action</label>
      <input id="action" data-search name="action" placeholder="Action, for example key.*" defaultValue=${search.action ?? ""} autocomplete="off" />
      <button>Filter</button>
    </form>
    <${Loading} resource=${entries} />
    ${entries.data && html`<${Failure} error=${entries.error} />
      <${List} label="Audit log" columns=${COLUMNS} items=${entries.data.items} id=${(entry) => entry.id} empty="No entry matches." />
      <${Pager} cursor=${search.cursor} next=${entries.data.next} go=${(cursor) => go(link(["audit"], { ...search, cursor }))} />`}`;
}
