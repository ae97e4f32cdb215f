// @ts-check
/** One job: what became of it, its timeline, its result and logs, and what can be done with it. */
import { html, useEffect, useState } from "../lib.js";
import { BASE, call, useResource } from "../api.js";
import { cost, count, duration, local } from "../format.js";
import { Graph } from "../graph.js";
import { stringify } from "../json.js";
import { go, link } from "../router.js";
import { Action, Copy, Facts, Failure, Head, List, Loading, State, Value } from "../ui.js";
import { subject } from "./jobs.js";
import { may } from "./permissions.js";

const FINAL = ["succeeded", "failed", "cancelled", "expired"];

export function Job({ id, session }) {
  const [ended, setEnded] = useState(false);
  const resource = useResource(`v1/jobs/${encodeURIComponent(id)}`, ended ? 0 : 2);
  const job = resource.data;
  // Not with the job, which is read every two seconds: inputs may be large.
  const details = useResource(`v1/jobs/${encodeURIComponent(id)}?details=true`);
  const diagnosis = useResource(`v1/jobs/${encodeURIComponent(id)}/diagnosis`, ended ? 0 : 5);
  useEffect(() => {
    details.reload();
  }, [job?.state, job?.attempt]);
  if (!job) return html`<${Head} title=${`Job ${id}`} /><${Loading} resource=${resource} />`;
  if (FINAL.includes(job.state) && !ended) setEnded(true);
  const cancel = async () => {
    await call("DELETE", `v1/jobs/${encodeURIComponent(id)}`);
    await resource.reload();
  };
  const retry = async () => {
    const made = await call("POST", `v1/jobs/${encodeURIComponent(id)}/retry`);
    go(link(["jobs", made.id]));
  };
  const predict = may(session, "predict");
  const address = `${BASE}v1/jobs/${job.id}`;
  const header = session.authentication === "keys" ? ' -H "Authorization: Bearer $CELERIAC_API_KEY"' : "";
  return html`<${Head} title=${`Job ${job.id}`}>
      <${Copy} label="Copy curl" text=${`curl${header} ${address}`} />
      <${Copy} label="Copy Python" text=${`import celeriac\n\nwith celeriac.Client("${BASE.replace(/\/$/, "")}") as client:\n    job = client.jobs.get("${job.id}")\n`} />
      <${Copy} label="Copy CLI" text=${`celeriac jobs show ${job.id}`} />
      ${predict && !FINAL.includes(job.state) && html`<${Action} label="Cancel" danger act=${cancel} confirm="A job that runs is interrupted. A cancelled job has no result." done="The job is cancelled." />`}
      ${predict && job.kind === "pipeline" && ["failed", "expired", "cancelled"].includes(job.state) &&
      html`<${Action} label="Retry" main act=${retry} done="Another run has started: only the steps that had not succeeded." />`}
    <//>
    <${Failure} error=${resource.error} />
    <div class="columns">
      <section class="card" aria-label="Facts">
        <${Facts} items=${[
          ["State", html`<${State} value=${job.state} />`],
          ["Model", job.model ? html`<a href=${link(["models", job.model])}>${subject(job)}</a>` : subject(job)],
          ["Method", job.method],
          ["Kind", job.kind],
          ["Rows", job.rows === undefined ? null : count(job.rows)],
          ["Owner", job.owner ?? "default"],
          ["Service tier", job.service_tier],
          ["Concurrency key", job.concurrency_key],
          ["Reason", job.reason],
          ["Attempt", job.attempt],
          ["Cost", job.cost === undefined ? null : cost(job.cost)],
          ["Trace", job.trace_id && (session.trace_url ? html`<a href=${session.trace_url.replace("{trace_id}", job.trace_id)} rel="noreferrer">${job.trace_id}</a>` : job.trace_id)],
          ["Started by", job.parent],
          ["Position", job.queue_position],
          ["Starts in about", job.estimated_start_s === undefined ? null : duration(job.estimated_start_s)],
          ["Waits for", job.waits_for],
          ["Progress", job.progress ? html`<progress value=${job.progress.fraction} aria-label="Progress"></progress> ${Math.round(job.progress.fraction * 100)} % ${job.progress.text}` : null],
        ]} />
      </section>
      <section class="card" aria-label="Timeline"><h2>Timeline</h2><${Timeline} job=${job} attempts=${details.data?.attempts ?? []} /></section>
    </div>
    ${diagnosis.data && html`<${Diagnosis} diagnosis=${diagnosis.data} />`}
    ${job.error && html`<section class="card failure" aria-label="Error"><h2>Error</h2><p><strong>${job.error.code}</strong></p><p>${job.error.detail}</p>
      ${may(session, "operate") && !job.kind && html`<${Letter} id=${job.id} />`}</section>`}
    ${job.steps && html`<section class="card" aria-label="Steps"><h2>Steps</h2><${Drawing} job=${job} /><${Steps} steps=${job.steps} /></section>`}
    ${job.request && html`<section class="card" aria-label="Request"><h2>Request</h2><pre tabindex="0">${stringify(job.request, "  ")}</pre></section>`}
    ${details.data && !job.kind && html`<section class="card" aria-label="Input"><h2>Input</h2>${details.data.inputs === undefined
      ? html`<p class="quiet">The input is not kept. CELERIAC_JOB_INPUT_BYTES says up to which size it is.</p>`
      : html`<${Value} value=${details.data.inputs} label="Input" />`}</section>`}
    ${job.result !== undefined && html`<section class="card" aria-label="Result"><h2>Result</h2><${Value} value=${job.result} names=${names(job.classes)} label="Result" /></section>`}
    ${job.logs && html`<section class="card" aria-label="Logs"><h2>Logs</h2><pre tabindex="0">${job.logs}</pre></section>`}`;
}

