/**
 * One payload and what the sliders make of it: decision, counts, ranks, run spans, scenes to draw. Knows no page.
 */
import { groupsOf } from "./groups.js";
import { blocks, count, ranking } from "./keep.js";
import { pictures, unpack } from "./payload.js";
import { decision, fitsKnob, gmacs, isLive, merging, parsed, perTubelet, planSpec, rescoring, stagesOf } from "./plan.js";

export class Model {
  /** Read a payload (ArrayBuffer) and decode its pictures; one that brings none borrows those of `sibling`. */
  static async open(buffer, sibling = null, same = false) {
    const pack = unpack(buffer);
    if (pack.manifest.media) return new Model(pack, await pictures(pack));
    if (!sibling || !(same || told(sibling.manifest) === told(pack.manifest))) throw new Error("The pictures of this clip are missing.");
    return new Model(pack, sibling.images);
  }

  constructor(pack, images) {
    Object.assign(this, { pack, images, manifest: pack.manifest, stages: stagesOf(pack) });
    for (const stage of this.stages) stage.order = ranking(stage.values, stage.fine, this.manifest.seed);
    this.live = isLive(this.stages);
    const { blobs } = this.manifest;
    this.flow = blobs.flow ? pack.floats("flow") : null; // dx, dy of every token
    this.merged = blobs.groups ? pack.ints("groups") : null;
    this.measured = { ...this.manifest.report, spec: this.spec };
    this.extra = 0; // GMACs of deciding that a change of values on the page added since the run
    this.decide();
    this.mergedAtRun = this.merging; // as it was at the run
  }

  /** The plan under the present settings, in the spec grammar. */
  get spec() {
    return planSpec(this.stages, this.merger);
  }

  /** What merges tokens inside the blocks, in the grammar; null where nothing does. */
  get merger() {
    return this.manifest.report.merger ?? null;
  }

  /** Whether another model shows the same pictures under the same encoder. */
  matches({ manifest: other }) {
    return told(this.manifest) === told(other);
  }

  /** Give a knob a value, in the first stage that has it as a slider. */
  set(name, value) {
    const stage = this.stages.find(({ knobs }) => knobs.some((knob) => knob.name === name && fitsKnob(knob, value)));
    if (stage) stage.setting[name] = value;
  }

  /** Take the sliders' values from a spec of the same selectors, and decide anew; another plan is passed over. */
  adopt(spec) {
    const asked = this.merger && spec.endsWith(this.merger) ? spec.slice(0, -this.merger.length).replace(/\+$/, "") : spec;
    const wanted = parsed(asked || "everything");
    if (String(wanted.map(({ name }) => name)) !== String(this.stages.map(({ name }) => name))) return;
    this.stages.forEach(({ knobs, setting }, i) => {
      for (const knob of knobs) {
        const text = wanted[i].values[knob.name] ?? knob.default;
        const value = knob.kind === "choice" || knob.kind === "text" ? text : Number(text);
        if (fitsKnob(knob, value)) setting[knob.name] = value;
      }
    });
    this.decide();
  }

  /** Patches in one tubelet. */
  get size() {
    return this.manifest.grid[1] * this.manifest.grid[2];
  }

  get kept() {
    return count(this.keep.mask);
  }

  /** GMACs of the present decision; null where only the server can say. */
  get gmacs() {
    return this.live ? gmacs(this.counts, this.manifest, this.keep) : null;
  }

  /** What a merger makes of the present decision (see `merging`); null without one. */
  get merging() {
    return this.live ? merging(this.counts, this.manifest, this.keep) : null;
  }

  /** GMACs of deciding: the selectors', and the merger's own. */
  get deciding() {
    const selector = this.manifest.report.gmacs.selector + this.extra + rescoring(this.stages);
    const now = this.merging;
    return now ? selector + now.own - this.mergedAtRun.own : selector;
  }

  /** GMACs of all that is done now; of the last run where only the server can say. */
  get cost() {
    return (this.gmacs ?? this.measured.gmacs.reduced) + this.deciding;
  }

  /** Whether the sliders have left behind what only the server can say of the cost. */
  get waits() {
    return this.gmacs === null && this.spec !== this.measured.spec;
  }

  /** The share of tokens that a curve goes by: K of N, and behind a merger its mean over the blocks. */
  get share() {
    return (this.merging?.mean ?? this.kept) / this.keep.mask.length;
  }

  /** Decide anew from the sliders; where the rules are not known here, the decision stays as Python made it. */
  decide() {
    this.keep = this.live ? decision(this.stages, this.manifest) : this.sent();
    this.spans = spansOf(this.keep.runs, this.size);
    this.counts = perTubelet(this.keep.mask, this.size);
    const [, h, w] = this.manifest.grid;
    this.blocks = this.keep.coarse ? blocks({ h, w }, this.keep.coarse) : null;
  }

