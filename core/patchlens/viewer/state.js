/**
 * What a link holds of a view: plans, lane, frame, patch, pins, overlay, grid, zoom. Out as plain data, and in again.
 *
 * A state may come from anybody's address line, so `apply` takes what fits and passes over the rest.
 */
import { OVERLAYS } from "./overlay.js";
import { inside } from "./zoom.js";

/** The player's view as plain data. */
export function snapshot({ lanes, lane, frame, cursor, pins, mode, grid, linked, zoom }) {
  const plans = lanes.map(({ model }) => model.spec);
  return { plans, lane, frame, patch: cursor, pins: [...pins], mode, grid, linked, zoom: { ...zoom } };
}

/** Take up a view; plans move the sliders of lanes that hold the same selectors. */
export function apply(player, state) {
  const { lanes, model } = player;
  const below = (n) => (x) => Number.isInteger(x) && x >= 0 && x < n;
  const cell = below(model.size);
  const plans = Array.isArray(state.plans) ? state.plans : [];
  lanes.forEach((each, i) => typeof plans[i] === "string" && each.model.adopt(plans[i]));
  if (below(lanes.length)(state.lane)) player.lane = state.lane;
  if (cell(state.patch) || state.patch === null) player.cursor = state.patch;
  if (Array.isArray(state.pins)) player.pins = [...new Set(state.pins.filter(cell))];
  if (Object.hasOwn(OVERLAYS, state.mode)) player.mode = state.mode;
  for (const name of ["grid", "linked"]) if (typeof state[name] === "boolean") player[name] = state[name];
  const { scale, x, y } = state.zoom ?? {};
  if ([scale, x, y].every(Number.isFinite)) player.zoom = inside({ scale, x, y });
  if (below(model.manifest.frames.length)(state.frame)) player.seek(state.frame);
}
