/**
 * Cells of a scene on a canvas: where they lie, paths over some of them, lines between some of them.
 *
 * A scene has {rect, h, w}: rect is the part of the canvas that the grid covers, in pixels.
 */

const CASING = "rgba(0, 0, 0, .6)";

/** Corner (x, y) of cell column i, row j, on whole pixels so that neighbours meet. */
export function corner({ rect, h, w }, i, j) {
  return [Math.round(rect[0] + ((rect[2] - rect[0]) * i) / w), Math.round(rect[1] + ((rect[3] - rect[1]) * j) / h)];
}

/** Box [x, y, width, height] of a cell. */
export function boxOf(scene, cell) {
  const [i, j] = [cell % scene.w, Math.floor(cell / scene.w)];
  const [x0, y0] = corner(scene, i, j);
  const [x1, y1] = corner(scene, i + 1, j + 1);
  return [x0, y0, x1 - x0, y1 - y0];
}

/** A path over all cells that `wanted(cell)` names, one rectangle for each stretch in a row. */
export function cellsPath(scene, wanted) {
  const path = new Path2D();
  const { h, w } = scene;
  for (let j = 0; j < h; j++) {
    for (let i = 0; i < w; i++) {
      if (!wanted(j * w + i)) continue;
      const from = i;
      while (i < w && wanted(j * w + i)) i++;
      const [x0, y0] = corner(scene, from, j);
      const [x1, y1] = corner(scene, i, j + 1);
      path.rect(x0, y0, x1 - x0, y1 - y0);
    }
  }
  return path;
}

/** A path along every border where `parted(a, b)` holds for the cells on both sides; -1 stands for outside. */
export function bordersPath(scene, parted) {
  const { h, w } = scene;
  const cell = (i, j) => (i >= 0 && j >= 0 && i < w && j < h ? j * w + i : -1);
  const path = new Path2D();
  const line = (a, b) => {
    path.moveTo(...a);
    path.lineTo(...b);
  };
  for (let j = 0; j <= h; j++) {
    for (let i = 0; i <= w; i++) {
      const here = corner(scene, i, j);
      if (i < w && parted(cell(i, j), cell(i, j - 1))) line(here, corner(scene, i + 1, j));
      if (j < h && parted(cell(i, j), cell(i - 1, j))) line(here, corner(scene, i, j + 1));
    }
  }
  return path;
}

/** Draw a path in a colour with a dark casing, so that it shows on any ground. */
export function strokeCased(context, scene, path, colour, thickness) {
  context.lineCap = "square";
  for (const [style, width] of [
    [CASING, thickness + 2],
    [colour, thickness],
  ]) {
    context.strokeStyle = style;
    context.lineWidth = width * (scene.dpr ?? 1);
    context.stroke(path);
  }
}

/** A short text in the middle of a cell, white with a dark casing. */
export function writeIn(context, scene, cell, words, size) {
  const [x, y, width, height] = boxOf(scene, cell);
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = size / 5;
  context.strokeStyle = CASING;
  context.fillStyle = "#ffffff";
  context.strokeText(words, x + width / 2, y + height / 2);
  context.fillText(words, x + width / 2, y + height / 2);
}

/** Tint every cell with colour(cell) = [r, g, b, a], through one small image. */
export function fillCells(context, scene, colour) {
  const small = new OffscreenCanvas(scene.w, scene.h);
  const c = small.getContext("2d");
  const image = c.createImageData(scene.w, scene.h);
  for (let i = 0; i < scene.w * scene.h; i++) image.data.set(colour(i), 4 * i);
  c.putImageData(image, 0, 0);
  const [x0, y0] = corner(scene, 0, 0);
  const [x1, y1] = corner(scene, scene.w, scene.h);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, x0, y0, x1 - x0, y1 - y0);
  context.imageSmoothingEnabled = true;
}
