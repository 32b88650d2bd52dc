/**
 * How unevenly value is spread over tokens: Lorenz curve, Gini coefficient, shares. Pure functions.
 */

/** Values as shares of a whole: finite ones, moved up so that none is negative; infinity counts as the greatest. */
export function worths(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) [low, high] = [0, 0];
  const base = Math.min(0, low);
  return Float64Array.from(values, (value) => Math.min(Math.max(value, low), high) - base);
}

/** The Lorenz curve as [share of tokens, share of value] at every token from the least valuable on; the diagonal for no value. */
export function lorenz(worth) {
  const sorted = Float64Array.from(worth).sort();
  const total = sorted.reduce((sum, value) => sum + value, 0);
  const points = [[0, 0]];
  let sum = 0;
  sorted.forEach((value, i) => {
    sum += value;
    points.push([(i + 1) / sorted.length, total > 0 ? sum / total : (i + 1) / sorted.length]);
  });
  return points;
}

/** The Gini coefficient: twice the area between diagonal and curve, 0 for equal values, near 1 for a single rich token. */
export function gini(points) {
  let area = 0;
  for (let i = 1; i < points.length; i++) {
    area += ((points[i][1] + points[i - 1][1]) / 2) * (points[i][0] - points[i - 1][0]);
  }
  return 1 - 2 * area;
}

/** The share of all value that the richest `share` of the tokens hold; `share` itself where there is none. */
export function topShare(worth, share) {
  const sorted = Float64Array.from(worth).sort().reverse();
  const total = sorted.reduce((sum, value) => sum + value, 0);
  const count = Math.max(1, Math.round(share * sorted.length));
  return total > 0 ? sorted.subarray(0, count).reduce((sum, value) => sum + value, 0) / total : share;
}

/** The share of all value that a mask keeps. */
export function keptValue(worth, mask) {
  let [kept, all] = [0, 0];
  worth.forEach((value, n) => {
    all += value;
    if (mask[n]) kept += value;
  });
  return all > 0 ? kept / all : 0;
}
