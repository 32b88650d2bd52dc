/**
 * The five principles as they were measured: claim, verdict, figures, and a clip to see each on.
 */
import { el } from "./dom.js";

/** What to look at for each principle, by its number. */
export const SCENES = {
  1: { sample: "busy", plans: ["random:keep=0.3", "motion:keep=0.3", "saliency:keep=0.3"] },
  2: { sample: "static camera", plans: ["oracle:keep=0.2", "motion:keep=0.2"], view: { mode: "dim" } },
  3: { sample: "static camera", plans: ["everything", "oracle:keep=0.3"] },
  4: { sample: "static camera", plans: ["oracle:keep=0.2"], view: { mode: "value" } },
  5: { sample: "noise", plans: ["random:keep=0.5"] },
};

export class PrinciplesRoom {
  /** `measured`: by encoder what `patchlens principles --json` wrote; host.show(scene) sets up a clip and plans. */
  constructor(measured, host) {
    const names = Object.keys(measured);
    const none = el("p", {}, "They have not been measured here yet: patchlens principles does it, in about an hour.");
    this.node = el("section.pl-section.pl-principles", {}, names.length ? names.map((name) => this.encoder(name, measured[name], host)) : none);
  }

  encoder(name, { n, principles, notes }, host) {
    const clips = n === undefined ? "" : `, ${n} held-out clips`;
    const items = principles.map((found) => this.item(found, name, host));
    const remarks = notes?.length ? el("ul.pl-notes", {}, notes.map((note) => el("li", {}, note))) : null;
    return [el("h2", {}, `Measured on ${name}${clips}`), el("ol.pl-findings", {}, items), remarks];
  }

  item({ number, claim, verdict, text, figures }, encoder, host) {
    const see = () => host.show({ encoder, ...SCENES[number] });
    return el(
      "li.pl-finding",
      {},
      el("p.pl-claim", {}, el("strong", {}, claim), el("span.pl-verdict", { "data-verdict": verdict }, verdict)),
      el("p", {}, text),
      el("details.pl-details", {}, el("summary", {}, "All figures"), el("pre.pl-figures", { tabindex: 0 }, JSON.stringify(figures, null, 1))),
      SCENES[number] ? el("button.pl-button", { type: "button", onclick: see }, "See it on a clip") : null,
    );
  }
}
