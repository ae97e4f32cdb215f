// @ts-check
/** Models: what exists, what a name means, and whether it can answer. */
import { html, useState } from "../lib.js";
import { useResource } from "../api.js";
import { link } from "../router.js";
import { Failure, Head, List, Loading, State } from "../ui.js";

const meant = (model) => model.versions.find((version) => version.version === model.default);
const COLUMNS = [
  { name: "Model", show: (model) => html`<a href=${link(["models", model.name])}>${model.name}</a>` },
  { name: "State", show: (model) => html`<${State} value=${model.pause ? "paused" : meant(model)?.state} />` },
  { name: "Default", show: (model) => model.default },
  { name: "Aliases", show: (model) => Object.entries(model.aliases).map(([alias, version]) => `${alias} → ${version}`).join(", ") },
  { name: "Versions", number: true, show: (model) => model.versions.length },
  { name: "Lane", wide: true, show: (model) => meant(model)?.lane ?? "–" },
  { name: "Description", clip: true, wide: true, show: (model) => model.description },
];

export function Models() {
  const models = useResource("v1/models", 5);
  const [text, setText] = useState("");
  const items = models.data?.items.filter((model) => model.name.includes(text.trim())) ?? [];
  return html`<${Head} title="Models" />
    <div class="chips" role="search">
      <label class="hidden" for="search">Name</label>
      <input id="search" data-search placeholder="Name" value=${text} onInput=${(event) => setText(event.target.value)} autocomplete="off" />
    </div>
    <${Loading} resource=${models} />
    ${models.data && html`<${Failure} error=${models.error} />
      <${List} label="Models" columns=${COLUMNS} items=${items} id=${(model) => model.name} empty="No model matches." />
      <p class="quiet note">Repository: ${models.data.repository}</p>`}`;
}
