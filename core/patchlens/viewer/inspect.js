/**
 * One patch, closely: its value, rank, fate and run, who keeps it, and its crop through time; a tubelet's values as a table.
 */
import { drawCrops } from "./crops.js";
import { el, fill, number, whole } from "./dom.js";
import { wayOf } from "./motion.js";

/** Where cell `place` is, in words. */
export function placeOf({ manifest: { grid } }, place) {
  return `row ${Math.floor(place / grid[2]) + 1}, column ${(place % grid[2]) + 1}`;
}

/** The facts of token n as [name, value] pairs. */
export function factsOf({ model, lanes }, n) {
  const { size } = model;
  const tubelet = `tubelet ${Math.floor(n / size) + 1} of ${model.manifest.grid[0]}`;
  const facts = [["place", `${placeOf(model, n % size)}, ${tubelet}`]];
  for (const stage of model.stages) {
    const name = model.stages.length > 1 ? `${stage.name}: value` : "value";
    facts.push([name, `${number(stage.values[n])} (${stage.unit})`]);
    facts.push(["rank", `${whole(model.ranks(stage)[n])} of ${whole(stage.values.length)}`]);
  }
  if (lanes.length > 1) facts.push(["kept by", keepers(lanes, n)]);
  else facts.push(["fate", model.keeps(n) ? "kept" : "dropped"]);
  if (model.spans) {
    const from = Math.floor(model.spans.start[n] / size);
    facts.push(["run", `starts at tubelet ${from + 1}, ${whole(model.spans.length[n])} long`]);
  }
  if (model.flow) facts.push(["motion", wayOf(model.flow[2 * n], model.flow[2 * n + 1])]);
  if (model.groups) facts.push(["merged", groupWords(model.groups, n)]);
  return facts;
}

function groupWords({ of, sizes }, n) {
  if (of[n] < 0) return "dropped before or while merging";
  return sizes[n] === 1 ? "with none" : `one of ${whole(sizes[n])} in its group`;
}

/** Letters of the lanes that keep token n. */
function keepers(lanes, n) {
  const letters = lanes.filter(({ model }) => model.keeps(n)).map(({ letter }) => letter);
  return letters.length ? letters.join(", ") : "none";
}

/** The facts of the patch under the cursor (else of the last pin), its crops, and the tubelet's table. */
export class Inspector {
  constructor() {
    this.facts = el("table.pl-table.pl-facts");
    this.canvas = el("canvas.pl-crops", { role: "img" });
    this.hint = el("p.pl-note", {}, "Point at a patch, or move there with the arrow keys; click or Enter pins it.");
    this.said = el("p.pl-said", { "aria-live": "polite" });
    this.node = el("div.pl-inspector", {}, this.hint, this.facts, this.canvas, this.said);
    this.table = el("div", { tabindex: 0, role: "region", "aria-label": "Values" }); // it scrolls
    const summary = el("summary", {}, "This tubelet's values as a table");
    this.details = el("details.pl-details", { ontoggle: () => this.player && this.tabulate() }, summary, this.table);
  }

  live(player) {
    this.player = player;
    this.shown = null;
    this.at(player);
  }

  at(player) {
    const n = player.token;
    const key = `${n} ${player.tubelet}`;
    if (key === this.shown) return;
    this.shown = key;
    this.show(player, n);
    this.tabulate();
  }

  /** Token n and its facts, or the hint for null. */
  show(player, n) {
    this.hint.hidden = n !== null;
    this.canvas.hidden = n === null;
    if (n === null) return void fill(this.facts);
    const facts = factsOf(player, n);
    const row = ([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value));
    fill(this.facts, el("tbody", {}, facts.map(row)));
    if (player.aloud) this.said.textContent = facts.map(([name, value]) => `${name} ${value}`).join("; ");
    drawCrops(this.canvas, player.model, n % player.model.size, player.colours);
  }

  tabulate() {
    if (this.details.open) fill(this.table, valueTable(this.player.model, this.player.tubelet));
  }
}

/** A tubelet's values as rows of numbers, kept ones marked: the heat map for those who cannot see it. */
function valueTable(model, t) {
  const [, h, w] = model.manifest.grid;
  const stage = model.stages[0];
  const cell = (n) => {
    const kept = model.keeps(n);
    return el(kept ? "td.pl-kept" : "td", {}, number(stage.values[n], 2) + (kept ? " ●" : ""));
  };
  const rows = Array.from({ length: h }, (_, y) => {
    const cells = Array.from({ length: w }, (_, x) => cell((t * h + y) * w + x));
    return el("tr", {}, el("th", { scope: "row" }, String(y + 1)), cells);
  });
  const caption = el("caption", {}, `${stage.unit}, tubelet ${t + 1}; ● is kept`);
  return el("table.pl-values", {}, caption, el("tbody", {}, rows));
}
