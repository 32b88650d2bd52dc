"""What the browser's viewer needs of a Trace: a JSON manifest and binary arrays in one buffer.

The rules travel with the scores (float32), so that a slider redraws without asking anybody; `viewer/payload.js` and
`viewer/plan.js` read what is written here. Knows no page and no server.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from patchlens.keep import Rule, rule_json
from patchlens.knobs import Knob, knobs_of
from patchlens.registry import Selector
from patchlens.specs import parse_plan
from patchlens.types import Scores, Trace
from patchlens.views.frontier import frontier
from patchlens.views.report import trace_json

JPEG_QUALITY = 88
MOST_LANES = 4


def payload(trace: Trace, media: bool = True, quality: int = JPEG_QUALITY) -> bytes:
    """The viewer's buffer: uint32 length of the manifest, the manifest in UTF-8, then the blobs that it lists.

    Offsets count from the end of the manifest and are multiples of 4. Without `media` it brings no pictures: a further
    lane of a duel shows those of the first. `quality` is that of the JPEG pictures. Same Trace, same bytes.
    """
    return _packed({**manifest(trace), "media": media}, blobs(trace) | (pictures(trace, quality) if media else {}))


def without_pictures(buffer: bytes) -> bytes:
    """The same buffer without the pictures, for a page that shows the clip already."""
    (length,) = struct.unpack_from("<I", buffer)
    facts = json.loads(buffer[4 : 4 + length])
    start = 4 + length
    kept = {name: place for name, place in facts["blobs"].items() if not name.startswith(("picture", "proxy"))}
    data = {name: buffer[start + offset : start + offset + size] for name, (offset, size) in kept.items()}
    return _packed({**facts, "media": False}, data)


def _packed(facts: dict[str, Any], data: dict[str, bytes]) -> bytes:
    places, offset = {}, 0
    data = dict(sorted(data.items()))  # the same content is the same bytes
    for name, blob in data.items():
        places[name] = [offset, len(blob)]
        offset += len(blob) + -len(blob) % 4
    text = json.dumps({**facts, "blobs": places}, sort_keys=True, allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    body = b"".join(blob + b"\0" * (-len(blob) % 4) for blob in data.values())
    return struct.pack("<I", len(text)) + text + body


def payloads(traces: Sequence[Trace]) -> list[bytes]:
    """The buffers of one to four traces that share a page; only the first brings the pictures.

    Raises ValueError unless all show the same frames of one clip under one encoder.
    """
    if not 1 <= len(traces) <= MOST_LANES:
        raise ValueError(f"{len(traces)} traces were given; a page shows one to {MOST_LANES} of them.")
    if len({_shown(trace) for trace in traces}) > 1:
        raise ValueError("The traces differ in clip, frames or encoder; side by side go plans for one clip and encoder.")
    return [payload(trace, media=i == 0) for i, trace in enumerate(traces)]


def _shown(trace: Trace) -> tuple[Any, ...]:
    """What traces on one page have in common."""
    frames = tuple(trace.clip.times[trace.frame_index].tolist())
    return trace.clip.source.sha256, trace.clip.rect, trace.grid, frames, trace.encoder["name"], trace.encoder["weights"]


def blobs(trace: Trace) -> dict[str, bytes]:
    """Numbers by name: scores, finer scores and change per stage, mask, run lengths, motion, merged groups."""
    out = {}
    for i, (scores, _) in enumerate(trace.stages):
        out[f"scores{i}"] = scores.values.numpy().astype("<f4").tobytes()
        if scores.fine is not None:
            out[f"fine{i}"] = scores.fine.numpy().astype("<f4").tobytes()
        if scores.change is not None:
            out[f"change{i}"] = scores.change.numpy().astype("<f4").tobytes()
    for value, (scores, _) in trace.others.items():
        out[f"scores0 {value}"] = scores.values.numpy().astype("<f4").tobytes()
    out["mask"] = trace.keep.mask.numpy().astype(np.uint8).tobytes()
    if trace.keep.run_length is not None:
        out["runs"] = trace.keep.run_length.numpy().astype("<i4").tobytes()
    if (ways := flow(trace)) is not None:
        out["flow"] = ways.astype("<f4").tobytes()
    if trace.encoding.groups is not None:
        out["groups"] = trace.encoding.groups.numpy().astype("<i4").tobytes()
    return out


def flow(trace: Trace) -> np.ndarray | None:
    """Way of each token since the tubelet before, (N, 2): dx right, dy down in display pixels; None where not measured.

    The mean over the token's area of the ways of its frames, added up over the tubelet.
    """
    motion, clip, grid = trace.clip.motion, trace.clip, trace.grid
    if motion is None or motion.flow is None:
        return None
    from patchlens.motion import pooled

    source_hw = clip.source.size_hw
    cells = pooled(motion.flow[trace.frame_index].numpy(), clip.rect, source_hw, (grid.h, grid.w))
    shrink = np.array([clip.display.shape[2] / source_hw[1], clip.display.shape[1] / source_hw[0]])
    return cells.reshape(grid.t, grid.tubelet, -1, 2).sum(1).reshape(-1, 2) * shrink


def pictures(trace: Trace, quality: int = JPEG_QUALITY) -> dict[str, bytes]:
    """The sampled pictures as JPEG, and the playable copy."""
    frames = (trace.clip.display[index].numpy() for index in picture_numbers(trace))
    out = {f"picture{i}": jpeg(frame, quality) for i, frame in enumerate(frames)}
    return out | ({"proxy": trace.clip.proxy} if trace.clip.proxy else {})


def manifest(trace: Trace) -> dict[str, Any]:
    """Everything that is not binary."""
    plan, grid, encoder = parse_plan(trace.request.plan), trace.grid, trace.encoder
    height, width = trace.clip.display.shape[1:3]
    stages = zip(plan.selectors, trace.stages, strict=True)
    coarse = {"coarse": list(trace.keep.coarse)} if trace.keep.coarse else {}
    return {
        **coarse,
        "version": 1,
        "grid": [grid.t, grid.h, grid.w],
        "tubelet": grid.tubelet,
        "seed": trace.request.seed & 0xFFFFFFFF,
        "per_frame": encoder.get("segments") == "frame",
        "cost": encoder.get("cost"),
        "size": [width, height],
        "rect": display_rect(trace),
        "pictures": [int(i) for i in picture_numbers(trace)],
        "frames": _frames(trace),
        "runs": trace.keep.run_length is not None,
        "anchor": None if trace.keep.anchor is None else trace.keep.anchor.tolist(),
        "stages": [_stage(s, scores, trace.others if i == 0 else {}) for i, (s, (scores, _)) in enumerate(stages)],
        "classes": list(trace.classes or ())[:1000],
        "notes": list(trace.notes),
        "frontier": frontier(encoder),
        "report": trace_json(trace),
    }


def picture_numbers(trace: Trace) -> list[int]:
    """The clip's frames that tokens were taken from, each once, rising."""
    return sorted(set(trace.frame_index.tolist()))


