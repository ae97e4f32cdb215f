// @ts-check
/** How the live rows of a version differ from those that it was made for. */
import { html } from "../lib.js";
import { query, useResource } from "../api.js";
import { count } from "../format.js";
import { List } from "../ui.js";

const SHOWN = 10;
const figure = (value) => (value === null ? "–" : value.toFixed(2));
const share = (value) => (value === null ? "–" : `${(100 * value).toFixed(1)} %`);

const COLUMNS = [
  { name: "Column", show: (item) => item.name },
  { name: "PSI", number: true, show: (item) => figure(item.psi) },
  { name: "Threshold", number: true, wide: true, show: (item) => figure(item.threshold) },
  { name: "Missing", number: true, wide: true, show: (item) => share(item.missing) },
  { name: "Unseen or out of range", number: true, wide: true, show: (item) => share(item.unseen ?? item.out_of_range) },
  { name: "Drifted", show: (item) => (item.drifted ? "yes" : "no") },
];

/** @param {{name: string, version: string}} properties */
export function Drift({ name, version }) {
  const report = useResource(`v1/models/${encodeURIComponent(name)}/drift${query({ version })}`, 60).data;
  const window = report?.windows.find((item) => item.window === "24h");
  if (!window) return null;
  const columns = [...window.inputs, ...window.outputs].sort((a, b) => Number(b.drifted) - Number(a.drifted) || (b.psi ?? 0) - (a.psi ?? 0));
  return html`<section class="card" aria-label="Drift"><h2>Drift of version ${report.version} in the last 24 hours</h2>
    <p class="quiet">${count(window.rows)} rows, compared with ${count(report.reference_rows)}. ${window.drifted.length ? `Columns that have drifted: ${window.drifted.length}.` : "No column has drifted."}</p>
    <${List} label="Columns that differ most" columns=${COLUMNS} items=${columns.slice(0, SHOWN)} id=${(item) => item.name} empty="The profile has no columns." />
  </section>`;
}
