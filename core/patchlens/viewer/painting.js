/**
 * Choosing tokens by hand: strokes on a plan `chosen`, and the plan's ranges of token numbers, both ways. Knows no canvas.
 */
import { revalue } from "./plan.js";

const MOST_UNDO = 60;

/** Whether a model's plan is one of tokens chosen by hand. */
export function paintable(model) {
  return model?.stages.length === 1 && model.stages[0].name === "chosen";
}

/** A mask as the plan writes it: ranges of kept token numbers joined by dots, "all" or "none". */
export function rangesOf(mask) {
  const found = [];
  for (let n = 0; n < mask.length; n++) {
    if (!mask[n]) continue;
    const first = n;
    while (mask[n + 1]) n++;
    found.push(first === n ? `${n}` : `${first}-${n}`);
  }
  if (found.length === 1 && found[0] === `0-${mask.length - 1}`) return "all";
  return found.join(".") || "none";
}

/** The spec of a plan that keeps just this mask. */
export function chosenSpec(mask) {
  return `chosen:tokens=${rangesOf(mask)}`;
}

/** Give a `chosen` model these values (1 kept, 0 not), as the server would read them off its plan. */
export function choose(model, mask) {
  const [stage] = model.stages;
  stage.setting.tokens = rangesOf(mask);
  revalue(stage, Float32Array.from(mask), stage.fine, model.manifest.seed); // the payload's own stay: it may be shown again
}

/** What a person chose, as a mask. */
export function chosenMask({ stages: [stage] }) {
  return Uint8Array.from(stage.values);
}

/** Cells in a straight line from one to another, both included. */
export function cellsBetween(from, to, w) {
  const [x0, y0, x1, y1] = [from % w, Math.floor(from / w), to % w, Math.floor(to / w)];
  const steps = Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0));
  const at = (i, a, b) => Math.round(a + ((b - a) * i) / Math.max(1, steps));
  return Array.from({ length: steps + 1 }, (_, i) => at(i, y0, y1) * w + at(i, x0, x1));
}

/** The brush: what a stroke does to the active plan. `size` cells wide; `through` all tubelets at once. */
export class Brush {
  constructor() {
    Object.assign(this, { size: 1, through: false, past: [], stroke: null });
  }

  /** Remember what was chosen in a model; strokes on another one are forgotten. */
  remember(model, mask) {
    this.past = [...this.past.filter(([owner]) => owner === model), [model, mask]].slice(-MOST_UNDO);
  }

  /** Begin a stroke at a cell (`first`), or go on with it; whether there was anything to paint. */
  touch(model, tubelet, cell, first) {
    if (!paintable(model)) return false;
    if (cell === null) return true;
    const mask = chosenMask(model);
    if (first || !this.stroke) {
      this.remember(model, mask.slice());
      this.stroke = { value: 1 - mask[tubelet * model.size + cell], last: cell };
    }
    const [t, h, w] = model.manifest.grid;
    const tubelets = this.through ? Array.from({ length: t }, (_, i) => i) : [tubelet];
    for (const each of cellsBetween(this.stroke.last, cell, w)) {
      for (const near of this.around(each, h, w)) {
        for (const at of tubelets) mask[at * model.size + near] = this.stroke.value;
      }
    }
    this.stroke.last = cell;
    choose(model, mask);
    return true;
  }

  around(cell, h, w) {
    const reach = (this.size - 1) / 2;
    const [x, y] = [cell % w, Math.floor(cell / w)];
    const found = [];
    for (let j = Math.max(0, y - reach); j <= Math.min(h - 1, y + reach); j++) {
      for (let i = Math.max(0, x - reach); i <= Math.min(w - 1, x + reach); i++) found.push(j * w + i);
    }
    return found;
  }

  lift() {
    this.stroke = null;
  }

  /** Replace everything that was chosen. */
  replace(model, mask) {
    this.remember(model, chosenMask(model));
    choose(model, mask);
  }

  /** Take the last stroke back; whether there was one. */
  undo(model) {
    const [owner, mask] = this.past.at(-1) ?? [];
    if (!owner || owner !== model) return false;
    this.past.pop();
    choose(model, mask);
    return true;
  }
}
