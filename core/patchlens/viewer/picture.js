/**
 * The big picture: its canvas, where a pointer is on the grid, the legend and the one-line read-out.
 */
import { drawScene, MODES, patternFor, scaled } from "./draw.js";
import { el, fill } from "./dom.js";
import { fitCanvas } from "./knobs.js";
import { scale } from "./palette.js";

const MODE_NAMES = { dim: "Dropped dimmed", outline: "Outline", value: "Values", runs: "Run lengths" };
const LEGENDS = {
  dim: "Clear: kept. Dark and hatched: dropped.",
  outline: "Inside the line: kept. Hatched: dropped.",
  value: "rank of the value among all of this clip, from the lowest to the highest",
  runs: "from one tubelet to the whole clip; a number says how many tubelets a kept patch stands for",
};

export class Picture {
  /** hover(cell or null), pin(cell), choose(mode) are called with cells of the shown tubelet. */
  constructor({ hover, pin, choose }) {
    this.canvas = el("canvas.pl-picture", {
      tabindex: 0,
      role: "application",
      "aria-roledescription": "patch grid",
    });
    this.canvas.addEventListener("pointermove", (event) => hover(this.cellAt(event)));
    this.canvas.addEventListener("pointerleave", () => hover(null));
    this.canvas.addEventListener("click", (event) => pin(this.cellAt(event)));
    this.buttons = Object.fromEntries(
      MODES.map((mode) => [mode, el("button", { type: "button", onclick: () => choose(mode) }, MODE_NAMES[mode])]),
    );
    this.modes = el("div.pl-modes", { role: "group", "aria-label": "Overlay" }, Object.values(this.buttons));
    this.legend = el("span.pl-legend");
    this.readout = el("output.pl-readout");
    this.node = el(
      "div.pl-picture-box",
      {},
      el("div.pl-frame", {}, this.canvas),
      el("p.pl-below", {}, this.legend, this.readout),
    );
  }

  /** Take the measures of a payload. */
  fit(manifest) {
    this.manifest = manifest;
    this.canvas.style.setProperty("--ratio", manifest.size[0] / manifest.size[1]);
    this.ratio = null;
  }

  /** Draw a scene (without rect and hatch); `marks` holds grid, cursor and pinned. */
  draw(scene, marks) {
    const ratio = this.ratio ?? this.measure();
    if (!ratio) return;
    const context = this.canvas.getContext("2d");
    const zoom = this.canvas.width / this.manifest.size[0];
    this.pattern ??= { ratio, fill: patternFor(context, Math.round(7 * ratio)) };
    if (this.pattern.ratio !== ratio) this.pattern = { ratio, fill: patternFor(context, Math.round(7 * ratio)) };
    drawScene(context, {
      ...scene,
      ...marks,
      image: this.base(scene.image),
      rect: this.manifest.rect.map((x) => x * zoom),
      hatch: this.pattern.fill,
      dpr: ratio,
    });
  }

  /** Take the size of the canvas on the page; call it when that may have changed. */
  measure() {
    this.ratio = fitCanvas(this.canvas) || null;
    return this.ratio;
  }

  /** The picture at the canvas's size: a still one is scaled once, a playing one each time. */
  base(image) {
    if (image instanceof HTMLVideoElement) return image;
    const { width, height } = this.canvas;
    const known = this.still;
    if (known?.image !== image || known.copy.width !== width || known.copy.height !== height)
      this.still = { image, copy: scaled(image, this.canvas) };
    return this.still.copy;
  }

  /** Say which overlay is on; `hasRuns` allows the run lengths. */
  mark(mode, hasRuns) {
    this.buttons.runs.disabled = !hasRuns;
    for (const name of MODES) this.buttons[name].setAttribute("aria-pressed", String(name === mode));
    if (this.legend.dataset.mode === mode) return;
    this.legend.dataset.mode = mode;
    const bar = el("span.pl-scale", { "aria-hidden": "true" });
    const stops = Array.from({ length: 7 }, (_, i) => `rgb(${scale(i / 6).join(" ")})`);
    bar.style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
    fill(this.legend, mode === "value" || mode === "runs" ? bar : null, LEGENDS[mode]);
  }

  /** Tell screen readers what is shown. */
  name(t, model) {
    const kept = `${model.counts[t]} of ${model.size} patches kept`;
    this.canvas.setAttribute("aria-label", `Tubelet ${t + 1}: ${kept}. Arrow keys move over patches.`);
  }

  /** Facts of a patch in one line, or the legend again for null. */
  read(facts) {
    this.legend.hidden = facts !== null;
    const short = ([name, value]) =>
      name === "place" || name === "fate" ? value : `${name} ${value.replace(/ \(.*\)$/, "")}`;
    this.readout.textContent = facts === null ? "" : facts.map(short).join(" · ");
  }

  /** The cell under a pointer, or null outside the grid. */
  cellAt(event) {
    if (!this.manifest) return null;
    const [, h, w] = this.manifest.grid;
    const zoom = this.canvas.clientWidth / this.manifest.size[0];
    const [x0, y0, x1, y1] = this.manifest.rect.map((x) => x * zoom);
    const [i, j] = [((event.offsetX - x0) / (x1 - x0)) * w, ((event.offsetY - y0) / (y1 - y0)) * h].map(Math.floor);
    return i >= 0 && j >= 0 && i < w && j < h ? j * w + i : null;
  }
}
