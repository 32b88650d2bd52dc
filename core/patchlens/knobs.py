"""Knobs: a selector's fields, declared once with bounds, step, unit and help.

One declaration gives the command-line flag, the slider, the docs row, the JSON field and the part of the cache key.
This file knows nothing of what a knob does.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Knob:
    """One declared knob. `stage` is "score" where a change asks for new scores, "keep" where only the decision moves."""

    name: str
    default: Any
    kind: str
    low: float | None = None
    high: float | None = None
    step: float | None = None
    options: tuple[str, ...] = ()
    unit: str = ""
    stage: str = "keep"
    help: str = ""

    def check(self, value: Any) -> Any:
        """Return `value` as this knob's type.

        Raises ValueError with the value, the bound and the cure.
        """
        if self.kind == "choice":
            if value not in self.options:
                raise ValueError(f"{self.name} is {value!r}; choose one of {', '.join(self.options)}.")
            return value
        if self.kind == "text":
            return str(value)
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise ValueError(f"{self.name} is {value!r}; give a number {self.bounds}.") from None
        if not (self.low <= number <= self.high):
            raise ValueError(f"{self.name} is {value}; give a number {self.bounds}.")
        if self.kind == "int":
            if number != int(number):
                raise ValueError(f"{self.name} is {value}; give a whole number {self.bounds}.")
            return int(number)
        return number

    @property
    def bounds(self) -> str:
        """The allowed values in words."""
        if self.kind == "choice":
            return " | ".join(self.options)
        if self.kind == "text":
            return "any text"
        return f"from {self.low:g} to {self.high:g}"


def knob(
    default: float,
    low: float,
    high: float,
    *,
    step: float = 0.01,
    unit: str = "",
    stage: str = "keep",
    help: str = "",
) -> Any:
    """Declare a numeric knob; an int default makes it a whole number."""
    kind = "int" if isinstance(default, int) else "float"
    return field(
        default=default,
        metadata={"knob": dict(kind=kind, low=low, high=high, step=step, unit=unit, stage=stage, help=help)},
    )


def choice(default: str, options: tuple[str, ...], *, stage: str = "keep", help: str = "") -> Any:
    """Declare a knob with a few named values."""
    return field(default=default, metadata={"knob": dict(kind="choice", options=options, stage=stage, help=help)})


def text(default: str, *, stage: str = "score", help: str = "") -> Any:
    """Declare a knob that takes free text (a label, say)."""
    return field(default=default, metadata={"knob": dict(kind="text", stage=stage, help=help)})


def knobs_of(cls: type) -> tuple[Knob, ...]:
    """The knobs that a selector or merger class declares, in order."""
    return tuple(
        Knob(f.name, None if f.default is MISSING else f.default, **f.metadata["knob"])
        for f in fields(cls)
        if "knob" in f.metadata
    )
