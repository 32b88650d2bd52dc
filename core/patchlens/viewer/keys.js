/**
 * The keyboard: one map, used for listening and for the list that `?` shows.
 */
import { el } from "./dom.js";

/** [keys, what they do, action(player, event)] */
const KEYS = [
  [[" "], "space", "play or pause", (p) => p.toggle()],
  [[","], ",", "frame before", (p) => p.step(-1)],
  [["."], ".", "next frame", (p) => p.step(1)],
  [["[", "PageUp"], "[ or Page up", "tubelet before", (p) => p.hop(-1)],
  [["]", "PageDown"], "] or Page down", "next tubelet", (p) => p.hop(1)],
  [["Home"], "Home", "first frame", (p) => p.seek(0)],
  [["End"], "End", "last frame", (p) => p.seek(Infinity)],
  [["-"], "−", "first slider down", (p) => p.knobs.nudge(-1)],
  [["+", "="], "+", "first slider up", (p) => p.knobs.nudge(1)],
  [["1"], "1", "dropped patches dimmed", (p) => p.setMode("dim")],
  [["2"], "2", "outline only", (p) => p.setMode("outline")],
  [["3"], "3", "values in colour", (p) => p.setMode("value")],
  [["4"], "4", "run lengths", (p) => p.setMode("runs")],
  [["g"], "g", "grid on or off", (p) => p.setGrid(!p.grid)],
  [["Enter"], "Enter", "pin the patch (on the picture)", (p) => p.pin(p.cursor)],
  [["Escape"], "Esc", "let the patch go", (p) => p.pin(null)],
  [["?"], "?", "this list", (p) => p.help()],
];
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const TYPING = "input:not([type=range]), textarea, select, [contenteditable]";

/**
 * Listen on `root`, or with `wholePage` also while nothing has the focus; returns how to stop.
 * Keys that a focused control needs are left to it.
 */
export function listen(root, player, wholePage) {
  const handle = (event) => {
    if (!player.model || event.ctrlKey || event.metaKey || event.altKey) return;
    const on = event.target;
    if (on !== document.body && !root.contains(on)) return;
    if (on.matches?.(TYPING) || on.closest?.("dialog")) return;
    const step = ARROWS[event.key];
    if (step && on === player.canvas) {
      event.preventDefault();
      player.move(...step);
      return;
    }
    const control = on.matches?.("button, summary, a");
    if (control && (event.key === " " || event.key === "Enter")) return;
    if (on.matches?.("input[type=range]") && /^(Home|End|Page)/.test(event.key)) return;
    const found = KEYS.find(([keys]) => keys.includes(event.key));
    if (!found) return;
    event.preventDefault();
    found[3](player, event);
  };
  const ear = wholePage ? document : root;
  ear.addEventListener("keydown", handle);
  return () => ear.removeEventListener("keydown", handle);
}

/** The dialog that lists the keys. */
export function helpDialog() {
  const rows = KEYS.map(([, name, words]) => el("tr", {}, el("td", {}, el("kbd", {}, name)), el("td", {}, words)));
  rows.splice(
    -3,
    0,
    el("tr", {}, el("td", {}, el("kbd", {}, "← ↑ → ↓")), el("td", {}, "move over patches (on the picture)")),
  );
  const dialog = el("dialog.pl-dialog", { "aria-label": "Keys" });
  const close = el("button.pl-button", { type: "button", onclick: () => dialog.close() }, "Close");
  dialog.append(el("h2", {}, "Keys"), el("table.pl-table", {}, el("tbody", {}, rows)), close);
  return dialog;
}
