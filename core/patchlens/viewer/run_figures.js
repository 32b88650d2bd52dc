/**
 * What run lengths come to: counts by length, shares of what changes, runs of a row. Pure functions of a Model.
 */

export const STANDARD = 0.226; // mean of ImageNet's standard deviations, so that 1 is about 57.6 grey levels
const NEARLY = 0.9; // a tubelet in which this share of patches changed hardly has runs

/** A tau in grey levels of 255. */
export function greyLevels(tau) {
  return 255 * STANDARD * tau;
}

/** The stage of a plan that compares a patch with its past, and its tau; null where there is none. */
export function changeStage(model) {
  const stage = model.stages.find(({ rule }) => rule?.kind === "threshold" && rule.runs);
  return stage ? { stage, knob: stage.knobs.find((knob) => stage.fields[knob.name] === "tau") } : null;
}

/** How many values fall into each of `bins` equal parts of [0, top]; what lies beyond is in the last. Infinity is left out. */
export function differences(values, top, bins) {
  const counts = new Array(bins).fill(0);
  for (const value of values) {
    if (Number.isFinite(value)) counts[Math.min(bins - 1, Math.floor((value / top) * bins))]++;
  }
  return counts;
}

/** Runs of every length 1..t: {runs, tokens} where tokens = length x runs is how much of the clip they stand for. */
export function runCounts(model) {
  const [t] = model.manifest.grid;
  const counts = Array.from({ length: t }, (_, i) => ({ length: i + 1, runs: 0, tokens: 0 }));
  for (const length of model.keep.runs) {
    if (!length) continue;
    counts[length - 1].runs++;
    counts[length - 1].tokens += length;
  }
  return counts;
}

/** Of the tubelets after the first, in how many nearly every patch is kept: {changed, tubelets}. */
export function restless(model) {
  const later = model.counts.slice(1);
  return { changed: later.filter((kept) => kept >= NEARLY * model.size).length, tubelets: later.length };
}

/** The runs of one row of patches: for every column a list of [first tubelet, length]. */
export function rowRuns(model, y) {
  const [, , w] = model.manifest.grid;
  const { runs } = model.keep;
  return Array.from({ length: w }, (_, x) => {
    const column = [];
    for (let n = y * w + x; n < runs.length; n += model.size) {
      if (runs[n]) column.push([Math.floor(n / model.size), runs[n]]);
    }
    return column;
  });
}
