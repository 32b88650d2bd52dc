/**
 * What belongs to several lanes: adding one, holding them to equal tokens, and choosing whose sliders are shown.
 */
import { el, fill, whole } from "./dom.js";
import { budgetKnob } from "./duel.js";
import { LETTERS } from "./lanes.js";

/** Above the pictures: the link to equal tokens, which two are compared, and "+ Compare". */
export class LaneBar {
  constructor(player) {
    this.link = el("input", { type: "checkbox", onchange: () => player.link(this.link.checked) });
    this.label = el("label.pl-check", {}, this.link, "equal tokens");
    this.said = el("span.pl-note", { role: "status" });
    this.pair = [0, 1].map((side) => {
      const words = ["First", "Second"][side];
      return el("select", { "aria-label": `${words} of the difference`, onchange: () => this.oppose(player, side) });
    });
    this.versus = el("span.pl-check", {}, "Difference of ", this.pair[0], " and ", this.pair[1]);
    const compare = () => player.host.compare();
    this.add = el("button.pl-button", { type: "button", hidden: !player.host.compare, onclick: compare }, "+ Compare");
    this.node = el("div.pl-lane-bar", {}, this.label, this.said, this.versus, this.add);
  }

  build({ lanes }) {
    this.label.hidden = lanes.length < 2;
    this.versus.hidden = lanes.length < 3; // of two there is one pair
    for (const select of this.pair) fill(select, lanes.map(({ letter }) => el("option", { value: letter }, letter))); // prettier-ignore
    this.add.disabled = lanes.length === LETTERS.length;
    this.node.hidden = this.label.hidden && this.add.hidden;
  }

  /** Another lane on one side; where it stood on the other, the two change places. */
  oppose(player, side) {
    const before = player.pair.map(({ letter }) => letter);
    const wanted = this.pair.map(({ value }) => value);
    if (wanted[0] === wanted[1]) wanted[1 - side] = before[side];
    player.oppose(...wanted.map((letter) => LETTERS.indexOf(letter)));
  }

  live({ lanes, lane, linked, pair }) {
    if (pair) this.pair.forEach((select, side) => (select.value = pair[side].letter));
    this.link.checked = linked;
    this.said.textContent = linked ? leveling(lanes, lane) : "";
  }
}

/** How near the lanes come to one token count. */
function leveling(lanes, lane) {
  const stuck = lanes.filter(({ model }, i) => i !== lane && !budgetKnob(model)).map(({ letter }) => letter);
  const counts = lanes.map(({ letter, model }) => `${letter} ${whole(model.kept)}`).join(", ");
  return stuck.length ? `${counts}; ${stuck.join(" and ")} cannot follow here` : counts;
}

/** Above the sliders: whose they are. */
export class LaneTabs {
  constructor(player) {
    this.player = player;
    this.node = el("div.pl-tabs", { role: "group", "aria-label": "Whose sliders" });
  }

  build({ lanes, lane }) {
    this.node.hidden = lanes.length < 2;
    const tab = ({ letter, model }, i) =>
      el(
        "button.pl-tab",
        { type: "button", "aria-pressed": String(i === lane), onclick: () => this.player.choose(i) },
        el("span.pl-badge", { "data-lane": letter }, letter),
        model.stages.map(({ name }) => name).join(" + "),
      );
    fill(this.node, lanes.map(tab));
  }
}
