// @ts-check
/** The versions of a model side by side: how much each did in the last day, how long it took, and what failed. */
import { html } from "../lib.js";
import { query, useResource } from "../api.js";
import { count, duration } from "../format.js";
import { List } from "../ui.js";

const share = (total) => {
  const ended = total.succeeded + total.failed;
  return ended ? `${count(total.failed)} (${((100 * total.failed) / ended).toFixed(1)} %)` : "–";
};

const COLUMNS = [
  { name: "Version", show: (item) => item.version },
  { name: "Jobs", number: true, show: (item) => count(item.total.submitted) },
  { name: "Failed", number: true, show: (item) => share(item.total) },
  { name: "Wait, 95 %", number: true, wide: true, show: (item) => duration(item.total.wait_p95_s) },
  { name: "Run, 50 %", number: true, wide: true, show: (item) => duration(item.total.run_p50_s) },
  { name: "Run, 95 %", number: true, show: (item) => duration(item.total.run_p95_s) },
  { name: "Run, 99 %", number: true, wide: true, show: (item) => duration(item.total.run_p99_s) },
];

/** @param {{name: string, order: string[]}} properties */
export function VersionFigures({ name, order }) {
  const stats = useResource(`v1/stats${query({ from: "-24h", step: "1h", model: name, group_by: "version" })}`, 30);
  const items = [...(stats.data?.items ?? [])].sort((a, b) => order.indexOf(b.version) - order.indexOf(a.version));
  return html`<section class="card" aria-label="Figures"><h2>Last 24 hours by version</h2>
    <${List} label="Figures by version" columns=${COLUMNS} items=${items} id=${(item) => item.version} empty="Nothing was submitted in the last 24 hours." />
  </section>`;
}
