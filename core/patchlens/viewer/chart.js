/**
 * The live accuracy/cost chart: the reference curves of this encoder, where every lane stands on them while a slider moves,
 * this clip's measured points, and two sliders that ask the other way round.
 *
 * All of it works without the server. Without plotly (or a frontier) the tables say the same.
 */
import { curveOf } from "./chart_curves.js";
import { chartFigure, standingOf, valueWords } from "./chart_figure.js";
import { Budget, Wanted } from "./chart_goals.js";
import { Marks } from "./chart_marks.js";
import { plotlyOf } from "./chart_plotly.js";
import { curveTable, lateDetails, measuredTable } from "./chart_table.js";
import { el, fill, number, percent } from "./dom.js";
import { section } from "./panel.js";

const PLOT_CONFIG = { displayModeBar: false, responsive: true };

/** A part of the player (see player.js). */
export class Chart {
  constructor(player) {
    Object.assign(this, { player, measured: [], playback: null, drawn: null });
    this.plot = el("div.pl-chart", { role: "img", "aria-label": "The reference curves against GMACs; the table below says the same." });
    this.marks = new Marks();
    this.legend = el("ul.pl-curves");
    this.standing = el("ul.pl-standing");
    this.origin = el("p.pl-note");
    this.budget = new Budget((setting, release) => player.set(setting, { release }));
    this.wanted = new Wanted((curve, setting, plan) => this.take(curve, { setting, plan }));
    const offer = { take: (curve, point) => this.take(curve, point), blocked: (curve, point) => this.blocked(curve, point) };
    this.table = lateDetails("The curves as a table", () => this.frontier && curveTable(this.frontier, offer));
    this.list = lateDetails("This clip's measured points", () => measuredTable(this.measured));
    this.goals = el("div.pl-goals", {}, this.budget.node, this.wanted.node);
    this.node = section("Accuracy against cost", this.origin, el("div.pl-chart-box", {}, this.plot, this.marks.node), this.legend, this.standing, this.goals, this.table.node, this.list.node); // prettier-ignore
    this.heading = this.node.firstChild;
    this.watch();
  }

  /** Fetch plotly when the chart is first seen, and follow its width. */
  watch() {
    const seen = new IntersectionObserver(async ([entry]) => {
      if (!entry.isIntersecting) return;
      seen.disconnect();
      this.plotly = await plotlyOf(this.player.host); // null: tried in vain
      this.plot.hidden ||= !this.plotly;
      this.redraw();
    });
    seen.observe(this.plot);
  }

  get frontier() {
    return this.player.model.manifest.frontier ?? null;
  }

  /** Lanes came, went or changed. */
  build() {
    const { frontier, player } = this;
    const { playback } = player; // a new one with every other clip or encoder
    if (playback !== this.playback) Object.assign(this, { playback, measured: [] });
    for (const { model } of player.lanes) this.note(model.measured);
    for (const node of [this.wanted.node, this.table.node]) node.hidden = !frontier;
    this.plot.hidden = !frontier || this.plotly === null;
    this.heading.textContent = `${frontier ? qualityOf(frontier) : "Accuracy"} against cost`;
    fill(this.origin, frontier ? originOf(frontier, player.lanes[0].model.manifest.report.gmacs.full) : unswept());
    this.budget.build(player.model);
    if (frontier) this.wanted.build(frontier, (curve) => !this.blocked(curve, { plan: true }));
    this.refreshTables();
    this.redraw();
  }

  /** A slider moved: only the marks move, unless another curve came under them. */
  live() {
    const lanes = this.lanes();
    this.budget.live();
    if (this.standing.children.length !== lanes.length) fill(this.standing, lanes.map(() => el("li"))); // prettier-ignore
    lanes.forEach((lane, i) => (this.standing.children[i].textContent = this.words(lane)));
    if (!this.drawn) return;
    if (this.looks() !== this.drawn.looks) return this.redraw();
    this.marks.move(lanes, this.drawn.axes);
  }

  /** The server measured a lane again. */
  settled({ lanes }) {
    for (const { model } of lanes) this.note(model.measured);
    this.refreshTables();
    this.redraw();
  }

  /** Add what was measured to the clip's points, each plan once. */
  note({ spec, gmacs, fidelity, tokens }) {
    const own = gmacs.reduced + gmacs.selector;
    const scale = this.frontier ? this.frontier.full.gmacs / gmacs.full : 1;
    const point = { spec, own, gmacs: scale * own, ratio: tokens.keep_ratio, cosine: fidelity.cosine };
    point.probability = fidelity.label_probability?.reduced ?? null;
    this.measured = [...this.measured.filter((m) => m.spec !== spec), point];
  }

  refreshTables() {
    this.table.refresh();
    this.list.refresh();
  }

  curves() {
    return this.player.lanes.map(({ model }) => curveOf(this.frontier, model.stages, model.merger));
  }

