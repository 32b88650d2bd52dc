/**
 * The same run as a command and in Python, ready to copy.
 */
import { el } from "./dom.js";
import { section } from "./panel.js";

/** A word for a POSIX shell. */
export function shellWord(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** `patchlens run ...` for what the desk asks. */
export function asCommand(ask) {
  const words = [
    "patchlens",
    "run",
    shellWord(ask.file),
    "--encoder",
    ask.encoder,
    "--selector",
    shellWord(ask.selector),
  ];
  if (ask.weights) words.push("--weights", ask.weights);
  if (ask.label) words.push("--label", shellWord(ask.label));
  if (ask.frames !== 16) words.push("--frames", ask.frames);
  if (ask.seed) words.push("--seed", ask.seed);
  return words.join(" ");
}

/** `patchlens.run(...)` for what the desk asks. */
export function asPython(ask) {
  const texts = ["encoder", "weights", "selector", "label"].filter((name) => ask[name]);
  const options = texts.map((name) => `${name}=${JSON.stringify(ask[name])}`);
  if (ask.frames !== 16) options.push(`frames=${ask.frames}`);
  if (ask.seed) options.push(`seed=${ask.seed}`);
  return `import patchlens\ntrace = patchlens.run(${[JSON.stringify(ask.file), ...options].join(", ")})`;
}

export class Elsewhere {
  /** saveClip() brings a sample's file, so that the lines below find it. */
  constructor(saveClip) {
    [this.command, this.python] = [el("code"), el("code")];
    const boxes = [copyBox("as a command", this.command), copyBox("in Python", this.python)];
    this.clip = el("button.pl-button", { type: "button", "data-save": "clip", onclick: saveClip });
    this.node = section("The same elsewhere", boxes, this.clip);
  }

  print(ask) {
    this.clip.hidden = !ask.sample;
    this.clip.textContent = `Save ${ask.file}`;
    this.command.textContent = asCommand(ask);
    this.python.textContent = asPython(ask);
  }
}

function copyBox(title, code) {
  const copy = el("button.pl-button.pl-copy", { type: "button" }, "Copy");
  copy.addEventListener("click", () => copyText(code.textContent).then(() => flash(copy)));
  const head = el("div.pl-same-head", {}, el("span", {}, title), copy);
  return el("div.pl-same", {}, head, el("pre", { tabindex: 0, "aria-label": title }, code));
}

function flash(button) {
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 1500);
}

/** Copy text; the clipboard's own way needs https or localhost, the old way does not. */
async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = el("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
