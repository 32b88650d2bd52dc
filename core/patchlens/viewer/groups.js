/**
 * Merged groups: every group in the mean colour of its tokens, with outlines and its size, in the manner of ToMe's figure.
 */
import { bordersPath, boxOf, cellsPath, fillCells, strokeCased, writeIn } from "./cells.js";

/** What a merger made of a clip: {of: group of each token (-1: none), sizes, colours: r, g, b of each token's group}. */
export function groupsOf(of, pictureOf, { grid: [t, h, w], rect }) {
  const sums = new Float64Array(4 * of.length);
  for (let tubelet = 0; tubelet < t; tubelet++) {
    const cells = cellColours(pictureOf(tubelet), rect, h, w);
    for (let i = 0; i < h * w; i++) {
      const group = of[tubelet * h * w + i];
      if (group < 0) continue;
      for (let c = 0; c < 3; c++) sums[4 * group + c] += cells[4 * i + c];
      sums[4 * group + 3] += 1;
    }
  }
  const sizes = Int32Array.from(of, (group) => (group < 0 ? 0 : sums[4 * group + 3]));
  const colour = (n) => [0, 1, 2].map((c) => (of[n] < 0 ? 0 : sums[4 * of[n] + c] / sizes[n]));
  return { of, sizes, colour };
}

/** Mean colours of the cells of a picture, RGBA bytes. */
function cellColours(image, [x0, y0, x1, y1], h, w) {
  const canvas = new OffscreenCanvas(w, h);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(image, x0, y0, x1 - x0, y1 - y0, 0, 0, w, h);
  return context.getImageData(0, 0, w, h).data;
}

/** Paint scene.groups ({of, size, colour} by cell, `self` the token number of a cell). */
export function drawGroups(context, scene) {
  const { groups, patterns } = scene;
  fillCells(context, scene, (i) => [...groups.colour(i), groups.of(i) < 0 ? 0 : 240]);
  const none = cellsPath(scene, (i) => groups.of(i) < 0);
  for (const style of ["rgba(10, 14, 22, .72)", patterns.dropped]) {
    context.fillStyle = style;
    context.fill(none);
  }
  const of = (i) => (i < 0 ? -2 : groups.of(i));
  strokeCased(context, scene, bordersPath(scene, (a, b) => of(a) !== of(b)), "#ffffff", 1);
  const [, , width, height] = boxOf(scene, 0);
  const size = Math.min(Math.min(width, height) * 0.42, 20 * (scene.dpr ?? 1));
  if (size < 7) return;
  for (let i = 0; i < scene.h * scene.w; i++)
    if (groups.of(i) === groups.self(i) && groups.size(i) > 1) writeIn(context, scene, i, String(groups.size(i)), size);
}
