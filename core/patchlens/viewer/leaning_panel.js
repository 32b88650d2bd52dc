/**
 * What the residual token adds: each frame's cosine to the full run with it and without it, and the difference; and whether
 * P-frames do better than to repeat their I-frame's feature, which would cost nothing.
 *
 * Cuts and I-frames follow the sliders; the cosines are those of the last run, and say so while the sliders have moved.
 */
import { el, number, whole } from "./dom.js";
import { Graph } from "./graph.js";
import { meanOfLeaning, shotStarts } from "./leaning_figures.js";
import { brief } from "./plan.js";

const MOST_HELD = 24; // answers held
const DOTTED = 7; // pixels a frame from which on each has a dot

export class LeaningPanel {
  /** judge(question, spec, signal) asks the server about a plan; told(found) hears every answer, null while there is none. */
  constructor(judge, told) {
    Object.assign(this, { judge, told, held: new Map(), found: null });
    this.graphs = [new Graph("Cosine to the full run, with and without the token"), new Graph("What the token adds")];
    this.says = el("p.pl-note", { role: "status" });
    this.node = el("div.pl-part", {}, this.says, this.graphs.map((graph) => graph.node)); // prettier-ignore
  }

  /** Show what is known of the last measured plan, and ask for what is not. */
  async ask(player) {
    const { model } = player;
    const clip = JSON.stringify([model.manifest.report.clip, model.manifest.report.encoder]);
    const of = model.measured.spec + clip;
    if (of === this.of) return;
    if (clip !== this.clip) this.clear();
    Object.assign(this, { of, clip });
    this.stop?.abort();
    if (this.held.has(of)) return this.take(player, this.held.get(of));
    const mine = (this.stop = new AbortController());
    this.say("Running the P-frames without the token …");
    try {
      const { found } = await this.judge("residual", model.measured.spec, mine.signal);
      if (this.held.size >= MOST_HELD) this.held.delete(this.held.keys().next().value);
      this.held.set(of, found);
      if (this.of === of) this.take(player, found);
    } catch (error) {
      if (this.of !== of) return; // another plan's is under way
      this.of = null;
      if (error.name !== "AbortError") this.say(error.message);
    }
  }

  take(player, found) {
    this.found = found;
    this.say("");
    this.told(found);
    this.draw(player);
  }

  say(words) {
    this.says.textContent = words;
    this.says.hidden = !words;
  }

  /** What was found is of another clip. */
  clear() {
    this.stop?.abort();
    Object.assign(this, { found: null, of: null });
    this.told(null);
  }

  draw(player) {
    const { model } = player;
    const fits = this.found && this.found.intra.length === model.counts.length;
    for (const { node } of this.graphs) node.hidden = !fits;
    if (!fits) return;
    this.graphs[1].node.hidden = !this.found.adds;
    const old = model.spec === this.found.plan ? "" : ` As measured with ${brief(this.found.plan)}.`;
    this.cosines(player, old);
    if (this.found.adds) this.difference(player, old);
  }

