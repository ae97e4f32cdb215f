// @ts-check
/** The public API. Every figure and every action of the console is a call that a script could make, too. */
import { useCallback, useEffect, useRef, useState } from "./lib.js";
import { parse, stringify } from "./json.js";

/** Where the API is: above the folder of this page, also behind a proxy with a path of its own. */
export const BASE = new URL("..", document.baseURI.split("#")[0]).href;

export class Problem extends Error {
  /** @param {number} status @param {string} code @param {string} detail */
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

/** What a session that has ended leads to. */
export const events = new EventTarget();

/**
 * @param {string} method
 * @param {string} path relative to the API, for example "v1/jobs".
 * @param {{body?: unknown, text?: string, headers?: Record<string, string>, signal?: AbortSignal}} [options]
 */
export async function call(method, path, options = {}) {
  const body = options.text ?? (options.body === undefined ? undefined : stringify(options.body));
  /** @type {Record<string, string>} */
  const headers = { "Celeriac-Console": "1", Accept: "application/json", ...options.headers };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(BASE + path, { method, headers, body, signal: options.signal, credentials: "same-origin" });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Problem(0, "unreachable", "The API does not answer. Check the network and the API's pods.");
  }
  const text = await response.text();
  let content = null;
  try {
    content = text ? parse(text) : null;
  } catch {
    // A proxy answered for the API.
  }
  if (response.ok) return content;
  if (response.status === 401 && path !== "console/session") events.dispatchEvent(new Event("signed-out"));
  const detail = content?.detail ?? content?.error?.message ?? content?.error ?? `The API answered with status ${response.status}.`;
  throw new Problem(response.status, content?.code ?? "http_error", String(detail));
}

/** @param {string} path */
export const get = (path, signal) => call("GET", path, { signal });

/**
 * Builds a query from the parameters that have a value.
 * @param {Record<string, string | number | undefined | null>} values
 */
export function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return given.length ? `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}` : "";
}

/**
 * Loads a resource, and again every few seconds while the page is visible.
 * @param {string | null} path
 * @param {number} [every] seconds; 0 loads once.
 * @returns {{data: any, error: Problem | null, reload: () => Promise<void>}}
 */
export function useResource(path, every = 0) {
  const [loaded, setLoaded] = useState({ path: "", data: null, error: null });
  const current = useRef(path);
  current.current = path;
  const reload = useCallback(async () => {
    const asked = current.current;
    if (!asked) return;
    try {
      const data = await get(asked);
      if (current.current === asked) setLoaded({ path: asked, data, error: null });
    } catch (error) {
      if (current.current === asked) setLoaded((before) => ({ path: asked, data: before.path === asked ? before.data : null, error }));
    }
  }, []);
  useEffect(() => {
    let timer = 0;
    let ended = false;
    const turn = async () => {
      if (!document.hidden) await reload();
      if (every && !ended) timer = setTimeout(turn, every * 1000);
    };
    turn();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, [path, every]);
  const fresh = loaded.path === path;
  return { data: fresh ? loaded.data : null, error: fresh ? loaded.error : null, reload };
}
