/**
 * Principle 5 as it was measured: what half the tokens cost, by how hard a class is and by how hard a clip was drawn.
 */
import { el, fill, number, percent } from "./dom.js";
import { Graph } from "./graph.js";

const [MOST_ERROR, LEAST_LOST, MOST_LOST] = [0.12, -0.02, 0.08]; // the axes, unless the data need more

export class Hardness {
  /** `measured`: by encoder, the findings of `patchlens principles`. */
  constructor(measured) {
    this.measured = measured;
    this.graphs = [new Graph("Classes: difficulty and loss"), new Graph("Clips by how hard they were drawn")];
    this.words = el("p.pl-note");
    this.table = el("table.pl-values");
    const summary = el("summary", {}, "The classes as a table");
    const details = el("details.pl-details", {}, summary, el("div", { tabindex: 0, role: "region", "aria-label": "Classes" }, this.table));
    const views = el("div.pl-graphs", {}, this.graphs.map((graph) => graph.node)); // prettier-ignore
    this.node = el("div.pl-hardness", {}, this.words, views, details);
  }

  live({ model, colours }) {
    const { name } = model.manifest.report.encoder;
    const told = Object.hasOwn(this.measured, name) ? this.measured[name] : null;
    const found = told?.principles.find(({ number: each }) => each === 5);
    this.node.hidden = !found?.figures.classes;
    if (this.node.hidden) return;
    if (this.shown !== name) this.tell(found, told.n);
    this.shown = name;
    this.classes(found.figures, colours);
    this.thirds(found.figures, colours);
  }

  tell({ claim, verdict, figures }, n) {
    this.words.textContent = `Over ${n} held-out clips, with a random half of the tokens. “${claim.replace(/\.$/, "")}”: ${verdict}.`;
    const row = ([name, { n: clips, top1, drop }]) =>
      el("tr", {}, el("th", { scope: "row" }, name), [clips, percent(top1), number(100 * drop, 3)].map((cell) => el("td", {}, cell)));
    const head = ["class", "clips", "right, all tokens", "points lost at half"];
    const byError = Object.entries(figures.classes).sort(([, a], [, b]) => a.top1 - b.top1);
    fill(this.table, el("thead", {}, el("tr", {}, head.map((cell) => el("th", { scope: "col" }, cell)))), el("tbody", {}, byError.map(row)));
  }

  classes({ classes, slope }, colours) {
    const all = Object.entries(classes).map(([name, { top1, drop }]) => ({ name, error: 1 - top1, drop }));
    const right = Math.max(MOST_ERROR, ...all.map(({ error }) => error));
    const y = scaleOf(all.map(({ drop }) => drop));
    const xticks = [0, 0.5, 1].map((at) => [at, percent(at * right, 0)]);
    const pen = this.graphs[0].begin(colours, { xticks, yticks: y.ticks, xname: "wrong with all tokens", yname: "points lost" });
    if (!pen) return;
    pen.line([[0, y.at(0)], [1, y.at(0)]], colours.muted, { width: 1 }); // prettier-ignore
    const places = new Map();
    for (const each of all) {
      const key = `${each.error} ${each.drop}`;
      places.set(key, [...(places.get(key) ?? []), each]);
    }
    for (const here of places.values()) {
      const [{ error, drop, name }] = here;
      const x = error / right;
      pen.dot(x, y.at(drop), colours.accent, 3 + here.length);
      const far = drop > 0.05 || error > 0.09;
      if (far && here.length === 1) pen.words(name, x, y.at(drop) - 0.04, colours.ink, x > 0.5 ? "right" : "left");
    }
    const { mean, interval } = slope;
    this.graphs[0].say(
      `One dot a class, larger where several fall together. Points lost per point of difficulty: ${number(mean, 2)} ` +
        `[${interval.map((end) => number(end, 2)).join(", ")}], so ${interval[0] > 0 ? "harder classes lose more" : interval[1] < 0 ? "harder classes lose less" : "the slope is undecided"}.`,
    );
  }

  thirds({ drop_by_difficulty: thirds }, colours) {
    this.graphs[1].node.hidden = !thirds;
    if (!thirds) return;
    const rows = Object.entries(thirds);
    const y = scaleOf(rows.flatMap(([, { interval }]) => interval));
    const xticks = rows.map(([name], i) => [(i + 0.5) / rows.length, name]);
    const pen = this.graphs[1].begin(colours, { xticks, yticks: y.ticks, xname: "third of the clips", yname: "points lost" });
    if (!pen) return;
    pen.line([[0, y.at(0)], [1, y.at(0)]], colours.muted, { width: 1 }); // prettier-ignore
    rows.forEach(([, { mean, interval }], i) => {
      const x = (i + 0.5) / rows.length;
      pen.line(interval.map((end) => [x, y.at(end)]), colours.accent, { width: 1.5 }); // prettier-ignore
      pen.dot(x, y.at(mean), colours.accent, 5);
    });
    const one = ([name, { mean, interval }]) => `${name} ${number(100 * mean, 2)} [${interval.map((end) => number(100 * end, 2)).join(", ")}]`;
    this.graphs[1].say(
      `${rows.map(one).join(", ")}; bars are 95 % intervals. Harder: more distractors, camera, noise, less contrast, smaller things.`,
    );
  }
}

/** A vertical scale for points lost that holds these values: where one lies, and ticks every two points. */
function scaleOf(values) {
  const [low, high] = [Math.min(LEAST_LOST, ...values), Math.max(MOST_LOST, ...values)];
  const at = (value) => (0.96 * (value - low)) / (high - low) + 0.02;
  const ticks = Array.from({ length: 11 }, (_, i) => (2 * i - 4) / 100).filter((tick) => tick >= low - 1e-9 && tick <= high + 1e-9);
  return { at, ticks: ticks.map((tick) => [at(tick), String(Math.round(100 * tick)).replace("-", "−")]) };
}
