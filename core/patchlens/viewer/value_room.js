/**
 * The room of token value: the oracle's map through the blocks, how values are spread, a selector against the oracle, tokens
 * chosen by hand, whether the map is true on this clip, and which clips are easy.
 */
import { AgainstPanel } from "./against_panel.js";
import { ClipsPanel } from "./clips_panel.js";
import { el, number, percent } from "./dom.js";
import { FaithPanel } from "./faith_panel.js";
import { Graph } from "./graph.js";
import { OraclePanel } from "./oracle_panel.js";
import { PaintPanel } from "./paint_panel.js";
import { paintable } from "./painting.js";
import { gini, keptValue, lorenz, worths } from "./value_figures.js";

const BINS_OF_VALUE = 48;

export class ValueRoom {
  /** judge(question, spec, signal) asks the server about a plan; for `more` see the panels. */
  constructor(judge, more) {
    const [oracle, against, clips] = [OraclePanel, AgainstPanel, ClipsPanel].map((Panel) => new Panel(more, judge));
    const [paint, faith] = [new PaintPanel(judge), new FaithPanel(judge)];
    this.panels = [oracle, against, paint, faith, clips];
    this.heading = el("h2", {}, "How value is spread");
    this.graphs = [new Graph("Values of the tokens"), new Graph("Lorenz curve")];
    this.note = el("p.pl-note");
    const views = el("div.pl-graphs", {}, this.graphs.map((graph) => graph.node)); // prettier-ignore
    this.spreads = el("div.pl-part", {}, this.heading, views, this.note);
    const parts = [oracle.node, this.spreads, ...this.panels.slice(1).map(({ node }) => node)];
    this.node = el("section.pl-section", { "aria-label": "Token value" }, this.index(parts), parts);
  }

  /** The room's parts by name, each a way there: the room is long, on a phone above all. */
  index(parts) {
    const still = matchMedia("(prefers-reduced-motion: reduce)");
    const go = (part) => part.scrollIntoView({ behavior: still.matches ? "auto" : "smooth", block: "start" });
    const way = (part) => el("button.pl-way", { type: "button", onclick: () => go(part) }, part.querySelector("h2").textContent);
    this.ways = parts.map((part) => [part, way(part)]);
    return el("nav.pl-ways", { "aria-label": "In this room" }, this.ways.map(([, node]) => node)); // prettier-ignore
  }

  build(player) {
    for (const panel of this.panels) panel.build(player);
    this.measure(player);
  }

  /** How the first selector's values are spread; tokens chosen by hand have none. */
  measure({ model }) {
    const [stage] = model.stages;
    const worth = worths(stage.values);
    const curve = lorenz(worth);
    const sorted = worth.toSorted();
    this.spread = { values: stage.values, worth, curve, gini: gini(curve), most: sorted.at(-1), median: sorted[sorted.length >> 1] };
    this.note.textContent =
      `Values are those of ${stage.name} (${stage.unit}). ` +
      (stage.values.some((value) => value === Infinity)
        ? "Tokens that are kept without being compared count as much as the greatest value."
        : "");
  }

  live(player) {
    for (const panel of this.panels) panel.live(player);
    if (player.model.stages[0].values !== this.spread.values) this.measure(player); // another lane, block or strategy
    this.spreads.hidden = paintable(player.model);
    for (const [part, way] of this.ways) way.hidden = part.hidden;
    if (this.spreads.hidden) return;
    this.histogram(player);
    this.lorenz(player);
  }

  settled(player) {
    for (const panel of this.panels) panel.settled?.(player);
  }

  resized(player) {
    this.live(player);
  }

  scrub(by) {
    for (const panel of this.panels) panel.scrub?.(by);
  }

  histogram({ model, colours }) {
    const { worth, most, median } = this.spread;
    const [all, kept] = [new Array(BINS_OF_VALUE).fill(0), new Array(BINS_OF_VALUE).fill(0)];
    worth.forEach((value, n) => {
      const bin = Math.min(BINS_OF_VALUE - 1, Math.floor((value / (most || 1)) * BINS_OF_VALUE));
      all[bin]++;
      kept[bin] += model.keep.mask[n];
    });
    const tall = Math.log1p(Math.max(...all));
    const ticks = [0, 0.5, 1].map((share) => [share, number(share * most, 2)]);
    const pen = this.graphs[0].begin(colours, { xticks: ticks, xname: "value", yname: "tokens, log scale" });
    if (!pen) return;
    const heights = all.map((n) => (0.92 * Math.log1p(n)) / tall);
    pen.bars(heights, (i) => 2 * kept[i] > all[i]);
    const times = median > 0 ? `${number(most / median, 2)} times the median` : "and the median is 0";
    this.graphs[0].say(`Solid: mostly kept; hatched: mostly dropped. The greatest value is ${number(most, 2)}, ${times}.`);
  }

  lorenz({ model, colours }) {
    const { worth, curve, gini: coefficient } = this.spread;
    const share = model.kept / worth.length;
    const value = keptValue(worth, model.keep.mask);
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((at) => [at, percent(at, 0)]);
    const pen = this.graphs[1].begin(colours, { xticks: ticks, yticks: ticks.slice(1), xname: "tokens, least valuable first", yname: "" });
    if (!pen) return;
    pen.line([[0, 0], [1, 1]], colours.muted, { width: 1, dash: [4, 4] }); // prettier-ignore
    pen.line(curve, colours.accent);
    pen.line([[1 - share, 0], [1 - share, 1]], colours.warm, { width: 1.5, dash: [5, 3] }); // prettier-ignore
    const at = curve[Math.round((1 - share) * worth.length)];
    pen.dot(at[0], at[1], colours.warm);
    pen.words(`Gini ${number(coefficient, 2)}`, 0.02, 0.8, colours.ink);
    this.graphs[1].say(
      `Gini ${number(coefficient, 2)}. The kept ${percent(share)} of the tokens hold ${percent(value)} of the value; ` +
        `the best ${percent(share)} would hold ${percent(1 - at[1])}.`,
    );
  }
}
