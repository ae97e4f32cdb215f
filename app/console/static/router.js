// @ts-check
/** Addresses inside the console: #/jobs/ID?state=failed. They are in the fragment, so that any path prefix works. */
import { useEffect, useState } from "./lib.js";

/** @returns {{path: string[], search: Record<string, string>}} */
export function where() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { path: path.split("/").filter(Boolean).map(decodeURIComponent), search: Object.fromEntries(new URLSearchParams(search)) };
}

/** @param {string[]} path @param {Record<string, string | undefined>} [search] */
export function link(path, search = {}) {
  const given = Object.entries(search).filter(([, value]) => value);
  const text = given.length ? `?${new URLSearchParams(/** @type {[string, string][]} */ (given))}` : "";
  return `#/${path.map(encodeURIComponent).join("/")}${text}`;
}

/** @param {string} address */
export function go(address) {
  location.hash = address;
}

export function useWhere() {
  const [at, setAt] = useState(where);
  useEffect(() => {
    const changed = () => setAt(where());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return at;
}
