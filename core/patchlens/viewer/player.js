/**
 * The viewer: holds one clip under one plan or several (lanes), and keeps every part of the page in step with it.
 *
 * A part is {node, build?, live?, at?, settled?, resized?}, each called with the player: `build` when lanes came, went or
 * changed places, `live` when a decision or the way of showing it changed (at most once per animation frame), `at` when
 * the frame, the cursor or a pin moved, `settled` when the server measured again. The same code runs in the dashboard,
 * in Jupyter and in the HTML report. What differs is `host`, all of it optional:
 *   settle(spec, lane)  a slider was let go: measure faithfulness again
 *   save(kind)          make a file; `saves` lists [kind, label]
 *   compare()           add a plan beside the others, by `show(buffer, { lane })`
 *   changed(player)     something that a link should hold moved
 *   run(plan)           show another plan of the same clip
 *   plotly()            run plotly's script, resolving when that is done
 *   wholePage           the keyboard also works while nothing has the focus
 */
import { remeasure } from "./canvas.js";
import { Chart } from "./chart.js";
import { fill } from "./dom.js";
import { level } from "./duel.js";
import { listen } from "./keys.js";
import { Lane, LETTERS } from "./lanes.js";
import { layout } from "./layout.js";
import { Model } from "./model.js";
import { absence } from "./overlay.js";
import { themeColours, watchTheme } from "./palette.js";
import { proxy } from "./payload.js";
import { Brush } from "./painting.js";
import { apply, snapshot } from "./state.js";
import { Playback } from "./timeline.js";
import { View } from "./view.js";
import { WHOLE } from "./zoom.js";

export class Player extends View {
  constructor(root, host = {}) {
    super();
    Object.assign(this, { root, host, lanes: [], lane: 0, linked: false, chosen: [], turns: [], moves: new Set() });
    this.brush = new Brush();
    Object.assign(this, layout(this));
    const observer = new ResizeObserver(() => {
      remeasure();
      if (this.model) this.emit("resized");
    });
    for (const node of this.fluid) observer.observe(node);
    const untheme = watchTheme(root, () => this.retint());
    this.stops = [untheme, listen(root, this, host.wholePage), () => observer.disconnect()];
  }

  /** The active lane's model; null while nothing is shown. */
  get model() {
    return this.lanes[this.lane]?.model ?? null;
  }

  /** The two lanes that are compared: those that were chosen, else the first and the active one; null while there is one. */
  get pair() {
    if (this.lanes.length < 2) return null;
    const chosen = this.chosen.filter((lane) => this.lanes.includes(lane));
    return chosen.length === 2 ? chosen : [this.lanes[0], this.lanes[this.lane || 1]];
  }

  /** Compare two lanes, by their numbers, whichever is active. */
  oppose(first, second) {
    if (first === second || !this.lanes[first] || !this.lanes[second]) return;
    this.chosen = [this.lanes[first], this.lanes[second]];
    this.refresh();
  }

  /** What a link holds, as plain data. */
  get state() {
    return snapshot(this);
  }

  /** Take up a state as far as it fits what is shown. */
  restore(state) {
    if (!this.model) return;
    apply(this, state);
    this.build();
  }

  /** Everything anew: lanes came, went or changed places. */
  build() {
    this.empty.hidden = true;
    this.body.hidden = false;
    this.emit("build");
    this.retint();
  }

  /** Everything that shows a decision, in the theme's colours. */
  retint() {
    this.colours = themeColours(this.root);
    if (this.model) this.refresh();
  }

  refresh() {
    if (absence(this, this.mode)) this.mode = "dim";
    this.emit("live");
  }

  // --- Lanes

  /**
   * Show a payload (ArrayBuffer) in a lane, a new one at the end; in lane 0 another clip takes the place of all. `same`: the
   * host knows that it is the clip on the screen (a sample drawn here and a shipped one differ in their bytes).
   */
  async show(buffer, { lane = this.lane, same = false } = {}) {
    const turn = (this.turns[lane] = (this.turns[lane] ?? 0) + 1);
    const model = await Model.open(buffer, this.model, same);
    if (turn !== this.turns[lane]) return this.free(model); // a newer one came meanwhile
    const { lanes, model: before } = this;
    const beside = before && (same || before.matches(model));
    const held = lanes.map((each) => each.model);
    const at = beside ? Math.min(lane, lanes.length, LETTERS.length - 1) : 0;
    if (at < lane && at === 0) throw new Error("Lanes show one clip under one encoder; this is another.");
    this.lanes = beside ? [...lanes] : lanes.slice(0, 1);
    (this.lanes[at] ??= new Lane(this)).take(model);
    this.lane = at;
    if (!beside) this.rewind(model, before);
    held.forEach((old) => this.free(old));
    this.build();
  }