  cosines({ model, colours, tubelet }, old) {
    const { found } = this;
    const { intra, without, held } = found;
    const t = intra.length;
    const low = floorOf(Math.min(0.9, ...without, ...held, ...(found.with ?? [])));
    const at = (cosine) => (0.94 * (cosine - low)) / (1 - low);
    const yticks = [low, (1 + low) / 2, 1].map((cosine) => [at(cosine), number(cosine, 2)]);
    const pen = this.graphs[0].begin(colours, { xticks: frameNumbers(t), yticks, xname: "frame", yname: "cosine" });
    if (!pen) return;
    for (let i = 0; i < t; i++) if (intra[i]) pen.ground(i / t, (i + 1) / t, colours.soft);
    this.cuts(pen, model, colours, t);
    const points = (values) => values.map((y, i) => [(i + 0.5) / t, at(y)]);
    const among = (all) => all.filter((_, i) => !intra[i]);
    const roomy = pen.wide(t * DOTTED);
    const [bare, given] = [without, found.with].map((values) => values && points(values));
    pen.line(among(points(held)), colours.muted, { width: 2, dash: [2, 3] });
    pen.line(among(bare), colours.warm, { width: 1.5, dash: [5, 3] });
    if (given) pen.line(among(given), colours.accent, { width: 2 });
    if (roomy) for (const [x, y] of among(bare)) pen.dot(x, y, colours.warm, 3);
    if (roomy && given) for (const [x, y] of among(given)) pen.dot(x, y, colours.accent, 4);
    markFrame(pen, (tubelet + 0.5) / t, colours);
    const mean = (values) => number(meanOfLeaning(values, intra), 3);
    const named = found.token === "zero" ? "a token of zeros" : "the token";
    const words = given
      ? `P-frames, on average: ${mean(found.with)} with ${named} (solid), ${mean(without)} without (dashed).`
      : `P-frames, on average: ${mean(without)} (dashed). ${model.manifest.report.encoder.name} has no residual tokenizer.`;
    const skipped = ` Not looked at, with the I-frame's feature in place of their own: ${mean(held)} (dotted).`;
    this.graphs[0].say(`${words}${skipped} Shaded frames are I-frames, the same in all.${cutWords(model)}${old}`);
  }

  difference({ model, colours, tubelet }, old) {
    const { adds, intra } = this.found;
    const t = adds.length;
    const [low, high] = [floorOf(Math.min(0, ...adds)), ceilOf(Math.max(0.1, ...adds))];
    const at = (value) => (0.94 * (value - low)) / (high - low);
    const ticks = [...new Set([low, 0, high])];
    const yticks = ticks.map((value) => [at(value), number(value, 2)]);
    const pen = this.graphs[1].begin(colours, { xticks: frameNumbers(t), yticks, xname: "frame", yname: "cosine gained" });
    if (!pen) return;
    for (let i = 0; i < t; i++) if (intra[i]) pen.ground(i / t, (i + 1) / t, colours.soft);
    this.cuts(pen, model, colours, t);
    adds.forEach((value, i) => !intra[i] && pen.bar(i / t, (i + 1) / t, at(0), at(value), value < 0));
    markFrame(pen, (tubelet + 0.5) / t, colours);
    const leaning = adds.filter((_, i) => !intra[i]);
    const worse = leaning.filter((value) => value < 0).length;
    const mean = number(meanOfLeaning(adds, intra), 2);
    this.graphs[1].say(
      `The token adds ${mean} of cosine to a P-frame on average; it takes away in ${whole(worse)} of ${whole(leaning.length)} ` +
        `(hatched, below the line).${old}`,
    );
  }

  cuts(pen, model, colours, t) {
    for (const start of shotStarts(model)) {
      pen.line([[start / t, 0], [start / t, 1]], colours.ink, { width: 1.5, dash: [2, 3] }); // prettier-ignore
      pen.words("cut", start / t, 0.98, colours.ink, start / t > 0.9 ? "right" : "left");
    }
  }
}

function cutWords(model) {
  const cuts = shotStarts(model);
  if (!cuts.length) return "";
  const numbers = cuts.map((t) => t + 1).join(", ");
  return ` A new shot begins at frame ${numbers} (upright).`;
}

const floorOf = (x) => Math.floor(10 * x) / 10;
const ceilOf = (x) => Math.ceil(10 * x) / 10;

/** Ticks that number frames from 1, at most a dozen. */
export function frameNumbers(t) {
  const every = Math.ceil(t / 12);
  return Array.from({ length: t }, (_, i) => [(i + 0.5) / t, String(i + 1)]).filter((_, i) => i % every === 0);
}

/** A line where the shown frame is. */
export function markFrame(pen, x, colours) {
  pen.line([[x, 0], [x, 1]], colours.warm, { width: 1, dash: [4, 3] }); // prettier-ignore
}
