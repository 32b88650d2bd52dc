/**
 * A small graph on a canvas: its frame, ticks in words, bars, lines, and a sentence that says the same.
 *
 * Places are shares 0..1 of the plotted area, x to the right and y upwards. Knows no model.
 */
import { afterDrawing, fitCanvas } from "./canvas.js";
import { el } from "./dom.js";
import { hatch } from "./palette.js";

const EDGES = { left: 44, right: 16, top: 20, bottom: 34 }; // CSS pixels around the plotted area; .pl-moments has the first two
const BARE = { left: 0, right: 0, top: 0, bottom: 0 };
const FONT = "11px ui-sans-serif, system-ui, sans-serif";

export class Graph {
  /** `more` are attributes of the canvas, `edges` the pixels around the plotted area where they differ. */
  constructor(title, more = {}, edges = {}) {
    this.edges = { ...EDGES, ...edges };
    this.canvas = el("canvas.pl-graph-canvas", { role: "img", ...more });
    this.caption = el("figcaption.pl-note");
    this.node = el("figure.pl-graph", {}, title && el("h3", {}, title), this.canvas, this.caption);
  }

  /** Say what the graph shows, below it and to those who cannot see it. */
  say(words) {
    afterDrawing(() => {
      this.caption.textContent = words;
      this.canvas.setAttribute("aria-label", words);
    });
  }

  /**
   * Begin a drawing: {xticks, yticks} are [share, words] pairs, {xname, yname} what the axes are; without a `frame` there are
   * none, and no room for them. Null without a size.
   */
  begin(colours, { xticks = [], yticks = [], xname = "", yname = "", frame = true }) {
    const ratio = fitCanvas(this.canvas);
    if (!ratio) return null;
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const [width, height] = [this.canvas.width / ratio, this.canvas.height / ratio];
    context.clearRect(0, 0, width, height);
    const { left, right, top, bottom } = frame ? this.edges : BARE;
    const area = { x0: left, x1: width - right, y0: height - bottom, y1: top };
    const pen = new Pen(context, area, colours, width);
    if (frame) pen.axes(xticks, yticks, xname, yname);
    return pen;
  }

  /** go(share of the plotted width) at every click inside it. */
  clicked(go) {
    this.canvas.classList.add("pl-pickable");
    this.canvas.addEventListener("click", (event) => {
      const share = this.shareAt(event);
      if (share >= 0 && share < 1) go(share);
    });
  }

  /** The share of the plotted width under a pointer. */
  shareAt(event) {
    const { left, width } = this.canvas.getBoundingClientRect();
    return (event.clientX - left - this.edges.left) / (width - this.edges.left - this.edges.right);
  }
}

/** What draws inside a graph's frame. */
class Pen {
  constructor(context, area, colours, width) {
    Object.assign(this, { context, area, colours, width });
  }

  x(share) {
    return this.area.x0 + share * (this.area.x1 - this.area.x0);
  }

  y(share) {
    return this.area.y0 + share * (this.area.y1 - this.area.y0);
  }

  /** Whether the plotted area has so many pixels across. */
  wide(pixels) {
    return this.area.x1 - this.area.x0 >= pixels;
  }

  axes(xticks, yticks, xname, yname) {
    const { context, area, colours } = this;
    Object.assign(context, { font: FONT, fillStyle: colours.muted, textAlign: "center", textBaseline: "top" });
    for (const [share, words] of xticks) {
      const half = context.measureText(words).width / 2; // the last one stays on the canvas
      context.fillText(words, Math.min(this.x(share), this.width - half), area.y0 + 5);
    }
    context.fillText(xname, (area.x0 + area.x1) / 2, area.y0 + 19);
    Object.assign(context, { textAlign: "right", textBaseline: "middle" });
    for (const [share, words] of yticks) context.fillText(words, area.x0 - 6, this.y(share));
    Object.assign(context, { textAlign: "left", textBaseline: "top" });
    context.fillText(yname, 0, 2);
    context.fillStyle = colours.line;
    for (const [share] of yticks) context.fillRect(area.x0, this.y(share), area.x1 - area.x0, 1);
    context.fillRect(area.x0, area.y0, area.x1 - area.x0, 1);
  }

  /** Bars of heights 0..1 side by side; kept(i) are solid, the others hatched. */
  bars(heights, kept) {
    const { context, area, colours } = this;
    const step = (area.x1 - area.x0) / heights.length;
    const gap = step > 8 ? 2 : 0.5;
    const pattern = hatch(context, colours.muted, 5, 1);
    heights.forEach((height, i) => {
      if (!height) return;
      context.fillStyle = kept(i) ? colours.accent : pattern;
      const top = Math.min(this.y(height), area.y0 - 1.5);
      context.fillRect(area.x0 + i * step + gap / 2, top, Math.max(1, step - gap), area.y0 - top);
    });
  }

  /** One bar from height y0 to y1 between two places; hatched or solid. */
  bar(x0, x1, y0, y1, hatched) {
    const { context, colours } = this;
    const [left, right] = [this.x(x0), this.x(x1)];
    const gap = right - left > 8 ? 2 : 0.5;
    const [top, bottom] = [Math.min(this.y(y0), this.y(y1)), Math.max(this.y(y0), this.y(y1))];
    this.hatching ??= hatch(context, colours.warm, 5, 1.5);
    context.fillStyle = hatched ? this.hatching : colours.accent;
    context.fillRect(left + gap / 2, top, Math.max(1, right - left - gap), Math.max(1, bottom - top));
  }

  /** A ground from the bottom to the top between two places. */
  ground(x0, x1, colour) {
    const { context, area } = this;
    context.fillStyle = colour;
    context.fillRect(this.x(x0), area.y1, this.x(x1) - this.x(x0), area.y0 - area.y1);
  }

  /** A line through [x, y] pairs. */
  line(points, colour, { width = 2, dash = [] } = {}) {
    const { context } = this;
    context.beginPath();
    points.forEach(([x, y], i) => (i ? context.lineTo(this.x(x), this.y(y)) : context.moveTo(this.x(x), this.y(y))));
    Object.assign(context, { strokeStyle: colour, lineWidth: width, lineJoin: "round" });
    context.setLineDash(dash);
    context.stroke();
    context.setLineDash([]);
  }

  /** A line down at a share of the width. */
  upright(x, colour, style) {
    this.line([[x, 0], [x, 1]], colour, style); // prettier-ignore
  }

  /** The area between two lines of as many [x, y] pairs, tinted. */
  band(low, high, colour) {
    const { context } = this;
    context.beginPath();
    [...low, ...high.toReversed()].forEach(([x, y], i) => (i ? context.lineTo(this.x(x), this.y(y)) : context.moveTo(this.x(x), this.y(y))));
    context.globalAlpha = 0.18;
    context.fillStyle = colour;
    context.fill();
    context.globalAlpha = 1;
  }

  /** A dot with a rim. */
  dot(x, y, colour, size = 4) {
    const { context } = this;
    context.beginPath();
    context.arc(this.x(x), this.y(y), size, 0, 2 * Math.PI);
    Object.assign(context, { fillStyle: colour, strokeStyle: this.colours.surface, lineWidth: 1.5 });
    context.fill();
    context.stroke();
  }

  /** Words at a place; `align` as canvas has it. */
  words(text, x, y, colour, align = "left") {
    Object.assign(this.context, { font: FONT, fillStyle: colour, textAlign: align, textBaseline: "bottom" });
    this.context.fillText(text, this.x(x) + (align === "left" ? 6 : align === "right" ? -6 : 0), this.y(y) - 4);
  }
}
