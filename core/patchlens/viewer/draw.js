/**
 * Drawing one tubelet on a canvas: the picture, and over it what is kept and what is dropped.
 *
 * A scene is plain data: {image, rect, h, w, mask, mode, shares, runs, grid, cursor, pinned, hatch}; rect is the part of
 * the canvas that the encoder saw, in pixels. Nothing here knows where a scene came from.
 */
import { hatch, scale } from "./palette.js";

const DIM = "rgba(10, 14, 22, .64)";
const HATCH = "rgba(255, 255, 255, .38)";
const EDGE = "#35dcc8";
const CASING = "rgba(0, 0, 0, .6)";
const PIN = "#ffb454";
export const MODES = ["dim", "outline", "value", "runs"];

/** The hatch pattern for a canvas, one per density. */
export function patternFor(context, gap) {
  return hatch(context, HATCH, gap, Math.max(1, gap / 7));
}

/** A picture drawn once at {width, height}, so that redrawing under a moving slider copies instead of scaling. */
export function scaled(image, { width, height }) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, width, height);
  return canvas;
}

/** Draw a scene over the whole canvas. */
export function drawScene(context, scene) {
  const { width, height } = context.canvas;
  context.clearRect(0, 0, width, height);
  if (scene.image) context.drawImage(scene.image, 0, 0, width, height);
  shadeUnseen(context, scene);
  if (scene.mode === "value") fillCells(context, scene, (i) => [...scale(scene.shares[i]), 200]);
  if (scene.mode === "runs" && scene.runs) fillCells(context, scene, (i) => [...scale(scene.runs.share(i)), 150]);
  if (scene.grid) drawGrid(context, scene);
  if (scene.mode === "dim") dimDropped(context, scene);
  else hatchDropped(context, scene);
  edgeKept(context, scene, scene.mode === "outline" ? 3 : 1.75);
  if (scene.mode === "runs" && scene.runs) numberRuns(context, scene);
  markCell(context, scene, scene.pinned, PIN);
  markCell(context, scene, scene.cursor, "#ffffff");
}

/** Corner (x, y) of cell column i, row j, on whole pixels so that neighbours meet. */
function corner({ rect, h, w }, i, j) {
  return [Math.round(rect[0] + ((rect[2] - rect[0]) * i) / w), Math.round(rect[1] + ((rect[3] - rect[1]) * j) / h)];
}

/** Darken what the encoder never saw (outside a centre crop). */
function shadeUnseen(context, scene) {
  const { width, height } = context.canvas;
  const [x0, y0] = corner(scene, 0, 0);
  const [x1, y1] = corner(scene, scene.w, scene.h);
  if (x0 <= 0 && y0 <= 0 && x1 >= width && y1 >= height) return;
  context.fillStyle = "rgba(10, 14, 22, .82)";
  context.beginPath();
  context.rect(0, 0, width, height);
  context.rect(x0, y0, x1 - x0, y1 - y0);
  context.fill("evenodd");
}

/** A path over all dropped cells, one rectangle for each stretch in a row. */
function droppedPath(scene) {
  const path = new Path2D();
  for (let j = 0; j < scene.h; j++) {
    for (let i = 0; i < scene.w; i++) {
      if (scene.mask[j * scene.w + i]) continue;
      const from = i;
      while (i < scene.w && !scene.mask[j * scene.w + i]) i++;
      const [x0, y0] = corner(scene, from, j);
      const [x1, y1] = corner(scene, i, j + 1);
      path.rect(x0, y0, x1 - x0, y1 - y0);
    }
  }
  return path;
}

function dimDropped(context, scene) {
  const path = droppedPath(scene);
  context.fillStyle = DIM;
  context.fill(path);
  context.fillStyle = scene.hatch;
  context.fill(path);
}

function hatchDropped(context, scene) {
  context.fillStyle = scene.hatch;
  context.fill(droppedPath(scene));
}

/** A line wherever a kept cell meets a dropped one or the edge of the view. */
function edgeKept(context, scene, thickness) {
  const { h, w, mask } = scene;
  const kept = (i, j) => i >= 0 && j >= 0 && i < w && j < h && mask[j * w + i] === 1;
  const path = new Path2D();
  const line = (a, b) => {
    path.moveTo(...a);
    path.lineTo(...b);
  };
  for (let j = 0; j <= h; j++) {
    for (let i = 0; i <= w; i++) {
      const here = corner(scene, i, j);
      if (i < w && kept(i, j) !== kept(i, j - 1)) line(here, corner(scene, i + 1, j));
      if (j < h && kept(i, j) !== kept(i - 1, j)) line(here, corner(scene, i, j + 1));
    }
  }
  context.lineCap = "square";
  for (const [colour, width] of [
    [CASING, thickness + 2],
    [EDGE, thickness],
  ]) {
    context.strokeStyle = colour;
    context.lineWidth = width * (scene.dpr ?? 1);
    context.stroke(path);
  }
}

function drawGrid(context, scene) {
  const path = new Path2D();
  for (let i = 1; i < scene.w; i++) {
    path.moveTo(...corner(scene, i, 0));
    path.lineTo(...corner(scene, i, scene.h));
  }
  for (let j = 1; j < scene.h; j++) {
    path.moveTo(...corner(scene, 0, j));
    path.lineTo(...corner(scene, scene.w, j));
  }
  context.strokeStyle = "rgba(255, 255, 255, .2)";
  context.lineWidth = 1;
  context.stroke(path);
}

/** Tint every cell with colour(i) = [r, g, b, a], through one small image. */
function fillCells(context, scene, colour) {
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

/** In every kept cell the length of the run that it stands for. */
function numberRuns(context, scene) {
  const [x0, y0] = corner(scene, 0, 0);
  const [x1, y1] = corner(scene, 1, 1);
  const size = Math.min(x1 - x0, y1 - y0) * 0.46;
  if (size < 7) return;
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = size / 5;
  context.strokeStyle = CASING;
  context.fillStyle = "#ffffff";
  for (let i = 0; i < scene.w * scene.h; i++) {
    if (!scene.mask[i]) continue;
    const [x, y] = corner(scene, i % scene.w, Math.floor(i / scene.w));
    const at = [String(scene.runs.length(i)), x + (x1 - x0) / 2, y + (y1 - y0) / 2];
    context.strokeText(...at);
    context.fillText(...at);
  }
}

function markCell(context, scene, cell, colour) {
  if (cell === null || cell === undefined) return;
  const [x0, y0] = corner(scene, cell % scene.w, Math.floor(cell / scene.w));
  const [x1, y1] = corner(scene, (cell % scene.w) + 1, Math.floor(cell / scene.w) + 1);
  for (const [style, width] of [
    ["#000000", 5],
    [colour, 2.5],
  ]) {
    context.strokeStyle = style;
    context.lineWidth = width * (scene.dpr ?? 1);
    context.strokeRect(x0, y0, x1 - x0, y1 - y0);
  }
}
