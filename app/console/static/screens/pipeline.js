// @ts-check
/** One pipeline: its steps as a graph, and a form that starts a run. */
import { html, useState } from "../lib.js";
import { call, useResource } from "../api.js";
import { Graph } from "../graph.js";
import { parse, stringify } from "../json.js";
import { go, link } from "../router.js";
import { Facts, Failure, Head, List, Loading } from "../ui.js";
import { may } from "./permissions.js";

const COLUMNS = [
  { name: "Step", show: ([name]) => name },
  { name: "Runs", show: ([, step]) => (step.model ? html`<a href=${link(["models", step.model.split("@")[0]])}>${step.model}</a>` : step.run) },
  { name: "Inputs", clip: true, show: ([, step]) => html`<span class="mono">${stringify(step.inputs ?? null)}</span>` },
  { name: "For each", wide: true, show: ([, step]) => (step.each ? html`<span class="mono">${stringify(step.each)}</span>` : "") },
  { name: "If", wide: true, show: ([, step]) => (step.when ? html`<span class="mono">${typeof step.when === "string" ? step.when : stringify(step.when)}</span>` : "") },
];

export function Pipeline({ id, session }) {
  const resource = useResource(`v1/pipelines/${encodeURIComponent(id)}`, 30);
  const pipeline = resource.data;
  if (!pipeline) return html`<${Head} title=${id} /><${Loading} resource=${resource} />`;
  return html`<${Head} title=${pipeline.name} />
    ${pipeline.description && html`<p>${pipeline.description}</p>`}
    <${Failure} error=${resource.error} />
    <section class="card" aria-label="Steps"><h2>Steps</h2>
      <${Graph} steps=${pipeline.steps} /><p></p>
      <${List} label="List of steps" columns=${COLUMNS} items=${Object.entries(pipeline.steps)} id=${([name]) => name} empty="No steps." />
      <p></p>
      <${Facts} items=${[["Inputs", pipeline.inputs?.join(", ")], ["Output", html`<span class="mono">${stringify(pipeline.output)}</span>`]]} />
    </section>
    ${may(session, "predict") && html`<${Run} pipeline=${pipeline} />`}`;
}

function Run({ pipeline }) {
  const [text, setText] = useState(() => stringify(Object.fromEntries((pipeline.inputs ?? []).map((name) => [name, null])), "  "));
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      let inputs;
      try {
        inputs = parse(text);
      } catch (fault) {
        throw Object.assign(new Error(`The input is not JSON: ${fault.message}`), { code: "invalid_input" });
      }
      const made = await call("POST", "v1/jobs", { body: { pipeline: pipeline.name, inputs } });
      go(link(["jobs", made.id]));
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return html`<section class="card" aria-label="Run"><h2>Run</h2>
    <form onSubmit=${submit}>
      <label for="inputs">Inputs, as JSON</label>
      <textarea id="inputs" rows="6" spellcheck="false" value=${text} onInput=${(event) => setText(event.target.value)}></textarea><p></p>
      <div class="actions"><button class="main" disabled=${busy}>Run</button></div>
    </form>
    <${Failure} error=${error} />
  </section>`;
}
