/**
 * One lane's picture: its canvas, what part of the clip it shows, and where a pointer is on the grid.
 */
import { fitCanvas, remeasure } from "./canvas.js";
import { el } from "./dom.js";
import { drawScene, patternsFor, scaled } from "./draw.js";
import { partOf } from "./zoom.js";

const CLICK = 5; // pixels that a pointer may tremble between down and up

export class Picture {
  /**
   * hover(cell or null), pin(cell), pan(x, y), zoom(by, place), enter() are called with cells and shares of the clip;
   * paint(cell, first) says whether a press paints here, then follows it; painted() ends it.
   */
  constructor(ears) {
    this.ears = ears;
    this.canvas = el("canvas.pl-picture", {
      tabindex: 0,
      role: "application",
      "aria-roledescription": "patch grid",
      onfocus: () => ears.enter(),
      onpointerdown: (event) => this.down(event),
      onpointermove: (event) => this.moved(event),
      onpointerup: (event) => this.up(event),
      onpointercancel: (event) => this.up(event),
      onpointerleave: () => ears.hover(null),
      onwheel: (event) => this.wheel(event),
    });
    this.node = el("div.pl-frame", {}, this.canvas);
  }

  /** Take the measures of a payload. */
  fit(manifest) {
    this.manifest = manifest;
    this.canvas.style.setProperty("--ratio", manifest.size[0] / manifest.size[1]);
    remeasure();
  }

  /** Draw a scene (without place and patterns) as `zoom` wants it; `marks` holds grid, cursor, pins, edge. */
  draw(scene, marks, zoom) {
    const ratio = fitCanvas(this.canvas);
    if (!ratio) return;
    const context = this.canvas.getContext("2d");
    if (this.patterns?.ratio !== ratio) this.patterns = { ratio, ...patternsFor(context, Math.round(7 * ratio)) };
    this.part = partOf(zoom, this.manifest.size);
    const [x, y, width] = this.part;
    const scale = this.canvas.width / width;
    const [x0, y0, x1, y1] = this.manifest.rect;
    drawScene(context, {
      ...scene,
      ...marks,
      ...this.base(scene.image),
      rect: [x0 - x, y0 - y, x1 - x, y1 - y].map((edge) => edge * scale),
      scale,
      patterns: this.patterns,
      dpr: ratio,
    });
  }

  /** {image, part}: a still picture's part is scaled once to the canvas, a playing one's each time it is drawn. */
  base(image) {
    const grown = (image.videoWidth ?? image.width) / this.manifest.size[0];
    const part = this.part.map((edge) => edge * grown);
    if (image instanceof HTMLVideoElement) return { image, part };
    const { width, height } = this.canvas;
    const key = [width, height, ...part].join(" ");
    if (this.still?.image !== image || this.still.key !== key)
      this.still = { image, key, copy: scaled(image, this.canvas, part) };
    return { image: this.still.copy, part: null };
  }

  /** Tell screen readers what is shown. */
  name(t, model, letter) {
    const kept = `${model.counts[t]} of ${model.size} patches kept`;
    const words = `${letter ? `${letter}, ` : ""}tubelet ${t + 1}: ${kept}. Arrow keys move over patches.`;
    this.canvas.setAttribute("aria-label", words);
  }

  /** Where a pointer is, in pixels of the display pictures. */
  placeOf({ offsetX, offsetY }) {
    const [x, y, width, height] = this.part ?? [0, 0, ...this.manifest.size];
    return [
      x + (offsetX / this.canvas.clientWidth) * width,
      y + (offsetY / this.canvas.clientHeight) * height,
    ];
  }

  /** The cell under a pointer, or null outside the grid. */
  cellAt(event) {
    if (!this.manifest) return null;
    const [, h, w] = this.manifest.grid;
    const [x0, y0, x1, y1] = this.manifest.rect;
    const [x, y] = this.placeOf(event);
    const [i, j] = [((x - x0) / (x1 - x0)) * w, ((y - y0) / (y1 - y0)) * h].map(Math.floor);
    return i >= 0 && j >= 0 && i < w && j < h ? j * w + i : null;
  }

  down(event) {
    if (event.button !== 0) return;
    const paints = this.ears.paint(this.cellAt(event), true);
    if (paints) this.canvas.setPointerCapture(event.pointerId);
    const [from, last] = [[event.clientX, event.clientY], this.placeOf(event)];
    this.held = { id: event.pointerId, from, last, paints, dragged: false };
  }

  /** Hover, or paint or pan while a button is held. */
  moved(event) {
    const { held } = this;
    if (!held || held.paints) this.ears.hover(this.cellAt(event));
    if (!held) return;
    if (held.paints) return void this.ears.paint(this.cellAt(event), false);
    const way = Math.hypot(event.clientX - held.from[0], event.clientY - held.from[1]);
    if (!held.dragged && way < CLICK) return;
    if (!held.dragged) this.canvas.setPointerCapture(held.id);
    held.dragged = true;
    const here = this.placeOf(event);
    const [width, height] = this.manifest.size;
    this.ears.pan((held.last[0] - here[0]) / width, (held.last[1] - here[1]) / height);
    held.last = this.placeOf(event); // the picture has moved under the pointer
  }

  /** A press without a drag pins. */
  up(event) {
    const { held } = this;
    this.held = null;
    if (held?.paints) this.ears.painted();
    else if (held && !held.dragged && event.type === "pointerup") this.ears.pin(this.cellAt(event));
  }

  /** Control and the wheel zoom about the pointer; the wheel alone scrolls the page. */
  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const [x, y] = this.placeOf(event);
    this.ears.zoom(event.deltaY < 0 ? 1 : -1, [x / this.manifest.size[0], y / this.manifest.size[1]]);
  }
}
