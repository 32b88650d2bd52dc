/**
 * The dashboard in the browser: joins the desk, the viewer and gradio's transport.
 *
 * Messages from the server arrive as `props.value` ({kind, ...}, see handlers.py); requests leave through `trigger`.
 */
import { Desk } from "./desk.js";
import { el, fill } from "./dom.js";
import { watchTheme } from "./palette.js";
import { mount } from "./player.js";

const STAGES = {
  start: "waiting",
  load: "loading the model",
  decode: "reading the video",
  score: "scoring patches",
  encode: "encoding",
  report: "measuring",
};

/** Build the page in a gr.HTML's element. */
export function start(element, { trigger, props, upload, watch }) {
  const place = element.querySelector(".pl-app") ?? element;
  place.classList.add("pl");
  watchTheme(place, () => {});
  const app = new App({ trigger, about: props.about, upload });
  fill(place, header(), app.node);
  place.patchlens = app; // for the console and for tests
  watch("value", () => app.receive(props.value));
  app.desk.clip.first();
  return app;
}

function header() {
  const turn = () => document.body.classList.toggle("dark");
  return el(
    "header.pl-header",
    {},
    el("span.pl-mark", { "aria-hidden": "true" }),
    el("h1", {}, "PatchLens"),
    el("p", {}, "which visual tokens of a video matter"),
    el("button.pl-button", { type: "button", onclick: turn }, "Light / dark"),
  );
}

class App {
  constructor({ trigger, about, upload }) {
    Object.assign(this, { trigger, serial: 0, run: null, fetched: null, busy: false });
    this.desk = new Desk(about, {
      run: (ask) => this.start(ask),
      cancel: () => this.cancel(),
      upload,
      saveClip: () => this.save("clip"),
    });
    const view = el("div");
    this.status = el("div.pl-status", { role: "status", hidden: true });
    this.node = el(
      "div.pl-columns",
      {},
      el("div.pl-desk-side", {}, this.desk.node),
      el("div.pl-main", {}, this.status, view),
      el("div.pl-elsewhere", {}, this.desk.elsewhere.node),
    );
    this.player = mount(view, {
      settle: (spec) => this.settle(spec),
      save: (kind) => this.save(kind),
      changed: ({ model }) => model && this.desk.follow(model),
      saves: about.saves,
      wholePage: true,
    });
  }

  /** Ask for a run; one that is still going is stopped first. */
  start(ask) {
    if (this.busy) this.trigger("cancel", { serial: this.serial });
    this.serial += 1;
    this.busy = true;
    this.say("waiting", 0);
    this.trigger("run", { ...ask, serial: this.serial });
  }

  cancel() {
    this.trigger("cancel", { serial: this.serial });
  }

  settle(spec) {
    if (this.run && !this.busy) this.trigger("settle", { run: this.run, spec, redraw: !this.player.model.live });
  }

  save(kind) {
    this.say("making the file", null);
    this.trigger("save", { run: this.run, spec: this.player.model.spec, kind, stamp: Date.now() });
  }

  /** Take a message; those of older runs are passed over. */
  async receive(message) {
    if (!message || (message.serial && message.serial !== this.serial)) return;
    const { serial } = this;
    if (message.kind === "working") return this.say(STAGES[message.stage] ?? message.stage, message.share);
    const trouble = message.kind === "shown" ? await this.show(message).catch((error) => error) : null;
    if (serial === this.serial) this.rest();
    if (trouble) this.fail(`${trouble.message} Press Run again.`);
    if (message.kind === "settled" && message.run === this.run) this.player.settled(message);
    if (message.kind === "saved") this.fetch(message);
    if (message.kind === "error") this.fail(message.sentence);
    if (message.kind === "cancelled") this.fail("Cancelled.");
  }

  rest() {
    this.busy = false;
    this.status.hidden = true;
    this.desk.busy(false);
  }

  say(words, share) {
    this.desk.busy(this.busy);
    this.status.hidden = false;
    this.status.classList.remove("pl-error");
    const bar = el("span.pl-bar-keep");
    bar.style.width = `${Math.round(100 * (share ?? 0.5))}%`;
    fill(this.status, el("span", {}, words), el("span.pl-bar", {}, bar));
  }

  fail(sentence) {
    this.status.hidden = false;
    this.status.classList.add("pl-error");
    fill(this.status, sentence);
  }

  async show({ run, file }) {
    if (run === this.run && this.fetched === file) return;
    const answer = await fetch(fileUrl(file));
    if (!answer.ok) throw new Error(`The result could not be fetched (${answer.status}).`);
    await this.player.show(await answer.arrayBuffer());
    Object.assign(this, { run, fetched: file });
    this.desk.shown(this.player.model);
  }

  fetch({ file, name }) {
    const link = el("a", { href: fileUrl(file), download: name });
    document.body.append(link);
    link.click();
    link.remove();
  }
}

/** Where gradio serves a file of its cache. */
function fileUrl(path) {
  const root = (window.gradio_config?.root ?? location.origin + location.pathname).replace(/\/+$/, "");
  return `${root}/gradio_api/file=${path.split("/").map(encodeURIComponent).join("/")}`;
}
