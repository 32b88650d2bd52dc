/**
 * The strip of all tubelets: small masked pictures that are buttons.
 */
import { el, fill, percent, seconds } from "./dom.js";
import { drawScene, patternFor, scaled } from "./draw.js";

const THUMB = 132; // pixels wide

/** The strip: one button with a small masked picture per tubelet; only those in view are drawn. */
export class Strip {
  constructor(choose) {
    this.node = el("div.pl-strip", {
      role: "group",
      "aria-label": "All tubelets",
      onscroll: () => this.drawVisible(),
    });
    this.choose = choose;
    this.items = [];
    new ResizeObserver(() => this.drawVisible()).observe(this.node);
  }

  /** Make one button per tubelet; pictureOf(t) is its picture at full size. */
  build(manifest, pictureOf) {
    const [t] = manifest.grid;
    const [width, height] = manifest.size;
    const size = { width: THUMB, height: Math.max(1, Math.round((THUMB * height) / width)) };
    this.zoom = THUMB / width;
    this.items = Array.from({ length: t }, (_, i) => {
      const canvas = el("canvas", size);
      const share = el("span.pl-share");
      const label = el("span.pl-thumb-label");
      const button = el(
        "button.pl-thumb",
        { type: "button", onclick: () => this.choose(i) },
        canvas,
        el("span.pl-meter", {}, share),
        label,
      );
      const context = canvas.getContext("2d");
      return { button, context, share, label, pattern: patternFor(context, 6), image: scaled(pictureOf(i), size) };
    });
    fill(
      this.node,
      this.items.map((item) => item.button),
    );
    this.selected = null;
  }

  /** Show a model's decision. */
  draw(model, mode) {
    const { manifest, counts, size } = model;
    this.sceneOf = (t) => model.scene(t, mode);
    this.rect = manifest.rect.map((x) => x * this.zoom);
    this.items.forEach((item, t) => {
      item.stale = true;
      item.share.style.width = `${(100 * counts[t]) / size}%`;
      const time = seconds(manifest.frames[t * manifest.tubelet].time);
      item.label.textContent = `${time} · ${counts[t]}`;
      item.button.setAttribute(
        "aria-label",
        `Tubelet ${t + 1} at ${time}: ${counts[t]} of ${size} kept, ${percent(counts[t] / size)}`,
      );
    });
    this.drawVisible();
  }

  drawVisible() {
    if (!this.items.length || !this.sceneOf) return;
    const width = this.node.scrollWidth / this.items.length;
    const [from, to] = [this.node.scrollLeft - width, this.node.scrollLeft + this.node.clientWidth + width];
    this.items.forEach((item, t) => {
      if (!item.stale || t * width < from || t * width > to) return;
      item.stale = false;
      drawScene(item.context, {
        ...this.sceneOf(t),
        image: item.image,
        rect: this.rect,
        hatch: item.pattern,
        grid: false,
        dpr: 0.7,
      });
    });
  }

  /** Mark tubelet t as the one shown, and bring it into view. */
  select(t) {
    if (t === this.selected) return;
    this.selected = t;
    this.items.forEach((item, i) => item.button.setAttribute("aria-pressed", String(i === t)));
    const { offsetLeft, offsetWidth } = this.items[t].button;
    const { scrollLeft, clientWidth } = this.node;
    if (offsetLeft < scrollLeft || offsetLeft + offsetWidth > scrollLeft + clientWidth) {
      this.node.scrollLeft = offsetLeft - (clientWidth - offsetWidth) / 2;
    }
  }
}
