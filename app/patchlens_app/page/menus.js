/**
 * Which encoder and which selector. What cannot run here is shown, greyed, with what it would take.
 */
import { el, fill } from "./dom.js";
import { parsed, specOf } from "./plan.js";

/** Encoder and weights. */
export class EncoderMenu {
  constructor(encoders, changed) {
    Object.assign(this, { encoders, changed });
    this.select = el("select", { "aria-label": "Encoder", onchange: () => this.describe() });
    this.weights = el("select", { "aria-label": "Weights", onchange: () => this.list() });
    const kinds = [["", "trained weights"], ["random", "random weights: costs only"]]; // prettier-ignore
    fill(
      this.weights,
      kinds.map(([value, words]) => el("option", { value }, words)),
    );
    this.note = el("p.pl-note");
    this.node = el("div.pl-fields", {}, this.select, this.weights, this.note);
    this.list();
  }

  get name() {
    return this.select.value;
  }

  /** Take an encoder and weights ("" or "random"), as far as they are on offer. */
  choose(name, weights) {
    this.weights.value = weights === "random" ? "random" : "";
    this.list();
    const option = [...this.select.options].find(({ value, disabled }) => value === name && !disabled);
    if (!option) return;
    this.select.value = name;
    this.describe();
  }

  /** Offer what runs with the chosen weights, keeping the choice where that goes. */
  list() {
    const ready = (e) => (this.weights.value === "random" ? e.small : e.on_disk.length > 0);
    const absent = (e) => (e.megabytes ? `${e.megabytes} MB download` : "not made yet");
    const words = (e) => (ready(e) ? e.name : `${e.name} (${absent(e)})`);
    const option = (e) => el("option", { value: e.name, disabled: !ready(e) }, words(e));
    const group = (label, list) => list.length > 0 && el("optgroup", { label }, list.map(option));
    const before = this.encoders.find((e) => e.name === this.name && ready(e));
    const rest = this.encoders.filter((e) => !ready(e));
    fill(this.select, group("Ready", this.encoders.filter(ready)), group("Not here", rest));
    this.select.value = (before ?? this.encoders.find(ready))?.name ?? "";
    this.describe();
  }

  describe() {
    const chosen = this.encoders.find((e) => e.name === this.name);
    const about = chosen
      ? `${chosen.summary}; ${chosen.tokens} tokens a ${chosen.frames ? "clip" : "frame"}.`
      : "No encoder has its weights on this disk.";
    const more = "The greyed ones: patchlens run VIDEO --encoder NAME --weights TAG downloads them once.";
    this.note.textContent = this.encoders.every((e) => e.on_disk.length) ? about : `${about} ${more}`;
    this.changed();
  }
}

/** A selector, and the knobs of it that ask for new scores; the others are sliders beside the picture. */
export class SelectorMenu {
  /** changed() after every change, switched() when another selector was taken. */
  constructor(selectors, { changed, switched }) {
    Object.assign(this, { selectors, changed, settings: {} });
    const take = () => {
      this.choose(this.select.value);
      switched();
    };
    this.select = el("select", { "aria-label": "Selector", onchange: take });
    fill(
      this.select,
      selectors.map((s) => {
        const words = s.needs.length ? `${s.name} (needs ${s.needs.join(", ")})` : s.name;
        return el("option", { value: s.name, disabled: s.needs.length > 0 }, words);
      }),
    );
    this.note = el("p.pl-note");
    this.knobs = el("div.pl-fields");
    this.node = el("div.pl-fields", {}, this.select, this.note, this.knobs);
    this.choose(selectors.some((s) => s.name === "rlt") ? "rlt" : selectors[0].name);
  }

  get setting() {
    return this.settings[this.plugin.name];
  }

  get spec() {
    return specOf(this.plugin.name, this.plugin.knobs, this.setting);
  }

  choose(name) {
    this.select.value = name;
    this.plugin = this.selectors.find((s) => s.name === name);
    this.settings[name] ??= Object.fromEntries(this.plugin.knobs.map((knob) => [knob.name, knob.default]));
    this.note.textContent = this.plugin.summary;
    const scored = this.plugin.knobs.filter((knob) => knob.stage === "score" || knob.kind === "text");
    this.inputs = new Map();
    fill(
      this.knobs,
      scored.map((knob) => this.field(knob)),
    );
    this.changed();
  }

  field(knob) {
    const numeric = knob.kind === "float" || knob.kind === "int";
    const bounds = { type: "number", min: knob.low, max: knob.high, step: knob.step };
    const input =
      knob.kind === "choice"
        ? el(
            "select",
            {},
            knob.options.map((option) => el("option", { value: option }, option)),
          )
        : el("input", numeric ? bounds : { type: "text", maxlength: 120 });
    input.value = this.setting[knob.name];
    input.addEventListener("change", () => {
      this.setting[knob.name] = numeric ? Number(input.value) : input.value;
      this.changed();
    });
    this.inputs.set(knob.name, input);
    return el("label.pl-field", { title: knob.help }, el("span", {}, knob.name), input);
  }

  /** The plan on the page is of one selector: keep its values for the next run. */
  follow(stages) {
    if (stages.length !== 1) return;
    const [{ name, setting }] = stages;
    if (name !== this.plugin.name && this.selectors.some((s) => s.name === name)) this.choose(name);
    if (name !== this.plugin.name) return;
    Object.assign(this.setting, setting);
    for (const [knob, input] of this.inputs) input.value = this.setting[knob];
  }

  /** Take a plan such as rlt:tau=0.2; false where it is not one selector with knobs that it has. */
  adopt(plan) {
    const [{ name, values }, ...more] = parsed(plan);
    const plugin = this.selectors.find((s) => s.name === name && !s.needs.length);
    const given = Object.entries(values);
    if (!plugin || more.length || !given.every(([knob]) => plugin.knobs.some((k) => k.name === knob))) return false;
    this.choose(name);
    for (const [knob, value] of given) {
      const { kind } = plugin.knobs.find((k) => k.name === knob);
      this.setting[knob] = kind === "choice" || kind === "text" ? value : Number(value);
    }
    this.choose(name);
    return true;
  }
}
