/**
 * Time: which frame is shown, and playing it.
 *
 * Positions are token frames 0..F-1; `frames` holds {time, picture} for each, by true presentation times.
 */
import { el, fill, ICONS, icon, seconds } from "./dom.js";

/** Seconds since the clip began for every frame, each at least a hundredth after the one before. */
function clockOf(frames) {
  const clock = [];
  for (const { at } of frames) clock.push(clock.length ? Math.max(at, clock.at(-1) + 0.01) : at);
  return clock;
}

/** The frame nearest to `time` on a clock. */
export function nearest(clock, time) {
  let best = 0;
  for (let f = 1; f < clock.length; f++) if (Math.abs(clock[f] - time) < Math.abs(clock[best] - time)) best = f;
  return best;
}

/** Plays frames by their true times; smoothly through a <video> where there is one. show(f, image or null). */
export class Playback {
  constructor(frames, show) {
    this.clock = clockOf(frames);
    this.video = null;
    this.show = show;
    this.frame = 0;
    this.playing = false;
    this.until = Infinity;
    const last = this.clock.at(-1);
    const step = this.clock.length > 1 ? last / (this.clock.length - 1) : 1;
    this.length = last + step;
  }

  /** Start at the present frame, from the beginning when it is the last. */
  play() {
    if (this.playing) return;
    if (this.frame === this.clock.length - 1) this.frame = 0;
    this.start(this.clock[this.frame]);
  }

  /** Play the seconds `from` to `until` of the clock once, and stay on the last frame before `until`. */
  playSpan(from, until) {
    this.frame = nearest(this.clock, from);
    const going = this.playing;
    this.start(Math.max(0, from), until, going);
  }

  start(time, until = Infinity, going = false) {
    Object.assign(this, { until, playing: true, began: performance.now() - 1000 * time });
    if (this.video) {
      this.video.currentTime = time;
      this.video.play().catch(() => (this.video = null));
    }
    if (!going) requestAnimationFrame(() => this.tick());
  }

  /** Play this <video> from now on (null: none). */
  take(video) {
    this.video = video;
  }

  /** Stop, and free the video. */
  close() {
    this.playing = false;
    this.video?.pause();
    if (this.video) URL.revokeObjectURL(this.video.src);
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    this.video?.pause();
    this.show(this.frame, null);
  }

  /** Go to a frame and stay there. */
  seek(frame) {
    this.playing = false;
    this.video?.pause();
    this.frame = Math.min(this.clock.length - 1, Math.max(0, frame));
    this.show(this.frame, null);
  }

  /** The span is over. */
  rest() {
    const last = this.clock.findLastIndex((start) => start < this.until);
    this.seek(Math.max(0, last));
  }

  tick() {
    if (!this.playing) return;
    const smooth = this.video && this.video.readyState >= 2;
    let time = smooth ? this.video.currentTime : (performance.now() - this.began) / 1000;
    const over = time >= Math.min(this.until, this.length) || (smooth && this.video.ended);
    if (over && this.until < Infinity) return this.rest();
    if (over) {
      time = 0;
      this.began = performance.now();
      if (smooth) this.video.currentTime = 0;
      if (smooth) this.video.play().catch(() => this.pause());
    }
    this.frame = smooth
      ? nearest(this.clock, time)
      : Math.max(
          0,
          this.clock.findLastIndex((start) => start <= time),
        );
    this.show(this.frame, smooth ? this.video : null);
    requestAnimationFrame(() => this.tick());
  }
}

/** Play, step and scrub controls; a part of the page that shows where playback stands. */
export function transport(player) {
  const button = (label, shape, action) =>
    el("button.pl-round", { type: "button", "aria-label": label, title: label, onclick: action }, icon(shape));
  const play = button("Play (space)", ICONS.play, () => player.toggle());
  const range = el("input.pl-scrub", { type: "range", min: 0, step: 1, "aria-label": "Frame" });
  range.addEventListener("input", () => player.playback?.seek(Number(range.value)));
  const clock = el("span.pl-clock");
  const steps = [
    ["Frame before (,)", ICONS.back, -1],
    ["Next frame (.)", ICONS.forward, 1],
  ];
  const [back, next] = steps.map(([label, shape, by]) => button(label, shape, () => player.step(by)));
  const node = el("div.pl-transport", {}, play, back, next, range, clock);
  let shown = null;
  const at = ({ playback, model: { manifest } }) => {
    range.max = playback.clock.length - 1;
    range.value = playback.frame;
    const { time } = manifest.frames[playback.frame];
    const tubelet = Math.floor(playback.frame / manifest.tubelet);
    clock.textContent = `${seconds(time)} · tubelet ${tubelet + 1} of ${manifest.grid[0]}`;
    range.setAttribute("aria-valuetext", clock.textContent);
    if (shown === playback.playing) return;
    shown = playback.playing;
    fill(play, icon(shown ? ICONS.pause : ICONS.play)).setAttribute(
      "aria-label",
      shown ? "Pause (space)" : "Play (space)",
    );
  };
  return { node, at, live: at };
}
