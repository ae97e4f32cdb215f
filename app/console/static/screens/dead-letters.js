// @ts-check
/** Dead letters: jobs that failed for good, by their cause. Replay or discard all that the filters match. */
import { html, useState } from "../lib.js";
import { query, useResource } from "../api.js";
import { count } from "../format.js";
import { go, link } from "../router.js";
import { Failure, Head, List, Loading, Pager, Time } from "../ui.js";
import { Bulk, BulkProgress } from "./bulk.js";

const COLUMNS = [
  { name: "Error", show: (letter) => html`<span class="bad">${letter.error.code}</span>` },
  { name: "Job", show: (letter) => html`<a class="mono" href=${link(["dead-letters", letter.id])}>${letter.id}</a>` },
  { name: "Model", show: (letter) => `${letter.model}@${letter.version}` },
  { name: "Owner", wide: true, show: (letter) => letter.owner ?? "default" },
  { name: "Rows", number: true, wide: true, show: (letter) => count(letter.rows) },
  { name: "Attempts", number: true, wide: true, show: (letter) => letter.attempts.length },
  { name: "Detail", clip: true, wide: true, show: (letter) => letter.error.detail },
  { name: "Died", show: (letter) => html`<${Time} at=${letter.died_at} />` },
];

/** @param {{exception: string | null, frame: string | null, error: string}} group */
const cause = (group) => [group.exception ?? group.error, group.frame].filter(Boolean).join(" in ");

const GROUPS = [
  { name: "Count", number: true, show: (group) => count(group.count) },
  { name: "Cause", show: (group) => html`<a href=${link(["dead-letters"], { fingerprint: group.fingerprint })}>${cause(group)}</a>` },
  { name: "Model", show: (group) => `${group.model}@${group.versions.join(", ")}` },
  { name: "First", wide: true, show: (group) => html`<${Time} at=${group.first_died_at} />` },
  { name: "Last", show: (group) => html`<${Time} at=${group.last_died_at} />` },
];

export function DeadLetters({ search }) {
  const wanted = { model: search.model, error: search.error, fingerprint: search.fingerprint };
  const groups = useResource(`v1/dead-letters/groups${query(wanted)}`, 15);
  const [target, setTarget] = useState("");
  const letters = useResource(`v1/dead-letters${query({ limit: 50, ...wanted, cursor: search.cursor })}`, search.cursor ? 0 : 5);
  const filter = (event) => {
    event.preventDefault();
    const fields = event.target.elements;
    go(link(["dead-letters"], { model: fields.model.value.trim(), error: fields.error.value.trim() }));
  };
  const [group] = search.fingerprint ? (groups.data?.items ?? []) : [];
  const none = !letters.data?.items.length;
  return html`<${Head} title="Dead letters">
      <${Bulk} label="Replay all that match" disabled=${none} verb="replay" filter=${wanted} options=${target.trim() ? { to: target.trim() } : {}}
        confirm="Each becomes a new job with the same input. The server continues if you close this page.">
        <label for="target">Replay with another model or version</label>
        <input id="target" value=${target} placeholder="The same version" onInput=${(event) => setTarget(event.target.value)} autocomplete="off" /><//>
      <${Bulk} label="Discard all that match" danger disabled=${none} verb="discard" filter=${wanted}
        confirm="They are deleted with their input for good. The server continues if you close this page." />
    <//>
    <${BulkProgress} />
    <form class="chips" role="search" onSubmit=${filter}>
      <label class="hidden" for="model">Model</label>
      <input id="model" data-search name="model" placeholder="Model or model@version" defaultValue=${search.model ?? ""} autocomplete="off" />
      <label class="hidden" for="error">Error code</label>
      <input id="error" name="error" placeholder="Error code" defaultValue=${search.error ?? ""} autocomplete="off" />
      <button>Filter</button>
      ${search.fingerprint &&
      html`<button type="button" class="chip" aria-pressed="true" onClick=${() => go(link(["dead-letters"], { ...wanted, fingerprint: undefined }))}>
        cause: ${group ? cause(group) : search.fingerprint} ✕</button>`}
      ${(search.model || search.error || search.fingerprint) && html`<a href="#/dead-letters">Clear</a>`}
    </form>
    ${!search.fingerprint && !!groups.data?.items.length && html`<${List} label="Causes" columns=${GROUPS} items=${groups.data.items} id=${(each) => each.fingerprint} />`}
    <${Loading} resource=${letters} />
    ${letters.data &&
    html`<${Failure} error=${letters.error} />
      <${List} label="Dead letters" columns=${COLUMNS} items=${letters.data.items} id=${(letter) => letter.id} empty="No dead letter matches." />
      <${Pager} cursor=${search.cursor} next=${letters.data.next} go=${(cursor) => go(link(["dead-letters"], { ...search, cursor }))} />`}`;
}
