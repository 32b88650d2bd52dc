/**
 * The dashboard in the browser: joins the desk, the rooms, the viewer, the address line and the server.
 */
import { runFrom } from "./chart_plotly.js";
import { CompareDialog } from "./compare.js";
import { Desk } from "./desk.js";
import { el, fill } from "./dom.js";
import { addressOf, viewOf } from "./link.js";
import { Lookup } from "./lookup.js";
import { watchTheme } from "./palette.js";
import { mount } from "./player.js";
import { Rooms } from "./rooms.js";
import { post, root } from "./server.js";
import { Status } from "./status.js";
import { knowMergers } from "./ways.js";

const LINK_EVERY = 300; // ms; browsers refuse to rewrite the address more often than a few times a second

/** Build the page in a gr.HTML's element. */
export function start(element, { about, upload }) {
  const place = element.querySelector(".pl-app") ?? element;
  place.classList.add("pl");
  watchTheme(place, () => {});
  const app = new App(about, upload);
  fill(place, header(), app.node);
  place.patchlens = app; // for the console and for tests
  app.open();
  addEventListener("hashchange", () => app.open());
  return app;
}

function header() {
  const turn = () => document.body.classList.toggle("dark");
  return el(
    "header.pl-header",
    {},
    el("span.pl-logo", { "aria-hidden": "true" }),
    el("h1", {}, "PatchLens"),
    el("p", {}, "which visual tokens of a video matter"),
    el("button.pl-button", { type: "button", onclick: turn }, "Light / dark"),
  );
}

class App {
  constructor(about, upload) {
    knowMergers(about.mergers);
    Object.assign(this, { about, upload, keys: [], jobs: new Map(), busy: false, lookup: new Lookup() });
    this.desk = new Desk(about, {
      run: (restored) => this.run(restored ? this.wanted : null),
      cancel: () => this.cancel(),
      send: (file) => this.send(file),
      saveClip: () => this.save("clip"),
    });
    const view = el("div");
    this.status = new Status();
    this.compare = new CompareDialog(about, (plan) => this.add(plan));
    this.player = mount(view, {
      settle: (spec, lane) => this.settle(spec, lane),
      save: (kind) => this.save(kind),
      compare: () => this.compare.open(this.player.model),
      changed: () => this.changed(),
      run: (plan) => this.replace(plan),
      plotly: () => runFrom(root() + about.plotly),
      saves: about.saves,
      wholePage: true,
    });
    this.rooms = new Rooms(about, this.player, {
      show: (scene) => this.scene(scene),
      changed: () => this.changed(),
      own: () => Boolean(this.desk.clip.clip?.sha256),
      encoder: () => this.desk.asked.encoder,
      label: () => this.desk.asked.label,
      plan: () => this.player.model?.spec ?? this.desk.plan,
      clips: () => post("clips", {}),
      judge: (question, plan, signal) => post("judge", { ...this.ask(plan), question }, { signal }),
      ground: (sentence, plan, signal) => post("ground", { ...this.ask(plan), sentence }, { signal }),
    });
    this.node = el(
      "div.pl-columns",
      {},
      el("div.pl-desk-side", {}, this.desk.node),
      el("div.pl-main", {}, this.rooms.tabs, this.rooms.panel, this.status.node, view, this.compare.node),
      el("div.pl-elsewhere", {}, this.desk.elsewhere.node),
    );
  }

  /** Show what the address says, or the first sample. */
  open() {
    const link = viewOf(location.hash);
    if (location.hash && location.hash === this.hash) return; // our own
    this.rooms.enter(link?.room ?? "explore");
    if (!link) return this.desk.clip.choose(this.about.samples[0].name);
    const [first] = link.view.plans;
    this.desk.set(link.ask, first);
    this.wanted = link.view;
    if (link.ask.sample && this.desk.clip.choose(link.ask.name, true)) return null;
    if (link.sha256) {
      this.desk.clip.expect({ ...link.ask, sha256: link.sha256 });
      return this.status.fail(this.desk.clip.words.textContent);
    }
    return this.desk.clip.choose(this.about.samples[0].name);
  }

  // --- Runs

  /** What to ask for a plan. */
  ask(selector) {
    const { source, name, encoder, weights, label, frames, seed, span } = this.desk.asked;
    return { source, name, encoder, weights, label, frames, seed, span, selector };
  }

  /** Run what the desk says: the active lane's plan, and the other lanes' where the rest has changed. */
  async run(view = null) {
    this.desk.print();
    if (!this.desk.asked.source) return;
    const { lanes, lane } = this.player;
    const held = lanes.map(({ model }) => model.spec);
    const plans = view?.plans.length ? view.plans : (held.length ? held : [""]).with(lane, this.desk.plan);
    const base = JSON.stringify(this.ask(""));
    await this.work(async (options) => {
      for (const [i, plan] of plans.entries()) {
        if (base !== this.base || plan !== held[i]) await this.bring(i, plan, options);
      }
      for (let i = this.player.lanes.length - 1; i >= plans.length; i--) this.player.dropLane(i);
      this.base = base;
      if (view) this.player.restore(view);
      else this.player.choose(Math.min(lane, plans.length - 1));
      this.desk.shown(this.player.model);
    });
  }

