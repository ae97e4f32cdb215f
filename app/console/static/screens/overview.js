// @ts-check
/** Overview: each pool, its work, its workers, and what keeps it from working or growing; and figures of the last 24 hours. */
import { html, useState } from "../lib.js";
import { call, useResource } from "../api.js";
import { Figures } from "../charts.js";
import { count } from "../format.js";
import { Action, Failure, Head, Loading, State, Time } from "../ui.js";
import { may } from "./permissions.js";

export function Overview({ session }) {
  const pools = useResource("v1/pools", 2);
  const operate = may(session, "operate");
  return html`<${Head} title="Overview" />
    <${Loading} resource=${pools} />
    ${pools.data &&
    html`<${Failure} error=${pools.error} />
      <div class="cards">${pools.data.items.map((pool) => html`<${Pool} key=${pool.pool} pool=${pool} operate=${operate} reload=${pools.reload} />`)}</div>
      ${!pools.data.items.length && html`<div class="card empty">No pool exists. Publish a model, or start a worker.</div>`}
      ${pools.data.note && html`<p class="quiet note">${pools.data.note}</p>`}`}
    <${LastDay} />`;
}

const SHOWN = 12;

function LastDay() {
  const [by, setBy] = useState("pool");
  const stats = useResource(`v1/stats?from=-24h&step=1h&group_by=${by}`, 60);
  const items = [...(stats.data?.items ?? [])].sort((a, b) => b.total.submitted - a.total.submitted);
  const chip = (name, label) =>
    html`<button type="button" class="chip" aria-pressed=${String(by === name)} onClick=${() => setBy(name)}>${label}</button>`;
  return html`<section aria-label="Last 24 hours" class="day">
    <div class="head"><h2>Last 24 hours</h2><span class="grow"></span><div class="actions">${chip("pool", "By pool")}${chip("model", "By model")}</div></div>
    <${Loading} resource=${stats} />
    ${stats.data && !items.length && html`<div class="card empty">Nothing was submitted in the last 24 hours.</div>`}
    <div class="cards">${items.slice(0, SHOWN).map((item) => html`<${Figures} key=${item[by]} name=${item[by]} times=${stats.data.times} item=${item} />`)}</div>
    ${items.length > SHOWN && html`<p class="quiet note">The ${SHOWN} with the most jobs of ${items.length}.</p>`}
  </section>`;
}

function Pool({ pool, operate, reload }) {
  const [reason, setReason] = useState("");
  const change = (verb, body) => async () => {
    await call("POST", `v1/pools/${encodeURIComponent(pool.pool)}/${verb}`, { body });
    setReason("");
    await reload();
  };
  const why = html`<label for=${`why-${pool.pool}`}>Reason (optional)</label>
    <input id=${`why-${pool.pool}`} value=${reason} onInput=${(event) => setReason(event.target.value)} maxlength="200" />`;
  const body = reason ? { reason } : {};
  const scaling = pool.scaling;
  const sometimes = [
    ["Waiting as priority", pool.waiting.priority],
    ["Waiting as flex", pool.waiting.flex],
    ["Held back", pool.held_back],
  ];
  const figures = [
    ["Waiting", pool.waiting.interactive],
    ["Waiting in bulk", pool.waiting.bulk],
    ...sometimes.filter(([, number]) => number > 0),
    ["Running", pool.running],
    ["Processes", pool.processes],
    ["Wanted", pool.demand.wanted],
    ["Workers", pool.workers],
    ...(scaling ? [["Replicas ready", `${scaling.ready} of ${scaling.wanted}`]] : []),
  ];
  return html`<section class="card" aria-label=${`Pool ${pool.pool}`}>
    <div class="head">
      <h2>${pool.pool}</h2><${State} value=${pool.state} /><span class="grow"></span>
      ${operate &&
      html`<div class="actions">
        ${pool.state !== "active" && html`<${Action} label="Resume" act=${change("resume")} done=${`Pool ${pool.pool} is active.`} />`}
        ${pool.state !== "paused" && html`<${Action} label="Pause" act=${change("pause", body)} done=${`Pool ${pool.pool} is paused.`}
          confirm="Workers finish what runs and take nothing else. New work is accepted and waits.">${why}<//>`}
        ${pool.state !== "draining" && html`<${Action} label="Drain" act=${change("drain", body)} done=${`Pool ${pool.pool} drains.`}
          confirm="New work is refused. What was accepted is completed.">${why}<//>`}
      </div>`}
    </div>
    ${pool.since && html`<p class="quiet">Since <${Time} at=${pool.since} />${pool.by && ` by ${pool.by.name}`}${pool.reason && `: ${pool.reason}`}</p>`}
    <dl class="figures">${figures.map(([name, value]) => html`<div><dt>${name}</dt><dd>${typeof value === "number" ? count(value) : value}</dd></div>`)}</dl>
    ${pool.demand.slo_s !== null &&
    html`<details><summary>Jobs start within ${pool.demand.slo_s} s</summary>
      <ul class="notes">${pool.demand.reasons.map((text) => html`<li>${text}</li>`)}</ul>
    </details>`}
    ${scaling && scaling.minimum !== null && html`<p class="quiet">Between ${scaling.minimum} and ${scaling.maximum} replicas.</p>`}
    ${pool.obstacles.length > 0 && html`<ul class="notes">${pool.obstacles.map((text) => html`<li>${text}</li>`)}</ul>`}
  </section>`;
}
