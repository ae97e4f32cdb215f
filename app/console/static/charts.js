// @ts-check
/** Small line charts, drawn as SVG. Each has its figures as text, and a group of them has a table. */
import { html } from "./lib.js";
import { count, duration, local } from "./format.js";

const WIDTH = 240;
const HEIGHT = 48;

/** The lines through the values that are present. @param {(number | null)[]} values @param {number} highest */
function lines(values, highest) {
  const found = [];
  let line = [];
  values.forEach((value, place) => {
    if (value === null) {
      line = [];
      return;
    }
    if (!line.length) found.push(line);
    const x = (WIDTH * place) / Math.max(1, values.length - 1);
    line.push(`${x.toFixed(1)},${(HEIGHT - 1 - ((HEIGHT - 2) * value) / (highest || 1)).toFixed(1)}`);
  });
  // A value between two that are missing is a dot.
  return found.map((points) => (points.length > 1 ? points : [points[0], points[0]]).join(" "));
}

/**
 * @param {{name: string, look?: string, values: (number | null)[], times: string[], show: (value: number) => string, total: string}} properties
 */
export function Line({ name, look = "", values, times, show, total }) {
  const present = values.filter((value) => value !== null);
  const highest = present.length ? Math.max(...present) : null;
  const peak = highest ? `highest ${show(highest)} at ${local(times[values.indexOf(highest)])}` : "nothing to show";
  return html`<figure class="line">
    <figcaption><span class="quiet">${name}</span> <strong>${total}</strong></figcaption>
    <svg class=${look} viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${`${name}: ${peak}`}>
      ${lines(values, highest).map((points) => html`<polyline points=${points} />`)}
    </svg>
    <p class="quiet">${peak}</p>
  </figure>`;
}

const perSecond = (value) => `${value >= 10 ? count(Math.round(value)) : Number(value.toPrecision(2))}/s`;

/** Rate, failures and waits of a group of `/v1/stats`. @param {{name: string, times: string[], item: any}} properties */
export function Figures({ name, times, item }) {
  const { points, total } = item;
  const steps = times.map((_, place) => place).filter((place) => points.submitted[place] || points.failed[place] || points.wait_p95_s[place] !== null);
  return html`<section class="card" aria-label=${`Figures of ${name}`}>
    <h3>${name}</h3>
    <div class="lines">
      <${Line} name="Rate" values=${points.rate} times=${times} show=${perSecond} total=${perSecond(total.rate)} />
      <${Line} name="Failed" look="failed" values=${points.failed} times=${times} show=${count} total=${count(total.failed)} />
      <${Line} name="Wait, 95 %" values=${points.wait_p95_s} times=${times} show=${duration} total=${duration(total.wait_p95_s)} />
    </div>
    <details>
      <summary>Table</summary>
      <div class="scroll" tabindex="0" role="region" aria-label=${`Table of ${name}`}>
        <table>
          <thead><tr><th scope="col">time</th>${["rate", "failed", "wait, 95 %"].map((column) => html`<th scope="col" class="number">${column}</th>`)}</tr></thead>
          <tbody>
            ${steps.map((place) => html`<tr><th scope="row">${local(times[place])}</th>
              <td class="number">${perSecond(points.rate[place])}</td>
              <td class="number">${count(points.failed[place])}</td>
              <td class="number">${duration(points.wait_p95_s[place])}</td></tr>`)}
          </tbody>
        </table>
      </div>
    </details>
  </section>`;
}
