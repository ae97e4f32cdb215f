// @ts-check
/** Values as text. */
import { stringify } from "./json.js";

const WHOLE = new Intl.NumberFormat("en-US");

/** @param {number | bigint | null | undefined} value */
export const count = (value) => (value === null || value === undefined ? "–" : WHOLE.format(value));

/** @param {number | null | undefined} seconds */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const parts = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, Math.round(seconds) % 60];
  const first = parts.findIndex((part) => part > 0);
  return ["d", "h", "min", "s"].map((unit, place) => `${parts[place]} ${unit}`).slice(first, first + 2).join(" ");
}

const MONEY = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 4 });

/** An amount in the currency of the prices. @param {number | null | undefined} value */
export const cost = (value) => (value === null || value === undefined ? "–" : MONEY.format(value));

/** @param {string | number | null | undefined} time RFC 3339, or seconds since 1970. */
export const date = (time) => (time ? new Date(typeof time === "number" ? time * 1000 : time) : null);

/** @param {string | number | null | undefined} time */
export function ago(time) {
  const then = date(time);
  if (!then) return "–";
  const seconds = (Date.now() - then.getTime()) / 1000;
  if (Math.abs(seconds) < 1) return "now";
  return seconds < 0 ? `in ${duration(Math.round(-seconds))}` : `${duration(Math.round(seconds))} ago`;
}

/** @param {string | number | null | undefined} time */
export function local(time) {
  const then = date(time);
  return then ? then.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" }) : "–";
}

/** @param {unknown} value */
export const cell = (value) => (typeof value === "string" ? value : stringify(value));

/**
 * Returns rows as a table, or null if they are none.
 * @param {any} value
 * @param {string[] | null} [names] names of the columns.
 * @returns {{columns: string[], rows: any[][]} | null}
 */
export function table(value, names = null) {
  if (value === null || typeof value !== "object") return null;
  if (!Array.isArray(value)) {
    const entries = Object.entries(value);
    const length = entries[0]?.[1]?.length;
    if (!entries.length || !entries.every(([, column]) => Array.isArray(column) && column.length === length)) return null;
    return { columns: entries.map(([name]) => name), rows: entries[0][1].map((_, row) => entries.map(([, column]) => column[row])) };
  }
  if (!value.length) return null;
  if (value.every(Array.isArray)) {
    const width = Math.max(...value.map((row) => row.length));
    if (!width || width > 200) return null;
    return { columns: Array.from({ length: width }, (_, place) => String(names?.[place] ?? place)), rows: value };
  }
  if (value.every((row) => row !== null && typeof row === "object" && !Array.isArray(row))) {
    const columns = [...new Set(value.flatMap(Object.keys))];
    return { columns, rows: value.map((row) => columns.map((column) => row[column])) };
  }
  return value.some((row) => row !== null && typeof row === "object") ? null : { columns: ["value"], rows: value.map((row) => [row]) };
}
