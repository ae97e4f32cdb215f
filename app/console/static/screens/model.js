// @ts-check
/** One model: its versions and aliases, its signature, and a form to try it. */
import { html, useState } from "../lib.js";
import { call, useResource } from "../api.js";
import { local } from "../format.js";
import { link } from "../router.js";
import { Action, Facts, Failure, Head, List, Loading, State, Time } from "../ui.js";
import { Drift } from "./drift.js";
import { may } from "./permissions.js";
import { Aliases, Moves, Promote } from "./promotion.js";
import { RollOut, Rollouts } from "./rollout.js";
import { Try } from "./try.js";
import { VersionFigures } from "./version-figures.js";

export function Model({ id, session }) {
  const [moving, setMoving] = useState(false);
  const resource = useResource(`v1/models/${encodeURIComponent(id)}`, moving ? 1 : 5);
  const [chosen, setChosen] = useState("");
  const [reason, setReason] = useState("");
  const [requested, setRequested] = useState({});
  const model = resource.data;
  const version = chosen || model?.default;
  const details = useResource(model ? `v1/models/${encodeURIComponent(id)}/versions/${encodeURIComponent(version)}` : null);
  if (!model) return html`<${Head} title=${id} /><${Loading} resource=${resource} />`;
  const write = may(session, "models:write");
  const waits = model.promotions.some((move) => move.state === "pending");
  if (waits !== moving) setMoving(waits);
  const repository = (verb) => async () => {
    await call("POST", `v2/repository/models/${encodeURIComponent(id)}/${verb}`, { body: {} });
    await resource.reload();
  };
  const change = (verb, body) => async () => {
    await call("POST", `v1/models/${encodeURIComponent(id)}/${verb}`, { body });
    setReason("");
    await resource.reload();
  };
  const why = html`<label for="why">Reason (optional)</label>
    <input id="why" value=${reason} onInput=${(event) => setReason(event.target.value)} maxlength="200" />`;
  const promote = async (alias, number) => {
    const move = await call("PUT", `v1/models/${encodeURIComponent(id)}/aliases/${encodeURIComponent(alias)}`, { body: { version: number } });
    setRequested({ ...requested, [alias]: move });
    await resource.reload();
  };
  const remove = (number) => async () => {
    await call("DELETE", `v1/models/${encodeURIComponent(id)}/versions/${encodeURIComponent(number)}`);
    setChosen("");
    await resource.reload();
  };
  const unloaded = model.versions.some((item) => item.unloaded);
  const aliases = (number) => Object.entries(model.aliases).filter(([, target]) => target === number).map(([alias]) => alias);
  const columns = [
    { name: "Version", show: (item) => html`<button type="button" class="plain" aria-pressed=${item.version === version} onClick=${() => setChosen(item.version)}>${item.version}</button>` },
    { name: "State", show: (item) => html`<${State} value=${item.state} />${item.reason && html`<div class="quiet">${item.reason}</div>`}` },
    { name: "Aliases", wide: true, show: (item) => [item.version === model.default && "default", ...aliases(item.version)].filter(Boolean).join(", ") },
    { name: "Lane", wide: true, show: (item) => html`${item.lane}<div class="quiet">${item.lane_reason}</div>` },
    { name: "Created", wide: true, show: (item) => local(item.created_at) },
    ...(write ? [{ name: "", show: (item) => html`<div class="actions">${item.state !== "UNAVAILABLE" && html`<${Promote} model=${model} version=${item.version} promote=${promote} />
      <${RollOut} model=${model} version=${item.version} reload=${resource.reload} />`}
      <${Action} label="Delete" danger act=${remove(item.version)} done=${`Version ${item.version} is deleted.`} confirm=${`Version ${item.version} is deleted for good. The server refuses if something needs it.`} /></div>` }] : []),
  ];
  return html`<${Head} title=${model.name}>
      <a class="button" href=${link(["jobs"], { model: model.name })}>Jobs of this model</a>
      ${write && model.pause && html`<${Action} label="Resume" main act=${change("resume", {})} done=${`${id} is resumed.`} />`}
      ${write && !model.pause && html`<${Action} label="Pause" act=${change("pause", reason ? { reason } : {})} done=${`${id} is paused.`}
        confirm="Nothing of the model starts until it is resumed. Jobs and batches wait, and synchronous requests are refused.">${why}<//>`}
      ${write && unloaded && html`<${Action} label="Load" main act=${repository("load")} done=${`${id} is loaded.`} />`}
      ${write && !unloaded && html`<${Action} label="Unload" danger act=${repository("unload")} done=${`${id} is unloaded.`} confirm="New requests for the model are refused until it is loaded again. Accepted jobs still run." />`}
    <//>
    ${model.pause && html`<p class="card"><${State} value="paused" /> Since <${Time} at=${model.pause.since} />${model.pause.by && ` by ${model.pause.by.name}`}${model.pause.reason && `: ${model.pause.reason}`}. Deliveries that wait: ${model.pause.waiting}.</p>`}
    ${model.description && html`<p>${model.description}</p>`}
    <${Failure} error=${resource.error} />
    <${Moves} model=${model} requested=${requested} />
    <${Rollouts} model=${model} write=${write} reload=${resource.reload} />
    <section class="card" aria-label="Versions"><h2>Versions</h2>
      <${List} label="Versions" columns=${columns} items=${[...model.versions].reverse()} id=${(item) => item.version} empty="No version can be read." />
    </section>
    <${Aliases} model=${model} write=${write} promote=${promote} />
    ${may(session, "jobs:read") && html`<${VersionFigures} name=${id} order=${model.versions.map((item) => item.version)} />`}
    ${may(session, "jobs:read") && html`<${Drift} name=${id} version=${version} />`}
    <${Loading} resource=${details} />
    ${details.data && html`<${Details} manifest=${details.data} />
      ${details.data.inputs && may(session, "predict") && html`<${Try} key=${`${id}@${version}`} name=${id} version=${version} manifest=${details.data} />`}`}`;
}

const shape = (tensor) => `${tensor.datatype} [${tensor.shape.map((size) => (size < 0 ? "n" : size)).join(", ")}]`;

function Details({ manifest }) {
  const metrics = Object.entries(manifest.metrics ?? {});
  return html`<div class="columns">
    <section class="card" aria-label="Version"><h2>Version ${manifest.version}</h2>
      <${Facts} items=${[
        ["Pool", manifest.pool],
        ["Format", manifest.format],
        ["Runs", manifest.runs],
        ["Lane", `${manifest.lane}: ${manifest.lane_reason}`],
        ["Metrics", metrics.length ? metrics.map(([name, value]) => `${name} ${value}`).join(", ") : null],
        ["SHA-256", manifest.sha256 && html`<span class="mono">${manifest.sha256}</span>`],
      ]} />
    </section>
    <section class="card" aria-label="Signature"><h2>Signature</h2>
      <${Facts} items=${[...(manifest.inputs ?? []).map((tensor) => [tensor.name, `${shape(tensor)}${tensor.nullable ? ", may be missing" : ""}`]), ...(manifest.outputs ?? []).map((tensor) => [`→ ${tensor.name}`, shape(tensor)])]} />
    </section>
  </div>`;
}
