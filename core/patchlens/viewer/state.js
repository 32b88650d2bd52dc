/**
 * What a link holds of a view: plans, lane, frame, patch, pins, overlay, grid, zoom. Out as plain data, and in again.
 *
 * A state may come from anybody's address line, so `apply` takes what fits and passes over the rest.
 */
import { OVERLAYS } from "./overlay.js";
import { inside } from "./zoom.js";

/** The player's view as plain data. */
export function snapshot({ lanes, lane, chosen, frame, cursor, pins, mode, grid, linked, zoom }) {
  const plans = lanes.map(({ model }) => model.spec);
  const pair = chosen.map((each) => lanes.indexOf(each)).filter((i) => i >= 0);
  const seen = { frame, patch: cursor, pins: [...pins], mode, grid, linked, zoom: { ...zoom } };
  return { plans, lane, pair: pair.length === 2 ? pair : [], ...seen };
}

/** Take up a view; plans move the sliders of lanes that hold the same selectors. */
export function apply(player, state) {
  const { lanes, model } = player;
  const below = (n) => (x) => Number.isInteger(x) && x >= 0 && x < n;
  const cell = below(model.size);
  const plans = Array.isArray(state.plans) ? state.plans : [];
  lanes.forEach((each, i) => typeof plans[i] === "string" && each.model.adopt(plans[i]));
  if (below(lanes.length)(state.lane)) player.lane = state.lane;
  if (Array.isArray(state.pair)) player.chosen = [...new Set(state.pair.filter(below(lanes.length)))].map((i) => lanes[i]);
  if (cell(state.patch) || state.patch === null) player.cursor = state.patch;
  if (Array.isArray(state.pins)) player.pins = [...new Set(state.pins.filter(cell))];
  if (Object.hasOwn(OVERLAYS, state.mode)) player.mode = state.mode;
  for (const name of ["grid", "linked"]) if (typeof state[name] === "boolean") player[name] = state[name];
  const { scale, x, y } = state.zoom ?? {};
  if ([scale, x, y].every(Number.isFinite)) player.zoom = inside({ scale, x, y });
  if (below(model.manifest.frames.length)(state.frame)) player.seek(state.frame);
}
