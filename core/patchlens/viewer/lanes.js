/**
 * Lanes: the pictures of one clip under different plans, side by side and in step, each with a letter and a headline.
 */
import { sidesOf } from "./agreement.js";
import { remeasure } from "./canvas.js";
import { el, fill, number, percent, whole } from "./dom.js";
import { absence } from "./overlay.js";
import { paintable } from "./painting.js";
import { LANE_COLOURS } from "./palette.js";
import { Picture } from "./picture.js";

export const LETTERS = "ABCD";

/** One plan of a clip: its model, and its picture under a headline. */
export class Lane {
  constructor(player) {
    const here = () => player.lanes.indexOf(this);
    this.picture = new Picture({
      enter: () => player.choose(here()),
      hover: (cell) => player.hover(cell),
      pin: (cell) => player.pin(cell),
      pan: (dx, dy) => player.pan(dx, dy),
      zoom: (by, place) => player.magnify(by, place),
      paint: (cell, first) => player.paint(cell, first, here()),
      painted: () => player.painted(),
    });
    this.badge = el("span.pl-badge");
    this.words = el("span.pl-lane-words");
    this.head = el("button.pl-lane-head", { type: "button", onclick: () => player.choose(here()) }, this.badge, this.words);
    this.leave = el("button.pl-lane-leave", { type: "button", onclick: () => player.dropLane(here()) }, "×");
    this.node = el("div.pl-lane", {}, el("div.pl-lane-top", {}, this.head, this.leave), this.picture.node);
  }

  /** Show this payload from now on. */
  take(model) {
    this.model = model;
    this.picture.fit(model.manifest);
    this.picture.canvas.classList.toggle("pl-paints", paintable(model));
  }

  /** Take a place among `count` lanes. */
  place(index, count) {
    this.letter = LETTERS[index];
    this.edge = count > 1 ? LANE_COLOURS[index] : null;
    this.node.dataset.lane = this.badge.textContent = this.letter;
    this.node.classList.toggle("pl-alone", count === 1);
    this.leave.setAttribute("aria-label", `Remove ${this.letter}`);
  }

  /** Plan, tokens and cost in one line. */
  headline() {
    const { spec, kept, keep, cost, waits } = this.model;
    const total = keep.mask.length;
    const gmacs = waits ? `${number(cost)} GMACs at the last run` : `${number(cost)} GMACs`;
    const numbers = `${whole(kept)} of ${whole(total)} · ${percent(kept / total)} · ${gmacs}`;
    fill(this.words, el("span.pl-lane-plan", { title: spec }, spec), el("span.pl-lane-numbers", {}, numbers));
  }
}

/** What to draw of a lane's tubelet t, under the picture of `frame`; a lane without what the overlay shows is dimmed. */
export function sceneIn({ mode: wanted, pair }, { model, edge }, t, frame) {
  const mode = absence({ model, pair }, wanted) === null ? wanted : "dim";
  const scene = { ...model.scene(t, mode, frame), edge };
  if (mode !== "difference") return scene;
  const [one, two] = pair.map((lane) => lane.model.keep.mask.subarray(t * model.size, (t + 1) * model.size));
  return { ...scene, pair, sides: sidesOf(one, two) };
}

/** All lanes, in step: the middle of the page. */
export class Lanes {
  constructor() {
    this.node = el("div.pl-lanes");
  }

  build({ lanes, lane }) {
    lanes.forEach((each, i) => {
      each.place(i, lanes.length);
      each.head.setAttribute("aria-pressed", String(i === lane));
      each.node.classList.toggle("pl-active", i === lane);
    });
    const nodes = lanes.map((each) => each.node);
    this.node.dataset.count = lanes.length;
    if (nodes.length === this.node.children.length && nodes.every((node, i) => node === this.node.children[i])) return;
    fill(this.node, nodes); // only now: a node that is put in again loses the focus
    remeasure();
  }

  live(player) {
    const one = player.mode === "difference";
    if (this.node.classList.toggle("pl-one", one) !== this.one) remeasure();
    this.one = one;
    for (const lane of player.lanes) lane.headline();
    this.at(player);
  }

  at(player) {
    const { tubelet, image, lanes, frame, grid, cursor, pins, zoom } = player;
    lanes.forEach((lane, i) => {
      if (player.mode === "difference" && i !== player.lane) return; // one map for both
      const scene = sceneIn(player, lane, tubelet, frame);
      lane.picture.draw({ ...scene, image: image ?? scene.image }, { grid, cursor, pins }, zoom);
      lane.picture.name(tubelet, lane.model, lanes.length > 1 ? lane.letter : null);
    });
  }

  resized(player) {
    this.at(player);
  }
}
