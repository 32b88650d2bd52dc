/**
 * What curves of an answer against the kept share say: in which order clips lie, where a share lies on a curve. Pure functions.
 */

/** Plans whose order is measured under another name: RLT ranks like rlt-topk, LITE++ like LITE. */
const SAME_ORDER = { rlt: "rlt-topk", litepp: "lite" };

/** Which of a clip's orders stands for a selector: its own, else the oracle's; null where there is none at all. */
export function orderFor(clip, selector) {
  const name = SAME_ORDER[selector] ?? selector;
  return Object.hasOwn(clip.orders, name) ? name : Object.hasOwn(clip.orders, "oracle") ? "oracle" : null;
}

/** A curve as [share, value] pairs, all tokens at its end. */
export function holdingCurve({ shares, full }, { value }) {
  return [...shares.map((share, i) => [share, value[i]]), [1, full.value]];
}

/** A curve's value at a share, on the straight line between its neighbours; below the first share that one's. */
export function valueAt(points, share) {
  const i = points.findIndex(([x]) => x >= share);
  if (i <= 0) return points.at(i)[1];
  const [[x0, y0], [x1, y1]] = [points[i - 1], points[i]];
  return y0 + ((y1 - y0) * (share - x0)) / (x1 - x0);
}

/** How easily a clip holds its answer: the mean of its label's probability over all kept shares of random tokens. */
export function ease(clip) {
  const points = holdingCurve(clip, clip.random);
  let area = 0;
  for (let i = 1; i < points.length; i++) area += ((points[i][1] + points[i - 1][1]) / 2) * (points[i][0] - points[i - 1][0]);
  return area / (1 - points[0][0]);
}

/** Clips from the easiest to the hardest; those that the model does not know even in full come last. */
export function easiestFirst(clips) {
  const known = (clip) => Number(clip.full.right !== false);
  return [...clips].sort((a, b) => known(b) - known(a) || ease(b) - ease(a));
}