  /** Free a model's pictures where no lane shows them any more. */
  free(model) {
    if (this.lanes.every((lane) => lane.model.images !== model.images)) model.close();
  }

  /** Start a clip where the one before stood; pinned patches stay where the grid is the same. */
  rewind(model, before) {
    const { frames, grid } = model.manifest;
    const share = before ? this.frame / Math.max(1, before.manifest.frames.length - 1) : 0.5; // the first often keeps all
    const same = String(before?.manifest.grid) === String(grid);
    Object.assign(this, { image: null, cursor: null, pins: same ? this.pins : [], zoom: WHOLE });
    this.playback?.close();
    this.playback = new Playback(frames, (frame, image) => this.at(frame, image));
    this.playback.frame = this.frame = Math.round(share * (frames.length - 1));
    const { playback } = this;
    proxy(model.pack).then((video) => (this.playback === playback ? playback.take(video) : null));
  }

  /** Remove a lane; the last one stays. */
  dropLane(lane) {
    if (this.lanes.length < 2 || !this.lanes[lane]) return;
    const [{ model }] = this.lanes.splice(lane, 1);
    this.lane = Math.min(this.lane - (this.lane > lane ? 1 : 0), this.lanes.length - 1);
    this.free(model);
    this.build();
  }

  /** Make a lane the active one: its sliders and numbers are shown; a focus on the picture before goes with it. */
  choose(lane) {
    if (lane === this.lane || !this.lanes[lane]) return;
    const held = document.activeElement === this.lanes[this.lane].picture.canvas;
    this.lane = lane;
    this.emit("build");
    this.refresh();
    if (held) this.lanes[lane].picture.canvas.focus();
  }

  /** Hold all lanes to the active one's token count, or let them go. */
  link(on) {
    this.linked = on && this.lanes.length > 1;
    this.moved();
    this.released();
  }

  // --- Decisions

  /** A slider of a lane moved: at most one redraw per animation frame. */
  moved(lane = this.lane) {
    this.moves.add(lane);
    this.pending ??= requestAnimationFrame(() => this.decide());
  }

  decide() {
    cancelAnimationFrame(this.pending);
    this.pending = null;
    const moved = [...this.moves];
    this.moves.clear();
    for (const lane of moved) this.lanes[lane]?.model.decide();
    if (this.linked && this.lanes[moved.at(-1)]) level(this.lanes, moved.at(-1));
    this.refresh();
  }

  /** A slider was let go: measure what has changed. */
  released() {
    if (this.pending) this.decide();
    this.lanes.forEach(({ model: { spec, measured } }, lane) => {
      if (spec !== measured.spec) this.host.settle?.(spec, lane);
    });
  }

  /** A stroke of the brush over a lane whose tokens are chosen by hand; whether it is such a lane. */
  paint(cell, first, lane = this.lane) {
    if (!this.brush.touch(this.lanes[lane].model, this.tubelet, cell, first)) return false;
    this.moved(lane);
    return true;
  }

  /** The stroke is over: measure what is left. */
  painted() {
    this.brush.lift();
    this.released();
  }

  /** Enter on a patch: keep or drop it where tokens are chosen by hand, else pin it. */
  press(cell) {
    if (cell !== null && this.paint(cell, true)) this.painted();
    else this.pin(cell);
  }

  /** Move sliders from outside: {knob: value} of the first stage of a lane's plan that has the knob. */
  set(values, { lane = this.lane, release = false } = {}) {
    for (const [name, value] of Object.entries(values)) this.lanes[lane].model.set(name, value);
    this.moved(lane);
    if (release) this.released();
  }

  /** The server measured a lane's plan again: {spec, report, lane}. */
  settled({ spec, report, lane = this.lane }) {
    if (!this.lanes[lane]) return;
    this.lanes[lane].model.measured = { ...report, spec };
    this.emit("settled");
  }

  destroy() {
    this.playback?.close();
    for (const { model } of this.lanes) model.close();
    this.stops.forEach((stop) => stop());
    fill(this.root);
  }
}

/** Put a viewer into `root`. */
export function mount(root, host) {
  const player = new Player(root, host);
  const chart = new Chart(player);
  player.slots.chart.append(chart.node);
  player.attach(chart);
  return player;
}
