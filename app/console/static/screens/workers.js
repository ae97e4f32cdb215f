// @ts-check
/** Workers: the pods that are alive, the models that they hold, and what each process runs and for how long. */
import { html } from "../lib.js";
import { useResource } from "../api.js";
import { count, duration } from "../format.js";
import { link } from "../router.js";
import { Failure, Head, List, Loading, State, Time } from "../ui.js";

const EVERY_S = 3;
const MODELS = 8;

/** @param {{ready: string[], loading: string[], refused: {version: string, reason: string}[]}} worker */
const models = (worker) => html`${worker.ready.slice(0, MODELS).join(", ") || "–"}
  ${worker.ready.length > MODELS && html`<details><summary>${worker.ready.length - MODELS} more</summary>${worker.ready.slice(MODELS).join(", ")}</details>`}`;

const WORKERS = [
  { name: "Worker", show: (worker) => html`<span class="mono">${worker.host}</span>` },
  { name: "Pool", show: (worker) => worker.pool },
  { name: "Processes", number: true, show: (worker) => count(worker.processes) },
  { name: "Models", show: models },
  { name: "Loading", wide: true, show: (worker) => worker.loading.join(", ") || "–" },
  { name: "Refused", wide: true, show: (worker) => worker.refused.map((each) => html`<details><summary class="bad">${each.version}</summary>${each.reason}</details>`) },
  { name: "Start", number: true, wide: true, show: (worker) => duration(worker.start_s) },
  { name: "Seen", show: (worker) => html`<${Time} at=${worker.seen_at} />` },
];

/** @param {{model?: string, version?: string, kind?: string}} delivery */
const subject = (delivery) => [delivery.kind, delivery.model && `${delivery.model}${delivery.version ? `@${delivery.version}` : ""}`].filter(Boolean).join(" ");

const RUNNING = [
  { name: "Process", show: (delivery) => html`<span class="mono">${delivery.process}</span>` },
  { name: "Pool", wide: true, show: (delivery) => delivery.pool },
  { name: "Runs", show: (delivery) => html`<${State} value="running" /> ${subject(delivery)}` },
  { name: "Job", show: (delivery) => html`<a class="mono" href=${link(["jobs", delivery.job])}>${delivery.job}</a>${delivery.jobs > 1 ? ` and ${delivery.jobs - 1} more` : ""}` },
  { name: "For", number: true, show: (delivery) => duration((Date.now() - new Date(delivery.started_at).getTime()) / 1000) },
];

export function Workers() {
  const workers = useResource("v1/workers", EVERY_S);
  return html`<${Head} title="Workers" />
    <${Loading} resource=${workers} />
    ${workers.data &&
    html`<${Failure} error=${workers.error} />
      <${List} label="Workers" columns=${WORKERS} items=${workers.data.items} id=${(worker) => worker.name} empty="No worker is alive." />
      <div class="day"><h2>Running now</h2></div>
      <${List} label="Running now" columns=${RUNNING} items=${workers.data.running} id=${(delivery) => delivery.process + delivery.job} empty="No process runs a job." />
      ${!workers.data.complete && html`<p class="quiet note">The first 1,000 of those that run.</p>`}`}`;
}
