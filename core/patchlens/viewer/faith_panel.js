/**
 * Is the map true on this clip? Insertion and deletion curves of the first selector's scores, against chance.
 */
import { el, fill, number, percent } from "./dom.js";
import { Graph } from "./graph.js";

const WAYS = {
  insertion: ["Insertion: the best tokens first", "tokens kept", "higher is truer"],
  deletion: ["Deletion: the best tokens taken away", "tokens taken away", "lower is truer"],
};

export class FaithPanel {
  /** judge(question, spec, signal) asks the server about a plan. */
  constructor(judge) {
    Object.assign(this, { judge, found: null, of: null });
    this.graphs = Object.fromEntries(Object.entries(WAYS).map(([way, [title]]) => [way, new Graph(title)]));
    this.views = el("div.pl-graphs", { hidden: true }, Object.values(this.graphs).map((graph) => graph.node)); // prettier-ignore
    this.button = el("button.pl-button", { type: "button", "data-ask": "faithfulness", onclick: () => this.ask() }, "Measure it on this clip");
    this.says = el("p.pl-note", { role: "status" });
    this.areas = el("table.pl-table");
    const words =
      "Keep the best tokens first and see how soon the answer comes; take the best away first and see how soon it goes. " +
      "A map that is true beats tokens in random order, and its own values dealt out anew.";
    this.node = el("div.pl-part", {}, el("h2", {}, "Is the map true here?"), el("p.pl-note", {}, words), el("div.pl-saves", {}, this.button), this.says, this.views, this.areas);
  }

  build(player) {
    this.player = player;
  }

  live(player) {
    const { name, knobs, setting } = player.model.stages[0];
    const scored = knobs.filter(({ stage }) => stage === "score").map((knob) => setting[knob.name]);
    const of = JSON.stringify([player.model.manifest.report.clip, name, scored]);
    this.node.hidden = player.model.stages[0].name === "chosen"; // painted tokens have no order
    if (of !== this.of) this.clear();
    this.of = of;
    this.draw(player);
  }

  resized(player) {
    this.draw(player);
  }

  clear() {
    this.stop?.abort();
    this.found = null;
    this.views.hidden = true;
    fill(this.areas);
    this.say("");
  }

  say(words, warns = false) {
    this.says.textContent = words;
    this.says.className = warns ? "pl-sign" : "pl-note";
  }

  async ask() {
    const { model } = this.player;
    this.stop?.abort();
    const mine = (this.stop = new AbortController());
    this.button.disabled = true;
    this.say("Running the model on some hundreds of choices …");
    try {
      const { found } = await this.judge("faithfulness", model.spec, mine.signal);
      if (mine.signal.aborted) return;
      this.found = found;
      this.views.hidden = false;
      this.say(found.warning ?? `On this clip the map (${found.unit}) beats random order: its best tokens hold the answer sooner.`, Boolean(found.warning));
      fill(this.areas, areasOf(found));
      this.draw(this.player);
    } catch (error) {
      if (error.name !== "AbortError") this.say(error.message);
    } finally {
      this.button.disabled = false;
    }
  }

  draw({ colours }) {
    if (!this.found) return;
    for (const [way, graph] of Object.entries(this.graphs)) this.curve(way, graph, colours);
  }

  curve(way, graph, colours) {
    const { shares, curves, of, areas } = this.found;
    const yticks = [0, 0.5, 1].map((y) => [0.95 * y, of === "probability" ? percent(y, 0) : number(y, 2)]);
    const pen = graph.begin(colours, { xticks: [0, 0.5, 1].map((x) => [x, percent(x, 0)]), yticks, xname: WAYS[way][1], yname: of });
    if (!pen) return;
    const points = (heights) => heights.map((y, i) => [shares[i], 0.95 * Math.max(0, y)]);
    for (const draw of curves[way].random) pen.line(points(draw), colours.line, { width: 1 });
    pen.line(points(meanOf(curves[way].shuffled)), colours.warm, { width: 1.5, dash: [2, 3] });
    pen.line(points(meanOf(curves[way].random)), colours.muted, { width: 2, dash: [6, 4] });
    pen.line(points(curves[way].map[0]), colours.accent, { width: 2.5 });
    const { map, random } = areas[way];
    graph.say(`Solid: the map, area ${number(map)}; dashed: random order, ${number(random.mean)}; dotted: its values shuffled. ${WAYS[way][2]}.`);
  }
}

function meanOf(draws) {
  return draws[0].map((_, i) => draws.reduce((sum, draw) => sum + draw[i], 0) / draws.length);
}

/** Areas with the interval of one more draw of chance. */
function areasOf({ areas, verdict }) {
  const cell = ({ mean, interval: [low, high] }) => `${number(mean)} [${number(low)}, ${number(high)}]`;
  const row = ([way, area]) =>
    el("tr", {}, el("th", { scope: "row" }, way), el("td", {}, number(area.map)), el("td", {}, cell(area.random)), el("td", {}, cell(area.shuffled)), el("td", {}, verdict[way].random));
  const head = ["area under the curve", "map", "random [95 %]", "shuffled map [95 %]", "against random"];
  return [
    el("thead", {}, el("tr", {}, head.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, Object.entries(areas).map(row)),
  ]; // prettier-ignore
}
