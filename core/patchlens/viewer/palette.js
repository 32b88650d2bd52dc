/**
 * Colours: the theme's, read from the CSS, and the fixed scales of the picture.
 *
 * Every meaning has a second channel beside colour: dropped is dimmed AND hatched, kept is edged, runs carry numbers,
 * lanes carry letters and are hatched each its own way.
 */

// Dark blue to yellow, even in lightness and safe for the colour-blind (in the manner of cividis).
const SCALE = [
  [0, 32, 77],
  [40, 60, 110],
  [87, 93, 109],
  [124, 123, 120],
  [165, 154, 117],
  [209, 188, 98],
  [255, 233, 69],
];

/** Edge of what is kept, and of what a lane of a duel keeps; the letters say it again. */
export const KEPT = "#35dcc8";
export const LANE_COLOURS = ["#56b4f9", "#f5a623", "#d58ce6", "#b9d53a"];

/** Colour of a share 0..1 on the value scale, as [r, g, b]. */
export function scale(share) {
  const at = Math.min(1, Math.max(0, share)) * (SCALE.length - 1);
  const i = Math.min(SCALE.length - 2, Math.floor(at));
  return SCALE[i].map((low, c) => Math.round(low + (SCALE[i + 1][c] - low) * (at - i)));
}

/** The theme's colours, as the CSS of `root` has them now. */
export function themeColours(root) {
  const style = getComputedStyle(root);
  const read = (name) => style.getPropertyValue(`--pl-${name}`).trim();
  return Object.fromEntries(
    ["ink", "muted", "line", "accent", "warm", "surface", "soft"].map((name) => [name, read(name)]),
  );
}

/** Keep `data-theme` on `root` in step with the page: Gradio's and Jupyter's dark marks, else the system's wish. */
export function watchTheme(root, changed) {
  const wish = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const theme = isDark(root, wish.matches) ? "dark" : "light";
    if (root.dataset.theme === theme) return;
    root.dataset.theme = theme;
    changed();
  };
  const observer = new MutationObserver(apply);
  for (const node of [document.documentElement, document.body]) {
    observer.observe(node, { attributes: true, attributeFilter: ["class", "data-jp-theme-light"] });
  }
  wish.addEventListener("change", apply);
  apply();
  return () => {
    observer.disconnect();
    wish.removeEventListener("change", apply);
  };
}

function isDark(root, wish) {
  const jupyter = document.body.dataset.jpThemeLight;
  if (jupyter) return jupyter === "false";
  if (root.closest("gradio-app, .gradio-container")) return Boolean(document.querySelector("html.dark, body.dark"));
  return wish;
}

/** A canvas pattern of diagonal lines, `gap` device pixels apart, rising to the right or (`falling`) to the left. */
export function hatch(context, colour, gap, width, falling = false) {
  const tile = new OffscreenCanvas(gap, gap);
  const c = tile.getContext("2d");
  c.strokeStyle = colour;
  c.lineWidth = width;
  if (falling) c.transform(-1, 0, 0, 1, gap, 0);
  c.beginPath();
  for (const shift of [-gap, 0, gap]) {
    c.moveTo(shift - 1, gap + 1);
    c.lineTo(shift + gap + 1, -1);
  }
  c.stroke();
  return context.createPattern(tile, "repeat");
}
