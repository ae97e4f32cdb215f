// @ts-check
/** What owners used, what it cost, and what processes cost that had nothing to do. */
import { html } from "../lib.js";
import { query, useResource } from "../api.js";
import { cost, count, duration } from "../format.js";
import { go, link } from "../router.js";
import { Failure, Head, List, Loading } from "../ui.js";

const PERIODS = [["-0d", "Today"], ["-6d", "7 days"], ["-29d", "30 days"]];
const GROUPS = ["owner", "model", "pool", "day"];
const FIGURES = [
  { name: "Jobs", number: true, show: (item) => count(item.jobs) },
  { name: "Rows", number: true, show: (item) => count(item.rows) },
  { name: "Run time", number: true, show: (item) => duration(item.run_s) },
  { name: "Cost", number: true, show: (item) => cost(item.cost) },
];
const POOLS = [
  { name: "Pool", show: (item) => item.pool },
  { name: "Reserved", number: true, show: (item) => duration(item.reserved_s) },
  { name: "Used", number: true, show: (item) => duration(item.used_s) },
  { name: "Idle", number: true, show: (item) => duration(item.idle_s) },
  { name: "Cost reserved", number: true, show: (item) => cost(item.reserved_cost) },
  { name: "Cost used", number: true, show: (item) => cost(item.used_cost) },
  { name: "Cost idle", number: true, show: (item) => cost(item.idle_cost) },
];

export function Usage({ search }) {
  const from = search.from ?? "-6d";
  const by = (search.by ?? "owner,model").split(",").filter((name) => GROUPS.includes(name));
  const usage = useResource(`v1/usage${query({ from, group_by: by.join(",") })}`, 60);
  const items = [...(usage.data?.items ?? [])];
  if (!by.includes("day")) items.sort((a, b) => b.run_s - a.run_s);
  const day = { name: "Day", show: (item) => item.day };
  const columns = [...by.map((name) => ({ name: name[0].toUpperCase() + name.slice(1), show: (item) => item[name] })), ...FIGURES];
  const pools = by.includes("day") ? [day, ...POOLS] : POOLS;
  const chip = (label, on, change) =>
    html`<button type="button" class="chip" aria-pressed=${String(on)} onClick=${() => go(link(["usage"], { ...search, ...change }))}>${label}</button>`;
  const toggled = (name) => GROUPS.filter((group) => (group === name) !== by.includes(group)).join(",") || "none";
  return html`<${Head} title="Usage" />
    <div class="chips" role="group" aria-label="Period">${PERIODS.map(([age, label]) => chip(label, age === from, { from: age }))}</div>
    <div class="chips" role="group" aria-label="Rows">${GROUPS.map((name) => chip(`By ${name}`, by.includes(name), { by: toggled(name) }))}</div>
    <${Loading} resource=${usage} />
    ${usage.data && html`<${Failure} error=${usage.error} />
      <${List} label="Usage" columns=${columns} items=${items} id=${(item) => GROUPS.map((name) => item[name]).join(" ")} empty="Nothing was used." />
      ${usage.data.pools.length > 0 && html`<h2>Processes</h2>
        <${List} label="Processes" columns=${pools} items=${usage.data.pools} id=${(item) => `${item.day} ${item.pool}`} empty="" />`}`}`;
}
