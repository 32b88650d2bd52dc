/**
 * Which part of the picture is shown: {scale, x, y}, scale 1 or more, (x, y) the centre as shares of the picture.
 *
 * Plain numbers in, plain numbers out; the view never leaves the picture.
 */

export const WHOLE = Object.freeze({ scale: 1, x: 0.5, y: 0.5 });
const STEP = Math.SQRT2;
const MOST = 8;

/** The nearest view that lies inside the picture. */
export function inside({ scale, x, y }) {
  const fit = Math.min(MOST, Math.max(1, scale));
  const clamp = (at) => Math.min(1 - 0.5 / fit, Math.max(0.5 / fit, at));
  return fit === 1 ? WHOLE : { scale: fit, x: clamp(x), y: clamp(y) };
}

/** One step nearer (by = 1) or farther (-1), so that the picture stays under `place` (shares; the centre without). */
export function zoomed(zoom, by, place = [zoom.x, zoom.y]) {
  const scale = Math.min(MOST, Math.max(1, zoom.scale * STEP ** by));
  const shift = zoom.scale / scale;
  return inside({
    scale: Math.abs(scale - 1) < 1e-6 ? 1 : scale,
    x: place[0] + (zoom.x - place[0]) * shift,
    y: place[1] + (zoom.y - place[1]) * shift,
  });
}

/** The view moved by shares of the picture. */
export function panned(zoom, dx, dy) {
  return inside({ ...zoom, x: zoom.x + dx, y: zoom.y + dy });
}

/** The view moved just so far that the box [x0, y0, x1, y1] (shares) is in it. */
export function brought(zoom, [x0, y0, x1, y1]) {
  const half = 0.5 / zoom.scale;
  const shift = (at, low, high) => Math.min(0, low - (at - half)) + Math.max(0, high - (at + half));
  return panned(zoom, shift(zoom.x, x0, x1), shift(zoom.y, y0, y1));
}

/** [x, y, width, height] of the view in pixels of a picture of `size`. */
export function partOf({ scale, x, y }, [width, height]) {
  const [w, h] = [width / scale, height / scale];
  return [x * width - w / 2, y * height - h / 2, w, h];
}
