/**
 * The room of residual tokens: which frames are I-frames, what the P-frames between them keep, and how near every
 * frame's feature stays to that of the full run.
 */
import { el, number, percent } from "./dom.js";
import { Graph } from "./graph.js";

export class ResidualRoom {
  constructor() {
    this.none = el("p.pl-note", { role: "status" });
    this.graphs = [new Graph("I- and P-frames, and what they keep"), new Graph("Each frame's feature against the full run")];
    this.views = el("div.pl-graphs", {}, this.graphs.map((graph) => graph.node)); // prettier-ignore
    this.node = el("section.pl-section", { "aria-label": "Residual tokens" }, this.none, this.views);
  }

  live(player) {
    const words = whatLacks(player.model);
    this.none.textContent = words ?? "";
    this.none.hidden = !words;
    this.views.hidden = !player.model.keep.anchor;
    if (!this.views.hidden) this.draw(player);
  }

  at(player) {
    if (!this.views.hidden) this.draw(player);
  }

  settled(player) {
    this.live(player);
  }

  resized(player) {
    this.at(player);
  }

  draw({ model, colours, tubelet }) {
    this.timeline(model, colours, tubelet);
    this.nearness(model, colours, tubelet);
  }

  timeline(model, colours, here) {
    const { keep, counts, size } = model;
    const t = counts.length;
    const shares = counts.map((count) => count / size);
    const yticks = [0.5, 1].map((share) => [0.86 * share, percent(share, 0)]);
    const pen = this.graphs[0].begin(colours, { xticks: frameNumbers(t), yticks, xname: "frame", yname: "patches kept" });
    if (!pen) return;
    const intra = (i) => keep.anchor[i] === i;
    pen.bars(shares.map((share) => 0.86 * share), () => true); // prettier-ignore
    shares.forEach((share, i) => pen.words(intra(i) ? "I" : "P", (i + 0.5) / t, 0.86 * share, intra(i) ? colours.ink : colours.muted, "center"));
    markFrame(pen, (here + 0.5) / t, colours);
    const whole = shares.filter((_, i) => intra(i)).length;
    const leaning = Array.from({ length: t }, (_, i) => i).filter((i) => !intra(i));
    const mean = leaning.reduce((sum, i) => sum + shares[i], 0) / Math.max(1, leaning.length);
    this.graphs[0].say(
      `${whole} I-frames are encoded whole; ${leaning.length} P-frames keep ${percent(mean)} of their patches` +
        (intra(here) ? "; this one is an I-frame." : `; this one leans on frame ${keep.anchor[here] + 1}.`),
    );
  }

  nearness(model, colours, here) {
    const near = model.measured.fidelity.frame_cosine;
    this.graphs[1].node.hidden = !near;
    if (!near) return;
    const low = Math.min(0.9, Math.floor(10 * Math.min(...near)) / 10);
    const at = (cosine) => (0.92 * (cosine - low)) / (1 - low);
    const yticks = [low, (1 + low) / 2, 1].map((cosine) => [at(cosine), number(cosine, 3)]);
    const t = near.length;
    const pen = this.graphs[1].begin(colours, { xticks: frameNumbers(t), yticks, xname: "frame", yname: "cosine" });
    if (!pen) return;
    const points = near.map((cosine, i) => [(i + 0.5) / t, at(cosine)]);
    pen.line(points, colours.line);
    const { anchor } = model.keep;
    points.forEach(([x, y], i) => pen.dot(x, y, anchor[i] === i ? colours.accent : colours.warm, anchor[i] === i ? 5 : 4));
    markFrame(pen, (here + 0.5) / t, colours);
    const mean = (wanted) => {
      const some = near.filter((_, i) => (anchor[i] === i) === wanted);
      return some.length ? number(some.reduce((sum, x) => sum + x, 0) / some.length, 4) : "none";
    };
    const old = model.spec === model.measured.spec ? "" : ` As of the last run: ${model.measured.spec}.`;
    this.graphs[1].say(`Mean cosine: I-frames ${mean(true)} (large dots), P-frames ${mean(false)} (small dots).${old}`);
  }
}

/** What this room would need and the run on screen does not have, in one sentence; null where all is there. */
function whatLacks({ manifest, keep }) {
  const { name } = manifest.report.encoder;
  if (!manifest.per_frame) return `${name} looks at the whole clip at once; this room needs an encoder that takes frame by frame.`;
  if (!keep.anchor) return "This plan has no I- and P-frames; choose the selector residualvit.";
  const without = keep.residual === "off" || keep.residual === "zero";
  return without ? "The P-frames get no residual token here: they know of their I-frame nothing at all." : null;
}

function frameNumbers(t) {
  const every = Math.ceil(t / 12);
  return Array.from({ length: t }, (_, i) => [(i + 0.5) / t, String(i + 1)]).filter((_, i) => i % every === 0);
}

function markFrame(pen, x, colours) {
  pen.line([[x, 0], [x, 1]], colours.warm, { width: 1, dash: [4, 3] }); // prettier-ignore
}
