/**
 * Motion, drawn: an arrow in every cell, as long as the way that its content has come since the tubelet before.
 */
import { boxOf } from "./cells.js";

const ARROW = "#ffffff";
const STILL = 0.5; // display pixels: less is a dot

/** Paint scene.flow (dx, dy per cell in display pixels): arrows to scale, ending in the middle of their cell. */
export function drawArrows(context, scene) {
  const { h, w, flow, scale, dpr = 1 } = scene;
  const [shafts, heads, dots] = [new Path2D(), new Path2D(), new Path2D()];
  for (let i = 0; i < h * w; i++) {
    const [x, y, width, height] = boxOf(scene, i);
    const to = [x + width / 2, y + height / 2];
    const [dx, dy] = [flow[2 * i] * scale, flow[2 * i + 1] * scale];
    const length = Math.hypot(dx, dy);
    if (length < STILL * scale) {
      dots.rect(to[0] - dpr / 2, to[1] - dpr / 2, 1.5 * dpr, 1.5 * dpr);
      continue;
    }
    shafts.moveTo(to[0] - dx, to[1] - dy);
    shafts.lineTo(...to);
    point(heads, to, [dx / length, dy / length], Math.min(6 * dpr, 2 * dpr + length / 3));
  }
  context.lineCap = "round";
  for (const [style, more] of [
    ["rgba(0, 0, 0, .7)", 2],
    [ARROW, 0],
  ]) {
    Object.assign(context, { strokeStyle: style, fillStyle: style, lineWidth: (1.4 + more) * dpr });
    context.stroke(shafts);
    context.stroke(heads);
    context.fill(heads);
    context.fill(dots);
  }
}

/** A triangle with its tip at `to`, pointing along the unit vector. */
function point(path, [x, y], [ux, uy], size) {
  const [bx, by] = [x - ux * size, y - uy * size];
  path.moveTo(x, y);
  path.lineTo(bx - (uy * size) / 2, by + (ux * size) / 2);
  path.lineTo(bx + (uy * size) / 2, by - (ux * size) / 2);
  path.closePath();
}

/** A way in words: how far, and to where. */
export function wayOf(dx, dy) {
  const length = Math.hypot(dx, dy);
  if (length < STILL) return "still";
  const names = ["right", "down right", "down", "down left", "left", "up left", "up", "up right"];
  const eighth = Math.round(Math.atan2(dy, dx) / (Math.PI / 4));
  return `${length.toFixed(1)} px ${names[(eighth + 8) % 8]}`;
}
