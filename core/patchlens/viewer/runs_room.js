/**
 * The room of run lengths: the runs of a row over time, the differences that tau cuts, how many tokens
 * every tau keeps, how long runs are, and the packed sequence that is left.
 */
import { el, fill, number, percent, whole } from "./dom.js";
import { Graph } from "./graph.js";
import { PackedSequence } from "./packed_figure.js";
import { scale } from "./palette.js";
import { changeStage, differences, greyLevels, restless, rowRuns, runCounts } from "./run_figures.js";
import { TauCurve } from "./tau_curve.js";
import { WallTime } from "./wall_time.js";

const DIFFERENCE_BINS = 60;

export class RunsRoom {
  /** benches: what `patchlens bench` measured, as the dashboard's `about` has it. */
  constructor(benches = []) {
    this.sign = el("p.pl-sign", { role: "status" });
    this.none = el("p.pl-note", {}, "This plan has no run lengths; choose rlt.");
    this.parts = [new RowLanes(), new Differences(), new TauCurve(), new RunLengths(), new PackedSequence()];
    if (benches.length) this.parts.push(new WallTime(benches));
    const graphs = this.parts.map((part) => part.graph.node);
    for (const ends of [graphs[0], graphs[5]]) ends?.classList.add("pl-graph-wide"); // the others stand in pairs
    this.views = el("div.pl-graphs", {}, graphs);
    this.node = el("section.pl-section", { "aria-label": "Run lengths" }, this.none, this.sign, this.views);
  }

  build(player) {
    this.player = player;
    for (const part of this.parts) part.listen?.(player);
  }

  live(player) {
    const { model } = player;
    const runs = Boolean(model.keep.runs && changeStage(model));
    this.none.hidden = runs;
    this.views.hidden = this.sign.hidden = !runs;
    if (!runs) return;
    const { changed, tubelets } = restless(model);
    const dropped = percent(1 - model.kept / model.keep.mask.length);
    const still = changed < 0.5 * tubelets;
    this.sign.dataset.still = String(still);
    this.sign.textContent = still
      ? `${tubelets - changed} of ${tubelets} steps in time leave patches unchanged: ${dropped} of the tokens can go.`
      : `In ${changed} of ${tubelets} steps in time at least 90 % of the patches changed: the camera seems to move, or ` +
        `everything does. Runs save only ${dropped} here; a higher tau would drop what really differs.`;
    this.draw(player);
  }

  at(player) {
    if (!this.views.hidden) this.parts[0].draw(player);
  }

  resized(player) {
    if (!this.views.hidden) this.draw(player);
  }

  draw(player) {
    for (const part of this.parts) part.draw(player);
  }
}

/** Runs of the row under the cursor: a lane for every column, a bar for every run. */
class RowLanes {
  constructor() {
    this.graph = new Graph("Runs of a row, over time");
  }

  draw({ model, colours, token, tubelet }) {
    const [t, h, w] = model.manifest.grid;
    const cell = token === null ? null : token % model.size;
    const y = cell === null ? Math.floor(h / 2) : Math.floor(cell / w);
    const columns = rowRuns(model, y);
    const pen = this.graph.begin(colours, {
      xticks: Array.from({ length: t }, (_, i) => [(i + 0.5) / t, String(i + 1)]).filter((_, i) => t <= 10 || i % Math.ceil(t / 10) === 0),
      yticks: [],
      xname: "tubelet",
    });
    if (!pen) return;
    this.bars(pen, columns, t, cell === null ? -1 : cell % w);
    pen.line([[(tubelet + 0.5) / t, 0], [(tubelet + 0.5) / t, 1]], colours.warm, { dash: [4, 3] }); // prettier-ignore
    const longest = Math.max(...columns.flat().map(([, length]) => length));
    const chosen = cell === null ? "no patch is chosen: the middle one" : `row ${y + 1}`;
    const runs = columns.reduce((sum, column) => sum + column.length, 0);
    this.graph.say(`${runs} tokens stand for ${t * w} patches of this row (${chosen}); the longest run covers ${longest} tubelet${longest > 1 ? "s" : ""}.`);
  }

  bars(pen, columns, t, chosen) {
    const { context, colours } = pen;
    const tall = 1 / columns.length;
    Object.assign(context, { font: "11px ui-sans-serif, system-ui, sans-serif", textBaseline: "middle" });
    columns.forEach((runs, x) => {
      const [top, bottom] = [pen.y(1 - x * tall), pen.y(1 - (x + 1) * tall)];
      const height = Math.max(1, bottom - top - 2);
      Object.assign(context, { fillStyle: x === chosen ? colours.ink : colours.muted, textAlign: "right" });
      if (height > 9 || x % 2 === 0) context.fillText(`col ${x + 1}`, pen.area.x0 - 6, top + height / 2);
      for (const [from, length] of runs) {
        const [left, right] = [pen.x(from / t), pen.x((from + length) / t)];
        context.fillStyle = `rgb(${scale(length / t).join(" ")})`;
        context.fillRect(left + 1, top, right - left - 2, height);
        if (height < 10) continue;
        Object.assign(context, { fillStyle: length / t > 0.55 ? "#161a20" : "#ffffff", textAlign: "left" });
        context.fillText(length, left + 5, top + height / 2);
      }
      if (x !== chosen) return;
      Object.assign(context, { strokeStyle: colours.ink, lineWidth: 1.5 });
      context.strokeRect(pen.area.x0, top - 1, pen.area.x1 - pen.area.x0, height + 2);
    });
  }
}

