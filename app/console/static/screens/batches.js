// @ts-check
/** Batches: files of rows that a model predicts. */
import { html } from "../lib.js";
import { call, query, useResource } from "../api.js";
import { count, duration } from "../format.js";
import { go, link } from "../router.js";
import { Action, Failure, Head, List, Loading, Pager, State, Time } from "../ui.js";
import { ENDED } from "./batch.js";
import { may } from "./permissions.js";

export function Batches({ search, session }) {
  const batches = useResource(`v1/batches${query({ limit: 50, after: search.cursor })}`, 3);
  const act = (batch, verb) => async () => {
    await call("POST", `v1/batches/${encodeURIComponent(batch.id)}/${verb}`);
    await batches.reload();
  };
  const columns = [
    { name: "State", show: (batch) => html`<${State} value=${batch.status} />` },
    { name: "Batch", show: (batch) => html`<a class="mono" href=${link(["batches", batch.id])}>${batch.id}</a><div class="quiet">${batch.errors?.data[0]?.message}</div>` },
    { name: "Model", show: (batch) => `${batch.model}@${batch.version}` },
    { name: "Owner", wide: true, show: (batch) => batch.owner },
    { name: "Progress", show: (batch) => html`<progress value=${batch.progress.fraction} aria-label=${`Progress of ${batch.id}`}></progress> ${Math.round(batch.progress.fraction * 100)} %` },
    { name: "Rows", number: true, show: (batch) => `${count(batch.request_counts.completed)} of ${count(batch.request_counts.total)}` },
    { name: "Failed", number: true, show: (batch) => count(batch.request_counts.failed) },
    { name: "Rows/s", number: true, wide: true, show: (batch) => (batch.progress.rows_per_s ? count(Math.round(batch.progress.rows_per_s)) : "–") },
    { name: "Time left", number: true, wide: true, show: (batch) => duration(batch.progress.eta_s) },
    { name: "Created", wide: true, show: (batch) => html`<${Time} at=${batch.created_at} />` },
    ...(may(session, "batch")
      ? [{ name: "", show: (batch) => (ENDED.includes(batch.status)
            ? batch.status !== "completed" && html`<${Action} label="Resume" act=${act(batch, "resume")} done="The batch continues." />`
            : batch.status !== "cancelling" && html`<${Action} label="Cancel" danger act=${act(batch, "cancel")} confirm="Finished rows are kept. The batch can be resumed." done="The batch stops." />`) }]
      : []),
  ];
  return html`<${Head} title="Batches" /><${Loading} resource=${batches} />
    ${batches.data && html`<${Failure} error=${batches.error} />
      <${List} label="Batches" columns=${columns} items=${batches.data.data} id=${(batch) => batch.id} empty="No batch exists." />
      <${Pager} cursor=${search.cursor} next=${batches.data.has_more ? batches.data.last_id : null} go=${(cursor) => go(link(["batches"], { cursor }))} />`}`;
}
