/**
 * The chart in words: every measured point as a row, and a button that sets the sliders to it; and this clip's own points.
 */
import { el, fill, number, percent } from "./dom.js";
import { valueWords } from "./chart_figure.js";

/** Rows of all curves; `take(curve, point)` sets a plan to a point, `blocked(curve, point)` says why it cannot. */
export function curveTable(frontier, { take, blocked }) {
  const head = ["selector", "tokens kept", "GMACs", frontier.measure, ""];
  const rows = frontier.curves.flatMap((curve) =>
    curve.points.map((point) => {
      const why = blocked(curve, point);
      const words = `Set ${point.plan ?? curve.selector}`;
      const set = el("button.pl-button", { type: "button", disabled: Boolean(why), title: why ?? words, "aria-label": words }, "Set"); // prettier-ignore
      set.addEventListener("click", () => take(curve, point));
      const cells = [percent(point.reached), number(point.gmacs), valueWords(point, frontier), set];
      return el("tr", {}, el("th", { scope: "row" }, curve.selector), cells.map((cell) => el("td", {}, cell)));
    }),
  );
  const { full } = frontier;
  const whole = ["all tokens", "100 %", number(full.gmacs), valueWords(full, frontier), ""];
  return dataTable("The reference curves; brackets hold 95 % intervals.", head, [dataRow(whole), ...rows]);
}

/** This clip's measured points, the newest first. */
export function measuredTable(measured) {
  const head = ["plan", "tokens kept", "GMACs", "cosine", "label"];
  const row = (m) => [m.spec, percent(m.ratio), number(m.own), number(m.cosine, 4), m.probability === null ? "–" : percent(m.probability)]; // prettier-ignore
  const rows = measured.toReversed().map((m) => dataRow(row(m)));
  return dataTable("This clip, measured; label: probability of its label.", head, rows);
}

function dataRow([first, ...rest]) {
  return el("tr", {}, el("th", { scope: "row" }, first), rest.map((cell) => el("td", {}, cell)));
}

function dataTable(caption, head, rows) {
  const top = el("tr", {}, head.map((name) => (name ? el("th", { scope: "col" }, name) : el("td"))));
  return el("table.pl-values", {}, el("caption", {}, caption), el("thead", {}, top), el("tbody", {}, rows));
}

/** A details element whose content is made when it is open: `refresh()` makes it anew. */
export function lateDetails(title, make) {
  const place = el("div", { tabindex: 0, role: "region", "aria-label": title });
  const refresh = () => node.open && fill(place, make());
  const node = el("details.pl-details", { ontoggle: refresh }, el("summary", {}, title), place);
  return { node, refresh };
}
