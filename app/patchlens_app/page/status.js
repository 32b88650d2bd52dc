/**
 * One line above the picture: how far a job is, or in one sentence why it did not end well.
 */
import { el, fill } from "./dom.js";

const STAGES = {
  start: "starting",
  load: "loading the model",
  decode: "reading the video",
  score: "scoring patches",
  encode: "encoding",
  report: "measuring",
  look: "looking over the video",
};

export class Status {
  constructor() {
    this.node = el("div.pl-status", { role: "status", hidden: true });
  }

  /** Tell a step of a job: {stage, share}; while waiting, share is how many are before. */
  step({ stage, share }) {
    const before = share === 1 ? "one run before yours" : `${share} runs before yours`;
    if (stage === "wait") this.say(share ? `waiting: ${before}` : "waiting", null);
    else this.say(STAGES[stage] ?? stage, share);
  }

  say(words, share) {
    this.node.hidden = false;
    this.node.classList.remove("pl-error");
    const bar = el("span.pl-bar-keep");
    bar.style.width = `${Math.round(100 * (share ?? 0.5))}%`;
    fill(this.node, el("span", {}, words), el("span.pl-bar", { "aria-hidden": "true" }, bar));
  }

  fail(sentence) {
    this.node.hidden = false;
    this.node.classList.add("pl-error");
    fill(this.node, sentence);
  }

  rest() {
    this.node.hidden = true;
  }
}
