/**
 * Easy against hard clips: the samples side by side, from the one that needs the fewest tokens to the one that is lost first.
 */
import { afterDrawing } from "./canvas.js";
import { el, fill, number, percent } from "./dom.js";
import { Graph } from "./graph.js";
import { Hardness } from "./hardness.js";
import { holdingCurve, easiestFirst, orderFor, valueAt } from "./holding_figures.js";

const SMALL = { left: 38, right: 8, top: 8, bottom: 18 };
const LORENZ = { left: 6, right: 6, top: 8, bottom: 18 };

export class ClipsPanel {
  /**
   * judge(question, spec, signal) asks the server about a plan; clips() brings {encoder, clips: what is measured of the
   * samples}; thumb(name) is a sample's picture; open(name) shows it; principles: what was measured of the encoders.
   */
  constructor({ clips, thumb, open, principles }, judge) {
    Object.assign(this, { judge, clips, thumb, open, cards: null, own: null });
    this.list = el("ul.pl-clips");
    this.hardness = new Hardness(principles);
    this.says = el("p.pl-note", { role: "status" });
    this.button = el("button.pl-button", { type: "button", "data-ask": "holding", onclick: () => this.ask() }, "Put this clip beside them");
    this.node = el("div.pl-part", {}, el("h2", {}, "Easy and hard clips"), (this.words = el("p.pl-note")), this.list, el("div.pl-saves", {}, this.button), this.says, this.hardness.node);
  }

  build(player) {
    this.player = player;
    if (this.own && this.own.of !== whatOf(player.model)) this.put(null);
    this.begun ??= this.bring();
  }

  async bring() {
    try {
      const { encoder, clips } = await this.clips();
      this.encoder = encoder;
      this.cards = easiestFirst(clips).map((clip) => this.card(clip, true));
      if (!clips.length) this.says.textContent = `The samples were measured with other weights of ${encoder}: python -m patchlens_app.clips does it anew.`;
      this.arrange();
    } catch (error) {
      this.begun = null; // the next clip tries again
      this.says.textContent = error.message;
    }
  }

  /** A clip's card: its picture and class, its curves, its Lorenz curve. */
  card(clip, sample) {
    const [curves, spread] = [new Graph("", {}, SMALL), new Graph("", {}, LORENZ)];
    const head = [
      sample && el("img", { src: this.thumb(clip.clip), alt: "", width: 40, height: 40 }),
      el("span", {}, el("strong", {}, clip.clip), clip.label && el("span.pl-note", {}, clip.given ? clip.label : `answer: ${clip.label}`)),
    ];
    const title = sample
      ? el("button.pl-clip-head", { type: "button", title: "Show this clip", onclick: () => this.open(clip.clip) }, head)
      : el("div.pl-clip-head", {}, head);
    const says = el("p.pl-note");
    const node = el("li.pl-clip", { "data-clip": clip.clip }, title, el("div.pl-clip-graphs", {}, curves.node, spread.node), says);
    return { clip, curves, spread, says, node, sample };
  }

  arrange() {
    if (!this.cards) return;
    fill(this.list, [this.own?.card, ...this.cards].filter(Boolean).map(({ node }) => node));
    if (this.player) this.live(this.player);
  }

  live({ model, colours }) {
    this.hardness.live({ model, colours });
    if (!this.cards) return;
    const [{ name: selector }] = model.stages;
    const share = model.kept / model.keep.mask.length;
    const { clip, encoder } = model.manifest.report;
    for (const card of [this.own?.card, ...this.cards]) {
      if (!card) continue;
      const here = card.sample && encoder.name === this.encoder && card.clip.clip === clip.name;
      if (here) card.node.setAttribute("aria-current", "true");
      else card.node.removeAttribute("aria-current");
      this.draw(card, selector, share, colours);
    }
    const measured = this.cards[0]?.clip;
    const name = measured && orderFor(measured, selector);
    const instead = name && name !== selector && selector !== "random" ? ` There is no curve for ${selector}: ${name} stands in.` : "";
    this.words.textContent =
      "The probability of what the clip shows, with ever fewer tokens: solid in the order of " +
      `${name ?? "the selector"}, dashed at random (tinted: its draws). Easiest first, by random tokens. The line is your budget, ` +
      `${percent(share)}. Beside it how the oracle's value is spread. The samples were measured with ${this.encoder}, every ` +
      `selector with its defaults; a click opens one.${instead}`;
  }

