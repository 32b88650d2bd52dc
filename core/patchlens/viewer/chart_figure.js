/**
 * The accuracy/cost chart as plotly wants it: the reference curves above, this clip's measured points below.
 *
 * Every curve has a colour and a symbol of its own; a lane is a disc with its letter. Knows no page and no events.
 */
import { along } from "./chart_curves.js";
import { number, percent } from "./dom.js";

const CURVE_LIGHT = ["#0072b2", "#b4500b", "#00795c", "#8a4fa0", "#7a6a00", "#b02a37", "#4b5a6b", "#7b4b2a"];
const CURVE_DARK = ["#6cb6ff", "#f2a65a", "#4fd1a5", "#cf9be0", "#d6c34a", "#ff8f8f", "#b6c2cf", "#d0a584"];
// plotly's name of a symbol, and a letter that looks like it
const CURVE_SYMBOLS = Object.entries({ circle: "●", square: "■", diamond: "◆", "triangle-up": "▲", cross: "✚", x: "✖", "triangle-down": "▼", "triangle-left": "◀", "triangle-right": "▶" }); // prettier-ignore
const ROOM = 0.02; // beyond the lowest and the highest value
export const CHART_HEIGHT = 440;
export const CHART_MARGIN = { l: 56, r: 14, t: 12, b: 46 };
export const UPPER = 0.31; // where the upper panel begins, as a share of the height

/** What is drawn: {data, layout, legend, axes}; axes = {most, range} are the ends of GMACs and of the value. */
export function chartFigure({ frontier, curves, lanes, measured, colours, dark }) {
  const emphasised = new Set(curves.filter(Boolean));
  const axes = chartAxes(frontier, emphasised, lanes, measured);
  const looks = frontier.curves.map((curve, i) => curveLook(curve, i, { strong: emphasised.has(curve), dark, frontier }));
  const ordered = looks.toSorted((a, b) => a.strong - b.strong); // the emphasised ones on top
  const shown = ordered.flatMap((look) => (look.strong ? [curveBand(look), curveLine(look)] : [curveLine(look)]));
  const data = [...shown, fullPoint(frontier, colours), ...clipPoints(measured, colours)];
  return { data, layout: chartLayout(frontier, axes, colours), legend: legendOf(looks, axes), axes };
}

function curveLook(curve, i, { strong, dark, frontier }) {
  const [symbol, letter] = CURVE_SYMBOLS[i % CURVE_SYMBOLS.length];
  return { curve, frontier, strong, symbol, letter, colour: (dark ? CURVE_DARK : CURVE_LIGHT)[i % CURVE_LIGHT.length] };
}

/** What the colours and symbols mean; a curve beyond the right edge says where it begins. */
function legendOf(looks, { most }) {
  const beyond = ({ points: [first] }) => (first.gmacs > most ? `, from ${number(first.gmacs)} →` : "");
  return looks.map(({ curve, strong, letter, colour }) => ({ strong, letter, colour, name: curve.selector + beyond(curve) }));
}

/** Ranges that stay while a slider moves: up to a little more than the full run, further only for a lane that costs more. */
function chartAxes(frontier, emphasised, lanes, measured) {
  const costs = [frontier.full.gmacs, ...[...emphasised].map((c) => c.points.at(-1).gmacs)];
  costs.push(...lanes.map((lane) => lane.most), ...measured.map((m) => m.gmacs));
  const lows = frontier.curves.flatMap((c) => c.points.map((p) => p.interval?.[0] ?? p.value));
  return { most: 1.06 * Math.max(...costs), range: [Math.max(0, Math.min(...lows) - ROOM), 1 + ROOM] };
}

function curveLine({ curve: { points, selector }, frontier, colour, symbol, strong }) {
  const ends = points.map((p) => p.interval ?? [p.value, p.value]);
  return {
    name: selector,
    x: points.map((p) => p.gmacs),
    y: points.map((p) => p.value),
    customdata: points.map((_, i) => [selector, i]),
    text: points.map((p) => `${selector}, ${percent(p.reached, 0)} of the tokens<br>${number(p.gmacs)} GMACs, ${valueWords(p, frontier)}`),
    hovertemplate: "%{text}<extra></extra>",
    mode: "lines+markers",
    line: { color: colour, width: strong ? 3 : 1.2 },
    marker: { color: colour, symbol, size: strong ? 9 : 7 },
    opacity: strong ? 1 : 0.75,
    error_y: {
      array: ends.map((end, i) => end[1] - points[i].value),
      arrayminus: ends.map((end, i) => points[i].value - end[0]),
      color: colour,
      thickness: strong ? 1.4 : 0.7,
      width: strong ? 4 : 0,
    },
  };
}

