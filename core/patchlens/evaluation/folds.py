"""Models that were each trained on a part of a set, every one with the part that it has not seen.

Linear probes on frozen features, and the folders that `patchlens train video` wrote, become runs for `sweep.measure_runs`.
Knows no selector.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from patchlens.data.samples import SampleSet
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.loaded import Loaded
from patchlens.evaluation.feed import Feed
from patchlens.evaluation.measure import Bench
from patchlens.evaluation.multiview import FRAMES, Views
from patchlens.evaluation.sweep import Run

DECAY = 1e-2  # of a probe's weights, on standardised features


def trained_runs(folders: Sequence[Path], data: SampleSet, device: str = "auto", dtype: str = "auto") -> list[Run]:
    """Runs from folders that `patchlens train video` wrote for `data`: each model with what it held out.

    Raises ValueError for a folder without model or list, and for held-out videos that `data` has not.
    """
    from patchlens.encoders.reference import load

    by_name, runs = {s.name: s for s in data}, []
    for folder in folders:
        if not (folder / "heldout.csv").is_file():
            raise ValueError(f"{folder} holds no heldout.csv; give a folder that `patchlens train video` has finished.")
        with (folder / "heldout.csv").open(newline="") as file:
            names = [row["file"] for row in csv.DictReader(file)]
        missing = [n for n in names if n not in by_name]
        if missing:
            raise ValueError(
                f"{folder.name} held out {missing[0]}, which {data.name} has not; give the data it was trained on."
            )
        held = replace(data, samples=tuple(by_name[n] for n in names), name=f"{data.name}, held out of {folder.name}")
        runs.append((Encoder("video", load("video", str(folder / "video.safetensors")), device, dtype), held))
    return runs


def probe_runs(encoder: Encoder, data: SampleSet, folds: int, seed: int = 0, frames: int = FRAMES) -> list[Run]:
    """Runs of a linear probe on the frozen encoder's pooled features, fitted on all folds but one in turn.

    Features are made once. Raises ValueError as `training.video.held_out` does.
    """
    from patchlens.training.inflate import with_head
    from patchlens.training.video import held_out

    sides = [held_out(data, folds, fold, seed) for fold in range(folds)]
    bare = replace(
        encoder.loaded, vit=with_head(encoder.loaded, data.classes, seed), classes=data.classes, normalise=False
    )
    features = features_of(_like(encoder, bare), data, frames)
    return [(_probed(encoder, bare, train, features), test) for train, test in sides]


def _like(encoder: Encoder, loaded: Loaded) -> Encoder:
    """Other weights under the same name, device and dtype."""
    return Encoder(encoder.name, loaded, encoder.facts["device"], encoder.facts["dtype"])


def _probed(encoder: Encoder, bare: Loaded, train: SampleSet, features: dict[str, Tensor]) -> Encoder:
    from patchlens.training.inflate import with_head

    seen = [s for s in train if s.name in features]
    labels = torch.tensor([bare.classes.index(s.label) for s in seen])
    known = torch.stack([features[s.name] for s in seen])
    vit = with_head(bare, bare.classes)
    with torch.no_grad():
        for target, value in zip((vit.head.weight, vit.head.bias), fit_probe(known, labels), strict=True):
            target.copy_(value)
    weights = f"{bare.weights} + linear probe"
    return _like(encoder, replace(bare, vit=vit, weights=weights))


def features_of(encoder: Encoder, data: SampleSet, frames: int = FRAMES) -> dict[str, Tensor]:
    """Pooled features (D,) of all tokens, by sample name; samples that cannot be read are left out."""
    bench = Bench(encoder, Views(), False, frames)
    feed, found = Feed(bench, data, 32), {}
    for chunk in feed(range(len(feed.chunks))):
        bench.run_full(chunk.items)
        found |= {item.name: item.full[0].pooled for item in chunk.items}
    return found


def fit_probe(features: Tensor, labels: Tensor, decay: float = DECAY) -> tuple[Tensor, Tensor]:
    """Weight (C, D) and bias (C,) of multinomial logistic regression on standardised features (n, D), weights decayed."""
    x = features.double()
    mean, scale = x.mean(0), x.std(0).clamp_min(1e-6)
    x, classes = (x - mean) / scale, int(labels.max()) + 1
    weight = torch.zeros(classes, x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        value = F.cross_entropy(x @ weight.T + bias, labels) + decay / 2 * weight.square().sum()
        value.backward()
        return value

    solver.step(loss)
    plain = (weight / scale).detach()
    return plain.float(), (bias.detach() - plain @ mean).float()
