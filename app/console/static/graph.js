// @ts-check
/** Steps of a pipeline as a graph from left to right: what takes the result of what, and the state of each step. */
import { html } from "./lib.js";
import { look } from "./ui.js";

const WIDTH = 170;
const HEIGHT = 44;
const ACROSS = 50;
const DOWN = 14;
const CHARACTERS = 21;
const REFERENCE = /^\$([A-Za-z0-9_-]+)/;

/** Names that a part of a pipeline's file refers to. @param {any} part @returns {string[]} */
function references(part) {
  if (typeof part === "string") return part.match(REFERENCE)?.slice(1) ?? [];
  return part !== null && typeof part === "object" ? Object.values(part).flatMap(references) : [];
}

/**
 * @param {Record<string, any>} steps as the pipeline's file has them.
 * @returns {{name: string, sources: string[], column: number, row: number}[]}
 */
export function arrange(steps) {
  const sources = Object.fromEntries(Object.entries(steps).map(([name, step]) => [name, [...new Set(references(step))].filter((source) => source in steps)]));
  const columns = /** @type {Record<string, number>} */ ({});
  // No step can be its own source: the server refuses such a file.
  const column = (/** @type {string} */ name) => (columns[name] ??= Math.max(-1, ...sources[name].map(column)) + 1);
  const filled = /** @type {number[]} */ ([]);
  return Object.keys(steps).map((name) => {
    const place = column(name);
    filled[place] = (filled[place] ?? -1) + 1;
    return { name, sources: sources[name], column: place, row: filled[place] };
  });
}

const clip = (/** @type {string} */ text) => (text.length > CHARACTERS ? `${text.slice(0, CHARACTERS - 1)}…` : text);

/** @param {{steps: Record<string, any>, states?: Record<string, string>}} properties */
export function Graph({ steps, states = {} }) {
  const nodes = arrange(steps);
  const places = Object.fromEntries(nodes.map((node) => [node.name, [node.column * (WIDTH + ACROSS) + 1, node.row * (HEIGHT + DOWN) + 1]]));
  const width = Math.max(...nodes.map((node) => node.column + 1)) * (WIDTH + ACROSS) - ACROSS + 2;
  const height = Math.max(...nodes.map((node) => node.row + 1)) * (HEIGHT + DOWN) - DOWN + 2;
  const said = nodes.map((node) => `${node.name}${states[node.name] ? ` (${states[node.name]})` : ""}${node.sources.length ? ` after ${node.sources.join(" and ")}` : ""}`);
  return html`<div class="scroll graph" tabindex="0" role="region" aria-label="Graph">
    <svg width=${width} height=${height} viewBox=${`0 0 ${width} ${height}`} role="img" aria-label=${said.join(", ")}>
      ${nodes.flatMap((node) => node.sources.map((source) => html`<path d=${edge(places[source], places[node.name])} />`))}
      ${nodes.map((node) => {
        const [x, y] = places[node.name];
        const [kind, mark] = look(states[node.name]);
        const step = steps[node.name];
        return html`<g class=${`state ${kind}`} transform=${`translate(${x} ${y})`}>
          <title>${node.name}: ${step.model ?? step.run}${step.each ? ", once for each item" : ""}</title>
          <rect width=${WIDTH} height=${HEIGHT} rx="6" class=${step.each ? "each" : ""} />
          <text x="10" y="18">${states[node.name] ? `${mark} ` : ""}${clip(node.name)}</text>
          <text x="10" y="34" class="quiet">${clip(step.model ?? step.run ?? "")}${step.each ? " ×n" : ""}</text>
        </g>`;
      })}
    </svg>
  </div>`;
}

/** A curve from the right side of a box to the left side of another. */
function edge([fromX, fromY], [toX, toY]) {
  const [startX, startY, endX, endY] = [fromX + WIDTH, fromY + HEIGHT / 2, toX, toY + HEIGHT / 2];
  const middle = (startX + endX) / 2;
  return `M${startX} ${startY}C${middle} ${startY} ${middle} ${endY} ${endX} ${endY}`;
}
