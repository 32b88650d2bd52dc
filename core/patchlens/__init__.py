"""PatchLens: see, patch by patch, what an efficient video transformer keeps and drops, what it saves and what it costs.

trace = patchlens.run("clip.mp4", encoder="tiny-video", selector=patchlens.RLT(tau=0.1))
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from patchlens.types import (
    Clip,
    Cost,
    Encoding,
    Grid,
    Keep,
    MotionMap,
    Report,
    Scores,
    Source,
    Tokens,
    Trace,
)

if TYPE_CHECKING:
    from patchlens.comparison import compare, sweep
    from patchlens.encoders.resident import load_encoder
    from patchlens.pipeline import run
    from patchlens.selectors.baselines import Center, Everything, Random, Uniform
    from patchlens.selectors.cues import AttentionReceived, Motion, Saliency
    from patchlens.selectors.oracle import Oracle
    from patchlens.selectors.residualvit import ResidualViT
    from patchlens.selectors.rlt import RLT, RLTTopK

__version__ = "0.1.0"

# Looked up at first use, so that `import patchlens` stays light.
_LATE = {
    "run": "pipeline",
    **dict.fromkeys(("compare", "sweep"), "comparison"),
    "load_encoder": "encoders.resident",
    "register": "registry",
    "knob": "knobs",
    **dict.fromkeys(("All", "TopK", "TopKPerFrame", "Strided", "Threshold"), "keep"),
    "choice": "knobs",
    "VideoError": "limits",
    **dict.fromkeys(("Everything", "Random", "Uniform", "Center"), "selectors.baselines"),
    **dict.fromkeys(("Motion", "AttentionReceived", "Saliency"), "selectors.cues"),
    **dict.fromkeys(("RLT", "RLTTopK"), "selectors.rlt"),
    "Oracle": "selectors.oracle",
    "ResidualViT": "selectors.residualvit",
    "Interleave": "interleave",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module 'patchlens' has no attribute {name!r}")
    return getattr(importlib.import_module(f"patchlens.{_LATE[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LATE])


__all__ = [
    "RLT", "AttentionReceived", "Center", "Clip", "Cost", "Encoding", "Everything", "Grid", "Keep", "Motion",
    "MotionMap", "Oracle", "RLTTopK", "Random", "Report", "ResidualViT", "Saliency", "Scores", "Source", "Tokens",
    "Trace", "Uniform", "compare", "load_encoder", "run", "sweep",
]  # fmt: skip
