/**
 * A plan as the page holds it: stages with scores, knobs and rules, and what follows from their settings.
 *
 * Turns knob values into rules, rules into a decision, a decision into GMACs, and all of it into the one spec grammar.
 * Knows no canvas.
 */
import { keepOf, ranking } from "./keep.js";

const LONGEST_LINE = 80;

/** The stages of a payload, ready for `decision`: scores as float32 views, knob values as they were at the run. */
export function stagesOf(pack) {
  return pack.manifest.stages.map((stage, i) => ({
    ...stage,
    values: pack.floats(`scores${i}`),
    fine: stage.fine ? pack.floats(`fine${i}`) : null,
    change: stage.change ? pack.floats(`change${i}`) : null,
    setting: Object.fromEntries(stage.knobs.map((knob) => [knob.name, knob.value])),
    swap: stage.swap ? { ...stage.swap, at: stage.knobs.find(({ name }) => name === stage.swap.knob).value } : null,
    scores: (value) => pack.floats(`scores${i} ${value}`),
    order: null,
  }));
}

/** Give a stage other values, and finer ones or null, as a run would have brought them; what was made of the old ones goes. */
export function revalue(stage, values, fine, seed) {
  const made = { ranks: null, standing: null, sorted: null, histogram: null };
  Object.assign(stage, made, { values, fine, order: ranking(values, fine, seed) });
}

/** What a stage's knob that can be swapped stands at: {unit, gmacs, rule}; null where there is none. */
function swapOf({ swap, setting }) {
  return swap && swap.values[setting[swap.knob]];
}

/** Take the scores that came along with the run for the knob's present value. */
function swapped(stage, seed) {
  const to = swapOf(stage);
  if (!to) return;
  const { swap, setting } = stage;
  const own = swap.values[swap.at];
  if (!own.scores) Object.assign(own, { scores: stage.values, fine: stage.fine }); // the run's own come under no name
  to.scores ??= stage.scores(setting[swap.knob]);
  if (stage.values === to.scores) return;
  revalue(stage, to.scores, to.fine ?? null, seed);
  stage.unit = to.unit;
}

/** GMACs that scoring by the present settings takes beyond what it took at the run. */
export function rescoring(stages) {
  const more = (stage) => (swapOf(stage) ? swapOf(stage).gmacs - stage.swap.values[stage.swap.at].gmacs : 0);
  return stages.reduce((sum, stage) => sum + more(stage), 0);
}

/** The rule that a stage's knobs ask for. */
export function ruleOf(stage) {
  const chosen = stage.choices.map((name) => stage.setting[name]).join("|");
  const rule = { ...stage.rules[chosen], ...swapOf(stage)?.rule };
  for (const [knob, field] of Object.entries(stage.fields)) rule[field] = stage.setting[knob];
  return rule;
}

/** Whether every rule follows from its knobs here, without asking the server. */
export function isLive(stages) {
  return stages.every((stage) => stage.live);
}

/** {mask, runs, anchor, residual, coarse} of the stages' present settings. */
export function decision(stages, manifest) {
  for (const stage of stages) {
    swapped(stage, manifest.seed);
    stage.rule = ruleOf(stage);
  }
  const [t, h, w] = manifest.grid;
  return keepOf(stages, { t, h, w }, manifest.seed, manifest.per_frame);
}

/** Tokens kept in each tubelet. */
export function perTubelet(mask, size) {
  const counts = new Array(mask.length / size).fill(0);
  for (let n = 0; n < mask.length; n++) counts[Math.floor(n / size)] += mask[n];
  return counts;
}

/**
 * GMACs of a decision: `once` (patches embedded to decide), and a + b K + c K^2 for every segment that is not empty, or what
 * the merger's table says; null where the run gave neither.
 * The P-frames of an interleaved plan (`keep` of `decision`) have figures of their own, and embed fewer patches where they
 * are seen at lower resolution.
 */
