"""Encoders that stay loaded: asking twice for the same one gives the same object, as long as its file has not changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from patchlens.encoders.encoder import Encoder

MOST = 4
_LOADED: dict[tuple[Any, ...], Encoder] = {}


def load_encoder(
    name: str = "tiny-video",
    weights: str | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    residual: str | None = None,
) -> Encoder:
    """An encoder by name (see `patchlens list`); `weights` is a tag, a file or folder, or "random" (drawn from `seed`),
    `residual` a file of `patchlens train residual` (without it, the one beside the weights, if any).

    The last few are kept loaded. Raises KeyError for an unknown name, ValueError for weights that cannot be had.
    """
    from patchlens.encoders.catalog import load_loaded
    from patchlens.encoders.encoder import Encoder

    which = (name, str(weights), _stamp(weights), str(residual), _stamp(residual))
    key = (*which, seed if weights == "random" else 0, device, dtype)
    if key not in _LOADED:
        loaded = load_loaded(name, weights, seed)
        if residual:
            from patchlens.encoders.residual import attach

            attach(loaded, name, weights, residual)
        made = Encoder(name, loaded, device, dtype)
        while len(_LOADED) >= MOST:
            _LOADED.pop(next(iter(_LOADED)))
        _LOADED[key] = made
    return _LOADED[key]


def _stamp(weights: str | None) -> tuple[int, int] | None:
    """Time and size of a weights file, so that a file written anew is loaded anew."""
    try:
        found = Path(str(weights)).stat()
        return found.st_mtime_ns, found.st_size
    except OSError:
        return None
