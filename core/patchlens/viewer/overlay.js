/**
 * What is drawn over the picture: the choice of overlay, the legend of the chosen one, and the one-line read-out.
 */
import { swatch } from "./agreement.js";
import { el, fill } from "./dom.js";
import { factsOf } from "./inspect.js";
import { scale } from "./palette.js";

/** name -> {label, legend, bar: with the scale, and what stands at its ends, absent(player): why not now, or null, rare: then not offered either} */
export const OVERLAYS = {
  dim: { label: "Dimmed", legend: "Clear: kept. Dark and hatched: dropped." },
  outline: { label: "Outline", legend: "Inside the line: kept. Hatched: dropped." },
  value: { label: "Values", legend: "share of this clip's tokens that are worth less: 0 none, 1 all others", bar: ["0", "1"] },
  runs: {
    label: "Run lengths",
    legend: "from one tubelet to the whole clip; a number says how many tubelets a kept patch stands for",
    bar: ["", ""],
    absent: ({ model }) => (model.keep.runs ? null : "This plan has no run lengths."),
  },
  motion: {
    label: "Motion",
    legend: "Arrows, to scale: the way that a patch's content has come since the tubelet before. A dot: still.",
    absent: ({ model }) => (model.flow ? null : "No motion was read with this clip; the selector motion reads it."),
  },
  groups: {
    label: "Groups",
    legend: "Merged patches in their mean colour, as of the last run; a number says how many a token stands for.",
    absent: ({ model }) => (model.merged ? null : "Nothing was merged."),
    rare: true,
  },
  difference: {
    label: "Difference",
    legend: ({ pair: [one, two] }) => [
      ...mark("both", null, "both keep it"),
      ...mark("first", one.letter, `only ${one.letter}`),
      ...mark("second", two.letter, `only ${two.letter}`),
      ...mark("neither", null, "neither"),
    ],
    absent: ({ pair }) => (pair ? null : "There is one plan; compare it with another."),
    rare: true,
  },
};

const mark = (kind, letter, words) => [swatch(kind, letter), words];

/** The buttons, and below the picture the legend or what is under the cursor. */
export class Overlay {
  constructor(choose) {
    const button = ([mode, { label }]) => [mode, el("button", { type: "button", onclick: () => choose(mode) }, label)];
    this.buttons = Object.fromEntries(Object.entries(OVERLAYS).map(button));
    this.modes = el("div.pl-modes", { role: "group", "aria-label": "Overlay" }, Object.values(this.buttons));
    this.legend = el("span.pl-legend");
    this.readout = el("output.pl-readout");
    this.node = el("p.pl-below", {}, this.legend, this.readout);
  }

  live(player) {
    for (const [mode, button] of Object.entries(this.buttons)) {
      const why = absence(player, mode);
      button.disabled = why !== null;
      button.hidden = button.disabled && Boolean(OVERLAYS[mode].rare);
      button.title = why ?? "";
      button.setAttribute("aria-pressed", String(mode === player.mode));
    }
    this.explain(player);
    this.at(player);
  }

  explain(player) {
    const { bar, legend } = OVERLAYS[player.mode];
    const words = typeof legend === "function" ? legend(player) : legend;
    fill(this.legend, bar && [el("span", {}, bar[0]), scaleBar(), el("span", {}, bar[1])], words);
  }

  /** The facts of the patch under the cursor (else of the last pin) in one line. */
  at(player) {
    const n = player.token;
    this.legend.hidden = n !== null;
    const short = ([name, value]) =>
      name === "place" || name === "fate" ? value : `${name} ${value.replace(/ \(.*\)$/, "")}`;
    this.readout.textContent = n === null ? "" : factsOf(player, n).map(short).join(" · ");
  }
}

/** Why an overlay cannot be shown now; null when it can. */
export function absence(player, mode) {
  return OVERLAYS[mode].absent?.(player) ?? null;
}

function scaleBar() {
  const bar = el("span.pl-scale", { "aria-hidden": "true" });
  const stops = Array.from({ length: 7 }, (_, i) => `rgb(${scale(i / 6).join(" ")})`);
  bar.style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
  return bar;
}
