/**
 * Pinned patches: places that stay in view, each with its value in every lane, its crop through time, and a way out.
 */
import { drawCrops } from "./crops.js";
import { el, fill, number } from "./dom.js";
import { placeOf } from "./inspect.js";

export class Pins {
  constructor(release) {
    this.release = release;
    this.node = el("ol.pl-pins", { "aria-label": "Pinned patches", hidden: true });
    this.rows = [];
  }

  live(player) {
    this.key = null;
    this.at(player);
  }

  at(player) {
    const { pins, tubelet, model } = player;
    const key = `${pins} ${tubelet}`;
    if (key === this.key) return;
    this.key = key;
    this.node.hidden = pins.length === 0;
    this.rows = pins.map((place, i) => this.row(player, place, i + 1));
    fill(this.node, this.rows);
    this.node.querySelectorAll("canvas").forEach((canvas, i) => drawCrops(canvas, model, pins[i], player.colours));
  }

  row({ lanes, model, tubelet }, place, count) {
    const where = placeOf(model, place);
    const n = tubelet * model.size + place;
    const out = el(
      "button.pl-out",
      { type: "button", "aria-label": `Let go of pin ${count}, ${where}`, onclick: () => this.release(place) },
      "×",
    );
    const head = el("div.pl-pin-head", {}, el("span.pl-tag", {}, String(count)), el("span", {}, where), out);
    const values = lanes.map((lane) => valueIn(lane, n, lanes.length > 1));
    return el("li.pl-pin", {}, head, el("div.pl-pin-values", {}, values), el("canvas.pl-crops", { role: "img" }));
  }
}

/** A token's value in a lane, and whether it stays. */
function valueIn({ model, letter }, n, several) {
  const [stage] = model.stages;
  const fate = model.keeps(n) ? "kept ●" : "dropped ○";
  const badge = several && el("span.pl-badge", { "data-lane": letter }, letter);
  return el("span.pl-pin-value", { title: stage.unit }, badge, `${number(stage.values[n])}, ${fate}`);
}
