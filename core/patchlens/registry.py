"""The registry: selectors and mergers announce themselves in the file that defines them.

It knows names and knobs, not what they compute. Plug-in files are imported at the first look-up; a class defined in a
notebook cell registers the same way and works everywhere at once.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from patchlens.interleave import WINDOW
from patchlens.knobs import Knob, knobs_of

if TYPE_CHECKING:
    from patchlens.keep import Rule
    from patchlens.types import Clip, Scores, Tokens

T = TypeVar("T", bound=type)


class Context(Protocol):
    """What a selector may ask for beside the tokens: the encoder, the clip, a label (class number, or CLIP's text), a seed.

    `check` raises when the run was cancelled; hand it to whatever takes long.
    """

    encoder: Any
    clip: Clip
    label: int | str | None
    seed: int
    check: Callable[[], None] | None


class Selector(Protocol):
    """A frozen dataclass whose fields are its knobs; see `selectors/rlt.py` for the shortest full example."""

    name: str
    requires: frozenset[str]  # what the encoder must offer, e.g. {"logits", "gradients"}
    monotone: bool  # a higher budget keeps a superset

    def score(self, tokens: Tokens, context: Context) -> Scores:
        """Slow, cached per clip; only knobs with stage="score" enter its key."""
        ...

    def rule(self) -> Rule:
        """Declarative and light: how scores become a Keep, in Python and in the browser."""
        ...


_PLUGINS: dict[str, dict[str, type]] = {"selector": {}, "merger": {}}
_PACKAGES = {"selector": "patchlens.selectors", "merger": "patchlens.mergers"}


def register(name: str, kind: str = "selector") -> Callable[[T], T]:
    """Class decorator: make a frozen dataclass of knobs known under `name`; its knobs are checked when it is made.

    Registering a name again replaces the old class, so that a notebook cell can be run twice.
    """

    def add(cls: T) -> T:
        cls.name = name
        cls.requires = frozenset(getattr(cls, "requires", ()))
        cls.__init__ = _checked(cls.__init__)
        _PLUGINS[kind][name] = cls
        return cls

    return add


def _checked(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **values: Any) -> None:
        init(self, *args, **values)
        for k in knobs_of(type(self)):
            object.__setattr__(self, k.name, k.check(getattr(self, k.name)))

    return __init__


def plugins(kind: str = "selector") -> dict[str, type]:
    """All registered classes of a kind, by name, importing the bundled ones first."""
    package = importlib.import_module(_PACKAGES[kind])
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{_PACKAGES[kind]}.{module.name}")
    return dict(_PLUGINS[kind])


def find(name: str, kind: str = "selector") -> type:
    """The class registered under `name`.

    Raises KeyError naming what is there.
    """
    known = plugins(kind)
    if name not in known:
        raise KeyError(f"There is no {kind} named {name!r}; choose one of {', '.join(sorted(known))}.")
    return known[name]


def knob_values(plugin: Any, stage: str | None = None) -> dict[str, Any]:
    """A plug-in's knob values by name, all or those of one stage."""
    return {k.name: getattr(plugin, k.name) for k in knobs_of(type(plugin)) if stage in (None, k.stage)}


def misfit(plugin: type | Any, offers: Iterable[str], encoder: str) -> str | None:
    """One sentence on why a plug-in cannot run on an encoder, or None where it can; the app and the CLI both say it."""
    missing = sorted(plugin.requires - set(offers))
    if not missing:
        return None
    return f"{plugin.name} needs {' and '.join(missing)}, which the encoder {encoder} does not offer."


def reading_of(selectors: Iterable[Any], motion: bool = False) -> dict[str, Any]:
    """What the selectors want of the decoder, as options of `video.read`: motion, and over which window.

    motion: it is read whatever they want, and still over their window.
    """
    needs = frozenset().union(*(getattr(s, "clip_needs", ()) for s in selectors))
    if not motion and "motion" not in needs:
        return {}
    return {"motion": True} | ({"window": WINDOW} if "motion window" in needs else {})


__all__ = ["Context", "Knob", "Selector", "find", "knob_values", "misfit", "plugins", "reading_of", "register"]
