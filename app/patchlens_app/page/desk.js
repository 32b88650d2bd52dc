/**
 * The desk: what is asked for. It joins clip, encoder, selector and the few other fields, and asks for runs.
 */
import { ClipPicker } from "./clip.js";
import { el, fill } from "./dom.js";
import { Elsewhere } from "./elsewhere.js";
import { EncoderMenu, SelectorMenu } from "./menus.js";
import { section } from "./panel.js";

export class Desk {
  /** run(ask), cancel() and saveClip() leave through the page; `upload` sends a File. */
  constructor(about, { run, cancel, upload, saveClip }) {
    Object.assign(this, { ask: run, source: null, name: null });
    const changed = () => this.print();
    this.elsewhere = new Elsewhere(saveClip);
    this.fields = this.makeFields(changed);
    this.encoder = new EncoderMenu(about.encoders, changed);
    this.selector = new SelectorMenu(about.selectors, { changed, switched: () => this.run() });
    this.clip = new ClipPicker(about, { upload, chosen: (source, name) => this.pick(source, name) });
    this.cancelButton = el("button.pl-button", { type: "button", hidden: true, onclick: cancel }, "Cancel");
    const submit = (event) => {
      event.preventDefault();
      this.run();
    };
    this.node = el(
      "form.pl-desk",
      { onsubmit: submit },
      section("Clip", this.clip.nodes),
      section("Encoder", this.encoder.node),
      section("Selector", this.selector.node, this.more()),
      el("div.pl-actions", {}, el("button.pl-button.pl-primary", { type: "submit" }, "Run"), this.cancelButton),
    );
    this.print();
  }

  makeFields(oninput) {
    const number = (min, max, value) => el("input", { type: "number", min, max, value, oninput });
    const text = (more) => el("input", { type: "text", maxlength: 300, oninput, ...more });
    return {
      label: text({ list: "pl-classes" }),
      frames: number(1, 64, 16),
      seed: number(0, 2147483647, 0),
      plan: text({ placeholder: "rlt:tau=0.1+random:keep=0.5" }),
    };
  }

  more() {
    const words = {
      label: "the clip's class, for the oracle and the report",
      frames: "frames to sample",
      seed: "for random choices",
      plan: "several selectors in turn; replaces the selector above",
    };
    const rows = Object.entries(this.fields).map(([name, input]) =>
      el("label.pl-field", { title: words[name] }, el("span", {}, name), input),
    );
    this.classes = el("datalist", { id: "pl-classes" });
    const summary = el("summary", {}, "Label, frames, seed, whole plan");
    return el("details.pl-details", {}, summary, el("div.pl-fields", {}, rows, this.classes));
  }

  pick(source, name) {
    Object.assign(this, { source, name });
    this.run();
  }

  /** What is asked for now; `file` is what a command would call the clip. */
  get asked() {
    const { label, frames, seed, plan } = this.fields;
    const sample = Boolean(this.source?.startsWith("sample:"));
    return {
      source: this.source,
      name: this.name,
      sample,
      file: sample ? `${this.name.replaceAll(" ", "-")}.mp4` : (this.name ?? "VIDEO"),
      encoder: this.encoder.name,
      weights: this.encoder.weights.value,
      selector: plan.value.trim() || this.selector.spec,
      label: label.value.trim(),
      frames: Number(frames.value),
      seed: Number(seed.value),
    };
  }

  run() {
    this.print();
    if (this.source) this.ask(this.asked);
  }

  busy(yes) {
    this.cancelButton.hidden = !yes;
  }

  /** The sliders beside the picture moved. */
  follow(model) {
    this.selector.follow(model.stages);
    this.print();
  }

  /** A run arrived: offer its classes as labels. */
  shown(model) {
    const option = (value) => el("option", { value });
    fill(this.classes, model.manifest.classes.map(option));
  }

  print() {
    if (this.clip) this.elsewhere.print(this.asked);
  }
}
