/**
 * How scores become a decision: the same interpreter as keep.py, number for number.
 *
 * Float32 comparisons, integer counts, and ties broken by a seeded integer hash, never by token order. Knows no canvas
 * and no page; a test holds it equal to Python on random scores. A stage is {values, fine, change, rule}; a grid {t, h, w}.
 */

/** K for a keep ratio: floor(keep * count), at least 1; the 1e-9 undoes binary round-off. */
export function budget(keep, count) {
  return Math.max(1, Math.floor(keep * count + 1e-9));
}

/** A uint32 per token number from MurmurHash3's finaliser: a bijection, so that no two tokens tie. */
export function tieHash(n, seed) {
  const hashes = new Uint32Array(n);
  for (let i = 0; i < n; i++) {
    let x = (Math.imul(i, 0x9e3779b1) + (seed | 0)) >>> 0;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b) >>> 0;
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35) >>> 0;
    hashes[i] = (x ^ (x >>> 16)) >>> 0;
  }
  return hashes;
}

/** Token numbers from best to worst: by value, then the finer value, then the hash. */
export function ranking(values, fine, seed) {
  const hashes = tieHash(values.length, seed);
  const order = Uint32Array.from(values.keys());
  return order.sort((a, b) => {
    if (values[a] !== values[b]) return values[a] > values[b] ? -1 : 1;
    if (fine && fine[a] !== fine[b]) return fine[a] > fine[b] ? -1 : 1;
    return hashes[a] - hashes[b];
  });
}

/** How many tokens a mask (Uint8Array) holds. */
export function count(mask) {
  let total = 0;
  for (const kept of mask) total += kept;
  return total;
}

/** Set the first k token numbers of `order` that are allowed. */
function takeBest(mask, order, allowed, k) {
  for (let i = 0; i < order.length && k > 0; i++) {
    if (allowed[order[i]]) {
      mask[order[i]] = 1;
      k--;
    }
  }
}

/** The members of `allowed` inside tubelet t alone. */
function inFrame(allowed, grid, t) {
  const size = grid.h * grid.w;
  const inside = new Uint8Array(allowed.length);
  inside.set(allowed.subarray(t * size, (t + 1) * size), t * size);
  return inside;
}

/** Set k evenly spaced ones of the members, first and last among them, in integer arithmetic. */
function takeSpaced(mask, members, k) {
  for (let i = 0; i < k; i++) mask[members[Math.floor((i * (members.length - 1)) / Math.max(1, k - 1))]] = 1;
}

/** Evenly spaced members of `allowed`. */
function takeStrided(mask, allowed, keep) {
  const members = [];
  allowed.forEach((yes, n) => yes && members.push(n));
  takeSpaced(mask, members, budget(keep, members.length));
}

/** Run `take(mask, allowed)` on the clip, or on every tubelet that has anything to choose from. */
function perFrame(mask, allowed, grid, take) {
  for (let t = 0; t < grid.t; t++) {
    const here = inFrame(allowed, grid, t);
    if (count(here)) take(mask, here);
  }
}

/** Patches that a P-frame keeps of `count`: count * (1 - p), rounded with halves to even, at least 1. */
export function survivors(p, count) {
  const wanted = count * (1 - p);
  const whole = Math.floor(wanted);
  const up = wanted - whole > 0.5 || (wanted - whole === 0.5 && whole % 2 === 1);
  return Math.max(1, whole + (up ? 1 : 0));
}

/** The I-frame that every frame leans on (an I-frame on itself); `change` per frame is +Infinity where a shot begins. */
export function schedule(rule, frames, change) {
  const anchors = new Int32Array(frames);
  let [last, moved] = [0, 0];
  for (let t = 1; t < frames; t++) {
    const step = change ? change[t] : 0;
    if (step < Infinity) moved += step;
    const cut = rule.cuts && step === Infinity;
    if (cut || t - last > rule.n || (rule.reach > 0 && moved > rule.reach)) [last, moved] = [t, 0];
    anchors[t] = last;
  }
  return anchors;
}

/** Rows and columns of a P-frame's patches where it is seen at lower resolution, else null. */
export function coarser({ scale = 1 }, { h, w }) {
  return scale === 1 ? null : [h, w].map((side) => Math.max(1, Math.floor(side * scale)));
}

/** For each patch of a frame the first one (in rows) of the coarse patch that its middle lies in. */
export function blocks({ h, w }, coarse) {
  const cellOf = (i, side, cells) => Math.floor(((2 * i + 1) * cells) / (2 * side));
  const firsts = (side, cells) => {
    const all = Array.from({ length: side }, (_, i) => cellOf(i, side, cells));
    return all.map((cell) => all.indexOf(cell));
  };
  const [rows, columns] = [firsts(h, coarse[0]), firsts(w, coarse[1])];
  return Int32Array.from({ length: h * w }, (_, i) => rows[Math.floor(i / w)] * w + columns[i % w]);
}

