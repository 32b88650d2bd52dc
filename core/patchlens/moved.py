"""How the pictures of one decoding pass moved: by the codec's vectors where it has useful ones, else by optical flow."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from patchlens import motion
from patchlens.album import Album
from patchlens.clip import CODEC, FLOW


def vectors_of(context: Any, wanted: bool, window: int | None) -> motion.VectorSum | None:
    """Where the codec's motion vectors are added up; None where none are wanted, or the codec has none."""
    if not wanted or context.name not in motion.CODECS:
        return None
    context.options = {**context.options, "flags2": "+export_mvs"}
    context.thread_type = "SLICE"  # with frame threads FFmpeg may export a picture's vectors before its thread is through
    return motion.VectorSum(context.name, window)


def motion_of(
    album: Album, vectors: motion.VectorSum | None, seconds: float, display: np.ndarray
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What was measured of the next pictures shown, as facts and arrays: codec vectors where they tell, else flow."""
    began = time.perf_counter()
    known = None if vectors is None else vectors.maps(album.scaler.turn, len(display))
    if known is not None and vectors.useful:
        kind, (lengths, ways) = CODEC, known
    else:
        kind, (lengths, ways) = FLOW, motion.flow_maps(display, album.geometry.source_hw)
    facts = {"kind": kind, "seconds": seconds + time.perf_counter() - began}
    return facts, {"motion": lengths, "flow": ways}
