/**
 * The viewer in a notebook, as anywidget wants it: payloads arrive as bytes, and what a person sets goes back as traits.
 *
 * The traits are those of widget.py. What Python sets is taken up, and what the page sets is told, each only where it
 * differs, so that the two never answer each other.
 */
import { runGuest } from "./chart_plotly.js";
import { budgetKnob } from "./duel.js";
import { el } from "./dom.js";
import { mount } from "./player.js";

const TOLD_AFTER = 60; // ms: a drag tells the kernel a few times a second, not sixty
const PLOTLY_WITHIN = 30_000; // ms for the kernel to send plotly.js; without a kernel the table stands in
const SETTLED_AFTER = 200; // ms without another step of the slider: a held arrow key is measured once

/** What the traits say now of a player. */
function traitsOf(player) {
  const { plans, lane, frame, pins } = player.state;
  const dial = budgetKnob(player.model);
  const threshold = dial ? Number(dial.stage.setting[dial.knob.name]) : 0;
  return { plans, lane, frame, patch: pins.at(-1) ?? -1, threshold };
}

/** Move the player to what Python set in one trait. */
function takeUp(player, name, value) {
  if (name === "threshold") {
    const dial = budgetKnob(player.model);
    if (dial) player.set({ [dial.knob.name]: value }, { release: true });
    return;
  }
  const change = name === "patch" ? { pins: value < 0 ? [] : [value] } : { [name]: value };
  player.restore({ ...player.state, ...change });
  if (name === "plans") player.released();
}

const same = (a, b) => String(a) === String(b);

function render({ model, el: place }) {
  // JupyterLab binds its notebook keys to whatever has the focus, and looks no further up for this mark.
  place.addEventListener("focusin", ({ target }) => (target.dataset.lmSuppressShortcuts = "true"));
  const trouble = place.appendChild(el("p.pl-status.pl-error", { role: "status", hidden: true }));
  let [ready, waiting] = [false, null];
  const settling = [];
  const player = mount(place.appendChild(el("div")), {
    settle: (plan, lane) => {
      clearTimeout(settling[lane]);
      settling[lane] = setTimeout(() => model.send({ kind: "settle", plan, lane }), SETTLED_AFTER);
    },
    plotly: () => plotlyFrom(model),
    changed: () => {
      if (ready) waiting ??= setTimeout(tell, TOLD_AFTER);
    },
  });
  const tell = () => {
    waiting = null;
    const traits = Object.entries(traitsOf(player)).filter(([name, value]) => !same(model.get(name), value));
    for (const [name, value] of traits) model.set(name, value);
    if (traits.length) model.save_changes();
  };
  const hear = (name) => () => {
    if (ready && !same(traitsOf(player)[name], model.get(name))) takeUp(player, name, model.get(name));
  };
  const answer = (message) => {
    if (message.kind === "plotly") return;
    trouble.hidden = message.kind !== "trouble";
    if (message.kind === "trouble") trouble.textContent = message.sentence;
    else player.settled({ spec: message.plan, report: message.report, lane: message.lane });
  };
  const open = async () => {
    const frame = model.get("frame");
    for (const [lane, { buffer, byteOffset, byteLength }] of model.get("payloads").entries())
      await player.show(buffer.slice(byteOffset, byteOffset + byteLength), { lane });
    player.restore({ ...player.state, lane: model.get("lane"), frame });
    ready = true;
    tell();
  };
  for (const name of ["plans", "lane", "frame", "patch", "threshold"]) model.on(`change:${name}`, hear(name));
  model.on("msg:custom", answer);
  open();
  return () => player.destroy();
}

/** Ask the kernel for plotly.js and run it; refused where no kernel answers. */
function plotlyFrom(model) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error("no answer")), PLOTLY_WITHIN);
    const hear = ({ kind }, [bytes]) => {
      if (kind !== "plotly") return;
      clearTimeout(late);
      model.off("msg:custom", hear);
      runGuest(bytes).then(resolve, reject);
    };
    model.on("msg:custom", hear);
    model.send({ kind: "plotly" });
  });
}

export default { render };