  resized(player) {
    this.live(player);
  }

  draw({ clip, curves, spread, says }, selector, share, colours) {
    const name = orderFor(clip, selector);
    const ticks = [0, 0.5, 1].map((at) => [at, percent(at, 0)]);
    const pen = curves.begin(colours, { xticks: ticks, yticks: ticks });
    if (!pen) return;
    const chance = holdingCurve(clip, clip.random);
    const [low, high] = ["low", "high"].map((end) => holdingCurve(clip, { value: clip.random[end] }));
    pen.band(low, high, colours.muted);
    pen.line(chance, colours.muted, { width: 2, dash: [6, 4] });
    const own = name && holdingCurve(clip, clip.orders[name]);
    if (own) pen.line(own, colours.accent, { width: 2.5 });
    pen.upright(share, colours.warm, { width: 1.5, dash: [5, 3] });
    const now = [own && `${name} ${percent(valueAt(own, share), 0)}`, `random ${percent(valueAt(chance, share), 0)}`].filter(Boolean);
    afterDrawing(() => {
      curves.canvas.setAttribute("aria-label", `With ${percent(share)} of the tokens: ${now.join(", ")}.`);
      says.textContent = `${needsWords(clip, name)} At your budget: ${now.join(", ")}.`;
    });
    this.lorenz(clip.value, spread, colours);
  }

  lorenz(value, graph, colours) {
    graph.node.hidden = !value;
    const pen = value && graph.begin(colours, { xticks: [[0.5, `Gini ${number(value.gini, 2)}`]] });
    if (!pen) return;
    pen.line([[0, 0], [1, 1]], colours.line, { width: 1, dash: [4, 4] }); // prettier-ignore
    pen.line(value.lorenz.map((y, i) => [i / (value.lorenz.length - 1), y]), colours.accent); // prettier-ignore
    graph.canvas.setAttribute("aria-label", `Lorenz curve of the oracle's value: Gini ${number(value.gini, 2)}, the top fifth holds ${percent(value.top_fifth)}.`);
  }

  /** Measure the clip on the screen under its own plan. */
  async ask() {
    const { model } = this.player;
    this.stop?.abort();
    const mine = (this.stop = new AbortController());
    this.button.disabled = true;
    this.says.textContent = "Running the model on some hundreds of choices …";
    try {
      const { found } = await this.judge("holding", model.spec, mine.signal);
      if (mine.signal.aborted) return;
      this.says.textContent = "";
      this.put({ of: whatOf(model), card: this.card(found, false) });
    } catch (error) {
      this.says.textContent = error.name === "AbortError" ? "" : error.message;
    } finally {
      this.button.disabled = false;
    }
  }

  put(own) {
    this.own = own;
    this.arrange();
  }
}

/** What a measured clip's card is about: another clip or encoder has none yet. */
function whatOf({ manifest: { report } }) {
  return JSON.stringify([report.clip, report.encoder]);
}

/** From which share on the answer stays right, in words. */
export function needsWords(clip, name) {
  if (clip.full.right === null) return "No classes, so this is the cosine to the full run.";
  const lucky = name && clip.orders[name].needs;
  if (!clip.full.right) {
    const but = lucky ? `, right with ${name}'s best ${percent(lucky, 0)} to ${percent(clip.shares.at(-1), 0)}` : "";
    return `Wrong with all tokens${but}.`;
  }
  const from = (needs) => (needs === null ? "with all tokens only" : `from ${percent(needs, 0)} on`);
  const own = name ? `${name} ${from(clip.orders[name].needs)}, ` : "";
  return `${clip.given ? "Right" : "The same answer"}: ${own}random ${from(clip.random.needs)}.`;
}