/** Names of the columns of a result, which are the classes of a model with one target. */
const names = (classes) => (classes && !Array.isArray(classes[0]) ? classes : null);

/** The traceback that the dead letter of a failed job adds. It is read on request, because it may have been replayed, discarded or dropped. */
function Letter({ id }) {
  const [open, setOpen] = useState(false);
  const letter = useResource(open ? `v1/dead-letters/${encodeURIComponent(id)}` : null);
  const edit = html`<a class="button" href=${link(["dead-letters", id])}>Correct the input and replay</a>`;
  if (!open) return html`<div class="actions"><button type="button" onClick=${() => setOpen(true)}>Show traceback</button>${edit}</div>`;
  if (!letter.data) return html`<${Loading} resource=${letter} />`;
  return html`${letter.data.traceback ? html`<h2>Traceback</h2><pre tabindex="0">${letter.data.traceback}</pre>` : html`<p class="quiet">The code raised no exception.</p>`}
    <div class="actions">${edit}</div>`;
}

const STATIONS = [
  { name: "Station", show: (station) => station.station },
  { name: "Time", number: true, show: (station) => duration(station.seconds) },
  { name: "Usual", number: true, show: (station) => duration(station.usual_p50_s) },
  { name: "99 % within", number: true, show: (station) => duration(station.usual_p99_s) },
  { name: "Slow", show: (station) => (station.slow ? "slow" : "") },
];

/** Why the job waits or was slow, in the words of the server. */
function Diagnosis({ diagnosis }) {
  return html`<section class="card" aria-label="Diagnosis"><h2>Diagnosis</h2>
    <${List} label="Stations" columns=${STATIONS} items=${diagnosis.stations} id=${(station) => station.station} empty="It has reached no station." />
    ${diagnosis.reasons.length ? html`<ul class="notes">${diagnosis.reasons.map((text) => html`<li>${text}</li>`)}</ul>` : html`<p class="quiet">Nothing is unusual.</p>`}
  </section>`;
}

/** What the timeline shows of an attempt. */
function described(attempt) {
  const ended = attempt.outcome === "retried" ? `retried after ${duration((Date.parse(attempt.finished_at) - Date.parse(attempt.started_at)) / 1000)}` : "";
  return [`on ${attempt.worker}`, attempt.outcome === "worker_lost" ? "the worker died" : ended].filter(Boolean).join(", ");
}

function Timeline({ job, attempts }) {
  const started = ["Started", job.started_at, job.wait_s === null ? "" : `after ${duration(job.wait_s)} in the queue`];
  const points = [
    ["Created", job.created_at, ""],
    ...(attempts.length ? attempts.map((attempt, place) => [`Attempt ${place + 1}`, attempt.started_at, described(attempt)]) : [started]),
    [job.finished_at ? job.state[0].toUpperCase() + job.state.slice(1) : "Ended", job.finished_at, job.run_s === null ? "" : `after running for ${duration(job.run_s)}`],
  ];
  return html`<ol class="timeline">
    ${points.map(([name, at, text]) => html`<li class=${at ? "" : "open"}><span>${name}</span><span>${at ? local(at) : html`<span class="quiet">not yet</span>`} <span class="quiet">${at && text}</span></span></li>`)}
  </ol>`;
}

/** The graph of the pipeline as it is now, if it still has the steps of the run. */
function Drawing({ job }) {
  const pipeline = useResource(`v1/pipelines/${encodeURIComponent(job.pipeline)}`);
  const states = Object.fromEntries(job.steps.map((step) => [step.name, step.state]));
  const same = pipeline.data && Object.keys(pipeline.data.steps).every((name) => name in states);
  return same && html`<${Graph} steps=${pipeline.data.steps} states=${states} /><p></p>`;
}

function Steps({ steps }) {
  const columns = [
    { name: "Step", show: (step) => (step.job && !step.branches ? html`<a href=${link(["jobs", step.job])}>${step.name}</a>` : step.name) },
    { name: "State", show: (step) => html`<${State} value=${step.state} />` },
    { name: "Branches", show: (step) => (step.branches ? Object.entries(step.branches).map(([state, number]) => `${number} ${state}`).join(", ") : "") },
    { name: "Run", number: true, show: (step) => duration(step.run_s) },
    { name: "Error", clip: true, show: (step) => step.error?.detail ?? "" },
  ];
  return html`<${List} label="Steps" columns=${columns} items=${steps} id=${(step) => step.name} empty="No steps." />`;
}