/** Histogram of the differences between neighbours in time; the line at tau can be dragged. */
class Differences {
  constructor() {
    this.graph = new Graph("How much patches change", { tabindex: 0, role: "slider", "aria-valuemin": 0 });
    this.graph.canvas.classList.add("pl-draggable");
  }

  listen(player) {
    if (this.player) return;
    this.player = player;
    const { canvas } = this.graph;
    const move = (event) => this.set(this.graph.shareAt(event) * this.top, false);
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.dragged = true;
      move(event);
    });
    canvas.addEventListener("pointermove", (event) => this.dragged && move(event));
    for (const type of ["pointerup", "pointercancel"]) canvas.addEventListener(type, () => this.release());
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const { stage, knob } = changeStage(this.player.model);
    this.set(stage.setting[knob.name] + step * knob.step, true);
  }

  set(value, release) {
    const { knob } = changeStage(this.player.model);
    const inside = Math.min(knob.high, Math.max(knob.low, Math.round(value / knob.step) * knob.step));
    this.player.set({ [knob.name]: Number(inside.toPrecision(10)) }, { release });
  }

  release() {
    if (!this.dragged) return;
    this.dragged = false;
    const { stage, knob } = changeStage(this.player.model);
    this.set(stage.setting[knob.name], true);
  }

  draw({ model, colours }) {
    const { stage, knob } = changeStage(model);
    const tau = stage.setting[knob.name];
    if (!this.dragged) this.top = Math.min(knob.high, Math.max(0.4, 2.5 * tau)); // the axis holds still under a drag
    const counts = differences(stage.values, this.top, DIFFERENCE_BINS);
    const most = Math.log1p(Math.max(...counts));
    const ticks = Array.from({ length: 5 }, (_, i) => [i / 4, number((i / 4) * this.top, 2) + (i === 4 ? "+" : "")]); // the last bar holds what lies beyond
    const pen = this.graph.begin(colours, { xticks: ticks, xname: "mean |difference|, ImageNet units", yname: "patches, log scale" });
    if (!pen) return;
    const cut = tau / this.top;
    pen.bars(counts.map((n) => (0.92 * Math.log1p(n)) / most), (i) => (i + 0.5) / DIFFERENCE_BINS > cut); // prettier-ignore
    pen.line([[cut, 0], [cut, 1]], colours.warm); // prettier-ignore
    const grey = number(greyLevels(tau), 2);
    pen.words(`tau ${number(tau)} = ${grey} grey levels`, cut, 0.88, colours.ink, cut > 0.6 ? "right" : "left");
    const { canvas } = this.graph;
    for (const [name, value] of Object.entries({ max: knob.high, now: tau, text: `tau ${number(tau)}` })) canvas.setAttribute(`aria-value${name}`, value);
    const below = stage.values.filter((value) => value <= tau).length;
    const compared = stage.values.length - model.size;
    this.graph.say(`${whole(below)} of ${whole(compared)} comparisons stay at or below tau = ${number(tau)}, about ${grey} of 255 grey levels.`);
  }
}

/** How many runs there are of each length, and a table of the same. */
class RunLengths {
  constructor() {
    this.graph = new Graph("How long runs are");
    this.table = el("div", { tabindex: 0, role: "region", "aria-label": "Run lengths" });
    this.graph.node.append(el("details.pl-details", {}, el("summary", {}, "As a table"), this.table));
  }

  draw({ model, colours }) {
    const counts = runCounts(model);
    const most = Math.max(...counts.map(({ runs }) => runs), 1);
    const t = counts.length;
    const pen = this.graph.begin(colours, {
      xticks: counts.map(({ length }) => [(length - 0.5) / t, String(length)]).filter((_, i) => t <= 12 || i % 2 === 0),
      yticks: [[0.46, whole(most / 2)], [0.92, whole(most)]], // prettier-ignore
      xname: "tubelets a token stands for",
      yname: "tokens",
    });
    if (!pen) return;
    pen.bars(counts.map(({ runs }) => (0.92 * runs) / most), () => true); // prettier-ignore
    const kept = counts.reduce((sum, { runs }) => sum + runs, 0);
    const mean = number(model.keep.mask.length / kept, 3);
    this.graph.say(`${whole(kept)} tokens; each stands for ${mean} patches on average.`);
    const row = ({ length, runs, tokens }) => el("tr", {}, el("th", { scope: "row" }, String(length)), el("td", {}, whole(runs)), el("td", {}, whole(tokens)));
    const head = el("tr", {}, ["length", "runs", "patches they stand for"].map((name) => el("th", { scope: "col" }, name)));
    fill(this.table, el("table.pl-table", {}, el("thead", {}, head), el("tbody", {}, counts.map(row))));
  }
}
