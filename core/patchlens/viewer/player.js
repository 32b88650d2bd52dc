/**
 * The viewer: holds one payload and what the person has set, and keeps every part of the page in step with it.
 *
 * The same code runs in the dashboard, in Jupyter and in the HTML report. What differs is `host`:
 *   settle(spec)   a slider was let go: measure faithfulness again (absent in a report)
 *   save(kind)     make a file; `saves` lists [kind, label] (absent in a report)
 *   changed(spec)  the plan on screen moved
 *   wholePage      the keyboard also works while nothing has the focus
 */
import { el, fill } from "./dom.js";
import { factsOf, Inspector, valueTable } from "./inspect.js";
import { listen } from "./keys.js";
import { Knobs } from "./knobs.js";
import { layout } from "./layout.js";
import { Model } from "./model.js";
import { themeColours, watchTheme } from "./palette.js";
import { Panel } from "./panel.js";
import { proxy } from "./payload.js";
import { Picture } from "./picture.js";
import { Strip } from "./strip.js";
import { Playback, transport } from "./timeline.js";

export class Player {
  constructor(root, host = {}) {
    Object.assign(this, { root, host, model: null, mode: "dim", grid: true, cursor: null, pinned: null, frame: 0 });
    this.panel = new Panel();
    this.inspector = new Inspector();
    this.knobs = new Knobs(
      () => this.moved(),
      () => this.released(),
    );
    this.strip = new Strip((t) => this.seek(t * this.model.manifest.tubelet));
    this.transport = transport(this);
    this.picture = new Picture({
      hover: (cell) => this.hover(cell),
      pin: (cell) => this.pin(cell),
      choose: (mode) => this.setMode(mode),
    });
    this.canvas = this.picture.canvas;
    Object.assign(this, layout(this));
    const observer = new ResizeObserver(() => this.resized());
    observer.observe(this.canvas);
    observer.observe(this.knobs.node);
    const untheme = watchTheme(root, () => this.retint());
    this.stops = [untheme, listen(root, this, host.wholePage), () => observer.disconnect()];
  }

  /** Show a payload (ArrayBuffer); what still fits (overlay, place in time, pinned patch) stays. */
  async show(buffer) {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const model = await Model.open(buffer);
    if (turn !== this.turn) return model.close(); // a newer one came meanwhile
    const { model: old, playback } = this;
    const share = old ? this.frame / Math.max(1, old.manifest.frames.length - 1) : 0.5; // the first often keeps all
    const same = old && String(old.manifest.grid) === String(model.manifest.grid);
    playback?.close();
    old?.close();
    Object.assign(this, { model, image: null, cursor: null, pinned: same ? this.pinned : null });
    this.playback = new Playback(model.manifest.frames, (frame, image) => this.at(frame, image));
    this.playback.frame = this.frame = Math.round(share * (model.manifest.frames.length - 1));
    this.present();
    proxy(model.pack).then((video) => this.model === model && this.playback.take(video));
  }

  /** Build what belongs to the payload, then draw everything. */
  present() {
    const { manifest, stages } = this.model;
    const { clip, encoder } = manifest.report;
    this.empty.hidden = true;
    this.body.hidden = false;
    const about = `${encoder.name} (${encoder.weights}, ${encoder.device}) · ${manifest.grid.join(" × ")} tokens`;
    fill(this.title, clip.name, el("span.pl-about", {}, about));
    this.picture.fit(manifest);
    this.strip.build(manifest, (t) => this.model.pictureOf(t * manifest.tubelet));
    this.knobs.build(stages);
    this.panel.say(manifest.notes);
    this.retint();
  }

  /** The server measured a plan again: {spec, report}. */
  settled({ spec, report }) {
    if (!this.model) return;
    this.model.measured = { ...report, spec };
    this.refreshMeasured();
  }

  get tubelet() {
    return this.model.tubeletOf(this.frame);
  }

  /** A slider moved: at most one redraw per animation frame. */
  moved() {
    this.host.changed?.(this.model);
    this.pending ??= requestAnimationFrame(() => {
      this.pending = null;
      this.model.decide();
      this.refresh();
    });
  }

