"""Libraries that take a second to import, as names that import them at first use.

`patchlens --help` and `patchlens list` must answer at once, so the light files (types, knobs, selectors) say
`from patchlens.lazy import torch` and touch torch only inside functions. Files that need torch to be *defined*
(`encoders/vit.py`) import it plainly and are themselves imported late.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any


class LazyModule(ModuleType):
    """A module that is imported when its first attribute is read."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


if TYPE_CHECKING:
    import torch
else:
    torch = LazyModule("torch")

__all__ = ["LazyModule", "torch"]
