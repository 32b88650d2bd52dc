/**
 * The packed sequence: segments one behind the other, nothing padded, and the block-diagonal mask that keeps them apart.
 */
import { whole, percent } from "./dom.js";
import { Graph } from "./graph.js";
import { hatch, scale } from "./palette.js";

const STRIP = 10; // CSS pixels of the bar above the mask, in which tubelets have their colours

/**
 * What is packed: {name, length, tubelets: tokens of each}. Frames of a frame encoder are segments of their own; of a
 * space-time encoder every plan's clip is one, and one plan alone is packed beside the same clip in full.
 */
export function packedSegments(models) {
  const [first] = models;
  if (first.manifest.per_frame) {
    return first.counts.flatMap((length, t) => (length ? [{ name: `frame ${t + 1}`, length, tubelets: [[t, length]] }] : []));
  }
  const full = models.length > 1 ? [] : [{ name: "all tokens", counts: first.counts.map(() => first.size) }];
  return [...models.map(({ spec, counts }) => ({ name: spec, counts })), ...full].map(({ name, counts }) => ({
    name,
    length: counts.reduce((x, y) => x + y, 0),
    tubelets: counts.map((length, t) => [t, length]),
  }));
}

/** Of all pairs of tokens in the sequence, the share that may attend to each other. */
export function attending(segments) {
  const total = segments.reduce((sum, { length }) => sum + length, 0);
  return segments.reduce((sum, { length }) => sum + length ** 2, 0) / total ** 2;
}

export class PackedSequence {
  constructor() {
    this.graph = new Graph("Packed, and who attends to whom");
  }

  draw({ lanes, model, colours }) {
    const segments = packedSegments(model.manifest.per_frame ? [model] : lanes.map((lane) => lane.model));
    const total = segments.reduce((sum, { length }) => sum + length, 0);
    const pen = this.graph.begin(colours, { frame: false });
    if (!pen) return;
    const { area } = pen;
    const side = Math.min(area.x1 - area.x0, area.y0 - area.y1 - STRIP - 4);
    this.place = { x: area.x0, y: area.y1 + STRIP + 4, side, total };
    this.mask(pen, segments);
    this.strip(pen, segments, model.counts.length);
    this.names(pen, segments);
    this.graph.say(this.words(segments, total, model));
  }

  /** Squares of pairs that attend to each other; hatched is what the mask rules out. */
  mask({ context, colours }, segments) {
    const { x, y, side, total } = this.place;
    context.fillStyle = hatch(context, colours.line, 5, 1);
    context.fillRect(x, y, side, side);
    let from = 0;
    for (const { length } of segments) {
      const [at, wide] = [(from / total) * side, (length / total) * side];
      context.fillStyle = colours.accent;
      context.fillRect(x + at, y + at, Math.max(1, wide - 1), Math.max(1, wide - 1));
      from += length;
    }
  }

  /** The sequence itself, early tubelets dark and late ones bright. */
  strip({ context, area }, segments, t) {
    const { x, side, total } = this.place;
    let from = 0;
    for (const { tubelets } of segments) {
      for (const [tubelet, length] of tubelets) {
        context.fillStyle = `rgb(${scale((tubelet + 1) / t).join(" ")})`;
        context.fillRect(x + (from / total) * side, area.y1, Math.max(0.5, (length / total) * side - 0.5), STRIP);
        from += length;
      }
    }
  }

  /** Beside each square what it is, where there is room. */
  names({ context, colours, area }, segments) {
    const { x, y, side, total } = this.place;
    Object.assign(context, { font: "11px ui-sans-serif, system-ui, sans-serif", fillStyle: colours.ink, textAlign: "left", textBaseline: "middle" });
    let from = 0;
    let last = -Infinity;
    for (const { name, length } of segments) {
      const middle = y + ((from + length / 2) / total) * side;
      from += length;
      if (middle - last < 13) continue;
      last = middle;
      context.fillText(`${whole(length)}: ${name}`, x + side + 8, middle, Math.max(20, area.x1 - x - side - 8));
    }
  }

  words(segments, total, { manifest, kept, keep }) {
    const share = percent(attending(segments), 0);
    const head = `${whole(total)} tokens in one sequence, nothing padded. Attention stays within the ${segments.length} squares: ${share} of all pairs.`;
    if (manifest.per_frame || segments.at(-1).name !== "all tokens") return head;
    return `${head} This plan's square is ${percent((kept / keep.mask.length) ** 2, 0)} of the one that all tokens fill.`;
  }
}
