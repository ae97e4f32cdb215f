// @ts-check
/** JSON whose integers keep all of their digits: those beyond 2^53 become BigInt. */

const LONG = /\d{16}/;

/** @param {string} text */
export function parse(text) {
  return JSON.parse(text, LONG.test(text) ? exact : undefined);
}

/**
 * @param {string} _key
 * @param {unknown} value
 * @param {{source?: string}} [context]
 */
function exact(_key, value, context) {
  const source = context?.source;
  return typeof value === "number" && !Number.isSafeInteger(value) && source && /^-?\d+$/.test(source) ? BigInt(source) : value;
}

/**
 * @param {any} value
 * @param {string} [indent] spaces of one level; an empty text writes one line.
 * @param {string} [at] the indentation of this value.
 * @returns {string}
 */
export function stringify(value, indent = "", at = "") {
  if (typeof value === "bigint") return String(value);
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "null";
  const inner = at + indent;
  const list = Array.isArray(value);
  const parts = list
    ? value.map((item) => stringify(item, indent, inner))
    : Object.entries(value)
        .filter(([, item]) => item !== undefined)
        .map(([name, item]) => `${JSON.stringify(name)}:${indent ? " " : ""}${stringify(item, indent, inner)}`);
  const [open, close] = list ? "[]" : "{}";
  const flat = list && value.every((item) => item === null || typeof item !== "object");
  if (!indent || !parts.length || flat) return open + parts.join(indent ? ", " : ",") + close;
  return `${open}\n${parts.map((part) => inner + part).join(",\n")}\n${at}${close}`;
}
