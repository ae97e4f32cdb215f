// @ts-check
/** What every module renders with. */
import { h, render } from "./vendor/preact.mjs";
import htm from "./vendor/htm.mjs";

export { render };
export { useCallback, useEffect, useRef, useState } from "./vendor/hooks.mjs";
export const html = htm.bind(h);