  lanes() {
    const { frontier, player } = this;
    const curves = this.curves();
    return frontier ? player.lanes.map((lane, i) => standingOf(lane, curves[i], frontier)) : [];
  }

  /** What a full redraw depends on, beside the measured points. */
  looks() {
    return JSON.stringify([this.curves().map((c) => c?.selector), this.player.root.dataset.theme]);
  }

  redraw() {
    const { frontier, plotly, player, measured } = this;
    const lanes = plotly ? this.lanes() : [];
    this.marks.build(lanes);
    if (!lanes.length) {
      fill(this.legend);
      return void (this.drawn = null);
    }
    const { data, layout, legend, axes } = chartFigure({
      frontier,
      measured,
      lanes,
      curves: this.curves(),
      colours: player.colours,
      dark: player.root.dataset.theme === "dark",
    });
    const first = !this.plot.data;
    plotly.react(this.plot, data, layout, PLOT_CONFIG);
    if (first) this.plot.on("plotly_click", ({ points: [hit] }) => this.clicked(hit));
    fill(this.legend, [...legend, ...FIXED_LEGEND].map(legendItem)); // prettier-ignore
    this.marks.move(lanes, axes);
    this.drawn = { axes, looks: this.looks() };
  }

  clicked({ customdata }) {
    if (!customdata) return;
    const curve = this.frontier.curves.find((c) => c.selector === customdata[0]);
    this.take(curve, curve.points[customdata[1]]);
  }

  /** Why a point cannot be taken here; null where it can. */
  blocked(curve, { plan }) {
    if (!plan) return "All tokens: no threshold is sure to keep every one.";
    return this.slides(curve) || this.player.host.run ? null : `No scores of ${curve.selector} are here.`;
  }

  /** Whether a slider of the active lane moves along this curve; a merger's r asks for another run. */
  slides(curve) {
    return Boolean(curve.knob) && curve === this.curves()[this.player.lane] && !this.player.model.merger;
  }

  /** Set the active lane to a point: by its slider on its own curve, else by a run of that plan. */
  take(curve, point) {
    if (this.blocked(curve, point)) return;
    if (this.slides(curve)) this.player.set({ [curve.knob]: point.setting }, { release: true });
    else this.player.host.run(point.plan);
  }

  words({ letter, ratio, gmacs, place }) {
    const lane = this.player.lanes.findIndex((l) => l.letter === letter);
    const { merger } = this.player.lanes[lane].model;
    const said = place ? `${valueWords(place, this.frontier)} ${this.frontier.measure}` : this.unknown(lane, ratio);
    const name = this.player.lanes.length > 1 ? `${letter}: ` : "";
    const tokens = merger ? "of the tokens on average over the blocks" : "of the tokens";
    return `${name}${percent(ratio)} ${tokens}, ${number(gmacs)} GMACs → ${said}`;
  }

  unknown(lane, ratio) {
    const curve = this.curves()[lane];
    const { merger } = this.player.lanes[lane].model;
    if (!curve) return merger ? `this selector with ${merger.split(":")[0]} was not swept` : "not measured for this selector";
    const [first, last] = [curve.points[0], curve.points.at(-1)];
    return ratio < first.reached
      ? `fewer tokens than were measured (from ${percent(first.reached)})`
      : `more tokens than were measured (up to ${percent(last.reached)})`;
  }
}

// what every chart shows beside its curves
const FIXED_LEGEND = [
  { letter: "★", name: "all tokens" },
  { letter: "◉", name: "where you are" },
  { letter: "●", name: "this clip: cosine", kind: "cosine" },
  { letter: "◇", name: "this clip: probability of its label", kind: "label" },
];

function legendItem({ letter, name, colour, strong, kind }) {
  const sign = el("span", { "aria-hidden": "true", "data-kind": kind }, letter);
  if (colour) sign.style.color = colour;
  return el(strong ? "li.pl-strong" : "li", {}, sign, ` ${name}`);
}

function unswept() {
  return ["No sweep of these weights comes with PatchLens; ", el("code", {}, "patchlens sweep"), " measures one."];
}

/** What the value of a frontier is called in a heading. */
function qualityOf({ measure }) {
  return measure === "top-1" ? "Accuracy" : "Faithfulness";
}

/** Where the curves come from; `full` are the GMACs of this clip's full run, where its length tells it from theirs. */
function originOf({ data, n, date, encoder, full: theirs }, full) {
  const longer = full / theirs.gmacs;
  const scaled = Math.abs(longer - 1) > 0.01 ? ` Costs are on their scale: this clip is ${number(longer, 2)} times as long.` : "";
  return `Reference set: ${data}, ${n} clips, ${encoder}, measured ${date.slice(0, 10)}. It is an average; your clip may differ.${scaled}`;
}
