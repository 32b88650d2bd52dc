/**
 * Drawing one tubelet on a canvas: the picture, and over it what a plan makes of it.
 *
 * A scene is plain data: {image, part, rect, scale, h, w, mask, mode, shares, runs, flow, groups, blocks, sides, grid,
 * cursor, pins, edge, patterns, dpr}; blocks (or null) the cell that stands for each one where patches are coarser; rect is the part of the canvas that the encoder saw, in pixels, `part` the part of the
 * image to draw (null: all), scale canvas pixels per display pixel. Nothing here knows where a scene came from.
 */
import { bordersPath, boxOf, cellsPath, corner, fillCells, strokeCased, writeIn } from "./cells.js";
import { drawDifference } from "./differ.js";
import { drawGroups } from "./groups.js";
import { drawArrows } from "./motion.js";
import { hatch, KEPT, scale } from "./palette.js";

const DIM = "rgba(10, 14, 22, .64)";
const HATCH = "rgba(255, 255, 255, .38)";
const PIN = "#ffffff";

/** What each overlay paints between the picture and its marks. */
const PAINTERS = {
  dim: (c, scene) => drawKept(c, scene, { dimmed: true }),
  outline: (c, scene) => drawKept(c, scene, { thickness: 3 }),
  value: drawValues,
  runs: drawRuns,
  motion: (c, scene) => (drawKept(c, scene, {}), drawArrows(c, scene)),
  groups: drawGroups,
  difference: (c, scene) => (drawDifference(c, scene), scene.grid && drawGrid(c, scene)),
};

/** The hatchings of a canvas: of what is dropped, and of(colour, falling) for the sides of a difference. */
export function patternsFor(context, gap) {
  const width = Math.max(1, gap / 7);
  const made = {};
  const of = (colour, falling) => (made[`${colour}${falling}`] ??= hatch(context, colour, gap, 2 * width, falling));
  return { dropped: hatch(context, HATCH, gap, width), of };
}

/** A part of a picture drawn once at {width, height}, so that redrawing copies instead of scaling. */
export function scaled(image, { width, height }, part = [0, 0, image.width, image.height]) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, ...part, 0, 0, width, height);
  return canvas;
}

/** Draw a scene over the whole canvas. */
export function drawScene(context, scene) {
  const { width, height } = context.canvas;
  context.clearRect(0, 0, width, height);
  if (scene.part) context.drawImage(scene.image, ...scene.part, 0, 0, width, height);
  else context.drawImage(scene.image, 0, 0, width, height);
  shadeUnseen(context, scene);
  PAINTERS[scene.mode](context, scene);
  (scene.pins ?? []).forEach((cell, i) => markPin(context, scene, cell, i + 1));
  if (scene.cursor !== null && scene.cursor !== undefined) markCell(context, scene, scene.cursor, []);
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

/** Kept cells edged, dropped ones hatched and, if asked, dimmed. */
function drawKept(context, scene, { dimmed = false, thickness = 1.75 }) {
  const { mask } = scene;
  if (scene.blocks) drawBlocks(context, scene);
  else if (scene.grid) drawGrid(context, scene);
  const dropped = cellsPath(scene, (i) => !mask[i]);
  if (dimmed) fillWith(context, dropped, DIM);
  fillWith(context, dropped, scene.patterns.dropped);
  const kept = (i) => i >= 0 && mask[i] === 1;
  strokeCased(context, scene, bordersPath(scene, (a, b) => kept(a) !== kept(b)), scene.edge ?? KEPT, thickness);
}

function fillWith(context, path, style) {
  context.fillStyle = style;
  context.fill(path);
}

function drawValues(context, scene) {
  fillCells(context, scene, (i) => [...scale(scene.shares[i]), 200]);
  drawKept(context, scene, {});
}

/** Run lengths in colour, and in every kept cell the length of the run that it stands for. */
function drawRuns(context, scene) {
  fillCells(context, scene, (i) => [...scale(scene.runs.share(i)), 150]);
  drawKept(context, scene, {});
  const [, , width, height] = boxOf(scene, 0);
  const size = Math.min(width, height) * 0.46;
  if (size < 7) return;
  for (let i = 0; i < scene.h * scene.w; i++)
    if (scene.mask[i]) writeIn(context, scene, i, String(scene.runs.length(i)), size);
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

/** Lines between the coarse patches of a P-frame that is seen at lower resolution. */
function drawBlocks(context, { blocks, ...scene }) {
  context.strokeStyle = "rgba(255, 255, 255, .6)";
  context.lineWidth = scene.dpr ?? 1;
  context.stroke(bordersPath(scene, (a, b) => a >= 0 && b >= 0 && blocks[a] !== blocks[b]));
}

/** A frame around a cell: white in a black casing, whole or dashed. */
function markCell(context, scene, cell, dashes) {
  const box = boxOf(scene, cell);
  const dpr = scene.dpr ?? 1;
  context.strokeStyle = "#000000";
  context.lineWidth = 5 * dpr;
  context.strokeRect(...box);
  context.setLineDash(dashes.map((length) => length * dpr));
  context.strokeStyle = PIN;
  context.lineWidth = 2.5 * dpr;
  context.strokeRect(...box);
  context.setLineDash([]);
}

/** A pinned cell: a dashed frame with its number on a tag in the corner. */
function markPin(context, scene, cell, number) {
  markCell(context, scene, cell, [5, 3]);
  const [x, y] = boxOf(scene, cell);
  const size = 14 * (scene.dpr ?? 1);
  context.fillStyle = "#000000";
  context.fillRect(x, y, size, size);
  context.fillStyle = PIN;
  context.font = `600 ${size * 0.8}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(String(number), x + size / 2, y + size * 0.55);
}
