/**
 * Two sliders that ask the other way round: a GMAC budget sets the active plan's knob, a wanted accuracy finds the cheapest
 * measured setting.
 */
import { cheapest, planAt, settingAt, withinBudget } from "./chart_curves.js";
import { isShareOfClips, valueWords } from "./chart_figure.js";
import { el, fill, number, percent } from "./dom.js";
import { budgetKnob } from "./duel.js";

const BUDGET_STEPS = 400; // of the budget slider

/** One slider with its value and a line of words below. */
function goalSlider(name, label) {
  const range = el("input", { type: "range", "data-goal": name, "aria-label": label });
  const value = el("output.pl-knob-value");
  const words = el("p.pl-note");
  const head = el("span.pl-knob-head", {}, el("span.pl-knob-name", {}, label), value);
  return { range, value, words, head, node: el("div.pl-goal", {}, el("label.pl-knob", {}, head, range), words) };
}

/** The GMAC budget: the dearest setting of the active plan's own knob that stays within it, solved in the browser. */
export class Budget {
  constructor(set) {
    Object.assign(this, goalSlider("budget", "GMAC budget"), { set, solved: null });
    this.range.addEventListener("input", () => this.solve(false));
    this.range.addEventListener("change", () => this.solve(true));
  }

  /** Another plan, or another active one. */
  build(model) {
    this.model = model;
    this.dial = budgetKnob(model);
    const most = model.manifest.report.gmacs.full + model.deciding;
    Object.assign(this.range, { min: 0, max: most, step: most / BUDGET_STEPS, disabled: !this.dial });
    this.solved = null;
    this.live();
  }

  /** The sliders moved: stand where the plan is, unless this slider moved them. */
  live() {
    const { model, dial } = this;
    if (dial && this.solved === dial.stage.setting[dial.knob.name]) return;
    this.solved = null;
    this.range.value = model.cost;
    this.value.textContent = number(model.cost);
    this.words.textContent = dial ? "" : "This plan has no slider that sets its cost.";
  }

  solve(release) {
    const { dial, model } = this;
    const budget = Number(this.range.value);
    const { value, gmacs, within } = withinBudget(model, dial, budget);
    this.solved = value;
    this.value.textContent = `≤ ${number(budget)}`;
    const selector = model.deciding;
    const alone = selector > 0.01 * gmacs ? `, of which the selector itself takes ${number(selector)}` : "";
    this.words.textContent = within
      ? `${dial.knob.name} = ${number(value)} costs ${number(gmacs)} GMACs.`
      : `Out of reach: this plan costs at least ${number(gmacs)} GMACs${alone}.`;
    this.set({ [dial.knob.name]: value }, release);
  }
}

/** The wanted value: the cheapest place on any curve that reaches it, as a sentence, with a button that takes it. */
export class Wanted {
  constructor(use) {
    Object.assign(this, goalSlider("wanted", "Wanted accuracy"), { use });
    this.range.addEventListener("input", () => this.find());
  }

  /** Another frontier; `usable(curve)` says whether a button can take a plan of it. */
  build(frontier, usable) {
    if (frontier !== this.frontier) {
      const values = frontier.curves.flatMap((c) => c.points.map((p) => p.value));
      Object.assign(this.range, { step: 0.005, min: Math.floor(20 * Math.min(...values)) / 20, max: 1 });
      this.range.value = Math.floor(100 * (frontier.full.value - 0.02)) / 100;
      const name = isShareOfClips(frontier) ? "Wanted accuracy" : `Wanted ${frontier.measure.split(" ")[0]}`;
      this.head.firstChild.textContent = name;
      this.range.setAttribute("aria-label", name);
    }
    Object.assign(this, { frontier, usable });
    this.find();
  }

  find() {
    const wanted = Number(this.range.value);
    const place = cheapest(this.frontier, wanted);
    this.value.textContent = `≥ ${isShareOfClips(this.frontier) ? percent(wanted) : wanted.toFixed(3)}`;
    this.range.setAttribute("aria-valuetext", this.value.textContent);
    fill(this.words, place ? this.sentence(place) : "No curve reaches this on the reference set.");
  }

  sentence({ curve, reached, gmacs, setting: exact, ...value }) {
    const setting = curve.knob && settingAt(curve, exact);
    const plan = planAt(curve, setting);
    const use = el("button.pl-button", { type: "button", onclick: () => this.use(curve, setting, plan) }, "Use it");
    const cost = `${percent(reached, 0)} of the tokens, ${number(gmacs)} GMACs, ${valueWords(value, this.frontier)}`;
    return ["Cheapest on the reference set: ", el("code", {}, plan), ` (${cost}). `, this.usable(curve) && use];
  }
}
