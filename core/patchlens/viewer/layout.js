/**
 * Where everything stands: picture and strip on the left, sliders and numbers on the right, one column where it is narrow.
 */
import { el, fill, ICONS, icon } from "./dom.js";
import { helpDialog } from "./keys.js";
import { section } from "./panel.js";

/** Build a player's page into its root; returns the parts that change: {title, table, gridButton, dialog, empty, body}. */
export function layout(player) {
  const { root, host, picture, panel } = player;
  const gridButton = round("Grid", "g", ICONS.grid, () => player.setGrid(!player.grid));
  const title = el("h2.pl-title");
  const table = el(
    "details.pl-details",
    { ontoggle: () => player.tabulate() },
    el("summary", {}, "This tubelet's values as a table"),
    el("div"),
  );
  const tools = el(
    "div.pl-tools",
    {},
    picture.modes,
    gridButton,
    round("Keys", "?", ICONS.keys, () => player.help()),
  );
  const stage = el("div.pl-stage", {}, title, tools, picture.node, player.transport.node, player.strip.node);
  const patch = section("Patch", player.inspector.node, table);
  patch.classList.add("pl-patch");
  const side = el("div.pl-side", {}, section("What stays", player.knobs.node), panel.nodes, saves(host));
  const empty = el("p.pl-empty", { role: "status" }, "Nothing to see yet.");
  const body = el("div.pl-body", { hidden: true }, el("div.pl-left", {}, stage, patch), side);
  const dialog = helpDialog();
  fill(root, empty, body, dialog);
  root.classList.add("pl");
  return { title, table, gridButton, dialog, empty, body };
}

function round(label, key, shape, onclick) {
  return el(
    "button.pl-round",
    { type: "button", title: `${label} (${key})`, "aria-label": label, onclick },
    icon(shape),
  );
}

/** A button for every kind of file that the host can make. */
function saves(host) {
  if (!host.saves?.length) return null;
  const button = ([kind, label]) =>
    el("button.pl-button", { type: "button", "data-save": kind, onclick: () => host.save(kind) }, label);
  return section("Take away", el("div.pl-saves", {}, host.saves.map(button)));
}
