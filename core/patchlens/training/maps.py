"""The oracle's maps of a set of clips, made once, and their embeddings beside them. Knows selectors by their spec."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from patchlens.cache import cache_key
from patchlens.data.samples import SampleSet
from patchlens.encoders.encoder import Encoder
from patchlens.evaluation.budgets import Contender, contender
from patchlens.evaluation.feed import Chunk, Feed
from patchlens.evaluation.measure import Bench
from patchlens.evaluation.multiview import FRAMES, Views
from patchlens.evaluation.parts import Arrays
from patchlens.training.once import made_once
from patchlens.training.ranks import Share
from patchlens.types import Grid

CHUNK = 16  # clips between two writes
HELD_BYTES = 1 << 30  # of embeddings kept in memory


@dataclass(eq=False)
class Maps:
    """Targets float32 (n, N) in 0..1 of the samples that could be read, in order; all clips have the same grid.

    `embedded(i)` gives the embeddings (N, D) of clip i, from memory while there is room, else made anew.
    """

    bench: Bench
    samples: SampleSet
    targets: Tensor
    grid: Grid
    skipped: tuple[str, ...] = ()
    held: dict[int, Tensor] = field(default_factory=dict)
    room: int = HELD_BYTES

    def __len__(self) -> int:
        return len(self.targets)

    def embedded(self, i: int) -> Tensor:
        """Embeddings of all patches with their position, float32 (N, D)."""
        if i not in self.held:
            x = self.bench.prepare(self.samples[i]).views[0].tokens.embed().half()
            if x.numel() * 2 > self.room:
                return x.float()
            self.room -= x.numel() * 2
            self.held[i] = x
        return self.held[i].float()


def make_maps(
    encoder: Encoder, samples: SampleSet, oracle: str, folder: Path, share: Share, frames: int = FRAMES
) -> Maps:
    """The maps of an oracle (its spec) on every sample, from `folder` or made now.

    frames: per clip, where the encoder takes any number.

    Raises ValueError when nothing could be read, or when clips differ in their grid.
    """
    bench, who = Bench(encoder, Views(), False, frames), contender(oracle)
    feed = Feed(bench, samples, CHUNK)
    key = cache_key(maps=str(who.plan), encoder={**encoder.facts, **encoder.loaded.facts}, set=[s.name for s in samples],
                    frames=bench.wanted.frames)  # fmt: skip
    found = made_once(feed, folder, key, share, lambda chunk: _chunk(bench, chunk, who), "oracle maps")
    skipped = tuple(str(x) for p in found for x in p["skipped"])
    names = {str(x) for p in found for x in p["names"]}
    if not names:
        raise ValueError(f"None of the {len(samples)} videos could be read. {' '.join(skipped[:1])}".strip())
    shapes = {tuple(p["grid"].tolist()) for p in found if len(p["names"])}
    if len(shapes) > 1:
        raise ValueError(f"The clips have different grids ({sorted(shapes)[:2]}, ...); a selector needs one.")
    kept = replace(samples, samples=tuple(s for s in samples if s.name in names))
    targets = torch.from_numpy(np.concatenate([p["maps"] for p in found if len(p["names"])]))
    return Maps(bench, kept, targets, Grid(*shapes.pop()), skipped)


def _chunk(bench: Bench, chunk: Chunk, who: Contender) -> Arrays:
    maps = [bench.score(item, who, 0)[0][0].values.numpy() for item in chunk.items]
    g = chunk.items[0].views[0].tokens.grid if chunk.items else Grid(1, 1, 1, 1, 1)
    return {
        "maps": np.array(maps, np.float32),
        "names": np.array([item.name for item in chunk.items], dtype=np.str_),
        "grid": np.array([g.t, g.h, g.w, g.tubelet, g.patch]),
        "skipped": np.array(chunk.skipped, dtype=np.str_),
    }
