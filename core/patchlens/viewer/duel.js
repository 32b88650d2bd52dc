/**
 * Comparing lanes by numbers alone: the same budget for all of them. Knows no page.
 */

/** The first slider of a plan that sets how many tokens stay: {stage, knob}, or null. */
export function budgetKnob(model) {
  if (!model.live) return null;
  for (const stage of model.stages) {
    const knob = stage.knobs.find(({ name }) => ["keep", "tau", "p"].includes(stage.fields[name]));
    if (knob) return { stage, knob };
  }
  return null;
}

/** The shortest decimal x with low <= x < high (high itself where there is no other), for low < high. */
export function shortest(low, high, allowed = () => true) {
  for (let digits = 0; digits < 10; digits++) {
    const step = 10 ** -digits;
    const x = Number((Math.ceil(low / step - 1e-9) * step).toFixed(digits));
    if (x >= low && x < high && allowed(x)) return x;
  }
  return low;
}

/**
 * Move a plan's first budget slider so that its token count is as near to `target` as it can be, and decide anew.
 * Returns false where the plan has no such slider here.
 */
export function spend(model, target) {
  const found = budgetKnob(model);
  if (!found) return false;
  const { stage, knob } = found;
  const n = stage.values.length;
  const at = (k) => {
    stage.setting[knob.name] = settingFor(stage, knob, k);
    model.decide();
    return model.kept;
  };
  let [low, high] = [0, n]; // the setting for `low` keeps at most target, that for `high` more
  let here = Math.min(n, target);
  for (let kept = at(here); kept !== target && high - low > 1; kept = at(here)) {
    if (kept < target) low = here;
    else high = here;
    here = Math.floor((low + high) / 2);
  }
  if (model.kept !== target) nearer(at, [low, high], target);
  return true;
}

/** Take the better of two settings. */
function nearer(at, [low, high], target) {
  const [below, above] = [Math.abs(at(low) - target), Math.abs(at(high) - target)];
  if (below <= above) at(low);
}

/** The slider's value under which its own stage would keep about k of all tokens. */
function settingFor(stage, knob, k) {
  const inside = (x) => Math.min(knob.high, Math.max(knob.low, x));
  const n = stage.values.length;
  if (stage.fields[knob.name] === "p") return inside(Number((1 - k / n).toFixed(6)));
  if (stage.fields[knob.name] === "keep") return inside(k === 0 ? knob.low : shortest(k / n, (k + 1) / n));
  if (k === 0) return knob.high;
  const [worst, next] = [stage.values[stage.order[k - 1]], k < n ? stage.values[stage.order[k]] : -Infinity];
  if (worst === Infinity) return knob.high;
  if (next === -Infinity) return inside(Math.min(knob.low, worst - 1));
  const fits = (x) => Math.fround(x) >= next && Math.fround(x) < worst;
  return inside(next < worst ? shortest(next, worst, fits) : next);
}

/** Bring every other lane to the leader's token count. */
export function level(lanes, leader) {
  const target = lanes[leader].model.kept;
  lanes.forEach(({ model }, i) => i !== leader && spend(model, target));
}
