/**
 * The oracle's maps of all blocks, as the server sends them once: which one a plan takes, and how another takes its place.
 *
 * A place is a block's number, or the number of blocks for the mean of all. Knows no page.
 */
import { cleaned } from "./cleaning.js";
import { revalue } from "./plan.js";

/** The first stage of a model where it is the oracle; else null. */
export function oracleOf(model) {
  return model?.stages[0].name === "oracle" ? model.stages[0] : null;
}

export class Stack {
  /** found: what `evaluation.stack` says of the maps; raw: float32 gradients x (blocks + 1) x N. */
  constructor(found, raw) {
    Object.assign(this, found);
    this.maps = new Float32Array(raw);
    this.size = this.maps.length / (this.gradients.length * (this.blocks + 1));
  }

  /** The signed map of a place (Float32Array). */
  signed(gradient, place) {
    const at = (this.gradients.indexOf(gradient) * (this.blocks + 1) + place) * this.size;
    return this.maps.subarray(at, at + this.size);
  }

  /** {gradient, sign, place} that the oracle's knobs mean; place null for the mean of some blocks, which is none of these. */
  read(setting) {
    const gradient = setting.gradient === "auto" ? this.auto.gradient : setting.gradient;
    const sign = setting.sign === "auto" ? this.auto.signs[gradient] : setting.sign;
    const block = String(setting.block === "auto" ? this.auto.blocks[`${gradient} ${sign}`] : setting.block);
    if (block === "mean" || block === `mean${this.blocks}`) return { gradient, sign, place: this.blocks };
    const number = /^-?\d+$/.test(block) ? Number(block) : NaN;
    const place = number < 0 ? number + this.blocks : number;
    return { gradient, sign, place: place >= 0 && place < this.blocks ? place : null };
  }

  /** The oracle's knobs that mean a way: "auto" where that is what it takes by itself. */
  knobs({ gradient, sign, place }) {
    const usual = this.read({ gradient: "auto", sign: "auto", block: "auto" });
    if (gradient === usual.gradient && sign === usual.sign && place === usual.place) {
      return { gradient: "auto", sign: "auto", block: "auto" };
    }
    return { gradient, sign, block: place === this.blocks ? "mean" : String(place) };
  }

  /** Have a model's oracle take its values from another {gradient, sign, place}, or clean them otherwise; the caller decides anew. */
  show(model, way, clean) {
    const { gradient, sign, place } = way;
    const stage = oracleOf(model);
    const { place: before } = this.read(stage.setting);
    Object.assign(stage.setting, this.knobs(way), { clean });
    stage.unit = this.units[sign][this.gradients.indexOf(gradient)][place];
    model.extra += this.gmacs[place] - this.gmacs[before ?? place];
    const map = this.signed(gradient, place);
    const signed = sign === "either" ? map.map(Math.abs) : map;
    revalue(stage, cleaned(signed, model.manifest.grid, clean), signed, model.manifest.seed);
  }

  /** What was measured of a way: {keep ratio: {mean, low, high}} for one kind of label, and chance beside it. */
  measured({ gradient, sign, place }, label) {
    const block = place === this.blocks ? "mean" : String(place);
    const row = this.accuracy?.find((each) => each.block === block && each.gradient === gradient && each.sign === sign);
    return ratesOf(row, label);
  }

  /** The same of random tokens. */
  chance(label) {
    return ratesOf(this.accuracy?.find(({ block }) => block === "random"), label);
  }
}

function ratesOf(row, label) {
  const columns = Object.keys(row?.intervals ?? {}).filter((name) => name.startsWith(`${label} `));
  const rate = (name) => ({ mean: row[name], low: row.intervals[name][0], high: row.intervals[name][1] });
  return Object.fromEntries(columns.map((name) => [name.slice(label.length + 1), rate(name)]));
}
