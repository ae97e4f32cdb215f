// @ts-check
/** Pipelines: their steps, and why one cannot run. Its runs are jobs. */
import { html } from "../lib.js";
import { useResource } from "../api.js";
import { link } from "../router.js";
import { Failure, Head, List, Loading, State } from "../ui.js";

const COLUMNS = [
  { name: "Pipeline", show: (pipeline) => (pipeline.steps ? html`<a href=${link(["pipelines", pipeline.name])}>${pipeline.name}</a>` : pipeline.name) },
  { name: "State", show: (pipeline) => html`<${State} value=${pipeline.reason ? "UNAVAILABLE" : "READY"} /><div class="quiet">${pipeline.reason}</div>` },
  { name: "Inputs", show: (pipeline) => pipeline.inputs?.join(", ") ?? "" },
  { name: "Steps", show: (pipeline) => pipeline.steps?.join(" → ") ?? "" },
  { name: "Description", wide: true, show: (pipeline) => pipeline.description ?? "" },
];

export function Pipelines() {
  const pipelines = useResource("v1/pipelines", 10);
  return html`<${Head} title="Pipelines" /><${Loading} resource=${pipelines} />
    ${pipelines.data && html`<${Failure} error=${pipelines.error} />
      <${List} label="Pipelines" columns=${COLUMNS} items=${pipelines.data.items} id=${(pipeline) => pipeline.name} empty="No pipeline exists." />`}`;
}
