"""Train the small network whose confidence sets LITE++'s budget: distilled from the backbone, and taught by labels.

Of the first clips it learns the backbone's probabilities (Hinton et al. 2015, temperature 1), of the others, which would
cost a full run each, the labels. Frames are read once and kept at the network's own small size.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from patchlens.cache import cache_key, write_whole
from patchlens.data.samples import SampleSet
from patchlens.encoders.encoder import Encoder
from patchlens.evaluation.feed import Chunk, Feed
from patchlens.evaluation.intervals import wilson
from patchlens.evaluation.measure import Bench
from patchlens.evaluation.multiview import FRAMES, Views
from patchlens.evaluation.parts import Arrays
from patchlens.evaluation.provenance import provenance
from patchlens.flops import vit_cost
from patchlens.glance import Glance, GlanceConfig, glance_gmacs, write_glance
from patchlens.training.epochs import Epochs
from patchlens.training.loop import Loss, Training, fit
from patchlens.training.once import made_once
from patchlens.training.optimisers import Fit, half_cosine
from patchlens.training.ranks import Share, own_device

CHUNK = 32
DECILES = torch.linspace(0.1, 0.9, 9)


@dataclass(frozen=True)
class Recipe(Fit):
    """All that decides the weights beside data and code; `taught`: clips that the backbone is asked about."""

    batch: int = 32
    lr: float = 4e-3
    weight_decay: float = 0.02
    epochs: int = 12
    warmup: float = 0.1
    taught: int = 512


@dataclass(eq=False)
class Looks:
    """Frames uint8 (n, T, H, W, 3) at the network's size, class probabilities (n, C) to learn, labels (n,), -1 unknown."""

    frames: Tensor
    targets: Tensor
    labels: Tensor


def looks(encoder: Encoder, samples: SampleSet, config: GlanceConfig, folder: Path, share: Share, taught: int) -> Looks:
    """Every sample seen once; the first `taught`, and whatever has no label, with the backbone's answer.

    Raises ValueError when nothing could be read.
    """
    bench = Bench(encoder, Views(), False, FRAMES)
    key = cache_key(looks=asdict(config), encoder={**encoder.facts, **encoder.loaded.facts}, taught=taught,
                    set=[s.name for s in samples])  # fmt: skip
    first = {s.name for s in samples[:taught]}
    feed = Feed(bench, samples, CHUNK)
    found = made_once(feed, folder, key, share, lambda chunk: _chunk(bench, chunk, config, first), "frames")
    if not sum(len(p["labels"]) for p in found):
        raise ValueError(f"None of the {len(samples)} videos of {samples.name} could be read.")
    parts = [p for p in found if len(p["labels"])]
    return Looks(*(torch.from_numpy(np.concatenate([p[n] for p in parts])) for n in ("frames", "targets", "labels")))


def _chunk(bench: Bench, chunk: Chunk, config: GlanceConfig, first: set[str]) -> Arrays:
    asked = [i for i in chunk.items if i.name in first or i.number is None]
    bench.run_full(asked)
    rows = [
        i.full[0].logits.softmax(0) if i.full else F.one_hot(torch.tensor(i.number), config.classes).float()
        for i in chunk.items
    ]
    return {
        "frames": np.array([small(i.views[0].tokens.frames, config).numpy() for i in chunk.items], np.uint8),
        "targets": np.array([r.numpy() for r in rows], np.float32),
        "labels": np.array([-1 if i.number is None else i.number for i in chunk.items], np.int64),
    }


def small(frames: Tensor, config: GlanceConfig) -> Tensor:
    """Frames uint8 (T, H, W, 3) at the network's size."""
    x = frames.movedim(-1, 0)[None].float()
    x = F.interpolate(x, (config.frames, config.side, config.side), mode="area")
    return x[0].movedim(0, -1).round().to(torch.uint8)


