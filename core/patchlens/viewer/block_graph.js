/**
 * Accuracy with the oracle's best tokens by block, for each keep ratio that was measured, beside random and all tokens.
 */
import { number, percent } from "./dom.js";
import { Graph } from "./graph.js";

const BLOCK_TALL = 0.92; // of the plotted area at 100 %
const ROOMY = 480; // pixels from which on there is room for words between the last block and the mean

export class BlockGraph {
  /** pick(place) is called with the block that was clicked. */
  constructor(pick) {
    this.graph = new Graph("Accuracy with the oracle's best tokens, by block", {
      onclick: (event) => {
        const place = Math.floor(this.graph.shareAt(event) * this.places);
        if (place >= 0 && place < this.places) pick(place);
      },
    });
    this.graph.canvas.classList.add("pl-pickable");
    this.node = this.graph.node;
  }

  /** Draw a stack's table for a way's gradient and sign and a kind of label, its place marked; `plain`: the map is one of the table's. */
  draw(stack, way, { label, plain }, colours) {
    const { place: marked } = way;
    this.places = stack.blocks + 1;
    const x = (place) => (place + 0.5) / this.places;
    const xticks = Array.from({ length: this.places }, (_, i) => [x(i), i < stack.blocks ? String(i) : "mean"]);
    const yticks = [0, 0.25, 0.5, 0.75, 1].map((y) => [BLOCK_TALL * y, percent(y, 0)]);
    const pen = this.graph.begin(colours, { xticks, yticks, xname: "block", yname: "right" });
    if (!pen) return;
    if (marked !== null) pen.line([[x(marked), 0], [x(marked), 1]], colours.warm, { width: 1.5, dash: [5, 3] }); // prettier-ignore
    const chance = stack.chance(label);
    const ratios = Object.keys(chance).sort((a, b) => b - a);
    const { all_tokens: all } = stack;
    if (all) pen.line([[0, BLOCK_TALL * all.top1], [1, BLOCK_TALL * all.top1]], colours.ink, { width: 1 }); // prettier-ignore
    ratios.forEach((ratio, i) => {
      const [colour, dash] = i ? [colours.muted, [2, 3]] : [colours.accent, []];
      const y = BLOCK_TALL * chance[ratio].mean;
      pen.line([[0, y], [1, y]], colour, { width: 1.5, dash: [7, 5] }); // prettier-ignore
      if (pen.wide(ROOMY)) pen.words(`random ${percent(ratio, 0)}`, x(stack.blocks) - 0.01, y - 0.115, colour, "right");
      const rates = Array.from({ length: this.places }, (_, place) => stack.measured({ ...way, place }, label)[ratio]);
      pen.line(rates.slice(0, stack.blocks).map(({ mean }, place) => [x(place), BLOCK_TALL * mean]), colour, { width: 2, dash }); // prettier-ignore
      rates.forEach(({ mean, low, high }, place) => {
        pen.line([[x(place), BLOCK_TALL * low], [x(place), BLOCK_TALL * high]], colour, { width: 1 }); // prettier-ignore
        pen.dot(x(place), BLOCK_TALL * mean, colour, place === marked ? 6 : 4 - i);
      });
    });
    const other = plain ? "" : " Measured on maps as they are, not as this one is cleaned.";
    this.graph.say(wordsOf(stack, way, label, ratios) + other);
  }
}

/** The marked place in numbers, and what the lines are. */
function wordsOf(stack, way, label, ratios) {
  const { place: marked } = way;
  const [most, least] = ratios.map((ratio) => percent(ratio, 0));
  const all = stack.all_tokens ? `; thin line: all tokens, ${percent(stack.all_tokens.top1)} on other clips` : "";
  const key = `Solid: the best ${most} of the tokens; dotted: ${least}; dashes: as many random ones${all}. `;
  const from = `${stack.clips} validation clips, the ${label} label; bars are 95 % intervals.`;
  if (marked === null) return key + from;
  const [rates, chance] = [stack.measured(way, label), stack.chance(label)];
  const one = (ratio) => {
    const { mean, low, high } = rates[ratio];
    const points = 100 * (mean - chance[ratio].mean);
    const against = `random ${percent(chance[ratio].mean)}, so ${points < 0 ? "−" : "+"}${number(Math.abs(points), 2)} points`;
    return `with ${percent(ratio, 0)} of the tokens ${percent(mean)} [${percent(low)}, ${percent(high)}] (${against})`;
  };
  return `${blockName(stack, marked, true)}: ${ratios.map(one).join("; ")}. ${key}${from}`;
}

/** A place in words. */
export function blockName(stack, place, starts = false) {
  const name = place === stack.blocks ? `mean of blocks 0 to ${stack.blocks - 1}` : `block ${place}`;
  return starts ? name[0].toUpperCase() + name.slice(1) : name;
}
