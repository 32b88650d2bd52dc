/**
 * The rooms: tabs over the one player. Each has a few sentences, a clip where its effect is plain, one where it fails,
 * and its own views under the picture.
 */
import { el, fill } from "./dom.js";
import { PrinciplesRoom, SCENES } from "./principles.js";
import { ResidualRoom } from "./residual_room.js";
import { RunsRoom } from "./runs_room.js";
import { ValueRoom } from "./value_room.js";

const [VIDEO, FRAMES] = ["tiny-video", "tiny-clip"];
const SCHEDULE = "residualvit:n=2,p=0.85";
const BLIND = "residualvit:n=10,p=0.85,cuts=off";

/** Everything that tells the rooms apart. `view(about, host)` makes the part for the player, if there is one. */
const ALL_ROOMS = {
  explore: {
    name: "Explore",
    words:
      "Every square is one visual token. What is clear stays and is encoded, what is dark and hatched is dropped. " +
      "Move a slider: mask, tokens and cost follow at once; whether the answer survives is measured when you let go.",
    plain: ["A still camera", { sample: "static camera", encoder: VIDEO, plans: ["rlt:tau=0.1"] }],
    fails: ["Where it saves nothing: a pan", { sample: "pan", encoder: VIDEO, plans: ["rlt:tau=0.1"] }],
  },
  value: {
    name: "Token value",
    words:
      "The oracle asks the model itself, by its gradients, what each token was worth to its answer, and keeps the best. " +
      "A curve far below the diagonal says that few tokens hold most of the value. Whether the tokens it calls best also " +
      "serve the model best is another question: compare them with random ones at the same budget.",
    plain: ["Value in few tokens", { sample: "static camera", encoder: VIDEO, plans: ["oracle:keep=0.3"] }],
    fails: ["Value spread out", { sample: "noise", encoder: VIDEO, plans: ["oracle:keep=0.3", "random:keep=0.3"] }],
    view: (about, host) => new ValueRoom(host.judge, valueRoom(about, host)),
  },
  runs: {
    name: "Run lengths",
    words:
      "Run-length tokenization drops a patch that looks like the patch before it in time: one token then stands for the " +
      "whole run. It needs no model to decide, and nothing to learn. It lives on stillness, so it cannot help where the " +
      "camera moves.",
    plain: ["A still camera: long runs", { sample: "static camera", encoder: VIDEO, plans: ["rlt:tau=0.1"], view: { mode: "runs" } }],
    fails: ["A pan: no runs", { sample: "pan", encoder: VIDEO, plans: ["rlt:tau=0.1"], view: { mode: "runs" } }],
    view: (about) => new RunsRoom(about.benches),
  },
  residual: {
    name: "Residual tokens",
    words:
      "Encoding frame by frame, most of a frame has been seen in the one before. Some frames are encoded whole (I-frames); " +
      "those between (P-frames) keep only a few patches and one residual token, which a small trained layer makes of their " +
      "I-frame's feature. It lives on frames that resemble each other: after a cut it needs a new I-frame. What it has to beat " +
      "is the I-frame's feature repeated, which costs nothing.",
    plain: ["A story: what the token adds", { sample: "story", encoder: FRAMES, frames: 64, plans: [SCHEDULE] }],
    fails: ["Where it misleads: an I-frame of the shot before", { sample: "cut story", encoder: FRAMES, frames: 64, plans: [BLIND] }],
    view: ({ samples }, { judge, ground }) => {
      const known = (name) => samples.find((sample) => sample.name === name)?.sentences;
      return new ResidualRoom({ judge, ground, known });
    },
  },
  principles: {
    name: "Principles",
    words:
      "Five claims about visual tokens (LITE, arXiv 2411.13626), each put to the test on the bundled model: a claim holds " +
      "or does not hold only where a 95 % interval says so.",
    plain: ["Random beside two cues", { encoder: VIDEO, ...SCENES[1] }],
    fails: ["The oracle's tokens against all", { encoder: VIDEO, ...SCENES[3] }],
    view: (about, host) => new PrinciplesRoom(about.principles, host),
  },
};