def _frames(trace: Trace) -> list[dict[str, Any]]:
    """For every token frame its picture, its time, and the seconds since the clip's first frame."""
    numbers = picture_numbers(trace)
    first = float(trace.clip.times[0])
    times = [float(trace.clip.times[i]) for i in trace.frame_index.tolist()]
    which = [numbers.index(i) for i in trace.frame_index.tolist()]
    return [{"picture": p, "time": round(x, 4), "at": round(x - first, 4)} for p, x in zip(which, times, strict=True)]


def display_rect(trace: Trace) -> list[float]:
    """What the encoder saw, in pixels of the display pictures: [x0, y0, x1, y1]."""
    clip = trace.clip
    source_h, source_w = clip.source.size_hw
    height, width = clip.display.shape[1:3]
    scale = (width / source_w, height / source_h) * 2
    return [round(edge * s, 3) for edge, s in zip(clip.rect, scale, strict=True)]


def jpeg(picture: np.ndarray, quality: int = JPEG_QUALITY) -> bytes:
    """A uint8 RGB picture (H, W, 3) as JPEG."""
    import cv2

    done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"A picture of shape {picture.shape} could not be written as JPEG.")
    return data.tobytes()


def _stage(selector: Selector, scores: Scores, others: dict[str, tuple[Scores, Rule]]) -> dict[str, Any]:
    """One selector of the plan: its knobs, how they become its rule (see `controls`), what a rule needs of the clip."""
    knobs = [{**knob_json(k), "value": getattr(selector, k.name)} for k in knobs_of(type(selector))]
    summary = (type(selector).__doc__ or "").strip().splitlines()[:1]
    about = {"name": selector.name, "summary": " ".join(summary), "unit": scores.unit, "knobs": knobs}
    about |= {"fine": scores.fine is not None, "change": scores.change is not None, "confidence": scores.confidence}
    return {**about, **controls(selector), **(_swap(selector, scores, others, knobs) if others else {})}


