// @ts-check
/** Parts that several screens use. */
import { html, useEffect, useRef, useState } from "./lib.js";
import { ago, cell, local, table } from "./format.js";
import { stringify } from "./json.js";
import { Picture, picture } from "./picture.js";

const LOOKS = {
  succeeded: ["good", "✓"], served: ["good", "✓"], completed: ["good", "✓"], READY: ["good", "✓"], active: ["good", "✓"], delivered: ["good", "✓"],
  failed: ["bad", "✕"], UNAVAILABLE: ["bad", "✕"], dead: ["bad", "✕"], denied: ["bad", "✕"],
  running: ["busy", "▶"], in_progress: ["busy", "▶"], finalizing: ["busy", "▶"], LOADING: ["busy", "▶"],
  paused: ["warn", "❚❚"], draining: ["warn", "▽"], cancelling: ["warn", "▽"], expired: ["warn", "⧖"], disabled: ["warn", "⊘"],
};

/** The color and the mark of a state. @param {string | undefined} value */
export const look = (value) => LOOKS[value] ?? ["idle", "○"];

/** A state with a mark and a word, so that color alone says nothing. */
export function State({ value }) {
  const [color, mark] = look(value);
  return html`<span class=${`state ${color}`} data-mark=${mark}>${String(value ?? "–").toLowerCase().replaceAll("_", " ")}</span>`;
}

export function Time({ at }) {
  return at ? html`<time dateTime=${new Date(typeof at === "number" ? at * 1000 : at).toISOString()} title=${local(at)}>${ago(at)}</time>` : "–";
}

export function Failure({ error }) {
  return error && html`<div class="card failure" role="alert"><strong>${error.code}</strong><p>${error.message}</p></div>`;
}

/** What a resource shows before it has arrived, or if it cannot be had. */
export function Loading({ resource }) {
  if (resource.error && !resource.data) return html`<${Failure} error=${resource.error} />`;
  return resource.data ? null : html`<p class="quiet">Loading…</p>`;
}

/** @param {{title: string, children?: any}} properties */
export function Head({ title, children }) {
  useEffect(() => {
    document.title = `${title} · Celeriac`;
  }, [title]);
  return html`<div class="head"><h1>${title}</h1><span class="grow"></span><div class="actions">${children}</div></div>`;
}

export function Facts({ items }) {
  const given = items.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return html`<dl class="facts">${given.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;
}

/**
 * A table of things. The keys j and k move between the rows, and Enter follows the first link of a row.
 * @param {{label: string, columns: {name: string, number?: boolean, wide?: boolean, clip?: boolean, show: (item: any) => any}[],
 *   items: any[], id: (item: any) => string, empty: string}} properties
 */
export function List({ label, columns, items, id, empty }) {
  if (!items.length) return html`<div class="card empty">${empty}</div>`;
  const look = (column) => [column.number && "number", column.wide && "wide", column.clip && "clip"].filter(Boolean).join(" ");
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${label}>
    <table data-rows>
      <thead><tr>${columns.map((column) => html`<th scope="col" class=${look(column)}>${column.name}</th>`)}</tr></thead>
      <tbody>
        ${items.map((item) => html`<tr key=${id(item)}>${columns.map((column) => html`<td class=${look(column)}>${column.show(item)}</td>`)}</tr>`)}
      </tbody>
    </table>
  </div>`;
}

const PICTURES = 20;