export function gmacs(counts, manifest, keep = null) {
  if (!manifest.cost) return null;
  const { per_segment: whole, predicted, embedding, merged } = manifest.cost;
  if (manifest.report.merger && !merged) return null;
  const [, h, w] = manifest.grid;
  const unseen = keep?.coarse ? (h * w - keep.coarse[0] * keep.coarse[1]) * embedding : 0;
  return segmentsOf(counts, manifest).reduce((sum, k, t) => {
    const less = leans(t, keep) ? unseen : 0;
    const table = mergedIn(t, manifest, keep);
    if (table) return sum + table.gmacs[k] - less;
    const [a, b, c] = leans(t, keep) ? predicted[keep.residual] : whole;
    return sum + (k ? a + b * k + c * k * k : 0) - less;
  }, manifest.cost.once ?? 0);
}

/**
 * What a merger makes of a decision: {own: its GMACs, mean: patches in a block's layers on average, left: patches that leave
 * the last block}; null without a merger, or where the run gave no table.
 */
export function merging(counts, manifest, keep = null) {
  if (!manifest.cost?.merged) return null;
  const sum = { own: 0, mean: 0, left: 0 };
  segmentsOf(counts, manifest).forEach((k, t) => {
    const table = mergedIn(t, manifest, keep);
    sum.own += table ? table.own[k] : 0;
    sum.mean += table ? table.mean[k] : k;
    sum.left += table ? table.left[k] : k;
  });
  return sum;
}

const segmentsOf = (counts, manifest) => (manifest.per_frame ? counts : [counts.reduce((x, y) => x + y, 0)]);
const leans = (t, keep) => Boolean(keep?.anchor) && keep.anchor[t] !== t;

/** The merger's table for a segment: in an interleaved plan it acts in P-frames only. */
function mergedIn(t, { cost: { merged } }, keep) {
  if (!merged) return null;
  if (!keep?.anchor) return merged.whole;
  return leans(t, keep) ? merged.predicted[keep.residual] : null;
}

/** A knob's value in the spec grammar. */
function written(knob, value) {
  if (knob.kind === "float") return String(Number(Number(value).toPrecision(10)));
  if (knob.kind === "int") return String(Math.round(value));
  return encodeURIComponent(value)
    .replace(/%20/g, " ")
    .replace(/%2F/g, "/")
    .replace(/%3F/g, "?")
    .replace(/%3A/g, ":")
    .replace(/%3D/g, "=")
    .replace(/\*/g, "%2A");
}

/** One selector in the spec grammar: its numeric dials, and every other knob that differs from its default. */
export function specOf(name, knobs, setting) {
  const dial = (knob) => knob.stage === "keep" && (knob.kind === "float" || knob.kind === "int");
  const shown = knobs.filter((knob) => setting[knob.name] !== knob.default || dial(knob));
  const values = shown.map((knob) => `${knob.name}=${written(knob, setting[knob.name])}`);
  return name + (values.length ? `:${values.join(",")}` : "");
}

/** The whole plan in the spec grammar, such as rlt:tau=0.15+random:keep=0.5; a merger stands last, or alone. */
export function planSpec(stages, merger = null) {
  const plan = stages.map((stage) => specOf(stage.name, stage.knobs, stage.setting)).join("+");
  if (!merger) return plan;
  return plan === "everything" ? merger : `${plan}+${merger}`;
}

/** The inverse of `planSpec`: [{name, values: {knob: text}}]. */
export function parsed(spec) {
  return spec.split("+").map((part) => {
    const [name, ...rest] = part.split(":");
    const pairs = rest.join(":").split(",").filter(Boolean);
    const pair = (text) => [text.slice(0, text.indexOf("=")).trim(), unescaped(text.slice(text.indexOf("=") + 1))];
    return { name: name.trim(), values: Object.fromEntries(pairs.map(pair)) };
  });
}

function unescaped(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Whether a value is one that a slider or menu of this knob can have. */
export function fitsKnob(knob, value) {
  if (knob.kind === "text") return knob.options.includes(value); // those whose scores came along
  if (knob.stage !== "keep") return false;
  if (knob.kind === "choice") return knob.options.includes(value);
  return typeof value === "number" && value >= knob.low && value <= knob.high;
}

/** A plan where there is room for a line or two: a long one (tokens chosen by hand) is cut. */
export function brief(spec) {
  return spec.length > LONGEST_LINE ? `${spec.slice(0, LONGEST_LINE - 2)} …` : spec;
}
