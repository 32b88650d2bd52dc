/**
 * The oracle's map: for which answer or sentence, from which block, cleaned how. All blocks' maps travel once; the picture,
 * the mask and the cost then follow the slider without a request, and the answer is measured when it is let go.
 */
import { BlockGraph, blockName } from "./block_graph.js";
import { el, fill } from "./dom.js";
import { planSpec } from "./plan.js";
import { oracleOf, Stack } from "./stack.js";

const GRADIENTS = { own: "each token's own", mean: "mean over tokens (LITE)" };
const SIGNS = { positive: "what speaks for it", either: "for or against it" };
const CLEANS = { none: "as it is", edges: "edges halved", peaks: "isolated peaks removed", sharpen: "sharpened", rank: "ranks" };

export class OraclePanel {
  /**
   * judge(question, spec, signal) asks the server about a plan; truth(clip) names the class that a sample shows, or null;
   * sentence: {encoder, reads(name), ask(words)} sets up an encoder that understands texts.
   */
  constructor({ truth, sentence }, judge) {
    Object.assign(this, { judge, truth, sentence, stacks: new WeakMap(), asked: null });
    this.graph = new BlockGraph((place) => this.pick({ place }, true));
    this.start = el("button.pl-button", { type: "button", onclick: () => this.begin() }, "Show the oracle's map");
    this.says = el("p.pl-note", { role: "status" });
    this.body = el("div.pl-oracle", {}, this.fields(), this.slider(), this.graph.node);
    const words =
      "What each token adds to an answer, read off the model's gradients at one block or at all of them. Which block is asked " +
      "decides whether the tokens it calls best are better than random ones, or worse.";
    this.node = el("div.pl-part", {}, el("h2", {}, "The oracle's map"), el("p.pl-note", {}, words), (this.begins = el("div.pl-saves", {}, this.start)), this.says, this.body, this.asking());
  }

  fields() {
    const options = (names) => Object.entries(names).map(([value, words]) => el("option", { value }, words));
    this.label = el("select", { onchange: () => this.explain(this.label.value) });
    this.gradient = el("select", { onchange: () => this.pick({ gradient: this.gradient.value }, true) }, options(GRADIENTS));
    this.sign = el("select", { onchange: () => this.pick({ sign: this.sign.value }, true) }, options(SIGNS));
    this.clean = el("select", { onchange: () => this.pick({ clean: this.clean.value }, true) }, options(CLEANS));
    const named = [["value for", this.label], ["gradient", this.gradient], ["counts", this.sign], ["map", this.clean]]; // prettier-ignore
    const nodes = named.map(([name, control]) => el("label.pl-field", {}, el("span", {}, name), control));
    this.labelField = nodes[0];
    return el("div.pl-oracle-fields", {}, nodes);
  }

  slider() {
    const input = () => this.pick({ place: Number(this.range.value) });
    this.range = el("input", { type: "range", min: 0, step: 1, "aria-label": "Block", oninput: input, onchange: () => this.player.released() });
    this.where = el("output.pl-knob-value");
    const ends = el("span.pl-ends.pl-unit", {}, el("span", {}, "the first"), el("span", {}, "mean of all"));
    return el("label.pl-knob", {}, el("span.pl-knob-head", {}, el("span.pl-knob-name", {}, "block"), this.where), this.range, ends);
  }

  /** A sentence in place of a class. */
  asking() {
    this.words = el("input", { type: "text", maxlength: 200, "aria-label": "Sentence", placeholder: "such as: a red star" });
    const submit = (event) => {
      event.preventDefault();
      if (this.words.value.trim()) this.sentence.ask(this.words.value.trim());
    };
    this.asks = el("span.pl-note");
    const form = el("form.pl-inline-form", { onsubmit: submit }, this.words, el("button.pl-button", {}, "Show its tokens"));
    return el("div.pl-ask", {}, this.asks, form);
  }

  get stack() {
    return this.stacks.get(this.player.model) ?? null;
  }

  /** Another clip, plan or lane is in front: have its maps brought. */
  build(player) {
    this.player = player;
    const { model } = player;
    const known = !oracleOf(model) || this.stacks.has(model);
    if (this.asked === model) return;
    this.stop?.abort();
    this.asked = known ? null : model;
    this.says.textContent = "";
    if (!known) this.bring(model);
  }

