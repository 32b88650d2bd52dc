/**
 * The whole view in the address line, and out of it again.
 *
 * A link may come from anybody: what is read here is text, numbers and names, checked once more by whoever uses them.
 */

const VERSION = "1";
const SHA256 = /^[0-9a-f]{64}$/;

/** An address's hash for what is asked and what the player shows. */
export function addressOf({ ask, sha256, room, view }) {
  const link = new URLSearchParams({ v: VERSION });
  const put = (name, value, usual) => value !== undefined && value !== null && value !== usual && link.set(name, value);
  if (ask.sample) put("sample", ask.name);
  else {
    put("clip", sha256);
    put("name", ask.name);
  }
  put("encoder", ask.encoder);
  put("weights", ask.weights, "");
  put("span", ask.span?.map((x) => Number(x.toFixed(3))).join(":"));
  put("label", ask.label, "");
  put("frames", ask.frames, 16);
  put("seed", ask.seed, 0);
  put("room", room, "explore");
  for (const plan of view.plans) link.append("plan", plan);
  put("lane", view.lane, 0);
  put("pair", view.pair.join("."), "");
  put("frame", view.frame);
  put("patch", view.patch);
  put("pins", view.pins.join("."), "");
  put("overlay", view.mode, "dim");
  put("grid", Number(view.grid), 1);
  put("linked", Number(view.linked), 0);
  if (view.zoom.scale !== 1) put("zoom", [view.zoom.scale, view.zoom.x, view.zoom.y].map((x) => +x.toFixed(4)).join(":"));
  return `#${link}`;
}

/** What a hash says: {ask, sha256, room, view}; null where it is none of ours. */
export function viewOf(hash) {
  const link = new URLSearchParams(hash.replace(/^#/, ""));
  if (link.get("v") !== VERSION) return null;
  const text = (name, usual = "") => (link.get(name) ?? usual).slice(0, 300);
  const count = (name, usual = null) => (/^\d{1,9}$/.test(link.get(name) ?? "") ? Number(link.get(name)) : usual);
  const numbers = (name) => (link.get(name) ?? "").split(":").map(Number);
  const [start, end] = numbers("span");
  const [scale, x, y] = numbers("zoom");
  const sha256 = SHA256.test(link.get("clip") ?? "") ? link.get("clip") : null;
  const ask = {
    sample: text("sample") || null,
    name: text("sample") || text("name"),
    encoder: text("encoder"),
    weights: text("weights"),
    span: end > start && start >= 0 ? [start, end] : null,
    label: text("label"),
    frames: count("frames", 16),
    seed: count("seed", 0),
  };
  const view = {
    plans: link.getAll("plan").slice(0, 4).map((plan) => plan.slice(0, 300)),
    lane: count("lane", 0),
    pair: text("pair").split(".").filter(Boolean).map(Number),
    frame: count("frame"),
    patch: count("patch"),
    pins: text("pins").split(".").filter(Boolean).map(Number),
    mode: text("overlay", "dim"),
    grid: count("grid", 1) !== 0,
    linked: count("linked", 0) === 1,
    zoom: { scale: scale || 1, x, y },
  };
  return { ask, sha256, room: text("room", "explore"), view };
}
