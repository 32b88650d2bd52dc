/**
 * A selector against the oracle: the difference map of the two at the same number of tokens. A selector that was trained is
 * set against the oracle whose maps it learned.
 */
import { el } from "./dom.js";
import { oracleOf } from "./stack.js";

const OTHERS = { lite: "LITE", attention: "attention", saliency: "saliency", "rlt-topk": "RLT's score" };

export class AgainstPanel {
  /**
   * beside(plans) shows these plans of the clip side by side as a difference map; teacher(encoder) is the oracle that its
   * trained selector learned, or null.
   */
  constructor({ beside, teacher }) {
    this.teacher = teacher;
    const button = (words, onclick) => el("button.pl-button", { type: "button", onclick }, words);
    this.own = button("This plan", () => beside([this.player.model.spec, this.oracle(this.player.model.stages[0])]));
    const others = Object.entries(OTHERS).map(([name, words]) => button(words, () => beside([`${name}:keep=${this.keep}`, this.oracle({ name })])));
    const words =
      "Which tokens both keep, and which only one of them: colours and hatchings on the picture, figures beside it, " +
      "both set against what chance would give. LITE is set against the oracle that it learned.";
    this.node = el("div.pl-part", {}, el("h2", {}, "A selector against the oracle"), el("p.pl-note", {}, words), el("div.pl-saves", {}, this.own, others));
  }

  /** The share of tokens on the screen, as a plan writes it. */
  get keep() {
    const { kept, keep } = this.player.model;
    return Math.max(0.01, Math.round((100 * kept) / keep.mask.length) / 100);
  }

  /** The oracle for a selector, at the count on the screen. */
  oracle({ name, setting = { weights: "auto" } }) {
    const bundled = name === "lite" && setting.weights === "auto";
    const own = bundled && this.teacher(this.player.model.manifest.report.encoder.name);
    const [plan, separator] = own ? [own, own.includes(":") ? "," : ":"] : ["oracle", ":"];
    return `${plan}${separator}keep=${this.keep}`;
  }

  build(player) {
    this.player = player;
  }

  live({ model }) {
    this.own.hidden = Boolean(oracleOf(model));
  }
}
