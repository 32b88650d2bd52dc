/**
 * The difference of two lanes, drawn: what both keep is clear, what one keeps wears its colour and hatching, the rest is dark.
 */
import { bordersPath, cellsPath, strokeCased } from "./cells.js";
import { KEPT } from "./palette.js";

export const [NEITHER, FIRST, SECOND, BOTH] = [0, 1, 2, 3];
const DARK = "rgba(10, 14, 22, .74)";
const DUSK = "rgba(10, 14, 22, .42)"; // under a side's hatching, which is bright

/** Paint scene.sides (codes per cell) in the colours and patterns of scene.pair. */
export function drawDifference(context, scene) {
  const { sides, pair, patterns } = scene;
  const paint = (code, style) => {
    context.fillStyle = style;
    context.fill(cellsPath(scene, (i) => sides[i] === code));
  };
  paint(NEITHER, DARK);
  pair.forEach(({ edge }, i) => {
    paint([FIRST, SECOND][i], DUSK);
    paint([FIRST, SECOND][i], patterns.of(edge, i === 1));
  });
  const rim = (code, colour, thickness) => {
    const within = (i) => i >= 0 && sides[i] === code;
    strokeCased(context, scene, bordersPath(scene, (a, b) => within(a) !== within(b)), colour, thickness);
  };
  rim(FIRST, pair[0].edge, 1.5);
  rim(SECOND, pair[1].edge, 1.5);
  rim(BOTH, KEPT, 1.75);
}