class Glancing(Training):
    """A glance network on looks."""

    figures = ("right",)
    recipe: Recipe

    def __init__(self, recipe: Recipe, device: torch.device, config: GlanceConfig, data: Looks, what: str) -> None:
        super().__init__(recipe, device)
        torch.manual_seed(recipe.seed)
        self.epochs = Epochs(len(data.labels), recipe.batch, recipe.epochs, recipe.seed)
        self.data, self.what = data, what
        self.glance = Glance(config).to(device)
        self.modules = {"glance": self.glance}
        self.optimisers = [
            torch.optim.AdamW(self.glance.parameters(), recipe.lr, (0.9, 0.98), weight_decay=recipe.weight_decay)
        ]

    @property
    def identity(self) -> dict[str, Any]:
        return {**super().identity, "data": self.what, "clips": len(self.data.labels)}

    @property
    def steps(self) -> int:
        return self.epochs.steps

    def rate(self, step: int) -> float:
        return half_cosine((step + 1) / self.steps, self.recipe.warmup)

    def batches(self, start: int) -> Iterable[Tensor]:
        for step in range(start, self.steps):
            yield torch.tensor(self.share.own(self.epochs.members(step)))

    def loss(self, step: int, data: Tensor) -> Loss:
        out = self.glance(self.data.frames[data].to(self.device))
        target = self.data.targets[data].to(self.device)
        right = (out.argmax(1) == target.argmax(1)).float().mean()
        return Loss(F.cross_entropy(out, target), len(data), {"right": right})


def run_training(
    encoder: Encoder, data: SampleSet, held: SampleSet, folder: Path, recipe: Recipe, device: str = "auto"
) -> Path | None:
    """The whole of `patchlens train glance`: look, train (or resume either), measure on `held`, and write.

    Writes `glance.safetensors` and `glance.md` into `folder` and returns the first (None in the other processes of a
    torchrun). Raises ValueError for an encoder without classes, and where data or checkpoint do not fit.
    """
    if not encoder.classes:
        raise ValueError(f"{encoder.name} names no classes, so there is nothing a glance could be sure of.")
    config, share = GlanceConfig(len(encoder.classes), encoder.inputs.frames or FRAMES), Share.here()
    seen = looks(encoder, data, config, folder / "looks", share, recipe.taught)
    training = Glancing(recipe, own_device(device), config, seen, data.name)
    fit(training, folder, every=training.epochs.length)
    if not training.share.first:
        return None
    apart = looks(encoder, held, config, folder / "held", Share(), 0)
    return finish(folder, training.glance.cpu(), encoder, data, apart, recipe)


def finish(folder: Path, glance: Glance, encoder: Encoder, data: SampleSet, held: Looks, recipe: Recipe) -> Path:
    """Measure on looks that were held out and write network and card; returns the network's path."""
    with torch.no_grad():
        p = torch.cat([glance(part) for part in held.frames.split(64)]).softmax(1)
    known = held.labels >= 0
    right = (p.argmax(1) == held.labels)[known]
    sure = p.amax(1)[known]
    deciles = [round(float(x), 4) for x in sure.quantile(DECILES)]
    card: dict[str, Any] = {
        "encoder": encoder.name, "recipe": asdict(recipe), "data": data.name, "clips": len(data), **provenance(),
        "held_out": len(right), "right": int(right.sum()), "confidence": deciles,
        "right_when_sure": [[float(s), int((sure > s).sum()), int(right[sure > s].sum())] for s in (0.5, 0.7, 0.9)],
        "gmacs": glance_gmacs(glance.config), "parameters": sum(x.numel() for x in glance.parameters()),
        "share_of_full": glance_gmacs(glance.config) / vit_cost(encoder.config, [encoder.config.tokens]).total,
    }  # fmt: skip
    write_glance(folder / "glance.safetensors", glance, card)
    write_whole(folder / "glance.md", as_markdown(card).encode())
    return folder / "glance.safetensors"


def as_markdown(card: dict[str, Any]) -> str:
    """The card for people."""
    where = card["accelerator"] or f"{card['machine']}, {card['threads']} threads"
    lines = [
        f"# A glance network (LITE++) for {card['encoder']}",
        "",
        f"3-D convolutions, {card['parameters']} parameters, {1000 * card['gmacs']:.1f} million multiply-adds a clip",
        f"({100 * card['share_of_full']:.2f} % of the full run). Trained on {card['clips']} clips ({card['data']}),",
        f"the first {card['recipe']['taught']} with the backbone's probabilities, for {card['recipe']['epochs']} epochs.",
        f"{where}, torch {card['torch']}, {card['date']}, commit {card['commit']}.",
        "",
        "| held-out clips where it is | clips | right |",
        "|---|---|---|",
        f"| anything | {card['held_out']} | {_rate(card['right'], card['held_out'])} |",
        *(f"| more than {100 * s:.0f} % sure | {n} | {_rate(k, n)} |" for s, n, k in card["right_when_sure"]),
        "",
        f"Its confidence, by tenths of the clips: {', '.join(f'{x:.2f}' for x in card['confidence'])}.",
    ]
    return "\n".join(lines) + "\n"


def _rate(right: int, clips: int) -> str:
    return f"{wilson(right, clips).percent()} %" if clips else ""