  async bring(model) {
    const mine = (this.stop = new AbortController());
    this.says.textContent = "Reading the maps of all blocks …";
    try {
      const { found, raw } = await this.judge("blocks", model.spec, mine.signal);
      if (mine.signal.aborted) return;
      this.stacks.set(model, new Stack(found, raw));
      this.says.textContent = "";
      if (this.player.model === model) this.live(this.player);
    } catch (error) {
      if (mine !== this.stop) return; // another question is under way
      this.says.textContent = error.name === "AbortError" ? "" : error.message;
    } finally {
      if (mine === this.stop) this.asked = null;
    }
  }

  live({ model, colours }) {
    const stage = oracleOf(model);
    const { encoder } = model.manifest.report;
    const reads = this.sentence.reads(encoder.name);
    this.begins.hidden = Boolean(stage) || !model.manifest.classes.length;
    this.asks.textContent = reads
      ? "Any sentence gives a map: what each token adds to the cosine of clip and sentence."
      : `Or by a sentence: ${this.sentence.encoder} understands texts about its procedural scenes, and reads any clip.`;
    this.body.hidden = !stage || !this.stack;
    if (this.body.hidden) return;
    const { stack } = this;
    const way = stack.read(stage.setting);
    const { gradient, sign, place } = way;
    this.offer(model, stack, stage.setting.label);
    this.gradient.value = gradient;
    this.sign.value = sign;
    this.clean.value = stage.setting.clean;
    Object.assign(this.range, { max: stack.blocks, value: place ?? stack.blocks });
    this.where.textContent = place === null ? stage.setting.block : blockName(stack, place);
    this.range.setAttribute("aria-valuetext", this.where.textContent);
    this.graph.node.hidden = !stack.accuracy;
    const table = { label: this.kind(model), plain: stage.setting.clean === "none" };
    if (stack.accuracy) this.graph.draw(stack, way, table, colours);
    else if (!this.says.textContent) this.says.textContent = `Nobody has measured ${encoder.name} by block: how true a block's map is here, “Is the map true here?” below measures on this clip.`;
  }

  resized(player) {
    this.live(player);
  }

  scrub(by) {
    if (this.body.hidden) return;
    const { stack } = this;
    const { place } = stack.read(oracleOf(this.player.model).setting);
    const to = Math.min(stack.blocks, Math.max(0, (place ?? stack.blocks) + by));
    if (to !== place) this.pick({ place: to }, true);
  }

  /** Take another place, gradient, sign or cleaning; `release` also has the answer measured. */
  pick({ clean, ...change }, release = false) {
    const { player, stack } = this;
    if (!stack) return; // another plan has come, whose maps are still on their way
    const { setting } = oracleOf(player.model);
    const way = stack.read(setting);
    stack.show(player.model, { ...way, place: way.place ?? stack.blocks, ...change }, clean ?? setting.clean);
    if (["dim", "outline"].includes(player.mode)) player.setMode("value");
    player.moved();
    if (release) player.released();
  }

  /** What the values are for: the clip's class, the model's own answer, any class. */
  offer({ manifest: { classes, report } }, stack, chosen) {
    this.labelField.hidden = !classes.length;
    const shown = this.truth(report.clip.name);
    const options = [["auto", "the label given, else the answer"], ["predicted", "the model's answer"], ...classes.map((name) => [name, name === shown ? `${name} (what the clip shows)` : name])]; // prettier-ignore
    const key = JSON.stringify(options);
    if (key !== this.offered) fill(this.label, options.map(([value, words]) => el("option", { value }, words)));
    this.offered = key;
    this.label.options[0].textContent = chosen === "auto" ? `auto: ${stack.label}` : options[0][1];
    this.label.value = chosen;
  }

  /** Whose column of the table: the true label leaks the answer, so it is measured apart. */
  kind({ manifest: { report } }) {
    return this.label.value === this.truth(report.clip.name) ? "true" : "predicted";
  }

  /** Another answer needs other gradients: run the plan with it. */
  explain(label) {
    const { model, host } = this.player;
    const [stage, ...rest] = model.stages;
    host.run?.(planSpec([{ ...stage, setting: { ...stage.setting, label } }, ...rest], model.merger));
  }

  begin() {
    const { model, host } = this.player;
    const keep = Math.max(0.01, Math.round((100 * model.kept) / model.keep.mask.length) / 100);
    host.run?.(`oracle:keep=${keep}`);
  }
}
