/**
 * What a person looks at, and the parts of the page that follow: overlay, cursor, pins, zoom, place in time.
 *
 * Shared by all lanes of a player. Knows no payload and no server; `Player` brings `model`, `refresh` and `host`.
 */
import { absence } from "./overlay.js";
import { brought, panned, WHOLE, zoomed } from "./zoom.js";

const START = { mode: "dim", grid: true, frame: 0, image: null, cursor: null, aloud: false, zoom: WHOLE };

export class View {
  constructor() {
    Object.assign(this, { ...START, pins: [], parts: [] });
  }

  get tubelet() {
    return this.model.tubeletOf(this.frame);
  }

  /** The token under the cursor, else under the last pin; null without. */
  get token() {
    const cell = this.cursor ?? this.pins.at(-1) ?? null;
    return cell === null ? null : this.tubelet * this.model.size + cell;
  }

  /** Keep a part in step from now on; returns how to stop. */
  attach(part) {
    this.parts.push(part);
    if (this.model) for (const event of ["build", "live"]) part[event]?.(this);
    return () => {
      this.parts = this.parts.filter((other) => other !== part);
      part.node?.remove();
    };
  }

  emit(event) {
    for (const part of this.parts) part[event]?.(this);
    this.host.changed?.(this);
  }

  hover(cell) {
    if (this.model && cell !== this.cursor) this.point(cell, false);
  }

  point(cell, aloud) {
    Object.assign(this, { cursor: cell, aloud });
    this.emit("at");
  }

  /** Move the patch cursor by rows and columns. */
  move(rows, columns) {
    const [, h, w] = this.model.manifest.grid;
    const at = this.cursor ?? this.pins.at(-1) ?? Math.floor(h / 2) * w + Math.floor(w / 2);
    const [y, x] = [Math.floor(at / w) + rows, (at % w) + columns];
    const cell = Math.min(h - 1, Math.max(0, y)) * w + Math.min(w - 1, Math.max(0, x));
    this.zoom = brought(this.zoom, this.model.shareOf(cell));
    this.point(cell, true);
  }

  /** Go to the block before or after, where a part of the page shows them. */
  scrub(by) {
    for (const part of this.parts) part.scrub?.(by);
  }

  /** Hold on to a patch, or let it go. */
  pin(cell) {
    if (cell === null) return;
    this.pins = this.pins.includes(cell) ? this.pins.filter((other) => other !== cell) : [...this.pins, cell];
    this.emit("at");
  }

  unpin() {
    this.pins = [];
    this.emit("at");
  }

  magnify(by, place) {
    this.view(zoomed(this.zoom, by, place));
  }

  pan(dx, dy) {
    this.view(panned(this.zoom, dx, dy));
  }

  view(zoom) {
    this.zoom = zoom;
    this.emit("at");
  }

  setMode(mode) {
    if (absence(this, mode) !== null) return;
    this.mode = mode;
    this.emit("live");
  }

  setGrid(on) {
    this.grid = on;
    this.emit("live");
  }

  // --- Time

  /** Playback stands at `frame`; `image` is the playing video's picture, or null for the frame's own. */
  at(frame, image) {
    Object.assign(this, { frame, image });
    this.emit("at");
  }

  toggle() {
    if (this.playback.playing) this.playback.pause();
    else this.playback.play();
    this.emit("at");
  }

  /** Play seconds `start` to `end` of the video's own clock once. */
  playSpan(start, end) {
    const [{ time, at }] = this.model.manifest.frames;
    this.playback.playSpan(start - (time - at), end - (time - at));
    this.emit("at");
  }

  seek(frame) {
    this.playback.seek(frame);
  }

  step(by) {
    this.seek(this.frame + by);
  }

  hop(by) {
    this.seek((this.tubelet + by) * this.model.manifest.tubelet);
  }
}
