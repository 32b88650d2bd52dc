/**
 * "Be the selector": choose tokens by hand, and see how the model does with them beside the oracle, LITE and chance.
 */
import { el, fill, number, percent, whole } from "./dom.js";
import { chosenMask, chosenSpec, paintable } from "./painting.js";

const NAMES = { oracle: "oracle", lite: "LITE", random: "random" };

export class PaintPanel {
  /** judge(question, spec, signal) asks the server about a plan. */
  constructor(judge) {
    Object.assign(this, { judge, player: null, asked: null, shown: null });
    const button = (words, onclick) => el("button.pl-button", { type: "button", onclick }, words);
    this.words = el("p.pl-note");
    this.starts = el(
      "div.pl-saves",
      {},
      button("Start with no token", () => this.start((mask) => mask.fill(0))),
      button("Start with all", () => this.start((mask) => mask.fill(1))),
      button("Start from this plan", () => this.start((mask) => mask)),
    );
    const brush = (size) => el("option", { value: size }, size === 1 ? "one patch" : `${size} × ${size} patches`);
    this.size = el("select", { "aria-label": "Brush", onchange: () => (this.player.brush.size = Number(this.size.value)) }, [1, 3, 5].map(brush));
    this.through = el("input", { type: "checkbox", onchange: () => (this.player.brush.through = this.through.checked) });
    this.tools = el(
      "div.pl-saves.pl-brush",
      {},
      el("label", {}, "Brush ", this.size),
      el("label.pl-check", {}, this.through, "at all times at once"),
      button("Undo", () => this.change((model, tool) => tool.undo(model))),
      button("Drop all", () => this.change((model, tool) => tool.replace(model, chosenMask(model).fill(0)))),
      button("Keep all", () => this.change((model, tool) => tool.replace(model, chosenMask(model).fill(1)))),
      button("Swap", () => this.change((model, tool) => tool.replace(model, chosenMask(model).map((kept) => 1 - kept)))),
    );
    this.score = el("div.pl-score", { role: "status" });
    this.node = el("div.pl-part", {}, el("h2", {}, "Be the selector"), this.words, this.starts, this.tools, this.score);
  }

  build(player) {
    this.player = player;
  }

  live({ model, brush }) {
    const on = paintable(model);
    this.tools.hidden = !on;
    this.starts.lastChild.hidden = on;
    this.size.value = brush.size;
    this.through.checked = brush.through;
    this.words.textContent = on
      ? `You keep ${whole(model.kept)} of ${whole(model.keep.mask.length)} tokens. Click or drag over the picture to keep or ` +
        "drop patches; with the keyboard, arrows and Enter. Cost follows at once; let go, and the model answers from your tokens alone."
      : "Keep the tokens yourself, paint them on the picture, and see whether the model still knows the answer.";
    if (on) this.settled({ model });
    else this.clear();
    this.score.classList.toggle("pl-old", this.shown !== questionOf(model));
  }

  clear() {
    this.stop?.abort();
    this.asked = this.shown = null;
    fill(this.score);
  }

  /** The server measured: now compare at the same number of tokens. */
  async settled({ model }) {
    const question = questionOf(model);
    if (!paintable(model) || model.measured.spec !== model.spec || this.asked === question) return;
    this.asked = question;
    this.stop?.abort();
    const mine = (this.stop = new AbortController());
    try {
      const { found } = await this.judge("rivals", model.spec, mine.signal);
      if (mine.signal.aborted) return;
      this.show(found);
      this.shown = question;
      this.live(this.player);
    } catch (error) {
      if (mine !== this.stop) return; // another question is under way
      this.asked = this.shown = null;
      if (error.name !== "AbortError") fill(this.score, el("p.pl-note", {}, error.message));
    }
  }

  show(found) {
    const { yours, others, of, full, kept, label } = found;
    const written = of === "probability" ? percent : (x) => number(x, 4);
    const chance = others.find(({ name }) => name === "random");
    const rows = [{ name: "you", ...yours }, ...others].sort((a, b) => b.value - a.value);
    const row = ({ name, value, right, low, high }) => {
      const bar = el(`span.pl-answer-${name === "you" ? "kept" : "full"}`);
      bar.style.width = `${100 * Math.max(0, value)}%`;
      const more = low === undefined ? rightness(right) : `${written(low)} to ${written(high)}`;
      return el("tr", { "data-who": name }, el("th", { scope: "row" }, NAMES[name] ?? name), el("td.pl-two", { "aria-hidden": "true" }, bar), el("td", {}, written(value)), el("td.pl-more", {}, more));
    };
    const quantity = of === "probability" ? `Probability of “${label}”` : "Cosine to the full run";
    const beaten = whole(chance.beaten * chance.draws);
    fill(
      this.score,
      el("p.pl-headline", {}, el("strong", {}, written(yours.value)), ` with ${whole(kept)} tokens · all of them: ${written(full)}`),
      el("p.pl-note", {}, `${quantity}, at ${whole(kept)} tokens each. You are above ${beaten} of ${chance.draws} random choices.`),
      el("table.pl-table.pl-answers", {}, el("tbody", {}, rows.map(row))),
    );
  }

  start(shape) {
    const { player } = this;
    player.host.run?.(chosenSpec(shape(player.model.keep.mask.slice())));
  }

  change(act) {
    const { player } = this;
    if (!paintable(player.model)) return;
    act(player.model, player.brush);
    player.moved();
    player.released();
  }
}

/** What a comparison depends on, as text. */
function questionOf({ spec, manifest: { report } }) {
  return JSON.stringify([spec, report.clip, report.encoder, report.label]);
}

function rightness(right) {
  if (right === null) return "";
  return right ? "right ✓" : "wrong ✗";
}