  /** Another lane with this plan. */
  add(plan) {
    this.work((options) => this.bring(this.player.lanes.length, plan, options));
  }

  /** This plan in the active lane's place. */
  replace(plan) {
    this.work((options) => this.bring(this.player.lane, plan, options));
  }

  /** Show a plan of the desk's clip in a lane. */
  async bring(lane, plan, options) {
    const base = JSON.stringify(this.ask(""));
    const show = async (media) => {
      // no pictures are asked for where the player shows this very clip
      const buffer = await this.fetched({ ...this.ask(plan), media }, options);
      if (!options.signal.aborted) await this.player.show(buffer, { lane, same: !media });
    };
    if (base !== this.pictured) await show(true);
    else await show(false).catch((error) => (error.name === "AbortError" ? Promise.reject(error) : show(true)));
    if (!options.signal.aborted) this.pictured = base;
  }

  /** A run's buffer, with its pictures or (media: false) without; one that is held with them will do for both. */
  async fetched(ask, options) {
    const [bare, whole] = [false, true].map((media) => JSON.stringify({ ...ask, media }));
    const key = ask.media ? whole : bare;
    const known = this.lookup.get(whole) ?? this.lookup.get(key);
    const buffer = known ?? (await post("run", ask, options)).raw;
    if (!known) this.lookup.put(key, buffer);
    return buffer;
  }

  /** Do one job in view of the person; one that is still going is stopped first. */
  async work(job) {
    this.job?.abort();
    const mine = (this.job = new AbortController());
    this.busy = true;
    const slow = setTimeout(() => this.desk.busy(true), 150); // what comes at once need not flicker
    const tell = (message) => mine === this.job && this.status.step(message);
    const trouble = await job({ tell, signal: mine.signal }).then(
      () => null,
      (error) => error,
    );
    clearTimeout(slow);
    if (mine !== this.job) return;
    this.job = null;
    this.busy = false;
    this.desk.busy(false);
    if (!trouble) this.status.rest();
    else this.status.fail(trouble.name === "AbortError" ? "Cancelled." : trouble.message);
  }

  cancel() {
    this.job?.abort();
  }

  /** A slider of a lane was let go: measure its plan again. */
  async settle(spec, lane) {
    const { model } = this.player.lanes[lane];
    this.jobs.get(lane)?.abort();
    const mine = new AbortController();
    this.jobs.set(lane, mine);
    if (!model.live) return this.work((options) => this.bring(lane, spec, options));
    try {
      const { report } = await post("settle", this.ask(spec), { signal: mine.signal });
      if (this.player.lanes[lane]?.model === model) this.player.settled({ spec, report, lane });
    } catch (error) {
      if (error.name !== "AbortError") this.status.fail(error.message);
    }
    return null;
  }

  // --- Files

  /** Upload a file and look it over. */
  async send(file) {
    let seen = null;
    await this.work(async (options) => {
      this.status.say("uploading", null);
      const { path } = await this.upload(file);
      const source = `upload:${path}`;
      seen = { source, glance: await post("glance", { source, name: file.name }, options) };
    });
    if (!seen) throw new Error("not taken");
    return seen;
  }

  save(kind) {
    const ask = this.ask(this.player.model?.spec ?? this.desk.plan);
    const plans = this.player.lanes.map(({ model }) => model.spec);
    this.work(async (options) => {
      this.status.say("making the file", null);
      const { name, raw } = await post("save", { ...ask, kind, plans }, options);
      const link = el("a", { href: URL.createObjectURL(new Blob([raw])), download: name });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    });
  }

  // --- The view

  /** Set up what a room shows: {sample, encoder, label, plans, view}; random weights where there are no others. */
  scene({ sample, encoder, label = "", frames, plans, view = {} }) {
    const { on_disk: there } = this.about.encoders.find(({ name }) => name === encoder);
    this.desk.set({ encoder, weights: there.length ? "" : "random", label, frames }, plans[0]);
    const start = { lane: 0, ...view, plans };
    this.wanted = start;
    if (sample) this.desk.clip.choose(sample, true);
    else this.run(start);
  }

  /** Something on the page moved: the desk and the address follow. */
  changed() {
    const { model, lanes } = this.player;
    if (!model) return;
    this.desk.follow(
      model,
      lanes.map((lane) => lane.model.spec),
    );
    this.pending ??= setTimeout(() => {
      this.pending = null;
      this.address();
    }, LINK_EVERY);
  }

  address() {
    if (this.busy || !this.player.model) return;
    const ask = this.desk.asked;
    this.hash = addressOf({ ask, sha256: ask.sha256, room: this.rooms.current, view: this.player.state });
    history.replaceState(history.state, "", this.hash);
  }
}
