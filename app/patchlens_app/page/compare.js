/**
 * A small dialog: which plan to put beside the one on the screen.
 */
import { el, fill } from "./dom.js";
import { specOf } from "./plan.js";

export class CompareDialog {
  /** chosen(plan) gets a plan in the spec grammar. */
  constructor({ selectors, mergers }, chosen) {
    Object.assign(this, { selectors: selectors.filter((s) => !s.needs.length), mergers, chosen });
    this.list = el("div.pl-choices");
    this.plan = el("input", { type: "text", maxlength: 300, placeholder: "a whole plan, such as rlt:tau=0.2+random:keep=0.5+tome:r=8" });
    this.plan.setAttribute("aria-label", "Whole plan");
    const submit = (event) => {
      event.preventDefault();
      if (this.plan.value.trim()) this.take(this.plan.value.trim());
    };
    const own = el("form.pl-inline-form", { onsubmit: submit }, this.plan, el("button.pl-button", {}, "Add"));
    const close = el("button.pl-button", { type: "button", onclick: () => this.node.close() }, "Close");
    this.node = el("dialog.pl-dialog", { "aria-label": "Compare with" }, el("h2", {}, "Compare with"), this.list, own, close);
  }

  /** Offer every selector, those with a keep ratio at the budget on the screen. */
  open(model) {
    const keep = Math.max(0.01, Math.round((100 * model.kept) / model.keep.mask.length) / 100);
    const button = ({ name, summary, knobs }) => {
      const setting = Object.fromEntries(knobs.map((knob) => [knob.name, knob.name === "keep" ? keep : knob.default]));
      const choose = () => this.take(specOf(name, knobs, setting));
      return el("button.pl-choice", { type: "button", onclick: choose }, el("strong", {}, name), el("span", {}, summary));
    };
    const merger = (spec) => {
      const words = "merges or drops tokens inside the encoder's blocks; behind a selector as a whole plan, below";
      return el("button.pl-choice", { type: "button", onclick: () => this.take(spec) }, el("strong", {}, spec), el("span", {}, words));
    };
    fill(this.list, this.selectors.map(button), this.mergers.map(merger));
    this.node.showModal();
  }

  take(plan) {
    this.node.close();
    this.chosen(plan);
  }
}
