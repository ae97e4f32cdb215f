// @ts-check
/** Keys: / searches, j and k move between rows, Enter opens, g and a letter go to a screen, ? shows all of them. */
import { go } from "./router.js";

export const PLACES = { o: "overview", j: "jobs", d: "dead-letters", m: "models", b: "batches", p: "pipelines", t: "trainings", s: "schedules", w: "workers" };
let going = 0;

/** @param {() => void} help */
export function listen(help) {
  const pressed = (/** @type {KeyboardEvent} */ event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (target.closest("input, textarea, select")) {
      if (event.key === "Escape") target.blur();
      return;
    }
    if (event.timeStamp - going < 1500 && event.key in PLACES) {
      going = 0;
      go(`#/${PLACES[event.key]}`);
    } else if (event.key === "g") {
      going = event.timeStamp;
      return;
    } else if (event.key === "/") {
      /** @type {HTMLElement | null} */ (document.querySelector("[data-search]"))?.focus();
    } else if (event.key === "j" || event.key === "k") {
      move(event.key === "j" ? 1 : -1);
    } else if (event.key === "Enter" && !target.closest("a, button")) {
      /** @type {HTMLElement | null} */ (document.querySelector("tr.current a"))?.click();
    } else if (event.key === "?") {
      help();
    } else {
      return;
    }
    event.preventDefault();
  };
  addEventListener("keydown", pressed);
  return () => removeEventListener("keydown", pressed);
}

/** @param {number} step */
function move(step) {
  const rows = [...document.querySelectorAll("table[data-rows] tbody tr")];
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.classList.contains("current"));
  const next = rows[Math.min(Math.max(at + step, 0), rows.length - 1)];
  rows[at]?.classList.remove("current");
  next.classList.add("current");
  next.scrollIntoView({ block: "nearest" });
  /** @type {HTMLElement | null} */ (next.querySelector("a"))?.focus({ preventScroll: true });
}
