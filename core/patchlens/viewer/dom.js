/**
 * Making elements without ever parsing text as HTML, and writing numbers the same way everywhere.
 */

const SVG = "http://www.w3.org/2000/svg";

/** One element: `tag.class.class`, its properties and attributes, its children (text becomes text, never markup). */
export function el(kind, attributes = {}, ...children) {
  const [tag, ...classes] = kind.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return node;
}

/** Replace what a node holds. */
export function fill(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return node;
}

/** A 20 x 20 line icon from path data. */
export function icon(path) {
  const svg = document.createElementNS(SVG, "svg");
  const line = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", "pl-icon");
  svg.setAttribute("aria-hidden", "true");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

export const ICONS = {
  play: "M6 4 L16 10 L6 16 Z",
  pause: "M6.5 4 V16 M13.5 4 V16",
  back: "M13 4 L7 10 L13 16",
  forward: "M7 4 L13 10 L7 16",
  grid: "M4 4 H16 V16 H4 Z M4 10 H16 M10 4 V16",
  nearer: "M8.5 3.5 a5 5 0 1 0 .01 0 M12.2 12.2 L17 17 M8.5 6.2 V10.8 M6.2 8.5 H10.8",
  farther: "M8.5 3.5 a5 5 0 1 0 .01 0 M12.2 12.2 L17 17 M6.2 8.5 H10.8",
  keys: "M7.5 7.5 a2.5 2.5 0 1 1 3.6 2.3 c-.8 .4 -1.1 .9 -1.1 1.9 M10 14.6 v.1",
};

const WHOLES = new Intl.NumberFormat("en-US"); // made once: `toLocaleString` makes one every time

/** A whole number with thousands separators. */
export function whole(n) {
  return WHOLES.format(Math.round(n));
}

/** A number with about `digits` significant digits; NaN and infinities are said as such. */
export function number(x, digits = 3) {
  if (x === null || x === undefined) return "–";
  const value = typeof x === "string" ? Number(x.replace("inf", "Infinity")) : x;
  if (value === Infinity) return "∞";
  if (value === -Infinity) return "−∞";
  if (Number.isNaN(value)) return "not a number";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e5 || size < 1e-3 ? value.toExponential(Math.max(0, digits - 2)) : fixed(value, digits);
  return text.replace("-", "−");
}

function fixed(value, digits) {
  return value.toFixed(Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(value)))));
}

/** A share as a percentage. */
export function percent(x, digits = 1) {
  return `${(100 * x).toFixed(digits).replace("-", "−")} %`;
}

/** Seconds with two decimals. */
export function seconds(x) {
  return `${x.toFixed(2)} s`;
}
