/**
 * The strip of all tubelets: small masked pictures that are buttons.
 */
import { el, fill, percent, seconds } from "./dom.js";
import { drawScene, patternsFor, scaled } from "./draw.js";
import { sceneIn } from "./lanes.js";

const THUMB = 132; // pixels wide

/** The active lane's strip: one button with a small masked picture per tubelet; only those in view are drawn. */
export class Strip {
  constructor(choose) {
    this.node = el("div.pl-strip", {
      role: "group",
      "aria-label": "All tubelets",
      onscroll: () => this.look(),
    });
    this.choose = choose;
    this.items = [];
    this.inView = () => true;
    new ResizeObserver(() => this.look()).observe(this.node);
  }

  /** Make one button per tubelet. */
  build({ model }) {
    const { manifest, images } = model;
    if (this.images === images) return;
    this.images = images;
    const pictureOf = (t) => model.pictureOf(t * manifest.tubelet);
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
      const patterns = patternsFor(context, 6);
      return { button, context, share, label, patterns, image: scaled(pictureOf(i), size) };
    });
    fill(
      this.node,
      this.items.map((item) => item.button),
    );
    Object.assign(this, { selected: null, inView: () => true });
  }

  /** Show the active lane's decision. */
  live(player) {
    const { model, lanes, lane } = player;
    const { manifest, counts, size } = model;
    this.sceneOf = (t) => sceneIn(player, lanes[lane], t);
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
    this.at(player);
  }

  /** Take what is in view; only here, because asking the page for its measures makes it lay itself out. */
  look() {
    const width = this.node.scrollWidth / Math.max(1, this.items.length);
    const [from, to] = [this.node.scrollLeft - width, this.node.scrollLeft + this.node.clientWidth + width];
    this.inView = (t) => t * width >= from && t * width <= to;
    this.drawVisible();
  }

  drawVisible() {
    if (!this.sceneOf) return;
    this.items.forEach((item, t) => {
      if (!item.stale || !this.inView(t)) return;
      item.stale = false;
      drawScene(item.context, {
        ...this.sceneOf(t),
        image: item.image,
        rect: this.rect,
        patterns: item.patterns,
        scale: this.zoom,
        grid: false,
        dpr: 0.7,
      });
    });
  }

  /** Mark the tubelet that is shown, and bring it into view. */
  at({ tubelet: t }) {
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