/** All of the I-frames, and of every P-frame its best (or evenly spaced) patches, coarse ones where it has such. */
function takeInterleaved(mask, order, rule, grid, allowed, change) {
  const size = grid.h * grid.w;
  const anchors = schedule(rule, grid.t, change);
  const coarse = coarser(rule, grid);
  const first = coarse && blocks(grid, coarse);
  const members = Array.from({ length: grid.t }, () => new Set());
  for (const n of rule.even ? allowed.keys() : order) {
    if (!allowed[n]) continue;
    const t = Math.floor(n / size);
    members[t].add(first && anchors[t] !== t ? t * size + first[n % size] : n);
  }
  members.forEach((set, t) => {
    if (!set.size) return;
    const ranked = rule.even ? [...set].sort((a, b) => a - b) : [...set];
    const k = anchors[t] === t ? ranked.length : survivors(rule.p, ranked.length);
    if (rule.even) takeSpaced(mask, ranked, k);
    else for (const n of ranked.slice(0, k)) mask[n] = 1;
  });
}

/** A rule whose budget follows the clip's confidence as the top K that it comes to here; other rules as they are. */
export function settledRule(rule, confidence) {
  if (rule.kind !== "adaptive") return rule;
  const { keep, easy, low, high, smooth, give_up: giveUp } = rule;
  const small = keep > easy ? easy : (keep * 2) / 3;
  let ratio = keep;
  if (confidence > high || (giveUp && !smooth && confidence < low)) ratio = small;
  else if (smooth && confidence > low) ratio = keep + (small - keep) * ((confidence - low) / (high - low));
  return { kind: "topk", keep: ratio };
}

/** Which tokens one rule keeps among those in `allowed`; never none. */
export function decide(values, order, rule, grid, allowed, change = null) {
  const mask = new Uint8Array(values.length);
  const best = (m, among) => takeBest(m, order, among, budget(rule.keep, count(among)));
  const strided = (m, among) => takeStrided(m, among, rule.keep);
  if (rule.kind === "all") mask.set(allowed);
  else if (rule.kind === "topk") best(mask, allowed);
  else if (rule.kind === "topk_per_frame") perFrame(mask, allowed, grid, best);
  else if (rule.kind === "strided" && rule.per_frame) perFrame(mask, allowed, grid, strided);
  else if (rule.kind === "strided") strided(mask, allowed);
  else if (rule.kind === "interleave") takeInterleaved(mask, order, rule, grid, allowed, change);
  else if (rule.kind === "threshold") {
    const tau = Math.fround(rule.tau);
    for (let n = 0; n < mask.length; n++) mask[n] = allowed[n] && values[n] > tau ? 1 : 0;
  } else throw new Error(`keep.js knows no rule of kind ${rule.kind}`);
  if (rule.kind !== "all" && !mask.includes(1)) takeBest(mask, order, allowed, 1);
  return mask;
}

/** Give frame 0 its best token where it has none, in exchange for the worst kept one. */
export function fillFirstFrame(mask, order, grid, before) {
  const size = grid.h * grid.w;
  if (mask.subarray(0, size).includes(1)) return mask;
  const first = new Uint8Array(mask.length).fill(1, 0, size);
  const within = first.map((yes, n) => yes & before[n]);
  const filled = mask.slice();
  for (let i = order.length - 1; i >= 0; i--) {
    if (mask[order[i]]) {
      filled[order[i]] = 0;
      break;
    }
  }
  takeBest(filled, order, within.includes(1) ? within : first, 1);
  return filled;
}

/** Tubelets each kept token stands for, in (t, y, x) order: up to the next kept one at its place. */
export function runLengths(mask, grid) {
  const size = grid.h * grid.w;
  const lengths = new Int32Array(mask.length);
  const until = new Int32Array(size).fill(grid.t);
  for (let t = grid.t - 1; t >= 0; t--) {
    for (let i = 0; i < size; i++) {
      if (!mask[t * size + i]) continue;
      lengths[t * size + i] = until[i] - t;
      until[i] = t;
    }
  }
  return lengths;
}

/**
 * The decision of a whole plan: each stage chooses among what the one before left. Returns {mask, runs, anchor, residual,
 * coarse}; runs (or null) as `runLengths` has them; anchor (or null) the I-frame of every frame, residual what P-frames get
 * of it, coarse (or null) their rows and columns, each marked in the mask at the first patch that it covers.
 */
export function keepOf(stages, grid, seed, firstFilled) {
  let mask = new Uint8Array(grid.t * grid.h * grid.w).fill(1);
  for (const stage of stages) {
    stage.order ??= ranking(stage.values, stage.fine, seed);
    const before = mask;
    const rule = settledRule(stage.rule, stage.confidence ?? 0);
    mask = decide(stage.values, stage.order, rule, grid, before, stage.change);
    if (firstFilled) mask = fillFirstFrame(mask, stage.order, grid, before);
  }
  const { rule = {}, change } = stages.length === 1 ? stages[0] : {};
  const runs = rule.kind === "threshold" && rule.runs && !mask.subarray(0, grid.h * grid.w).includes(0);
  const anchor = rule.kind === "interleave" ? schedule(rule, grid.t, change) : null;
  const leaning = { residual: anchor ? rule.residual : "off", coarse: anchor && coarser(rule, grid) };
  return { mask, runs: runs ? runLengths(mask, grid) : null, anchor, ...leaning };
}
