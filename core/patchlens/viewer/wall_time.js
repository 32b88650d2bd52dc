/**
 * What fewer tokens bring in seconds: the speed-up that `patchlens bench` measured against the one that GMACs promise.
 */
import { el, number, percent, whole } from "./dom.js";
import { Graph } from "./graph.js";

export class WallTime {
  /** benches: [{encoder, dtype, batch, machine, date, command, rows}]; the first is drawn, all are in the table. */
  constructor(benches) {
    this.bench = benches[0];
    this.graph = new Graph("What it saves in seconds");
    const table = el("div.pl-scroll", { tabindex: 0, role: "region", "aria-label": "Wall time" }, benches.map(tableOf));
    this.graph.node.append(el("details.pl-details", {}, el("summary", {}, "As a table"), table));
  }

  draw({ colours }) {
    const { rows, encoder, dtype, batch, machine, date } = this.bench;
    const most = Math.ceil(Math.max(...rows.flatMap(({ speedup, gmacs_ratio: ratio }) => [speedup, ratio])));
    const share = (times) => (times - 1) / (most - 1);
    const ticks = Array.from({ length: most }, (_, i) => [share(i + 1), `${i + 1}x`]);
    const pen = this.graph.begin(colours, { xticks: ticks, yticks: ticks.slice(1), xname: "GMACs, full / reduced", yname: "speed-up" });
    if (!pen) return;
    pen.line([[0, 0], [1, 1]], colours.muted, { width: 1, dash: [2, 3] }); // prettier-ignore
    const names = [...new Set(rows.map(({ selector }) => selector))];
    names.forEach((name, i) => {
      const own = rows.filter(({ selector }) => selector === name).sort((a, b) => a.gmacs_ratio - b.gmacs_ratio);
      const points = own.map((row) => [share(row.gmacs_ratio), share(row.speedup)]);
      const colour = [colours.accent, colours.warm, colours.ink, colours.muted][i % 4];
      pen.line(points, colour, { width: 1.5, dash: DASHES[i % DASHES.length] });
      for (const [x, y] of points) pen.dot(x, y, colour, 3.5);
      this.key(pen, name, i, colour);
    });
    const [worst, best] = [Math.min, Math.max].map((of) => number(of(...rows.map(({ efficiency }) => efficiency)), 3));
    this.graph.say(
      `${encoder} on random weights, batch ${batch}, ${dtype}, selector and packing included: speed-up over promised ` +
        `speed-up (dotted) is ${worst} to ${best}. ${machine}, ${date}; not this clip.`,
    );
  }

  /** A line of the legend, in the corner that the curves leave free. */
  key(pen, name, i, colour) {
    const y = 0.93 - i * 0.09;
    pen.line([[0.03, y], [0.11, y]], colour, { width: 1.5, dash: DASHES[i % DASHES.length] }); // prettier-ignore
    pen.words(name, 0.11, y - 0.07, pen.colours.ink);
  }
}

const DASHES = [[], [6, 4], [2, 3], [8, 3, 2, 3]];

function tableOf({ rows, dtype, command }) {
  const head = ["selector", "tokens", "kept", "s per batch", "speed-up", "GMAC ratio", "efficiency"];
  const row = (r) => {
    const cells = [`${whole(r.tokens)} of ${whole(r.of)}`, percent(r.kept, 0), number(r.seconds, 3)];
    cells.push(...[r.speedup, r.gmacs_ratio, r.efficiency].map((value) => number(value, 3)));
    return el("tr", {}, el("th", { scope: "row" }, r.selector), cells.map((cell) => el("td", {}, cell)));
  };
  const top = el("tr", {}, head.map((name) => el("th", { scope: "col" }, name)));
  const table = el("table.pl-table", {}, el("thead", {}, top), el("tbody", {}, rows.map(row)));
  return el("div", {}, el("p.pl-note.pl-command", {}, `${dtype}: `, el("code", {}, command)), table);
}
