// @ts-check
/** One batch: how far it is, what its rows failed of, and its results. */
import { html, useState } from "../lib.js";
import { BASE, call, useResource } from "../api.js";
import { count, duration, local } from "../format.js";
import { link } from "../router.js";
import { Action, Copy, Facts, Failure, Head, List, Loading, State } from "../ui.js";
import { may } from "./permissions.js";

export const ENDED = ["completed", "failed", "expired", "cancelled"];
const TIMES = ["created", "in_progress", "finalizing", "cancelling", "completed", "failed", "expired", "cancelled"];

const ERRORS = [
  { name: "Line", number: true, show: (error) => error.line ?? "" },
  { name: "Code", show: (error) => error.code },
  { name: "Error", show: (error) => error.message },
  { name: "Field", wide: true, show: (error) => error.param ?? "" },
];

export function Batch({ id, session }) {
  const [ended, setEnded] = useState(false);
  const resource = useResource(`v1/batches/${encodeURIComponent(id)}`, ended ? 0 : 2);
  const batch = resource.data;
  if (!batch) return html`<${Head} title=${`Batch ${id}`} /><${Loading} resource=${resource} />`;
  if (ENDED.includes(batch.status) !== ended) setEnded(!ended);
  const act = (verb) => async () => {
    await call("POST", `v1/batches/${encodeURIComponent(id)}/${verb}`);
    await resource.reload();
  };
  const file = (name) => name && html`<a href=${`${BASE}v1/files/${name}/content`} download>${name}</a>`;
  return html`<${Head} title=${`Batch ${batch.id}`}>
      <${Copy} label="Copy CLI" text=${`celeriac batch show ${batch.id}`} />
      ${may(session, "batch") && (ended
        ? batch.status !== "completed" && html`<${Action} label="Resume" main act=${act("resume")} done="The batch continues." />`
        : batch.status !== "cancelling" && html`<${Action} label="Cancel" danger act=${act("cancel")} confirm="Finished rows are kept. The batch can be resumed." done="The batch stops." />`)}
    <//>
    <${Failure} error=${resource.error} />
    <div class="columns">
      <section class="card" aria-label="Facts">
        <${Facts} items=${[
          ["State", html`<${State} value=${batch.status} />`],
          ["Progress", html`<progress value=${batch.progress.fraction} aria-label="Progress"></progress> ${Math.round(batch.progress.fraction * 100)} %`],
          ["Rows", `${count(batch.request_counts.completed)} of ${count(batch.request_counts.total)}`],
          ["Failed rows", count(batch.request_counts.failed)],
          ["Rows per second", batch.progress.rows_per_s && count(Math.round(batch.progress.rows_per_s))],
          ["Time left", batch.progress.eta_s === null ? null : duration(batch.progress.eta_s)],
          ["Model", html`<a href=${link(["models", batch.model])}>${batch.model}@${batch.version}</a>`],
          ["Method", batch.method],
          ["Owner", batch.owner],
          ["Input", file(batch.input_file_id) || batch.input],
          ["Output", file(batch.output_file_id) || batch.output],
          ["Failed rows, each with its reason", file(batch.error_file_id)],
        ]} />
      </section>
      <section class="card" aria-label="Timeline"><h2>Timeline</h2>
        <ol class="timeline">
          ${TIMES.filter((name) => batch[`${name}_at`]).map((name) => html`<li><span>${name[0].toUpperCase() + name.slice(1).replaceAll("_", " ")}</span><span>${local(batch[`${name}_at`])}</span></li>`)}
          ${!ended && batch.expires_at && html`<li class="open"><span>Expires</span><span>${local(batch.expires_at)}</span></li>`}
        </ol>
      </section>
    </div>
    ${batch.errors?.data.length > 0 && html`<section class="card failure" aria-label="Errors"><h2>Errors</h2>
      <${List} label="List of errors" columns=${ERRORS} items=${batch.errors.data} id=${(error) => `${error.line}-${error.code}-${error.message}`} empty="No errors." /></section>`}`;
}