  /** For each cell of tubelet t the cell that stands for it, where it is a P-frame of lower resolution; else null. */
  blocksIn(t) {
    return this.keep.anchor?.[t] === t ? null : this.blocks;
  }

  /** Whether token n is kept: itself, or the coarse patch that covers it. */
  keeps(n) {
    const t = Math.floor(n / this.size);
    const of = this.blocksIn(t);
    return this.keep.mask[of ? t * this.size + of[n % this.size] : n] === 1;
  }

  /** The decision as Python made it. */
  sent() {
    const { anchor, runs, coarse = null } = this.manifest;
    return { mask: this.pack.bytes("mask"), runs: runs ? this.pack.ints("runs") : null, anchor, coarse };
  }

  tubeletOf(frame) {
    return Math.floor(frame / this.manifest.tubelet);
  }

  pictureOf(frame) {
    return this.images[this.manifest.frames[frame].picture];
  }

  /** Where cell i lies, as shares of the display picture: [x0, y0, x1, y1]. */
  shareOf(i) {
    const { grid, rect, size } = this.manifest;
    const [, h, w] = grid;
    const [x, y] = [i % w, Math.floor(i / w)];
    const across = (at) => (rect[0] + ((rect[2] - rect[0]) * at) / w) / size[0];
    const down = (at) => (rect[1] + ((rect[3] - rect[1]) * at) / h) / size[1];
    return [across(x), down(y), across(x + 1), down(y + 1)];
  }

  /** Rank 1..N of every token in a stage. */
  ranks(stage) {
    stage.ranks ??= rankOf(stage.order);
    return stage.ranks;
  }

  /** What to draw for tubelet t under the picture of `frame`. */
  scene(t, mode, frame = t * this.manifest.tubelet) {
    const [from, to] = [t * this.size, (t + 1) * this.size];
    const [tubelets, h, w] = this.manifest.grid;
    const [stage] = this.stages;
    stage.standing ??= standing(stage);
    const length = (i) => this.spans.length[from + i];
    const runs = this.spans && { length, share: (i) => length(i) / tubelets };
    const [kept, shares] = [this.keep.mask, stage.standing].map((all) => all.subarray(from, to));
    const blocks = this.blocksIn(t);
    const mask = blocks ? Uint8Array.from(blocks, (first) => kept[first]) : kept;
    const flow = this.flow?.subarray(2 * from, 2 * to);
    const drawn = { image: this.pictureOf(frame), h, w, mask, shares, mode, runs, flow, blocks };
    return { ...drawn, groups: this.groupsIn(from) };
  }

  /** Merged groups of the whole clip, made when first asked for; null where nothing was merged. */
  get groups() {
    const { merged, manifest } = this;
    this.made ??= merged && groupsOf(merged, (t) => this.pictureOf(t * manifest.tubelet), manifest);
    return this.made;
  }

  /** The groups as the cells of the tubelet that starts at token `from` see them. */
  groupsIn(from) {
    const { groups } = this;
    if (!groups) return null;
    const { of, sizes, colour } = groups;
    return { of: (i) => of[from + i], size: (i) => sizes[from + i], colour: (i) => colour(from + i), self: (i) => from + i };
  }

  /** Free the decoded pictures. */
  close() {
    for (const image of this.images) image.close();
  }
}

/** What models have in common that show the same pictures under the same encoder. */
function told({ frames, grid, rect, report: { encoder, clip } }) {
  return JSON.stringify([clip.sha256, clip.name, frames, grid, rect, encoder.name, encoder.weights]);
}

/** For every token: the kept token whose run covers it, and that run's length; null without runs. */
function spansOf(runs, size) {
  if (!runs) return null;
  const start = new Int32Array(runs.length);
  const length = new Int32Array(runs.length);
  for (let n = 0; n < runs.length; n++) {
    start[n] = runs[n] ? n : start[n - size];
    length[n] = runs[start[n]];
  }
  return { start, length };
}

/** Rank 1..N of every token, from a ranking. */
function rankOf(order) {
  const ranks = new Int32Array(order.length);
  order.forEach((n, i) => (ranks[n] = i + 1));
  return ranks;
}

/** The share of tokens worth strictly less, 0..1: a colour scale that means the same in every clip. */
function standing(stage) {
  const { order, values } = stage;
  const shares = new Float32Array(values.length);
  let below = 0;
  for (let i = order.length - 1; i >= 0; i--) {
    const next = order[i + 1];
    if (next !== undefined && values[order[i]] !== values[next]) below = order.length - 1 - i;
    shares[order[i]] = below / Math.max(1, order.length - 1);
  }
  return shares;
}
