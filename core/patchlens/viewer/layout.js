/**
 * Where everything stands: pictures and strip on the left, sliders and numbers on the right, one column where it is narrow.
 */
import { Agreement } from "./agreement.js";
import { el, fill, ICONS, icon } from "./dom.js";
import { Inspector } from "./inspect.js";
import { helpDialog } from "./keys.js";
import { Knobs } from "./knobs.js";
import { LaneBar, LaneTabs } from "./lanebar.js";
import { Lanes } from "./lanes.js";
import { Overlay } from "./overlay.js";
import { Panel, section } from "./panel.js";
import { Pins } from "./pins.js";
import { Strip } from "./strip.js";
import { transport } from "./timeline.js";

/** Make a player's parts and build its page from them; returns {parts, slots, knobs, dialog, empty, body, fluid}. */
export function layout(player) {
  const { root, host } = player;
  const [panel, agreement] = [new Panel(), new Agreement()];
  const inspector = new Inspector();
  const pins = new Pins((cell) => player.pin(cell));
  const knobs = new Knobs(
    () => player.moved(),
    () => player.released(),
  );
  const strip = new Strip((t) => player.seek(t * player.model.manifest.tubelet));
  const [lanes, overlay, times] = [new Lanes(), new Overlay((mode) => player.setMode(mode)), transport(player)];
  const [title, bar, tabs, tools] = [titleLine(), new LaneBar(player), new LaneTabs(player), toolRow(player, overlay)];
  const slots = { chart: el("div.pl-slot"), room: el("div.pl-slot") };
  const head = el("div.pl-stage-head", {}, title.node, bar.node);
  const stage = el("div.pl-stage", {}, head, [tools, lanes, overlay, times, strip].map((part) => part.node));
  const patch = section("Patch", inspector.node, pins.node, inspector.details);
  patch.classList.add("pl-patch");
  const side = el("div.pl-side", {}, section("What stays", tabs.node, knobs.node), agreement.node, panel.nodes, saves(host));
  const empty = el("p.pl-empty", { role: "status" }, "Nothing to see yet.");
  const left = el("div.pl-left", {}, stage, slots.room, patch, slots.chart);
  const body = el("div.pl-body", { hidden: true }, left, side);
  const dialog = helpDialog();
  fill(root, empty, body, dialog);
  root.classList.add("pl");
  const parts = [title, tools, bar, tabs, lanes, overlay, times, strip, inspector, pins, knobs, agreement, panel];
  return { parts, slots, knobs, dialog, empty, body, fluid: [lanes.node, knobs.node] };
}

/** The clip's name, and what looks at it. */
function titleLine() {
  const node = el("h2.pl-title");
  const build = ({ model: { manifest } }) => {
    const { clip, encoder } = manifest.report;
    const about = `${encoder.name} (${encoder.weights}, ${encoder.device}) · ${manifest.grid.join(" × ")} tokens`;
    fill(node, clip.name, el("span.pl-about", {}, about));
  };
  return { node, build };
}

/** Overlays, grid, zoom, keys. */
function toolRow(player, overlay) {
  const grid = round("Grid", "g", ICONS.grid, () => player.setGrid(!player.grid));
  const nearer = round("Nearer", "z", ICONS.nearer, () => player.magnify(1));
  const farther = round("Farther", "Z", ICONS.farther, () => player.magnify(-1));
  const keys = round("Keys", "?", ICONS.keys, () => player.dialog.showModal());
  const node = el("div.pl-tools", {}, overlay.modes, grid, farther, nearer, keys);
  const at = () => {
    grid.setAttribute("aria-pressed", String(player.grid));
    farther.disabled = player.zoom.scale === 1;
  };
  return { node, at, live: at };
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
