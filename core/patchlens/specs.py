"""Requests and the one grammar that says a plan everywhere: `rlt:tau=0.1+random:keep=0.5`.

CLI, dashboard, notebooks, share links and cache keys all use it. A plan is selectors joined by `+`; each chooses among
the tokens that the one before it left. Values that hold one of `,+%` are percent-encoded.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from patchlens.knobs import knobs_of
from patchlens.merge import Merger
from patchlens.registry import Selector, find, knob_values, plugins


@dataclass(frozen=True)
class Plan:
    """One or more selectors, applied in turn.

    Raises ValueError where one of several schedules the whole clip itself (ResidualViT).
    """

    selectors: tuple[Selector, ...]

    def __post_init__(self) -> None:
        loner = next((s.name for s in self.selectors if getattr(s, "alone", False)), None)
        if loner and len(self.selectors) > 1:
            raise ValueError(f"{loner} stands alone in a plan; name the selector inside it by its drop, as in drop=rlt.")

    def __str__(self) -> str:
        return "+".join(spec_of(s) for s in self.selectors)

    @property
    def requires(self) -> frozenset[str]:
        """What the encoder must offer for all of them."""
        return frozenset().union(*(s.requires for s in self.selectors))

    def json(self) -> dict[str, Any]:
        """Name and every knob: flat for one selector, with `then` for the following ones."""
        first, *rest = ({"name": s.name, **knob_values(s)} for s in self.selectors)
        return {**first, "then": rest} if rest else first


def spec_of(plugin: Any) -> str:
    """A selector or merger in the grammar: its numeric dials, and every other knob that differs from its default."""
    shown = [
        f"{k.name}={_write(getattr(plugin, k.name))}"
        for k in knobs_of(type(plugin))
        if getattr(plugin, k.name) != k.default or (k.stage == "keep" and k.kind in ("float", "int"))
    ]
    return plugin.name + (":" + ",".join(shown) if shown else "")


def _write(value: Any) -> str:
    """A value so that `parse_plugin` reads the same one back."""
    if not isinstance(value, str):
        return repr(value).removesuffix(".0")
    return quote(value, safe=" /()'!?:=" if value == value.strip() else "")


def parse_plugin(spec: str, kind: str = "selector") -> Any:
    """`name:knob=value,...` to the registered object.

    Raises KeyError for an unknown name, ValueError for an unknown knob or a value out of bounds.
    """
    name, _, rest = spec.strip().partition(":")
    cls = find(name, kind)
    known = {k.name: k for k in knobs_of(cls)}
    values = {}
    for item in filter(None, rest.split(",")):
        knob, equals, value = item.partition("=")
        knob = knob.strip().replace("-", "_")
        if knob not in known or not equals:
            takes = ", ".join(known) or "no knobs"
            raise ValueError(f"{item!r} in {spec!r} is not a knob=value of {name}; it takes {takes}.")
        values[knob] = unquote(value.strip())
    return cls(**values)


def parse_plan(spec: str | Selector | Plan) -> Plan:
    """A plan from the grammar, from one selector, or unchanged.

    Raises KeyError or ValueError with one sentence that names the cure.
    """
    if isinstance(spec, Plan):
        return spec
    if not isinstance(spec, str):
        return Plan((spec,))
    if not spec.strip():
        raise ValueError("The plan is empty; give a selector such as rlt:tau=0.1.")
    return Plan(tuple(parse_plugin(part) for part in spec.split("+")))


def parse_merger(spec: str | Merger | None) -> Merger | None:
    """A merger from the grammar (`tome:r=8`), or unchanged.

    Raises KeyError or ValueError with one sentence that names the cure.
    """
    return parse_plugin(spec, "merger") if isinstance(spec, str) else spec


def parse_way(spec: str) -> tuple[Plan, Merger | None]:
    """A plan whose last part may be a merger (`rlt+tome:r=8`); a merger alone is given every token.

    Raises KeyError or ValueError with one sentence that names the cure.
    """
    *front, last = spec.split("+")
    if last.partition(":")[0].strip() not in plugins("merger"):
        return parse_plan(spec), None
    return parse_plan("+".join(front) or "everything"), parse_merger(last)


def way_spec(plan: Plan | Selector, merger: Merger | None) -> str:
    """The inverse of `parse_way`."""
    text = str(parse_plan(plan))
    if merger is None:
        return text
    return spec_of(merger) if text == "everything" else f"{text}+{spec_of(merger)}"


@dataclass(frozen=True)
class ClipSpec:
    """Which frames of which file: `source` is the content's SHA-256."""

    source: str
    frames: int | None = 16
    fps: float | None = None
    span: tuple[float, float] | None = None


@dataclass(frozen=True)
class EncoderSpec:
    """Which encoder, with which weights, where; device and dtype may be "auto"."""

    name: str = "tiny-video"
    weights: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    seed: int = 0


@dataclass(frozen=True)
class Request:
    """Everything that decides a Trace; hashable, and JSON both ways. `merger` is a spec such as tome:r=8."""

    clip: ClipSpec
    encoder: EncoderSpec = field(default_factory=EncoderSpec)
    plan: str = "everything"
    merger: str | None = None
    label: str | None = None
    seed: int = 0

    @property
    def way(self) -> str:
        """Plan and merger in one spec, as `parse_way` reads it."""
        return way_spec(parse_plan(self.plan), parse_merger(self.merger))

    def to_json(self) -> str:
        """The request as JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Request:
        """The inverse of `to_json`."""
        data = json.loads(text)
        span = data["clip"]["span"]
        clip = ClipSpec(**{**data["clip"], "span": tuple(span) if span else None})
        return cls(**{**data, "clip": clip, "encoder": EncoderSpec(**data["encoder"])})
