/**
 * The sliders of a plan: one native control per knob, with the scores it cuts drawn right above its track.
 *
 * A threshold shows the histogram of values along its own axis; a share shows the sorted values, so that what stays lies
 * on its side of the thumb: solid, and what goes hatched. Other knobs have no plot.
 */
import { fitCanvas } from "./canvas.js";
import { el, fill, number, percent, whole } from "./dom.js";
import { hatch } from "./palette.js";

const PAD = 9; // half a slider thumb: the plot's axis is the thumb's way
const BINS = 60;
const CUTS = ["tau", "keep", "p"]; // fields of a rule that part the values

/** Controls for all stages of a plan; input() at every move, release() when one is let go. */
export class Knobs {
  constructor(input, release) {
    this.node = el("div.pl-knobs");
    this.input = input;
    this.release = release;
    this.controls = [];
  }

  /** Make the controls of the active lane's plan. */
  build({ model: { stages } }) {
    if (stages === this.stages) return;
    this.stages = stages;
    const shown = ({ kind, stage, options }) => (kind === "text" ? options.length > 0 : stage === "keep");
    this.controls = stages.flatMap((stage) =>
      stage.knobs.filter(shown).map((knob) => this.control(stage, knob, stages.length > 1)),
    );
    const none = el("p.pl-note", {}, "This selector has nothing to set here.");
    fill(this.node, this.controls.length ? this.controls.map((control) => control.node) : none);
  }

  control(stage, knob, several) {
    const name = several ? `${stage.name}: ${knob.name}` : knob.name;
    const set = (value) => {
      stage.setting[knob.name] = value;
      this.input();
    };
    return knob.options.length ? this.choice(name, stage, knob, set) : this.slider(name, stage, knob, set);
  }

  choice(name, stage, knob, set) {
    const select = el(
      "select",
      {},
      knob.options.map((option) => el("option", { value: option }, option)),
    );
    select.value = stage.setting[knob.name];
    select.addEventListener("change", () => (set(select.value), this.release()));
    const node = el("label.pl-knob.pl-inline", { title: knob.help }, el("span.pl-knob-name", {}, name), select);
    return { node, draw() {}, sync: () => (select.value = stage.setting[knob.name]) };
  }

  slider(name, stage, knob, set) {
    const range = el("input", {
      type: "range",
      min: knob.low,
      max: knob.high,
      step: knob.step,
      "data-knob": knob.name,
    });
    const value = el("output.pl-knob-value");
    const canvas = CUTS.includes(stage.fields[knob.name]) ? el("canvas.pl-plot", { role: "img" }) : null;
    const label = el("span.pl-knob-name", {}, name);
    const unit = knob.unit ? el("span.pl-unit", {}, knob.unit) : null;
    const node = el(
      "label.pl-knob",
      { title: knob.help },
      el("span.pl-knob-head", {}, label, value),
      canvas,
      range,
      unit,
    );
    const sync = () => {
      range.value = stage.setting[knob.name];
      const written = isShare(knob) ? (x) => percent(x, 0) : knob.kind === "int" ? whole : number;
      value.textContent = written(stage.setting[knob.name]);
    };
    range.addEventListener("input", () => (set(Number(range.value)), sync()));
    range.addEventListener("change", () => this.release());
    sync();
    const draw = (colours) => {
      const ratio = canvas && fitCanvas(canvas);
      if (ratio) drawPlot(canvas, ratio, stage, knob, colours);
    };
    return { node, sync, draw };
  }

  /** Move the first slider by a step, as its own arrow keys would. */
  nudge(by) {
    const range = this.node.querySelector("input[type=range]");
    if (!range) return;
    if (by > 0) range.stepUp();
    else range.stepDown();
    for (const type of ["input", "change"]) range.dispatchEvent(new Event(type));
  }

  resized(player) {
    this.live(player);
  }

  /** Redraw the plots and the written values. */
  live({ colours }) {
    for (const control of this.controls) {
      control.sync();
      control.draw(colours);
    }
  }
}

function isShare(knob) {
  return knob.unit.startsWith("share");
}

function drawPlot(canvas, ratio, stage, knob, colours) {
  const cut = stage.fields[knob.name];
  const setting = stage.setting[knob.name];
  const share = (setting - knob.low) / (knob.high - knob.low);
  const [heights, kept, words] = {
    tau: () => [histogram(stage, knob), (x) => x >= share, `Histogram of values; the line is at ${number(setting)}.`],
    keep: () => [sortedValues(stage), (x) => x < setting, "Values from best to worst."],
    p: () => [sortedValues(stage).toReversed(), (x) => x >= setting, "Values from worst to best."],
  }[cut]();
  canvas.setAttribute("aria-label", words);
  bars(canvas.getContext("2d"), heights, { ratio, share, colours, kept });
}

/** Bars along the slider's way; the side that stays is solid, the other hatched. */
function bars(context, heights, { ratio, share, colours, kept }) {
  const { width, height } = context.canvas;
  const pad = PAD * ratio;
  const step = (width - 2 * pad) / heights.length;
  context.clearRect(0, 0, width, height);
  const paths = [new Path2D(), new Path2D()];
  heights.forEach((size, i) => {
    const tall = Math.max(size > 0 ? ratio : 0, size * (height - 4 * ratio));
    paths[kept((i + 0.5) / heights.length) ? 1 : 0].rect(
      pad + i * step,
      height - tall,
      Math.max(1, step - 0.5 * ratio),
      tall,
    );
  });
  context.fillStyle = hatchOf(context, colours.muted, ratio);
  context.fill(paths[0]);
  context.fillStyle = colours.accent;
  context.fill(paths[1]);
  context.fillStyle = colours.line;
  context.fillRect(pad, height - ratio, width - 2 * pad, ratio);
  context.fillStyle = colours.warm;
  context.fillRect(pad + share * (width - 2 * pad) - ratio, 0, 2 * ratio, height);
}

/** The hatching of a plot, made once per canvas and theme. */
function hatchOf(context, colour, ratio) {
  const key = `${colour} ${ratio}`;
  if (context.hatched?.key !== key)
    context.hatched = { key, fill: hatch(context, colour, Math.round(5 * ratio), ratio) };
  return context.hatched.fill;
}

/** Log counts of the values over the knob's axis, 0..1; what lies beyond (and infinity) is in the last bin. */
function histogram(stage, knob) {
  stage.histogram ??= (() => {
    const counts = new Array(BINS).fill(0);
    for (const value of stage.values) {
      const at = ((value - knob.low) / (knob.high - knob.low)) * BINS;
      counts[Math.min(BINS - 1, Math.max(0, Math.floor(at)))]++;
    }
    const most = Math.log1p(Math.max(...counts));
    return counts.map((n) => Math.log1p(n) / most);
  })();
  return stage.histogram;
}

/** Values from best to worst at BINS places, 0..1 between the least and the greatest finite one. */
function sortedValues(stage) {
  stage.sorted ??= (() => {
    const finite = stage.values.filter((v) => Number.isFinite(v));
    const low = finite.reduce((a, b) => Math.min(a, b), Infinity);
    const high = finite.reduce((a, b) => Math.max(a, b), -Infinity);
    return Array.from({ length: BINS }, (_, i) => {
      const value = stage.values[stage.order[Math.floor(((i + 0.5) / BINS) * stage.order.length)]];
      if (!Number.isFinite(value)) return value > 0 ? 1 : 0;
      return high > low ? (value - low) / (high - low) : 0.5;
    });
  })();
  return stage.sorted;
}
