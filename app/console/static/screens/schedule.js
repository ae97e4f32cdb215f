// @ts-check
/** One schedule: what it starts, when, and what became of its runs. */
import { html } from "../lib.js";
import { useResource } from "../api.js";
import { duration, local } from "../format.js";
import { stringify } from "../json.js";
import { link } from "../router.js";
import { Facts, Failure, Head, List, Loading, State } from "../ui.js";

const started = (run) => {
  if (!run.id) return "";
  return html`<a class="mono" href=${link([run.kind === "batch" ? "batches" : "jobs", run.id])}>${run.id}</a>`;
};
const RUNS = [
  { name: "Planned", show: (run) => local(run.planned_at) },
  { name: "State", show: (run) => (run.state ? html`<${State} value=${run.state} />` : html`<span class="quiet">expired</span>`) },
  { name: "Started", show: started },
  { name: "Error", clip: true, show: (run) => run.error?.detail ?? "" },
];

export function Schedule({ id }) {
  const resource = useResource(`v1/schedules/${encodeURIComponent(id)}`, 5);
  const runs = useResource(`v1/schedules/${encodeURIComponent(id)}/runs`, 5);
  const schedule = resource.data;
  if (!schedule) return html`<${Head} title=${id} /><${Loading} resource=${resource} />`;
  return html`<${Head} title=${schedule.name} />
    ${schedule.description && html`<p>${schedule.description}</p>`}
    <${Failure} error=${resource.error} />
    <div class="columns">
      <section class="card" aria-label="Facts">
        <${Facts} items=${[
          ["State", html`<${State} value=${schedule.paused ? "paused" : "active"} />`],
          ["Times", schedule.cron ? html`<code>${schedule.cron}</code>` : `every ${duration(schedule.every_s)}`],
          ["Time zone", schedule.timezone],
          ["Next", schedule.next_at && local(schedule.next_at)],
          ["Waits for", schedule.waits_for],
          ["Missed runs", schedule.missed],
          ["Owner", schedule.owner ?? "default"],
          ["Created", schedule.created_at && local(schedule.created_at)],
        ]} />
      </section>
      <section class="card" aria-label="What it starts"><h2>What it starts</h2><pre tabindex="0">${stringify(schedule.run, "  ")}</pre></section>
    </div>
    <section class="card" aria-label="Runs"><h2>Runs</h2>
      <${Loading} resource=${runs} />
      ${runs.data && html`<${List} label="List of runs" columns=${RUNS} items=${runs.data.items} id=${(run) => `${run.planned_at}-${run.id}`} empty="It has not run yet." />`}
    </section>`;
}