/** Rows of a model's input or output as pictures or as a table, and anything else as JSON. */
export function Value({ value, names, label }) {
  const pictures = Array.isArray(value) ? value.slice(0, PICTURES).map(picture) : [];
  if (pictures.length && pictures.every(Boolean)) {
    return html`<div class="actions">${pictures.map((image, row) => html`<${Picture} image=${image} label=${`${label}, row ${row}`} />`)}</div>
      ${value.length > PICTURES && html`<p class="quiet">The first ${PICTURES} of ${value.length} pictures.</p>`}
      <details><summary>JSON</summary><pre tabindex="0">${stringify(value, "  ")}</pre></details>`;
  }
  const rows = table(value, names);
  if (!rows) return html`<pre tabindex="0">${stringify(value, "  ")}</pre>`;
  const shown = rows.rows.slice(0, 200);
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${label}>
      <table>
        <thead><tr><th scope="col" class="number">row</th>${rows.columns.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
        <tbody>
          ${shown.map((row, place) => html`<tr><th scope="row" class="number quiet">${place}</th>${row.map((item, at) => html`<td class="mono"><${Cell} value=${item} label=${`${rows.columns[at]}, row ${place}`} /></td>`)}</tr>`)}
        </tbody>
      </table>
    </div>
    ${rows.rows.length > shown.length && html`<p class="quiet">The first ${shown.length} of ${rows.rows.length} rows.</p>`}`;
}

function Cell({ value, label }) {
  const image = typeof value === "object" && picture(value);
  return image ? html`<${Picture} image=${image} label=${label} />` : cell(value);
}

let announce = (_text) => {};

/** Shows a sentence for a few seconds. @param {string} text */
export const toast = (text) => announce(text);

export function Toasts() {
  const [text, setText] = useState("");
  announce = setText;
  useEffect(() => {
    if (!text) return undefined;
    const timer = setTimeout(() => setText(""), 6000);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<div role="status" aria-live="polite">${text && html`<div class="toast">${text}</div>`}</div>`;
}

/**
 * A button that does something. With `confirm`, a dialog asks first; its children are further fields of the dialog.
 * @param {{label: string, act: () => Promise<any>, confirm?: string, done?: string, danger?: boolean, main?: boolean, disabled?: boolean,
 *   children?: any}} properties
 */
export function Action({ label, act, confirm, done, danger, main, disabled, children }) {
  const [busy, setBusy] = useState(false);
  const [asking, setAsking] = useState(false);
  const run = async () => {
    setBusy(true);
    try {
      await act();
      setAsking(false);
      if (done) toast(done);
    } catch (error) {
      setAsking(false);
      toast(error.message);
    } finally {
      setBusy(false);
    }
  };
  const look = main ? "main" : danger ? "danger" : "";
  return html`<button type="button" class=${look} disabled=${busy || disabled} onClick=${confirm ? () => setAsking(true) : run}>${label}</button>
    ${asking &&
    html`<${Dialog} title=${`${label}?`} close=${() => setAsking(false)}>
      <p>${confirm}</p>
      ${children}
      <div class="actions">
        <button type="button" onClick=${() => setAsking(false)}>Keep</button>
        <button type="button" class="main" disabled=${busy} onClick=${run}>${label}</button>
      </div>
    <//>`}`;
}

/** @param {{title: string, close: () => void, children?: any}} properties */
export function Dialog({ title, close, children }) {
  const element = useRef(null);
  useEffect(() => {
    element.current?.showModal();
  }, []);
  return html`<dialog ref=${element} aria-label=${title} onClose=${close}><h2>${title}</h2>${children}</dialog>`;
}

/** @param {{label: string, text: string}} properties */
export function Copy({ label, text }) {
  const copy = async () => {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
    } else {
      // Browsers have no clipboard for pages over plain HTTP.
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    toast(`Copied: ${text.length > 90 ? `${text.slice(0, 90)}…` : text}`);
  };
  return html`<button type="button" onClick=${copy}>${label}</button>`;
}

/** @param {{cursor?: string, next: string | null, go: (cursor: string) => void}} properties */
export function Pager({ cursor, next, go }) {
  if (!cursor && !next) return null;
  return html`<nav class="pager" aria-label="Pages">
    <button type="button" disabled=${!cursor} onClick=${() => go("")}>Newest</button>
    <button type="button" disabled=${!next} onClick=${() => next && go(next)}>Older</button>
  </nav>`;
}