/** What the Token value room asks of the page: what is known of the samples, and a clip seen by an encoder that reads. */
function valueRoom({ samples, encoders, principles }, host) {
  const sample = (clip) => samples.find(({ name }) => name === clip);
  const reads = (name) => Boolean(encoders.find((encoder) => encoder.name === name)?.reads);
  const ask = (label) => {
    const encoder = reads(host.encoder()) ? host.encoder() : FRAMES;
    host.show({ encoder, label, plans: ["oracle:keep=0.3"], view: { mode: "value" } });
  };
  return {
    truth: (clip) => sample(clip)?.label ?? null,
    sentence: { encoder: FRAMES, reads, ask },
    clips: host.clips,
    thumb: (clip) => sample(clip)?.thumb ?? "",
    open: (clip) => host.show({ sample: clip, encoder: VIDEO, plans: [host.encoder() === VIDEO ? host.plan() : "oracle:keep=0.3"] }),
    principles,
    teacher: (name) => encoders.find((encoder) => encoder.name === name)?.teacher ?? null,
    beside: (plans) => host.show({ encoder: host.encoder(), label: host.label(), plans, view: { mode: "difference", pair: [0, 1] } }),
  };
}

export class Rooms {
  /** host: show(scene) sets up clip and plans, changed() hears of a new room, own() says whether a person's clip is shown,
   * judge(question, plan, signal) and ground(sentence, plan, signal) ask the server about a run, encoder(), label() and plan()
   * are the chosen ones, clips() brings what is measured of the samples. */
  constructor(about, player, host) {
    Object.assign(this, { player, host, current: "explore", detach: () => {} });
    this.views = Object.fromEntries(Object.entries(ALL_ROOMS).map(([id, room]) => [id, room.view?.(about, host) ?? null]));
    this.panel = el("div.pl-room", { role: "tabpanel", id: "pl-room", tabindex: 0 });
    const tab = ([id, { name }]) =>
      el("button.pl-room-tab", { type: "button", role: "tab", id: `pl-tab-${id}`, "aria-controls": "pl-room" }, name);
    this.buttons = Object.entries(ALL_ROOMS).map(tab);
    this.tabs = el("div.pl-rooms", { role: "tablist", "aria-label": "Rooms" }, this.buttons);
    Object.keys(ALL_ROOMS).forEach((id, i) => this.buttons[i].addEventListener("click", () => this.visit(id)));
    this.tabs.addEventListener("keydown", (event) => this.key(event));
    this.enter("explore");
  }

  /** Arrow keys move along the tabs, as everywhere. */
  key(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const at = this.buttons.indexOf(document.activeElement);
    const to = { Home: 0, End: this.buttons.length - 1 }[event.key] ?? (at + by + this.buttons.length) % this.buttons.length;
    if (at < 0 || Number.isNaN(to)) return;
    event.preventDefault();
    this.buttons[to].focus();
    this.buttons[to].click();
  }

  /** Enter a room as a person does: it opens on its own example, unless the clip is the person's. */
  visit(id) {
    if (id === this.current) return;
    this.enter(id);
    const { plain } = ALL_ROOMS[id];
    if (plain && !this.host.own()) this.host.show(plain[1]);
    this.host.changed();
  }

  /** Show a room around whatever is on the screen. */
  enter(id) {
    this.current = Object.hasOwn(ALL_ROOMS, id) ? id : "explore"; // a link may name any room
    const room = ALL_ROOMS[this.current];
    Object.keys(ALL_ROOMS).forEach((name, i) => {
      this.buttons[i].setAttribute("aria-selected", String(name === this.current));
      this.buttons[i].tabIndex = name === this.current ? 0 : -1;
    });
    this.panel.setAttribute("aria-labelledby", `pl-tab-${this.current}`);
    const choices = [room.plain, room.fails].filter(Boolean);
    const button = ([words, scene]) =>
      el("button.pl-button", { type: "button", onclick: () => this.host.show(scene) }, words);
    fill(this.panel, el("p", {}, room.words), el("div.pl-saves", {}, choices.map(button)));
    this.detach();
    const view = this.views[this.current];
    fill(this.player.slots.room, view?.node);
    this.detach = view ? this.player.attach(view) : () => {};
  }
}
