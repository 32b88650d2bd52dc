/**
 * The keyboard: one map, used for listening and for the list that `?` shows.
 */
import { el } from "./dom.js";
import { WHOLE } from "./zoom.js";

/** [keys, what they are called, what they do, action(player)] */
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
  [["5"], "5", "motion", (p) => p.setMode("motion")],
  [["6"], "6", "merged groups", (p) => p.setMode("groups")],
  [["7"], "7", "difference of two plans", (p) => p.setMode("difference")],
  [["<"], "<", "the oracle's block before (room Token value)", (p) => p.scrub(-1)],
  [[">"], ">", "the oracle's next block, last the mean of all", (p) => p.scrub(1)],
  [["g"], "g", "grid on or off", (p) => p.setGrid(!p.grid)],
  [["z"], "z", "nearer", (p) => p.magnify(1)],
  [["Z"], "Z", "farther", (p) => p.magnify(-1)],
  [["0"], "0", "the whole picture", (p) => p.view(WHOLE)],
  [["a", "b", "c", "d"], "a b c d", "make that plan the active one", (p, key) => p.choose("abcd".indexOf(key))],
  [["l"], "l", "hold all plans to equal tokens, or not", (p) => p.link(!p.linked)],
  [["Enter"], "Enter", "pin the patch or let it go; keep or drop it, where you choose (on the picture)", (p) => p.press(p.cursor)],
  [["Escape"], "Esc", "let all pins go", (p) => p.unpin()],
  [["?"], "?", "this list", (p) => p.dialog.showModal()],
];
const POINTING = [["← ↑ → ↓", "move over patches (on the picture)"], ["Ctrl + wheel", "nearer or farther; drag to move"]];
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const TYPING = "input:not([type=range], [type=checkbox]), textarea, select, [contenteditable]";

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
    if (step && player.lanes.some(({ picture }) => picture.canvas === on)) {
      event.preventDefault();
      player.move(...step);
      return;
    }
    const control = on.matches?.("button, summary, a, input[type=checkbox]");
    if (control && (event.key === " " || event.key === "Enter")) return;
    if (on.matches?.("input[type=range]") && /^(Home|End|Page)/.test(event.key)) return;
    const found = KEYS.find(([keys]) => keys.includes(event.key));
    if (!found) return;
    event.preventDefault();
    found[3](player, event.key);
  };
  const ear = wholePage ? document : root;
  ear.addEventListener("keydown", handle);
  return () => ear.removeEventListener("keydown", handle);
}

/** The dialog that lists the keys. */
export function helpDialog() {
  const row = ([name, words]) => el("tr", {}, el("td", {}, el("kbd", {}, name)), el("td", {}, words));
  const rows = [...KEYS.map(([, name, words]) => [name, words]), ...POINTING].map(row);
  const dialog = el("dialog.pl-dialog", { "aria-label": "Keys" });
  const close = el("button.pl-button", { type: "button", onclick: () => dialog.close() }, "Close");
  dialog.append(el("h2", {}, "Keys"), el("table.pl-table", {}, el("tbody", {}, rows)), close);
  return dialog;
}
