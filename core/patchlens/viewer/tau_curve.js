/**
 * How many tokens stay at every tau: of this clip, and on average of the held-out clips that the shipped sweep ran on.
 */
import { curveOf } from "./chart_curves.js";
import { number, percent, whole } from "./dom.js";
import { Graph } from "./graph.js";
import { changeStage } from "./run_figures.js";

const STEPS = 80;

/** Of `values`, the share that lies above each tau; at least one token stays. Ascending or not. */
export function sharesAbove(values, taus) {
  const sorted = Float32Array.from(values).sort();
  return taus.map((tau) => {
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle] > Math.fround(tau)) high = middle;
      else low = middle + 1;
    }
    return Math.max(1, sorted.length - low) / sorted.length;
  });
}

/** The points [tau, share of tokens] of a swept plan, rising; none where it was not swept. */
export function sweptTaus(frontier, stage) {
  const points = curveOf(frontier, [stage])?.points ?? [];
  return points.filter(({ setting }) => setting !== null).map(({ setting, reached }) => [setting, reached]).sort((a, b) => a[0] - b[0]); // prettier-ignore
}

export class TauCurve {
  constructor() {
    this.graph = new Graph("What tau keeps");
  }

  draw({ model, colours }) {
    const { stage, knob } = changeStage(model);
    const tau = stage.setting[knob.name];
    const top = Math.min(knob.high, Math.max(0.6, 1.25 * tau));
    const pen = this.graph.begin(colours, {
      xticks: Array.from({ length: 5 }, (_, i) => [i / 4, number((i / 4) * top, 2)]),
      yticks: [[0.25, "25 %"], [0.5, "50 %"], [0.75, "75 %"], [1, "100 %"]], // prettier-ignore
      xname: "tau, ImageNet units",
      yname: "tokens kept",
    });
    if (!pen) return;
    const swept = sweptTaus(model.manifest.frontier, stage);
    const inside = swept.filter(([at]) => at <= top).map(([at, share]) => [at / top, share]);
    pen.line([[0, 1 / model.manifest.grid[0]], [1, 1 / model.manifest.grid[0]]], colours.muted, { width: 1, dash: [2, 3] }); // prettier-ignore
    if (inside.length) {
      pen.line(inside, colours.muted, { dash: [6, 4] });
      for (const [x, y] of inside) pen.dot(x, y, colours.muted, 3);
      const [x, y] = inside[Math.floor(inside.length / 2)];
      pen.words("held-out clips", x, y, colours.muted);
    }
    const taus = Array.from({ length: STEPS + 1 }, (_, i) => (i / STEPS) * top);
    const shares = sharesAbove(stage.values, taus);
    pen.line(shares.map((share, i) => [i / STEPS, share]), colours.accent); // prettier-ignore
    const [now] = sharesAbove(stage.values, [tau]);
    pen.line([[tau / top, 0], [tau / top, 1]], colours.warm, { width: 1.5 }); // prettier-ignore
    pen.dot(tau / top, now, colours.accent, 5);
    this.graph.say(this.words(now, tau, stage, swept, model));
  }

  words(now, tau, { name, values: { length: n } }, swept, { manifest }) {
    const here = `At tau = ${number(tau)} ${name} keeps ${whole(now * n)} of ${whole(n)} tokens (${percent(now, 0)}); the first tubelet always stays (dotted).`;
    if (!swept.length) return `${here} No clips were swept with this encoder and these knobs.`;
    const clips = manifest.frontier.n;
    return `${here} Dashed: the mean of ${clips ? `${whole(clips)} ` : ""}held-out clips of the sweep (${manifest.frontier.data}).`;
  }
}
