/**
 * The desk: what is asked for. It joins clip, encoder, selector and the few other fields, and asks for runs.
 */
import { ClipPicker } from "./clip.js";
import { el, fill } from "./dom.js";
import { Elsewhere } from "./elsewhere.js";
import { EncoderMenu, SelectorMenu } from "./menus.js";
import { paintable } from "./painting.js";
import { section } from "./panel.js";
import { brief, planSpec } from "./plan.js";
import { apart, together } from "./ways.js";

const USUAL_FIELDS = { label: "", frames: 16, seed: 0 };

export class Desk {
  /** run(restored), cancel(), saveClip() and changed() leave through the page; `send` brings a File to the server. */
  constructor(about, { run, cancel, send, saveClip, changed }) {
    Object.assign(this, { run, changed });
    const print = () => this.print();
    this.elsewhere = new Elsewhere(saveClip);
    this.fields = this.makeFields(print);
    this.encoder = new EncoderMenu(about.encoders, print);
    this.selector = new SelectorMenu(about.selectors, { changed: print, switched: () => this.switched() });
    this.clip = new ClipPicker(about, { send, chosen: (clip, restored) => this.run(restored) });
    this.cancelButton = el("button.pl-button", { type: "button", hidden: true, onclick: cancel }, "Cancel");
    const submit = (event) => {
      event.preventDefault();
      this.run();
    };
    this.node = el(
      "form.pl-desk",
      { onsubmit: submit },
      section("Clip", this.clip.nodes),
      this.setup(section("Encoder", this.encoder.node), section("Selector", this.selector.node, this.more(about.mergers))),
      el("div.pl-actions", {}, el("button.pl-button.pl-primary", { type: "submit" }, "Run"), this.cancelButton),
    );
    this.print();
  }

  /** Encoder and selector: open beside the picture, folded above it on a phone, where the picture should be near. */
  setup(...sections) {
    this.summary = el("summary");
    const node = el("details.pl-setup", {}, this.summary, sections);
    const narrow = matchMedia("(max-width: 640px)");
    const fold = () => (node.open = !narrow.matches);
    narrow.addEventListener("change", fold);
    fold();
    return node;
  }

  makeFields(oninput) {
    const number = (min, max, value) => el("input", { type: "number", min, max, value, oninput });
    const text = (more) => el("input", { type: "text", maxlength: 300, oninput, ...more });
    return {
      label: text({ list: "pl-classes" }),
      frames: number(1, 64, 16),
      seed: number(0, 2147483647, 0),
      plan: text({ placeholder: "rlt:tau=0.1+random:keep=0.5" }),
      merger: text({ placeholder: "none", list: "pl-mergers" }),
    };
  }

  more(mergers) {
    const words = {
      label: "the clip's class, for the oracle and the report",
      frames: "frames to sample",
      seed: "for random choices",
      plan: "several selectors in turn; replaces the selector above",
      merger: "joins or drops tokens inside the encoder's blocks",
    };
    const rows = Object.entries(this.fields).map(([name, input]) =>
      el("label.pl-field", { title: words[name] }, el("span", {}, name), input),
    );
    this.classes = el("datalist", { id: "pl-classes" });
    const known = el("datalist", { id: "pl-mergers" }, mergers.map((value) => el("option", { value }))); // prettier-ignore
    const summary = el("summary", {}, "Label, frames, seed, whole plan, merger");
    this.details = el("details.pl-details", {}, summary, el("div.pl-fields", {}, rows, this.classes, known));
    return this.details;
  }

  /** What is asked for now, but for the plan; `file` is what a command would call the clip. */
  get asked() {
    const { label, frames, seed } = this.fields;
    const { source = null, name = null, sha256 = null, span = null } = this.clip.clip ?? {};
    const sample = Boolean(source?.startsWith("sample:"));
    const file = sample ? `${name.replaceAll(" ", "-")}.mp4` : (name ?? "VIDEO");
    const texts = { encoder: this.encoder.name, weights: this.encoder.weights.value };
    const words = { label: label.value.trim() };
    const numbers = { frames: Number(frames.value), seed: Number(seed.value) };
    return { source, name, sha256, span, sample, file, ...texts, ...words, ...numbers };
  }

  /** The plan that the menus say. */
  get plan() {
    const { plan, merger } = this.fields;
    return together(plan.value.trim() || this.selector.spec, merger.value.trim());
  }

  switched() {
    this.fields.plan.value = "";
    this.run();
  }

  /** Set the fields from a link or a room: {encoder, weights, label, frames, seed}, and the plan. */
  set({ encoder, weights, ...fields }, plan) {
    const { selectors, merger } = apart(plan ?? "");
    if (weights !== undefined) this.encoder.choose(encoder, weights);
    else if (encoder) this.encoder.choose(encoder, this.encoder.weights.value);
    for (const name of ["label", "frames", "seed"]) this.fields[name].value = fields[name] ?? USUAL_FIELDS[name];
    if (plan) this.fields.plan.value = this.selector.adopt(selectors) ? "" : selectors;
    if (plan) this.fields.merger.value = merger;
    if (this.fields.plan.value || merger) this.details.open = true;
    this.print();
  }

  busy(yes) {
    this.cancelButton.hidden = !yes;
  }

  /** The sliders beside the picture moved, or another lane's are shown; what a person typed since then stays. */
  follow(model, plans) {
    const shown = JSON.stringify([model.spec, plans]);
    if (shown === this.followed) return;
    this.followed = shown;
    if (paintable(model)) this.fields.plan.value = ""; // the selector's own field holds what is painted
    if (!this.fields.plan.value || plans.length > 1) this.selector.follow(model.stages);
    if (model.stages.length > 1) this.fields.plan.value = planSpec(model.stages);
    if (model !== this.model) this.fields.merger.value = model.merger ?? "";
    this.model = model;
    this.print(plans);
  }

  /** A run arrived: offer its classes as labels. */
  shown(model) {
    const option = (value) => el("option", { value });
    fill(this.classes, model.manifest.classes.map(option));
  }

  print(plans = null) {
    if (!this.clip) return;
    this.elsewhere.print(this.asked, plans ?? [this.plan]);
    if (this.summary) this.summary.textContent = `Encoder ${this.encoder.name}, selector ${brief(this.plan)}`;
  }
}
