/**
 * The room of residual tokens: which frames are I-frames, what the P-frames between them keep, what the residual token adds
 * to them, what a frame costs, and whether a sentence still finds its moment.
 */
import { CostPanel } from "./cost_panel.js";
import { el, fill, percent } from "./dom.js";
import { Graph } from "./graph.js";
import { shotStarts } from "./leaning_figures.js";
import { frameNumbers, LeaningPanel, markFrame } from "./leaning_panel.js";
import { SentencePanel } from "./sentence_panel.js";

const LETTERED = 13; // pixels a frame from which on each is named
// What P-frames may save instead, behind the same N
const ECONOMIES = [
  ["few patches and a token", "p=0.85"],
  ["few, evenly spread, no token", "p=0.85,drop=motion:steps=4,residual=off"],
  ["half the resolution", "p=0,scale=0.5"],
  ["merged tokens", "p=0+tome:r=22"],
];

export class ResidualRoom {
  /** judge(question, spec, signal) and ground(sentence, spec, signal) ask the server; known(name) as SentencePanel has it. */
  constructor({ judge, ground, known }) {
    this.none = el("p.pl-note", { role: "status" });
    this.ways = el("div.pl-saves");
    this.graph = new Graph("I- and P-frames, and what they keep");
    this.cost = new CostPanel();
    this.leaning = new LeaningPanel(judge, (found) => {
      this.cost.take(found);
      if (found && this.player) this.cost.live(this.player);
    });
    this.sentence = new SentencePanel(ground, known);
    for (const graph of [this.graph, ...this.leaning.graphs]) graph.clicked((share) => this.player.seek(Math.floor(share * this.player.model.counts.length)));
    const saving = el("div.pl-part", {}, el("div.pl-saves", {}, el("span.pl-note", {}, "P-frames save by"), this.ways), this.graph.node);
    this.views = el("div.pl-room-views", {}, saving, this.leaning.node, this.sentence.node, this.cost.node);
    this.node = el("section.pl-section", { "aria-label": "Residual tokens" }, this.none, this.views);
  }

  build(player) {
    this.player = player;
    if (!player.model.keep.anchor) return;
    this.sentence.build(player);
    const { n } = player.model.stages[0].setting;
    const button = ([words, rest]) => el("button.pl-button", { type: "button", onclick: () => player.host.run?.(`residualvit:n=${n},${rest}`) }, words);
    fill(this.ways, ECONOMIES.map(button));
  }

  live(player) {
    const words = whatLacks(player.model);
    this.none.textContent = words ?? "";
    this.none.hidden = !words;
    this.views.hidden = !player.model.keep.anchor;
    if (this.views.hidden) return this.leaning.clear();
    this.cost.live(player);
    this.draw(player);
    this.settled(player);
  }

  at(player) {
    if (!this.views.hidden) this.draw(player);
  }

  /** What was measured last is looked into, unless the sliders have moved on. */
  settled(player) {
    const { model } = player;
    if (!model.keep.anchor || model.spec !== model.measured.spec) return;
    this.leaning.ask(player);
    this.sentence.settled(player);
  }

  resized(player) {
    this.at(player);
  }

  draw(player) {
    this.timeline(player.model, player.colours, player.tubelet);
    this.leaning.draw(player);
    this.sentence.draw(player);
  }

  timeline(model, colours, here) {
    const { keep, counts, size } = model;
    const t = counts.length;
    const shares = counts.map((count) => count / size);
    const yticks = [0.5, 1].map((share) => [0.86 * share, percent(share, 0)]);
    const pen = this.graph.begin(colours, { xticks: frameNumbers(t), yticks, xname: "frame", yname: "patches kept" });
    if (!pen) return;
    const intra = (i) => keep.anchor[i] === i;
    pen.bars(shares.map((share) => 0.86 * share), () => true); // prettier-ignore
    const name = (share, i) => pen.words(intra(i) ? "I" : "P", (i + 0.5) / t, 0.86 * share, intra(i) ? colours.ink : colours.muted, "center");
    if (pen.wide(t * LETTERED)) shares.forEach(name);
    for (const start of shotStarts(model)) pen.line([[start / t, 0], [start / t, 1]], colours.ink, { width: 1.5, dash: [2, 3] }); // prettier-ignore
    markFrame(pen, (here + 0.5) / t, colours);
    this.graph.say(this.words(model, here, shares, intra));
  }

  words(model, here, shares, intra) {
    const { keep, merging, merger, counts } = model;
    const leaning = shares.map((_, i) => i).filter((i) => !intra(i));
    const wholes = shares.length - leaning.length;
    const mean = leaning.reduce((sum, i) => sum + shares[i], 0) / Math.max(1, leaning.length);
    const coarse = keep.coarse ? ` They are seen at lower resolution, in ${keep.coarse.join(" × ")} patches.` : "";
    const left = merging && Math.round((merging.left - counts.reduce((sum, k, i) => sum + (intra(i) ? k : 0), 0)) / Math.max(1, leaning.length));
    const merged = merging ? ` ${merger} leaves ${left} tokens of each at the last block.` : "";
    const one = intra(here) ? "; this one is an I-frame." : `; this one leans on frame ${keep.anchor[here] + 1}.`;
    return `${wholes} I-frames are encoded whole; ${leaning.length} P-frames keep ${percent(mean)} of their patches${one}${coarse}${merged}`;
  }
}

/** What this room would need and the run on screen does not have, in one sentence; null where all is there. */
function whatLacks({ manifest, keep }) {
  const { name } = manifest.report.encoder;
  if (!manifest.per_frame) return `${name} looks at the whole clip at once; this room needs an encoder that takes frame by frame.`;
  if (!keep.anchor) return "This plan has no I- and P-frames; choose the selector residualvit.";
  const without = keep.residual === "off" || keep.residual === "zero";
  return without ? "The P-frames get no residual token here: they know of their I-frame nothing at all." : null;
}
