/**
 * The numbers beside the picture: tokens, cost, faithfulness, the answer, and what a person should know.
 *
 * Tokens and cost follow the sliders at once; faithfulness is that of the last run, and says so while they differ.
 */
import { el, fill, number, percent, whole } from "./dom.js";
import { brief } from "./plan.js";

/** A section with a small heading. */
export function section(title, ...children) {
  return el("section.pl-section", {}, el("h2", {}, title), children);
}

function row(name, value, more = "") {
  return el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value), el("td.pl-more", {}, more));
}

/** A bar whose filled part is solid and whose rest is hatched. */
function meter(parts) {
  const bars = parts.map(([kind, share]) => {
    const bar = el(`span.pl-bar-${kind}`);
    bar.style.width = `${Math.min(100, Math.max(0, 100 * share))}%`;
    return bar;
  });
  return el("div.pl-bar", { "aria-hidden": "true" }, bars);
}

/** A cost, without a power of ten where it is next to nothing. */
function small(gmacs) {
  return gmacs > 0 && gmacs < 0.001 ? "< 0.001" : number(gmacs);
}

/** The panel's parts and how to refresh them. */
export class Panel {
  constructor() {
    this.tokens = el("div");
    this.cost = el("div");
    this.fidelity = el("div.pl-fidelity");
    this.answer = el("div.pl-fidelity");
    this.stale = el("p.pl-stale", { role: "status" });
    this.notes = el("ul.pl-notes");
    this.nodes = [
      section("Tokens", this.tokens),
      section("Cost", this.cost),
      section("Faithful to the full run?", this.stale, this.fidelity, this.answer),
      this.notes,
    ];
  }

  build({ model }) {
    this.say(model.manifest.notes);
  }

  /** What follows the sliders: K of N tokens, and GMACs. */
  live({ model }) {
    const [kept, total] = [model.kept, model.keep.mask.length];
    const words = ` ${whole(kept)} of ${whole(total)} kept`;
    const headline = el("p.pl-headline", {}, el("strong", {}, percent(kept / total)), words);
    const merged = model.merging;
    const left = merged && `${whole(merged.left)} of them leave the last block (${model.merger}).`;
    fill(this.tokens, headline, meter([["keep", kept / total]]), left && el("p.pl-note", {}, left));
    const waits = model.waits && el("p.pl-stale.pl-old", {}, "GMACs are those of the last run; the server says the new ones when the slider is let go."); // prettier-ignore
    const reduced = model.gmacs ?? model.measured.gmacs.reduced;
    fill(this.cost, this.costOf(model.manifest.report.gmacs.full, reduced, model.deciding, merged), waits);
    this.settled({ model });
  }

  costOf(full, reduced, selector, merged) {
    const saved = 1 - (reduced + selector) / full;
    const words = saved >= 0 ? `${percent(saved)} saved` : `${percent(-saved)} more than the full run`;
    return [
      el("p.pl-headline", {}, el("strong", {}, number(reduced + selector)), ` of ${number(full)} GMACs · ${words}`),
      meter([
        ["keep", reduced / full],
        ["selector", selector / full],
      ]),
      el(
        "table.pl-table",
        {},
        el(
          "tbody",
          {},
          row("encoder, all tokens", number(full)),
          row("encoder, kept tokens", number(reduced)),
          row(merged ? "selector and merger" : "selector itself", small(selector)),
        ),
      ),
    ];
  }

  /** What the last run measured, and whether the sliders have left it behind. */
  settled({ model: { measured: report, spec } }) {
    const moved = spec !== report.spec;
    this.stale.textContent = `${moved ? "as of the last run:" : "measured with"} ${brief(report.spec)}`;
    for (const node of [this.stale, this.fidelity, this.answer]) node.classList.toggle("pl-old", moved);
    const f = report.fidelity;
    const rows = [row("cosine", number(f.cosine, 4), "1 is equal")];
    if (f.kl !== null) rows.push(row("KL", number(f.kl), "nats, 0 is equal"));
    if (f.top1_same !== null) rows.push(row("same answer", f.top1_same ? "yes ✓" : "no ✗"));
    fill(this.fidelity, el("table.pl-table", {}, el("tbody", {}, rows)));
    fill(this.answer, report.prediction.length ? answers(report) : null);
  }

  /** Sentences a person should see. */
  say(notes) {
    fill(
      this.notes,
      notes.map((note) => el("li", {}, note)),
    );
  }
}

/** The best classes with two bars each: all tokens (hollow) and kept tokens (solid). */
function answers(report) {
  const rows = report.prediction.map((answer) => {
    const [full, kept] = [answer.full_probability, answer.probability];
    const bars = [
      ["full", full],
      ["kept", kept],
    ].map(([kind, share]) => {
      const bar = el(`span.pl-answer-${kind}`);
      bar.style.width = `${100 * share}%`;
      return bar;
    });
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, answer.label),
      el("td.pl-two", { "aria-hidden": "true" }, bars),
      el("td", {}, percent(full)),
      el("td", {}, percent(kept)),
    );
  });
  const head = el(
    "tr",
    {},
    el("th", { scope: "col" }, "answer"),
    el("td"),
    el("th", { scope: "col" }, "all"),
    el("th", { scope: "col" }, "kept"),
  );
  return el("table.pl-table.pl-answers", {}, el("thead", {}, head), el("tbody", {}, rows));
}
