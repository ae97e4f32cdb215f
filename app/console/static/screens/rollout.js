// @ts-check
/** Rollouts of a model: a version that takes a growing share of the requests for an alias. */
import { html, useState } from "../lib.js";
import { call, useResource } from "../api.js";
import { count, duration } from "../format.js";
import { Action, Facts, State, Time } from "../ui.js";

const STARTS = "It takes the first share as soon as a worker holds it. If too many of its jobs fail, it is rolled back.";

const address = (name, alias) => `v1/models/${encodeURIComponent(name)}/aliases/${encodeURIComponent(alias)}/rollout`;

/** Starts a rollout of a version to an alias. @param {{model: any, version: string, reload: () => Promise<any>}} properties */
export function RollOut({ model, version, reload }) {
  const aliases = Object.keys(model.aliases).filter((alias) => model.aliases[alias] !== version && !model.canaries[alias]);
  const [alias, setAlias] = useState("");
  const [steps, setSteps] = useState("1, 10, 50, 100");
  const [jobs, setJobs] = useState("100");
  if (!aliases.length) return null;
  const chosen = aliases.includes(alias) ? alias : aliases.includes("production") ? "production" : aliases[0];
  const start = async () => {
    await call("PUT", address(model.name, chosen), { body: { version, steps: steps.split(",").map(Number), min_jobs: Number(jobs) } });
    await reload();
  };
  const field = (name) => `${name}-${version}`;
  return html`<${Action} label="Roll out" act=${start} confirm=${`Version ${version} of ${model.name} takes a share of the requests for the alias, which grows in steps. ${STARTS}`}>
    <label for=${field("rollout")}>Alias</label>
    <select id=${field("rollout")} value=${chosen} onChange=${(event) => setAlias(event.target.value)}>${aliases.map((name) => html`<option>${name}</option>`)}</select>
    <label for=${field("steps")}>Shares in percent</label>
    <input id=${field("steps")} value=${steps} onInput=${(event) => setSteps(event.target.value)} autocomplete="off" inputmode="decimal" />
    <label for=${field("jobs")}>Jobs before the next step</label>
    <input id=${field("jobs")} value=${jobs} onInput=${(event) => setJobs(event.target.value)} autocomplete="off" inputmode="numeric" />
  <//>`;
}

/** The rollouts under way. @param {{model: any, write: boolean, reload: () => Promise<any>}} properties */
export function Rollouts({ model, write, reload }) {
  return html`${Object.keys(model.canaries).map((alias) => html`<${Rollout} key=${alias} name=${model.name} alias=${alias} write=${write} reload=${reload} />`)}`;
}

function Rollout({ name, alias, write, reload }) {
  const rollout = useResource(address(name, alias), 3).data;
  if (!rollout || !rollout.step) return null;
  const back = async () => {
    await call("DELETE", address(name, alias));
    await reload();
  };
  const step = rollout.step;
  return html`<section class="card" aria-label=${`Rollout of ${alias}`}>
    <div class="head"><h2>${alias}: ${rollout.percent} % of version ${rollout.version}</h2><${State} value=${rollout.state} />
      ${write && html`<${Action} label="Take back" danger act=${back} done="The rollout is taken back." confirm=${`All requests for ${alias} go to version ${rollout.before}.`} />`}</div>
    <progress max="100" value=${rollout.percent} aria-label="Share of the requests"></progress>
    <${Facts} items=${[
      ["Steps", rollout.steps.map((share) => `${share} %`).join(", ")],
      ["Since", html`<${Time} at=${rollout.step_at} />`],
      ["Succeeded, failed", `${count(step.succeeded)}, ${count(step.failed)}`],
      ["Until the next step", step.missing_jobs || step.left_s ? `${count(step.missing_jobs)} jobs, ${duration(step.left_s)}` : "nothing"],
      ["95 % of the runs within", step.p95_s === null ? null : `${duration(step.p95_s)}, version ${rollout.before}: ${step.before_p95_s === null ? "–" : duration(step.before_p95_s)}`],
    ]} />
  </section>`;
}
