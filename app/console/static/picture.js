// @ts-check
/** Pictures in inputs and results: bytes of an image file, or rows of pixels whose channels are integers from 0 to 255. */
import { html, useEffect, useRef } from "./lib.js";

/** How Base64 of a file begins. */
const FILES = { iVBORw0KGgo: "image/png", "/9j/": "image/jpeg", R0lGOD: "image/gif" };
const CHANNELS = [1, 3, 4];
/** Fewer rows or columns are a small matrix rather than a picture. */
const SMALLEST = 8;
const MOST_PIXELS = 1 << 20;

/**
 * Returns the picture that a value is, or null.
 * @param {any} value
 * @returns {{address: string} | {width: number, height: number, channels: number, values: number[]} | null}
 */
export function picture(value) {
  if (typeof value?.b64 === "string") {
    const start = Object.keys(FILES).find((text) => value.b64.startsWith(text));
    return start ? { address: `data:${FILES[start]};base64,${value.b64}` } : null;
  }
  if (!Array.isArray(value) || value.length < SMALLEST || !value.every(Array.isArray)) return null;
  const [height, width] = [value.length, value[0].length];
  const channels = Array.isArray(value[0][0]) ? value[0][0].length : 1;
  if (width < SMALLEST || width * height > MOST_PIXELS || !CHANNELS.includes(channels)) return null;
  const values = value.flat(2);
  const whole = values.length === width * height * channels && values.every((item) => Number.isInteger(item) && item >= 0 && item <= 255);
  return whole ? { width, height, channels, values } : null;
}

/** @param {{image: any, label: string}} properties */
export function Picture({ image, label }) {
  return image.address ? html`<img class="picture" src=${image.address} alt=${label} />` : html`<${Pixels} image=${image} label=${label} />`;
}

function Pixels({ image, label }) {
  const { width, height, channels, values } = image;
  const canvas = useRef(null);
  useEffect(() => {
    const context = canvas.current.getContext("2d");
    const drawn = context.createImageData(width, height);
    for (let pixel = 0; pixel < width * height; pixel++) {
      const at = pixel * channels;
      const color = channels === 1 ? [values[at], values[at], values[at]] : values.slice(at, at + 3);
      drawn.data.set([...color, channels === 4 ? values[at + 3] : 255], pixel * 4);
    }
    context.putImageData(drawn, 0, 0);
  }, [image]);
  return html`<canvas class="picture" ref=${canvas} width=${width} height=${height} role="img" aria-label=${label}></canvas>`;
}
