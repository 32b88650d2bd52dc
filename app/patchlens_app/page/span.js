/**
 * The part of a video to read: small pictures of the whole, and two handles over them.
 */
import { el, fill, seconds } from "./dom.js";

const USUAL = 10; // seconds, where the video is longer
const LEAST = 0.1;

export class SpanBar {
  /** chosen(span) is called when a handle was let go; span is [start, end], or null for all of it. */
  constructor(chosen) {
    this.chosen = chosen;
    this.thumbs = el("div.pl-span-thumbs", { "aria-hidden": "true" });
    this.shade = el("div.pl-span-window");
    this.handles = ["Start", "End"].map((name, side) => this.handle(name, side));
    this.words = el("output.pl-note");
    const bar = el("div.pl-span-bar", {}, this.thumbs, this.shade, this.handles);
    this.node = el("div.pl-span", { hidden: true }, bar, this.words);
    this.span = null;
  }

  handle(name, side) {
    const range = el("input.pl-span-handle", { type: "range", step: 0.1, "aria-label": `${name} of the span` });
    range.addEventListener("input", () => this.move(side, Number(range.value)));
    range.addEventListener("change", () => this.chosen(this.span));
    return range;
  }

  /** No video of one's own is shown: there is nothing to choose. */
  close() {
    this.node.hidden = true;
    this.span = null;
  }

  /** Take a video: {start, end, longest, thumbs}. `wish` is a span to begin with. */
  open({ start, end, longest, thumbs }, wish) {
    Object.assign(this, { start, end, longest });
    this.node.hidden = false;
    fill(
      this.thumbs,
      thumbs.map(([time, src]) => el("img", { src, alt: "", title: seconds(time) })),
    );
    for (const range of this.handles) Object.assign(range, { min: start, max: end });
    const whole = end - start <= USUAL;
    this.set(wish ?? [start, whole ? end : start + USUAL]);
    if (!wish && whole) this.span = null;
  }

  /** Move one end; the other gives way where the part would be empty or too long. */
  move(side, value) {
    let [from, to] = this.shown;
    if (side === 0) {
      from = Math.min(value, this.end - LEAST);
      to = Math.min(Math.max(to, from + LEAST), from + this.longest);
    } else {
      to = Math.max(value, this.start + LEAST);
      from = Math.max(Math.min(from, to - LEAST), to - this.longest);
    }
    this.set([from, to]);
  }

  set([from, to]) {
    this.span = this.shown = [Math.max(this.start, from), Math.min(this.end, to)];
    const [low, high] = this.shown;
    this.handles.forEach((range, i) => {
      range.value = this.shown[i];
      range.setAttribute("aria-valuetext", seconds(this.shown[i]));
    });
    const share = (time) => `${(100 * (time - this.start)) / (this.end - this.start)}%`;
    this.shade.style.left = share(low);
    this.shade.style.width = `${(100 * (high - low)) / (this.end - this.start)}%`;
    const most = this.end - this.start > this.longest ? `; at most ${this.longest} s at once` : "";
    this.words.textContent = `${seconds(low)} to ${seconds(high)} of ${seconds(this.end)}${most}`;
  }
}
