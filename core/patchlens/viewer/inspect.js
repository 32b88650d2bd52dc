/**
 * One patch, closely: its value, rank, fate and run, and its crop through time; and a tubelet's values as a table.
 */
import { el, fill, number, whole } from "./dom.js";

const CROP = 34;

/** The facts of token n as [name, value] pairs. */
export function factsOf(model, n) {
  const [t, h, w] = model.manifest.grid;
  const [tt, y, x] = [Math.floor(n / (h * w)), Math.floor(n / w) % h, n % w];
  const facts = [["place", `row ${y + 1}, column ${x + 1}, tubelet ${tt + 1} of ${t}`]];
  for (const stage of model.stages) {
    const name = model.stages.length > 1 ? `${stage.name}: value` : "value";
    facts.push([name, `${number(stage.values[n])} (${stage.unit})`]);
    facts.push(["rank", `${whole(model.ranks(stage)[n])} of ${whole(stage.values.length)}`]);
  }
  facts.push(["fate", model.keep.mask[n] ? "kept" : "dropped"]);
  if (model.spans) {
    const from = Math.floor(model.spans.start[n] / (h * w));
    facts.push(["run", `starts at tubelet ${from + 1}, ${whole(model.spans.length[n])} long`]);
  }
  return facts;
}

/** The inspector's part of the panel. */
export class Inspector {
  constructor() {
    this.table = el("table.pl-table.pl-facts");
    this.canvas = el("canvas.pl-crops", { role: "img" });
    this.hint = el("p.pl-note", {}, "Point at a patch, or move there with the arrow keys; click or Enter pins it.");
    this.said = el("p.pl-said", { "aria-live": "polite" });
    this.node = el("div.pl-inspector", {}, this.hint, this.table, this.canvas, this.said);
  }

  /** Show token n and its facts, or the hint for null; `aloud` also tells screen readers. */
  show(model, n, facts, { colours, aloud }) {
    this.hint.hidden = n !== null;
    this.canvas.hidden = n === null;
    if (n === null) return void fill(this.table);
    fill(
      this.table,
      el(
        "tbody",
        {},
        facts.map(([k, v]) => el("tr", {}, el("th", { scope: "row" }, k), el("td", {}, v))),
      ),
    );
    if (aloud) this.said.textContent = facts.map(([k, v]) => `${k} ${v}`).join("; ");
    this.crops(model, n, colours);
  }

  /** The patch with a little of its surroundings, once per tubelet; kept ones are underlined. */
  crops(model, n, colours) {
    const [t, h, w] = model.manifest.grid;
    const { rect, tubelet } = model.manifest;
    const place = n % (h * w);
    const [cw, ch] = [(rect[2] - rect[0]) / w, (rect[3] - rect[1]) / h];
    const [x, y] = [rect[0] + (place % w) * cw, rect[1] + Math.floor(place / w) * ch];
    Object.assign(this.canvas, { width: t * CROP * 2, height: CROP * 2 + 8 });
    const c = this.canvas.getContext("2d");
    for (let i = 0; i < t; i++) {
      const kept = model.keep.mask[i * h * w + place];
      c.drawImage(
        model.pictureOf(i * tubelet),
        x - cw / 2,
        y - ch / 2,
        2 * cw,
        2 * ch,
        i * CROP * 2,
        0,
        CROP * 2 - 4,
        CROP * 2,
      );
      c.fillStyle = kept ? colours.accent : colours.line;
      c.fillRect(i * CROP * 2, CROP * 2 + 3, CROP * 2 - 4, kept ? 5 : 2);
    }
    this.canvas.setAttribute("aria-label", `This place in all ${t} tubelets; where it is kept it is underlined.`);
  }
}

/** A tubelet's values as rows of numbers, kept ones marked: the heat map for those who cannot see it. */
export function valueTable(model, t) {
  const [, h, w] = model.manifest.grid;
  const stage = model.stages[0];
  const rows = Array.from({ length: h }, (_, y) => {
    const cells = Array.from({ length: w }, (_, x) => {
      const n = (t * h + y) * w + x;
      return el(
        model.keep.mask[n] ? "td.pl-kept" : "td",
        {},
        number(stage.values[n], 2) + (model.keep.mask[n] ? " ●" : ""),
      );
    });
    return el("tr", {}, el("th", { scope: "row" }, String(y + 1)), cells);
  });
  const caption = el("caption", {}, `${stage.unit}, tubelet ${t + 1}; ● is kept`);
  return el("table.pl-values", {}, caption, el("tbody", {}, rows));
}
