/**
 * A sentence asked of the clip: how alike each frame is to it, in full and by the plan, and the moments found, to play.
 */
import { el, fill, number, percent, seconds } from "./dom.js";
import { Graph } from "./graph.js";
import { overlapOfSpans } from "./leaning_figures.js";
import { brief } from "./plan.js";

const ROW_NAMES = { full: "in full", plan: "this plan", true: "true" };
const EXAMPLE = "a red star";

export class SentencePanel {
  /** ground(sentence, spec, signal) asks the server; known(name) are [sentence, [start, end]] pairs of a sample, if any. */
  constructor(ground, known) {
    Object.assign(this, { ground, known, found: null, of: null, player: null });
    this.input = el("input", { type: "text", maxlength: 300, "aria-label": "Sentence", placeholder: `such as ${EXAMPLE}` });
    const submit = (event) => {
      event.preventDefault();
      this.ask();
    };
    const form = el("form.pl-inline-form", { onsubmit: submit }, this.input, el("button.pl-button", {}, "Find"));
    this.offers = el("div.pl-saves");
    this.says = el("p.pl-note", { role: "status" });
    this.graph = new Graph("How alike each frame is to the sentence");
    this.graph.clicked((share) => this.player.seek(Math.floor(share * this.found.times.length)));
    this.bars = el("div.pl-moments");
    this.node = el("div.pl-part", {}, el("h2", {}, "Find a moment by a sentence"), form, this.offers, this.says, this.graph.node);
    this.graph.caption.before(this.bars); // right below the time that they share
  }

  /** Another clip: its own sentences are offered, and the first of them is asked. */
  build(player) {
    this.player = player;
    const { clip, encoder } = player.model.manifest.report;
    const clipKey = JSON.stringify([clip, encoder]);
    if (clipKey === this.clip) return;
    this.clip = clipKey;
    this.clear();
    this.pairs = this.known(clip.name) ?? [];
    fill(this.offers, this.pairs.map(([words]) => el("button.pl-button", { type: "button", onclick: () => this.ask(words) }, words))); // prettier-ignore
    this.input.value = this.pairs[0]?.[0] ?? "";
  }

  clear() {
    this.stop?.abort();
    Object.assign(this, { found: null, of: null });
    this.graph.node.hidden = true;
    fill(this.bars);
    this.say("");
  }

  say(words) {
    this.says.textContent = words;
    this.says.hidden = !words;
  }

  /** The plan was measured anew: ask it the same sentence. */
  settled(player) {
    this.player = player;
    if (this.input.value.trim()) this.ask(this.input.value);
  }

  async ask(words = this.input.value) {
    const { model } = this.player;
    this.input.value = words;
    const of = JSON.stringify([words.trim(), model.measured.spec, this.clip]);
    if (of === this.of) return;
    this.of = of;
    this.stop?.abort();
    const mine = (this.stop = new AbortController());
    this.say("Comparing every frame with the sentence …");
    try {
      const { found } = await this.ground(words, model.measured.spec, mine.signal);
      if (this.of !== of) return;
      this.found = found;
      this.say("");
      this.show();
    } catch (error) {
      if (this.of !== of) return; // another one is under way
      this.clear();
      if (error.name !== "AbortError") this.say(error.message);
    }
  }

  show() {
    const { found } = this;
    this.graph.node.hidden = false;
    const truth = this.pairs.filter(([words]) => words === found.sentence).map(([, [start, end]]) => ({ start, end }));
    const rows = { full: found.full.moments, plan: found.plan.moments, ...(truth.length ? { true: truth } : {}) };
    fill(this.bars, Object.entries(rows).map(([way, moments]) => this.row(way, moments)));
    this.draw(this.player);
  }

  /** The moments of one way over the time bar, each a button that plays it. */
  row(way, moments) {
    const [from, until] = this.range;
    const bar = (moment, rank) => {
      const { start, end, score } = moment;
      const at = (second) => Math.min(1, Math.max(0, (second - from) / (until - from)));
      const words = `${rank + 1}: ${seconds(start)} to ${seconds(end)}`;
      const about = score === undefined ? "the true span" : score === null ? "nothing stands out" : `similarity ${number(score)}`;
      const button = el("button.pl-moment", { type: "button", title: `Play ${words}, ${about}`, "aria-label": `Play ${ROW_NAMES[way]} ${words}, ${about}`, "data-rank": rank + 1 }, String(rank + 1)); // prettier-ignore
      button.style.left = `${100 * at(start)}%`;
      button.style.width = `${100 * Math.max(0, at(end) - at(start))}%`;
      button.addEventListener("click", () => this.play(moment));
      return button;
    };
    return el("div.pl-moment-row", { "data-way": way }, el("span", {}, ROW_NAMES[way]), el("div.pl-moment-bar", {}, moments.map(bar)));
  }

  play({ start, end }) {
    const { player } = this;
    player.lanes[player.lane].picture.canvas.scrollIntoView({ block: "nearest" });
    player.playSpan(start, end);
  }

  /** From the first frame to the end of the last, in seconds. */
  get range() {
    const { times, fps } = this.found;
    return [times[0], times.at(-1) + 1 / fps];
  }

  draw({ model, colours, frame }) {
    if (!this.found || this.graph.node.hidden) return;
    const { times, full, plan } = this.found;
    const [from, until] = this.range;
    const all = [...full.similarities, ...plan.similarities];
    const [low, high] = [Math.floor(10 * Math.min(...all)) / 10, Math.ceil(10 * Math.max(...all)) / 10];
    const at = (value) => (0.94 * (value - low)) / (high - low || 1);
    const x = (second) => (second - from) / (until - from);
    const xticks = [0, 0.25, 0.5, 0.75, 1].map((share) => [share, `${(from + share * (until - from)).toFixed(1)} s`]);
    const yticks = [low, (low + high) / 2, high].map((value) => [at(value), number(value, 2)]);
    const pen = this.graph.begin(colours, { xticks, yticks, xname: "seconds of the video", yname: "cosine" });
    if (!pen) return;
    const points = (values) => values.map((value, i) => [x(times[i]), at(value)]);
    pen.line(points(full.similarities), colours.accent, { width: 2 });
    pen.line(points(plan.similarities), colours.warm, { width: 1.5, dash: [5, 3] });
    const here = x(times[Math.min(frame, times.length - 1)]);
    pen.line([[here, 0], [here, 1]], colours.warm, { width: 1, dash: [4, 3] }); // prettier-ignore
    this.graph.say(this.words(model));
  }

  words(model) {
    const { full, plan, smoothed } = this.found;
    const [a, b] = [full.moments[0], plan.moments[0]];
    const span = ({ start, end }) => `${seconds(start)} to ${seconds(end)}`;
    const old = model.spec === this.found.way ? "" : ` As measured with ${brief(this.found.way)}.`;
    const mean = smoothed > 1 ? `the mean over ${smoothed} frames lies above its own average` : "a frame lies above the average of all";
    return (
      `Solid: every frame in full; dashed: this plan. Best moment ${span(a)} in full, ${span(b)} by this plan ` +
      `(they overlap by ${percent(overlapOfSpans(a, b), 0)}). A moment is where ${mean}; click one to play it.${old}`
    );
  }
}
