/**
 * How far two lanes agree: sets and scores compared, by numbers and on the page, where it also is the difference's legend.
 */
import { BOTH, FIRST, NEITHER, SECOND } from "./differ.js";
import { el, fill, number, percent, whole } from "./dom.js";
import { section } from "./panel.js";

/** For every token who keeps it: neither, only the first, only the second, both. */
export function sidesOf(first, second) {
  return first.map((kept, n) => kept * FIRST + second[n] * SECOND);
}

/** {n, both, first, second, neither, jaccard, chance: {both, jaccard}} of two masks of the same tokens. */
export function overlapOf(first, second) {
  const counts = [0, 0, 0, 0];
  for (const side of sidesOf(first, second)) counts[side]++;
  const [n, both] = [first.length, counts[BOTH]];
  const [one, two] = [both + counts[FIRST], both + counts[SECOND]];
  return {
    n,
    both,
    first: counts[FIRST],
    second: counts[SECOND],
    neither: counts[NEITHER],
    jaccard: both / (one + two - both),
    chance: { both: (one * two) / n, jaccard: chanceJaccard(n, one, two) },
  };
}

/** Expected Jaccard index of random sets of a and b tokens among n: the overlap is hypergeometric. */
function chanceJaccard(n, a, b) {
  const [least, most] = [Math.max(0, a + b - n), Math.min(a, b)];
  const start = Math.min(most, Math.max(least, Math.floor(((a + 1) * (b + 1)) / (n + 2)))); // the likeliest overlap
  let [weights, sum] = [0, 0];
  const add = (overlap, weight) => {
    weights += weight;
    sum += (weight * overlap) / (a + b - overlap);
  };
  const ratio = (i) => ((a - i) * (b - i)) / ((i + 1) * (n - a - b + i + 1)); // of i + 1 to i
  add(start, 1);
  for (let i = start, weight = 1; i < most && weight > 1e-15; i++) add(i + 1, (weight *= ratio(i)));
  for (let i = start - 1, weight = 1; i >= least && weight > 1e-15; i--) add(i, (weight /= ratio(i)));
  return sum / weights;
}

/** Spearman's rank correlation of two stages' values, ties at their mean rank; NaN where one is constant. */
export function spearman(one, two) {
  const [a, b] = [one, two].map(midranks);
  const mean = (a.length + 1) / 2;
  let [ab, aa, bb] = [0, 0, 0];
  for (let n = 0; n < a.length; n++) {
    ab += (a[n] - mean) * (b[n] - mean);
    aa += (a[n] - mean) ** 2;
    bb += (b[n] - mean) ** 2;
  }
  return ab / Math.sqrt(aa * bb);
}

/** Ranks 1..N by value, the best first; equal values share their mean rank. */
function midranks({ values, order }) {
  const ranks = new Float64Array(values.length);
  for (let from = 0, to = 0; from < order.length; from = to) {
    while (to < order.length && values[order[to]] === values[order[from]]) to++;
    for (let i = from; i < to; i++) ranks[order[i]] = (from + 1 + to) / 2;
  }
  return ranks;
}

const HEAD = ["", "", "tokens", "share", "chance"];

/** The section of the side panel; hidden while there is one lane. */
export class Agreement {
  constructor() {
    this.table = el("table.pl-table.pl-agreement");
    const words = "Chance: random sets with these two token counts. Jaccard: kept by both over kept by either.";
    this.node = section("Agreement", this.table, el("p.pl-note", {}, words));
    this.heading = this.node.firstChild;
  }

  build({ lanes }) {
    this.node.hidden = lanes.length < 2;
  }

  live({ pair }) {
    if (!pair) return;
    const [one, two] = pair;
    const made = overlapOf(one.model.keep.mask, two.model.keep.mask);
    const scores = this.correlation(one.model.stages[0], two.model.stages[0]);
    const { letter: a } = one;
    const { letter: b } = two;
    this.heading.textContent = `Agreement of ${a} and ${b}`;
    const share = (kind, name, count, more = "") =>
      figures(swatch(kind, { first: a, second: b }[kind]), name, whole(count), percent(count / made.n), more);
    fill(
      this.table,
      el("thead", {}, el("tr", {}, HEAD.map((name) => el("th", { scope: "col" }, name)))),
      el(
        "tbody",
        {},
        share("both", "kept by both", made.both, whole(made.chance.both)),
        share("first", `only ${a}`, made.first),
        share("second", `only ${b}`, made.second),
        share("neither", "neither", made.neither),
        figures("", "Jaccard index", "", number(made.jaccard), number(made.chance.jaccard)),
        figures("", "Spearman of scores", "", number(scores), "0"),
      ),
    );
  }

  /** Scores do not move with the sliders: correlated once for two stages. */
  correlation(one, two) {
    const same = this.known?.one === one.values && this.known.two === two.values;
    if (!same) this.known = { one: one.values, two: two.values, value: spearman(one, two) };
    return this.known.value;
  }
}

function figures(mark, name, ...numbers) {
  const cells = numbers.map((text) => el("td", {}, text));
  return el("tr", {}, el("td.pl-swatch-cell", {}, mark), el("th", { scope: "row" }, name), cells);
}

/** A patch of the difference map. */
export function swatch(kind, letter) {
  return el(`span.pl-swatch.pl-swatch-${kind}`, { "data-lane": letter, "aria-hidden": "true" });
}
