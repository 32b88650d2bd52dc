/**
 * Where the lanes stand on the chart: a disc with the lane's letter and its interval, laid over the plot.
 *
 * They move at every step of a slider. plotly redraws all of its curves for one moved point (40 ms on a small machine), so
 * these are elements of the page, placed by the margins and ranges that the plot was given.
 */
import { CHART_HEIGHT, CHART_MARGIN, UPPER } from "./chart_figure.js";
import { el, fill } from "./dom.js";

const TALL = (CHART_HEIGHT - CHART_MARGIN.t - CHART_MARGIN.b) * (1 - UPPER); // pixels of the upper panel

export class Marks {
  constructor() {
    this.node = el("div.pl-marks", { "aria-hidden": "true" });
    this.marks = [];
  }

  /** Make a disc for every lane. */
  build(lanes) {
    this.marks = lanes.map(({ letter }) => {
      const reach = el("span.pl-mark-reach");
      return { reach, node: el("span.pl-mark", {}, reach, el("span.pl-mark-disc", {}, letter)) };
    });
    fill(this.node, this.marks.map(({ node }) => node)); // prettier-ignore
  }

  /** Put the discs where the lanes are; one without a value is a triangle on the floor: only its cost is known. */
  move(lanes, { most, range: [low, high] }) {
    const { l, r, t } = CHART_MARGIN;
    const down = (value) => (TALL * (high - value)) / (high - low);
    lanes.forEach(({ gmacs, place }, i) => {
      const { node, reach } = this.marks[i];
      const at = down(place ? place.value : low);
      const [worst, best] = place?.interval ? place.interval.map(down) : [at, at];
      node.style.left = `calc(${l}px + (100% - ${l + r}px) * ${gmacs / most})`;
      node.style.top = `${t + at}px`;
      node.classList.toggle("pl-mark-cost", !place);
      Object.assign(reach.style, { top: `${best - at}px`, height: `${worst - best}px` });
    });
  }
}
