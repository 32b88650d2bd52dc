/**
 * The ways of cleaning a token-value map, as `cleaning.py` has them, in its float32. Knows grids and numbers only.
 */

const EDGE = 0.5; // what values on the border of the picture are multiplied by
const [PEAK, FEWEST] = [0.5, 3]; // an area above half the maximum with fewer tokens than this is a peak

/** A signed map as values 0..1: negative ones fall to 0, the greatest becomes 1; a map without any stays 0. */
export function unitRange(signed) {
  const values = signed.map((value) => Math.max(0, value));
  const [low, high] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
  if (high <= low) return values.fill(0);
  const range = Math.fround(high - low);
  return values.map((value) => Math.fround(value - low) / range);
}

/** A map (Float32Array) of a signed one on a grid [t, h, w] after one of the ways that the oracle's knob `clean` names. */
export function cleaned(signed, grid, way) {
  const values = unitRange(signed);
  return { edges, peaks, sharpen, rank: () => ranked(signed) }[way]?.(values, grid) ?? values;
}

function edges(values, [, h, w]) {
  const inside = (at, size) => at > 0 && at < size - 1;
  return values.map((value, n) => (inside(n % w, w) && inside(Math.floor(n / w) % h, h) ? value : value * EDGE));
}

function sharpen(values) {
  return values.map((v) => Math.fround(v * v) * Math.fround(3 - Math.fround(2 * v)));
}

/** Each token's rank, 0 for the worst to 1 for the best. */
function ranked(signed) {
  const order = Array.from(signed, (_, n) => n).sort((a, b) => signed[a] - signed[b]);
  const ranks = new Float32Array(signed.length);
  order.forEach((n, i) => (ranks[n] = i / Math.max(1, signed.length - 1)));
  return ranks;
}

/** Areas above PEAK of few touching tokens (in space or time, diagonals too) fall to the map's mean. */
function peaks(values, grid) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const made = values.slice();
  const seen = new Uint8Array(values.length);
  for (let n = 0; n < values.length; n++) {
    if (seen[n] || values[n] <= PEAK) continue;
    const area = areaOf(n, values, grid, seen);
    if (area.length < FEWEST) for (const token of area) made[token] = mean;
  }
  return made;
}

/** The tokens above PEAK that hang together with token n; each is marked in `seen`. */
function areaOf(n, values, grid, seen) {
  const area = [n];
  seen[n] = 1;
  for (const token of area) {
    for (const near of touching(token, grid)) {
      if (seen[near] || values[near] <= PEAK) continue;
      seen[near] = 1;
      area.push(near);
    }
  }
  return area;
}

function touching(token, [t, h, w]) {
  const [z, y, x] = [Math.floor(token / (h * w)), Math.floor(token / w) % h, token % w];
  const about = (at, size) => [at - 1, at, at + 1].filter((i) => i >= 0 && i < size);
  return about(z, t).flatMap((k) => about(y, h).flatMap((j) => about(x, w).map((i) => (k * h + j) * w + i)));
}
