/**
 * What a frame costs on average, said in four ways side by side, and why they differ.
 */
import { el, fill, number, percent, whole } from "./dom.js";
import { costPerFrame } from "./leaning_figures.js";
import { brief } from "./plan.js";
import { survivors } from "./keep.js";

const COST_ROWS = {
  full: "every frame in full",
  short: "eq. (1), shortened: (1 + (1 − p) N) / (1 + N)",
  group: "eq. (1), with a P-frame's true cost",
  clip: "closed form, this clip's frames",
};

export class CostPanel {
  constructor() {
    this.counted = null;
    this.table = el("table.pl-table");
    this.why = el("ul.pl-why");
    this.node = el("div.pl-part", {}, el("h2", {}, "GMACs per frame, on average"), this.table, this.why);
  }

  /** What torch counted of the last run: {plan, gmacs}, or null. */
  take(found) {
    this.counted = found;
  }

  live({ model }) {
    const cost = costPerFrame(model);
    this.node.hidden = !cost;
    if (!cost) return;
    const cell = (value) => [el("td", {}, number(value, 4)), el("td", {}, value === null ? "" : percent(value / cost.full))];
    const row = (name, words, value, more = "") =>
      el("tr", { "data-cost": name, class: more ? "pl-old" : null }, el("th", { scope: "row" }, words, more && el("span.pl-stale", {}, more)), cell(value));
    const rows = Object.entries(COST_ROWS).map(([name, words]) => row(name, words, cost[name]));
    const { counted } = this;
    const moved = counted && model.spec !== counted.plan;
    rows.push(row("counted", "counted by torch while it ran", counted?.gmacs.counted ?? null, moved ? ` with ${brief(counted.plan)}` : ""));
    const head = ["average over frames", "GMACs", "of full"].map((words) => el("th", { scope: "col" }, words));
    fill(this.table, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows));
    fill(this.why, reasons(model, cost, moved ? null : counted).map((words) => el("li", {}, words)));
  }
}

/** Why the figures differ, one sentence for each step. */
function reasons(model, cost, counted) {
  const { keep, size, counts, manifest, merger } = model;
  const { n, p } = model.stages[0].rule;
  const t = counts.length;
  const cells = keep.coarse ? keep.coarse[0] * keep.coarse[1] : size;
  const kept = survivors(p, cells);
  const predicted = (cost.group * (1 + n) - cost.full) / n;
  const token = keep.residual === "off" || (keep.residual === "auto" && !hasToken(manifest)) ? "the class token" : "the class and the residual token and what makes the latter";
  const wholes = counts.filter((_, i) => keep.anchor[i] === i).length;
  const out = [
    `The paper lets a P-frame cost as many parts of an I-frame as it keeps patches, ${percent(((1 - p) * cells) / size)}. ` +
      `It takes ${number(predicted)} GMACs, ${percent(predicted / cost.full)}: there are ${token}, all ${cells} patches are embedded` +
      `${kept < cells ? ` before ${kept} are kept` : ""}${merger ? `, and ${merger} merges them block by block` : ""}.`,
    `${wholes} of this clip's ${t} frames are I-frames (${percent(wholes / t)}), not 1 in ${n + 1} (${percent(1 / (n + 1))})` +
      `: the first frame and every new shot begin a group.`,
  ];
  if (wholes * (n + 1) === t) out[1] = `This clip's frames are whole groups: ${wholes} I-frames in ${t}.`;
  if (counted) {
    const off = counted.gmacs.counted / counted.gmacs.clip - 1;
    out.push(
      Math.abs(off) < 1e-6
        ? "torch counted, product by product, what the closed form says."
        : `torch counted ${percent(Math.abs(off), 2)} ${off > 0 ? "more" : "less"} than the closed form says.`,
    );
  }
  out.push(`Choosing the patches is not in these figures: ${whole(1000 * model.deciding) ? `${number(model.deciding)} GMACs for the clip` : "under 0.001 GMACs for the clip"}.`); // prettier-ignore
  return out;
}

/** Whether P-frames are given a token where the plan leaves that to the encoder. */
function hasToken({ cost: { predicted } }) {
  return String(predicted.auto) === String(predicted.on);
}
