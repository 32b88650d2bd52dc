/**
 * One place through time: the patch with a little of its surroundings, once per tubelet.
 */

const SIDE = 68; // canvas pixels
const GAP = 4;

/** Draw the place on a canvas; where it is kept it is underlined thickly. */
export function drawCrops(canvas, model, place, colours) {
  const [t, h, w] = model.manifest.grid;
  const { rect, tubelet } = model.manifest;
  const [width, height] = [(rect[2] - rect[0]) / w, (rect[3] - rect[1]) / h];
  const [x, y] = [rect[0] + (place % w) * width, rect[1] + Math.floor(place / w) * height];
  Object.assign(canvas, { width: t * SIDE, height: SIDE + 8 });
  const c = canvas.getContext("2d");
  for (let i = 0; i < t; i++) {
    const kept = model.keeps(i * h * w + place);
    const from = [x - width / 2, y - height / 2, 2 * width, 2 * height];
    c.drawImage(model.pictureOf(i * tubelet), ...from, i * SIDE, 0, SIDE - GAP, SIDE);
    c.fillStyle = kept ? colours.accent : colours.line;
    c.fillRect(i * SIDE, SIDE + 3, SIDE - GAP, kept ? 5 : 2);
  }
  canvas.setAttribute("aria-label", `This place in all ${t} tubelets; where it is kept it is underlined.`);
}
