/**
 * The same run as a command, in Python and as a link, ready to copy.
 */
import { el } from "./dom.js";
import { section } from "./panel.js";
import { apart } from "./ways.js";

/** A word for a POSIX shell. */
export function shellWord(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** `patchlens run ...` for what the desk asks, one line for each plan. */
export function asCommand(ask, plans) {
  const more = ["--encoder", ask.encoder];
  if (ask.weights) more.push("--weights", ask.weights);
  if (ask.span) more.push("--span", ask.span.map((x) => Number(x.toFixed(3))).join(":"));
  if (ask.label) more.push("--label", shellWord(ask.label));
  if (ask.frames !== 16) more.push("--frames", ask.frames);
  if (ask.seed) more.push("--seed", ask.seed);
  const file = ask.file.startsWith("-") ? `./${ask.file}` : ask.file;
  const line = (plan) => {
    const { selectors, merger } = apart(plan);
    const shorter = merger ? ["--merger", shellWord(merger)] : [];
    return ["patchlens", "run", shellWord(file), "--selector", shellWord(selectors), ...shorter, ...more].join(" ");
  };
  return plans.map(line).join("\n");
}

/** Text as a Python literal. JSON's escapes are Python's too. */
function pythonText(text) {
  return JSON.stringify(text);
}

/** `patchlens.run(...)` for what the desk asks; a list of traces for several plans. */
export function asPython(ask, plans) {
  const ways = plans.map(apart);
  const texts = ["encoder", "weights", "label"].filter((name) => ask[name]);
  const options = texts.map((name) => `${name}=${pythonText(ask[name])}`);
  if (ask.span) options.push(`span=(${ask.span.map((x) => Number(x.toFixed(3))).join(", ")})`);
  if (ask.frames !== 16) options.push(`frames=${ask.frames}`);
  if (ask.seed) options.push(`seed=${ask.seed}`);
  const call = (plan, merger) => {
    const way = merger ? [`selector=${plan}`, `merger=${merger}`] : [`selector=${plan}`];
    return `patchlens.run(${[pythonText(ask.file), ...way, ...options].join(", ")})`;
  };
  const literal = ({ selectors, merger }) => [pythonText(selectors), merger ? pythonText(merger) : "None"];
  if (ways.length === 1) return `import patchlens\ntrace = ${call(pythonText(ways[0].selectors), ways[0].merger && pythonText(ways[0].merger))}`; // prettier-ignore
  if (ways.every(({ merger }) => !merger)) return `import patchlens\ntraces = [${call("plan")}\n          for plan in (${plans.map(pythonText).join(", ")})]`; // prettier-ignore
  const list = ways.map((way) => `(${literal(way).join(", ")})`).join(", ");
  return `import patchlens\ntraces = [${call("plan", "merger")}\n          for plan, merger in (${list})]`;
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
