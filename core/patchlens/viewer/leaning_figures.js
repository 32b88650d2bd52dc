/**
 * What an interleaved plan comes to, frame by frame and on average. Pure functions of a Model.
 */
import { survivors } from "./keep.js";
import { gmacs, merging } from "./plan.js";

/** Numbers of the frames that begin a shot. */
export function shotStarts({ stages: [{ change }] }) {
  return change ? [...change.keys()].filter((t) => change[t] === Infinity) : [];
}

/** Whether frame t is an I-frame. */
export function isIntra({ keep: { anchor } }, t) {
  return anchor[t] === t;
}

/** Of the frames that are P-frames, the mean of `values`; null where there is none. */
export function meanOfLeaning(values, intra) {
  const some = values.filter((_, t) => !intra[t]);
  return some.length ? some.reduce((sum, x) => sum + x, 0) / some.length : null;
}

/**
 * Average GMACs per frame by the present sliders, the selector's own left out: {full, short, group, clip}, as
 * `evaluation/leaning.py` has them; null where only the server can say.
 */
export function costPerFrame(model) {
  const { manifest, keep, size, counts } = model;
  const { n, p } = model.stages[0].rule;
  const t = counts.length;
  const cells = keep.coarse ? keep.coarse[0] * keep.coarse[1] : size;
  const group = [size, ...new Array(n).fill(survivors(p, cells))];
  const alike = { ...keep, anchor: new Array(n + 1).fill(0) };
  const spent = (some, how) => gmacs(some, manifest, how) + (merging(some, manifest, how)?.own ?? 0);
  if (model.gmacs === null) return null;
  const full = manifest.report.gmacs.full / t;
  const share = ((1 - p) * cells) / size;
  return { full, short: (full * (1 + share * n)) / (1 + n), group: spent(group, alike) / (1 + n), clip: spent(counts, keep) / t };
}

/** Overlap of two spans {start, end} divided by their hull; 0 where they do not touch or have no length. */
export function overlapOfSpans(a, b) {
  const hull = Math.max(a.end, b.end) - Math.min(a.start, b.start);
  return hull > 0 ? Math.max(0, Math.min(a.end, b.end) - Math.max(a.start, b.start)) / hull : 0;
}