function curveBand({ curve: { points }, colour }) {
  const there = points.filter((p) => p.interval);
  const back = there.toReversed();
  return {
    x: [...there, ...back].map((p) => p.gmacs),
    y: [...there.map((p) => p.interval[1]), ...back.map((p) => p.interval[0])],
    fill: "toself",
    fillcolor: `${colour}2b`,
    line: { width: 0 },
    mode: "lines",
    hoverinfo: "skip",
  };
}

function fullPoint(frontier, { ink }) {
  const { full } = frontier;
  return {
    name: "all tokens",
    x: [full.gmacs],
    y: [full.value],
    text: [`all tokens<br>${number(full.gmacs)} GMACs, ${valueWords(full, frontier)}`],
    hovertemplate: "%{text}<extra></extra>",
    mode: "markers",
    marker: { color: ink, symbol: "star", size: 13 },
  };
}

/** This clip's measured points: cosine solid, the label's probability hollow. */
function clipPoints(measured, { accent, warm }) {
  const part = (name, values, symbol, colour) => ({
    name,
    x: measured.map((m) => m.gmacs),
    y: values,
    text: measured.map((m, i) => `${m.spec}<br>${number(m.gmacs)} GMACs, ${name} ${number(values[i])}`),
    hovertemplate: "%{text}<extra></extra>",
    mode: "markers",
    marker: { color: colour, symbol, size: 9, line: { width: 2, color: colour } },
    yaxis: "y2",
  });
  const parts = [part("cosine", measured.map((m) => m.cosine), "circle", accent)]; // prettier-ignore
  const label = measured.map((m) => m.probability);
  if (label.some((p) => p !== null)) parts.push(part("probability of the label", label, "diamond-open", warm));
  return parts;
}

function chartLayout(frontier, { most, range }, { ink, muted, line }) {
  const axis = { gridcolor: line, linecolor: line, zeroline: false, fixedrange: true };
  const title = (text) => ({ title: { text, font: { size: 12, color: muted }, standoff: 8 } });
  return {
    font: { color: ink, size: 12, family: "ui-sans-serif, system-ui, sans-serif" },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: CHART_MARGIN,
    height: CHART_HEIGHT,
    showlegend: false,
    hovermode: "closest",
    dragmode: false,
    xaxis: { ...axis, ...title("GMACs a clip, with the selector's own"), range: [0, most], anchor: "y2" },
    yaxis: { ...axis, ...title(frontier.measure), range, tickformat: isShareOfClips(frontier) ? ",.0%" : ".2f", domain: [UPPER, 1] },
    yaxis2: { ...axis, ...title("this clip"), range: [-0.05, 1.08], nticks: 4, domain: [0, 0.21] },
  };
}

/** Whether a frontier's values are shares of clips, which are said in percent; a cosine is not. */
export function isShareOfClips({ measure }) {
  return measure === "top-1";
}

/** A value with its interval: in percent where it is a share of clips, else as a number. */
export function valueWords({ value, interval }, frontier) {
  const share = isShareOfClips(frontier);
  const said = (x) => (share ? (100 * x).toFixed(1) : x.toFixed(3));
  const ends = interval ? ` [${interval.map(said).join(", ")}]` : "";
  return `${said(value)}${share ? " %" : ""}${ends}`;
}

/** Where a lane stands: its cost on the reference clips' scale, and its value on its curve; null where not measured. */
export function standingOf({ model, letter }, curve, frontier) {
  const { full } = model.manifest.report.gmacs;
  const scale = frontier.full.gmacs / full; // 1 where this clip has as many tokens as theirs
  const ratio = model.share;
  const place = curve && (curve.knob ? along(curve, ratio) : curve.points[0]); // a plan as written has one point
  return { letter, ratio, gmacs: scale * model.cost, most: scale * (full + model.deciding), place };
}