def _swap(
    selector: Selector, scores: Scores, others: dict[str, tuple[Scores, Rule]], knobs: list[dict[str, Any]]
) -> dict[str, Any]:
    """The knob whose other values' scores come along, and for each value, the present one among them, its unit, what
    scoring costs and the fields of the rule that follow from it. Its options are then those values."""
    mine, present = rule_json(selector.rule()), getattr(selector, selector.swaps)
    pairs = {present: (scores, selector.rule()), **others}
    told = {value: (s, rule_json(r)) for value, (s, r) in pairs.items()}
    fields = {name for _, rule in told.values() for name in rule if rule[name] != mine[name]}
    values = {value: {"unit": s.unit, "gmacs": s.gmacs, "rule": {name: rule[name] for name in sorted(fields)}}
              for value, (s, rule) in told.items()}  # fmt: skip
    options = [{**k, "options": list(values)} if k["name"] == selector.swaps else k for k in knobs]
    return {"knobs": options, "swap": {"knob": selector.swaps, "values": values}}


def knob_json(knob: Knob) -> dict[str, Any]:
    """A knob as plain data for a page."""
    names = ("name", "kind", "default", "low", "high", "step", "unit", "stage", "help")
    return {**{name: getattr(knob, name) for name in names}, "options": list(knob.options)}


def controls(selector: Selector) -> dict[str, Any]:
    """How the keep-stage knobs of a selector become its rule, found by trying them.

    choices  names of the knobs with a few values; rules: for each combination of them ("a|b") the rule
    fields   for each numeric knob the rule's field that takes its value
    live     False where that does not describe the rule; such a plan redraws through the server
    """
    knobs = [k for k in knobs_of(type(selector)) if k.stage == "keep"]
    choices = [k for k in knobs if k.kind == "choice"]
    numeric = [k for k in knobs if k.kind in ("int", "float")]
    try:
        rules = {
            "|".join(values): rule_json(
                replace(selector, **dict(zip((k.name for k in choices), values, strict=True))).rule()
            )
            for values in product(*(k.options for k in choices))
        }
        fields = {k.name: _field(selector, k) for k in numeric}
    except KeyError:
        return {"choices": [], "rules": {}, "fields": {}, "live": False}
    live = all(fields.values()) and len(numeric) + len(choices) == len(knobs)
    return {"choices": [k.name for k in choices], "rules": rules, "fields": fields, "live": live}


def _field(selector: Selector, knob: Knob) -> str | None:
    """The one field of the rule that simply takes the knob's value, or None."""
    tried = [rule_json(replace(selector, **{knob.name: end}).rule()) for end in (knob.low, knob.high)]
    moved = [name for name in tried[0] if tried[0][name] != tried[1].get(name)]
    taken = len(moved) == 1 and [t[moved[0]] for t in tried] == [knob.low, knob.high]
    return moved[0] if taken else None
