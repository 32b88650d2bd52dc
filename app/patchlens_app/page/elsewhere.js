/**
 * The same run as a command, in Python and as a link, ready to copy.
 */
import { el } from "./dom.js";
import { section } from "./panel.js";

/** A word for a POSIX shell. */
export function shellWord(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** `patchlens run ...` for what the desk asks, one line for each plan. */
export function asCommand(ask, plans) {
  const more = ["--encoder", ask.encoder];
  if (ask.weights) more.push("--weights", ask.weights);
  if (ask.merger) more.push("--merger", shellWord(ask.merger));
  if (ask.span) more.push("--span", ask.span.map((x) => Number(x.toFixed(3))).join(":"));
  if (ask.label) more.push("--label", shellWord(ask.label));
  if (ask.frames !== 16) more.push("--frames", ask.frames);
  if (ask.seed) more.push("--seed", ask.seed);
  const file = ask.file.startsWith("-") ? `./${ask.file}` : ask.file;
  const line = (plan) => ["patchlens", "run", shellWord(file), "--selector", shellWord(plan), ...more].join(" ");
  return plans.map(line).join("\n");
}

/** Text as a Python literal. JSON's escapes are Python's too. */
function pythonText(text) {
  return JSON.stringify(text);
}

/** `patchlens.run(...)` for what the desk asks; a list of traces for several plans. */
export function asPython(ask, plans) {
  const texts = ["encoder", "weights", "merger", "label"].filter((name) => ask[name]);
  const options = texts.map((name) => `${name}=${pythonText(ask[name])}`);
  if (ask.span) options.push(`span=(${ask.span.map((x) => Number(x.toFixed(3))).join(", ")})`);
  if (ask.frames !== 16) options.push(`frames=${ask.frames}`);
  if (ask.seed) options.push(`seed=${ask.seed}`);
  const call = (plan) => `patchlens.run(${[pythonText(ask.file), `selector=${plan}`, ...options].join(", ")})`;
  if (plans.length === 1) return `import patchlens\ntrace = ${call(pythonText(plans[0]))}`;
  const list = plans.map(pythonText).join(", ");
  return `import patchlens\ntraces = [${call("plan")}\n          for plan in (${list})]`;
}

export class Elsewhere {
  /** saveClip() brings a sample's file, so that the lines below find it. */
  constructor(saveClip) {
    [this.command, this.python] = [el("code"), el("code")];
    const boxes = [copyBox("as a command", this.command), copyBox("in Python", this.python)];
    this.clip = el("button.pl-button", { type: "button", "data-save": "clip", onclick: saveClip });
    this.link = el("button.pl-button.pl-copy-link", { type: "button" }, "Copy link to this view");
    this.link.addEventListener("click", () => copyText(location.href).then(() => flash(this.link)));
    this.node = section("The same elsewhere", boxes, el("div.pl-saves", {}, this.link, this.clip));
  }

  print(ask, plans) {
    this.clip.hidden = !ask.sample;
    this.clip.textContent = `Save ${ask.file}`;
    this.command.textContent = asCommand(ask, plans);
    this.python.textContent = asPython(ask, plans);
  }
}

function copyBox(title, code) {
  const copy = el("button.pl-button.pl-copy", { type: "button", "aria-label": `Copy ${title}` }, "Copy");
  copy.addEventListener("click", () => copyText(code.textContent).then(() => flash(copy)));
  const head = el("div.pl-same-head", {}, el("span", {}, title), copy);
  return el("div.pl-same", {}, head, el("pre", { tabindex: 0, role: "group", "aria-label": title }, code));
}

function flash(button) {
  button.dataset.words ??= button.textContent;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = button.dataset.words), 1500);
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