  released() {
    const { spec, measured } = this.model;
    if (spec !== measured.spec) this.host.settle?.(spec);
  }

  /** Draw everything that depends on the decision. */
  refresh() {
    const { model } = this;
    if (this.mode === "runs" && !model.keep.runs) this.mode = "dim";
    this.panel.live(model);
    this.refreshMeasured();
    this.knobs.draw(this.colours);
    this.strip.draw(model, this.mode);
    this.paint();
    this.inspect(false);
  }

  refreshMeasured() {
    const { spec, measured } = this.model;
    this.panel.measured(measured, spec !== measured.spec);
  }

  /** Everything again, in the theme's colours. */
  retint() {
    this.colours = themeColours(this.root);
    if (this.model) this.refresh();
  }

  resized() {
    if (!this.model) return;
    this.picture.measure();
    this.knobs.measure();
    this.knobs.draw(this.colours);
    this.paint();
  }

  /** Draw the big picture and say where we are. */
  paint() {
    const { model, tubelet, image } = this;
    const scene = model.scene(tubelet, this.mode, this.frame);
    const marks = { grid: this.grid, cursor: this.cursor, pinned: this.pinned };
    this.picture.draw({ ...scene, image: image ?? scene.image }, marks);
    this.picture.mark(this.mode, Boolean(model.keep.runs));
    this.picture.name(tubelet, model);
    this.gridButton.setAttribute("aria-pressed", String(this.grid));
    this.transport.update(this);
    this.strip.select(tubelet);
  }

  tabulate() {
    if (this.table.open && this.model) fill(this.table.lastChild, valueTable(this.model, this.tubelet));
  }

  /** Facts of the patch under the cursor, else of the pinned one. */
  inspect(aloud) {
    const cell = this.cursor ?? this.pinned;
    const n = cell === null ? null : this.tubelet * this.model.size + cell;
    const facts = n === null ? null : factsOf(this.model, n);
    this.picture.read(facts);
    this.inspector.show(this.model, n, facts, { colours: this.colours, aloud });
  }

  hover(cell) {
    if (!this.model || cell === this.cursor) return;
    this.mark({ cursor: cell }, false);
  }

  /** Move the patch cursor by rows and columns. */
  move(rows, columns) {
    const [, h, w] = this.model.manifest.grid;
    const at = this.cursor ?? this.pinned ?? Math.floor(h / 2) * w + Math.floor(w / 2);
    const [y, x] = [Math.floor(at / w) + rows, (at % w) + columns];
    this.mark({ cursor: Math.min(h - 1, Math.max(0, y)) * w + Math.min(w - 1, Math.max(0, x)) }, true);
  }

  /** Hold on to a patch, or let it go. */
  pin(cell) {
    this.mark({ pinned: cell === this.pinned ? null : cell }, false);
  }

  mark(change, aloud) {
    Object.assign(this, change);
    this.paint();
    this.inspect(aloud);
  }

  /** Playback stands at `frame`; `image` is the playing video's picture, or null for the frame's own. */
  at(frame, image) {
    const changed = this.model.tubeletOf(frame) !== this.tubelet;
    Object.assign(this, { frame, image });
    this.paint();
    if (changed) this.inspect(false);
    if (changed) this.tabulate();
  }

  toggle() {
    if (this.playback.playing) this.playback.pause();
    else this.playback.play();
    this.transport.update(this);
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

  setMode(mode) {
    if (mode === "runs" && !this.model.keep.runs) return;
    this.mode = mode;
    this.strip.draw(this.model, mode);
    this.paint();
  }

  setGrid(on) {
    this.grid = on;
    this.paint();
  }

  help() {
    this.dialog.showModal();
  }

  destroy() {
    this.playback?.close();
    this.model?.close();
    this.stops.forEach((stop) => stop());
    fill(this.root);
  }
}

/** Put a viewer into `root`. */
export function mount(root, host) {
  return new Player(root, host);
}
