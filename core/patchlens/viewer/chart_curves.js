/**
 * What a frontier says about a plan: its curve, the value at a keep ratio, the cheapest setting for a value; and what a
 * GMAC budget means for a plan's own knob. Arithmetic only; no page.
 */
import { decision, gmacs, merging, perTubelet, planSpec } from "./plan.js";

/**
 * The frontier's curve on which a plan lies, whatever its knob stands at; null where it was not swept. A merger's own curve
 * (its r or rho is the knob) is for the merger alone: behind a selector it lies on the curve of just that plan, if there is one.
 */
export function curveOf(frontier, stages, merger = null) {
  const alone = merger && planSpec(stages) === "everything";
  const spec = (knob) => (alone && knob ? without(merger, knob) : planSpec(stages.map((s) => withoutKnob(s, knob)), merger));
  const swept = ({ knob }) => !knob || (merger ? alone : stages.length === 1 && knob in stages[0].setting);
  return frontier?.curves.find((curve) => swept(curve) && spec(curve.knob) === curve.selector) ?? null;
}

const withoutKnob = (stage, knob) => ({ ...stage, knobs: stage.knobs.filter(({ name }) => name !== knob) });

/** The spec of a merger without one of its knobs. */
function without(spec, knob) {
  const [name, rest = ""] = spec.split(/:(.*)/s);
  const left = rest.split(",").filter((item) => item && !item.startsWith(`${knob}=`));
  return left.length ? `${name}:${left.join(",")}` : name;
}

/** Between two points: everything that is a number, on a straight line. */
function blend(a, b, share) {
  const mix = (x, y) => x + (y - x) * share;
  const both = a.setting !== null && b.setting !== null;
  return {
    reached: mix(a.reached, b.reached),
    gmacs: mix(a.gmacs, b.gmacs),
    value: mix(a.value, b.value),
    interval: a.interval && b.interval && a.interval.map((end, i) => mix(end, b.interval[i])),
    setting: both ? mix(a.setting, b.setting) : null, // nothing sets a threshold for all tokens
  };
}

/** The values of a curve at a keep ratio, on straight lines between its points; null beyond its ends. */
export function along({ points }, ratio) {
  if (!(ratio >= points[0].reached && ratio <= points.at(-1).reached)) return null;
  const last = points.findIndex((point) => point.reached >= ratio);
  const [low, high] = [points[Math.max(0, last - 1)], points[last]];
  const span = high.reached - low.reached;
  return blend(low, high, span ? (ratio - low.reached) / span : 1);
}

/** Where a curve first reaches a value, from few tokens to many; null where it never does. */
function reaching({ points }, wanted) {
  if (points[0].value >= wanted) return { ...points[0] };
  for (let i = 1; i < points.length; i++) {
    const [a, b] = [points[i - 1], points[i]];
    if (b.value >= wanted) return blend(a, b, (wanted - a.value) / (b.value - a.value));
  }
  return null;
}

/** The cheapest place of any curve where the wanted value is reached: {curve, reached, gmacs, value, interval, setting}. */
export function cheapest(frontier, wanted) {
  const found = frontier.curves
    .map((curve) => ({ curve, ...reaching(curve, wanted) }))
    .filter((place) => place.gmacs !== undefined && (place.curve.knob === null || place.setting !== null));
  return found.reduce((best, place) => (best && best.gmacs <= place.gmacs ? best : place), null);
}

/** A place's setting as a person would write it: three digits, or whole where only whole ones were measured. */
export function settingAt({ points }, setting) {
  const whole = points.every((point) => point.setting === null || Number.isInteger(point.setting));
  return whole ? Math.floor(setting) : Number(setting.toPrecision(3));
}

/** The plan of a curve at a setting. */
export function planAt({ selector, knob, points }, setting) {
  return knob ? `${selector}${selector.includes(":") ? "," : ":"}${knob}=${setting}` : points[0].plan;
}

/** GMACs of a model's plan with one knob at another value, the selector's own included; the model stays as it is. */
export function gmacsWith(model, { stage, knob }, value) {
  const { manifest, size } = model;
  const moved = model.stages.map((s) => ({
    ...s,
    setting: s === stage ? { ...s.setting, [knob.name]: value } : s.setting,
  }));
  const keep = decision(moved, manifest);
  const counts = perTubelet(keep.mask, size);
  const own = merging(counts, manifest, keep)?.own ?? 0;
  return gmacs(counts, manifest, keep) + manifest.report.gmacs.selector + own - (model.mergedAtRun?.own ?? 0);
}

/** The knob's value whose cost is the highest within a budget: {value, gmacs, within}; the cheapest end where none is. */
export function withinBudget(model, dial, budget) {
  const { low, high, step } = dial.knob;
  const steps = Math.round((high - low) / step);
  const value = (i) => Number(Math.min(high, low + i * step).toPrecision(10));
  const cost = (i) => gmacsWith(model, dial, value(i));
  const rising = cost(steps) >= cost(0);
  const place = (i) => (rising ? i : steps - i); // place(0) is the cheapest end
  let [within, beyond] = [0, steps + 1];
  while (beyond - within > 1) {
    const middle = (within + beyond) >> 1;
    if (cost(place(middle)) <= budget) within = middle;
    else beyond = middle;
  }
  const found = cost(place(within));
  return { value: value(place(within)), gmacs: found, within: found <= budget };
}
