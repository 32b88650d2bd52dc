"""Zero-shot classification of clips by prompts: the class whose sentence is nearest to the mean feature of the frames.

Every frame in full, and by a plan such as ResidualViT's, over the same clips. Source: ResidualViT sec. 4 (action
recognition, Kinetics-400); the template is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from patchlens.data.samples import SampleSet, Wanted
from patchlens.encoders.encoder import Encoder
from patchlens.evaluation.grounding import seen, text_features
from patchlens.evaluation.intervals import wilson
from patchlens.registry import Selector, reading_of

TEMPLATE = "a video of {}"


def class_features(encoder: Encoder, classes: Sequence[str], templates: Sequence[str] = (TEMPLATE,)) -> Tensor:
    """Normalised features (C, D) of classes, each the mean over templates with a {} for its name.

    Raises ValueError for a template without {}, and for an encoder without a text side.
    """
    if bad := next((t for t in templates if "{}" not in t), None):
        raise ValueError(f"The template {bad!r} has no {{}} for the name of the class.")
    each = [text_features(encoder, [t.format(name) for name in classes]) for t in templates]
    return torch.nn.functional.normalize(torch.stack(each).mean(0), dim=-1)


@dataclass(frozen=True)
class Answers:
    """Whether the right class was among the best 1 and 5 of each clip, bool (n, 2), in full and by the plan."""

    full: np.ndarray
    plan: np.ndarray
    gmacs: tuple[float, float]
    skipped: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Accuracies with Wilson intervals, GMACs per frame, and what could not be read."""
        rows = {}
        for name, right, gmacs in (("full", self.full, self.gmacs[0]), ("plan", self.plan, self.gmacs[1])):
            rates = [wilson(int(right[:, k].sum()), len(right)) for k in (0, 1)]
            rows[name] = {"top1": rates[0].mean, "top1_interval": rates[0].ends, "top5": rates[1].mean,
                          "top5_interval": rates[1].ends, "gmacs_per_frame": gmacs}  # fmt: skip
        return {"clips": len(self.full), **rows, "skipped": list(self.skipped)}


def classify(
    encoder: Encoder,
    samples: SampleSet,
    way: Selector | None,
    templates: Sequence[str] = (TEMPLATE,),
    frames: int = 16,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Answers:
    """Name the class of every labelled clip from `frames` frames.

    Raises ValueError for a set without labels, and where no clip could be read.
    """
    classes = samples.classes
    if not classes:
        raise ValueError(f"{samples.name} has no labels; give a folder of class sub-folders.")
    said = class_features(encoder, classes, templates)
    moving = bool(reading_of([] if way is None else [way]))
    wanted = Wanted(encoder.inputs.size_hw, frames, encoder.inputs.fit, motion=moving)
    right: list[tuple[np.ndarray, np.ndarray]] = []
    spent, skipped = [], []
    for number, sample in enumerate(samples, 1):
        try:
            clip = sample.make(wanted).clip
        except (ValueError, OSError) as error:
            skipped.append(f"{sample.name}: {error}")
            continue
        full = seen([clip], encoder, None, seed)
        fast = full if way is None else seen([clip], encoder, way, seed, full.features)
        label = classes.index(sample.label)
        right.append(tuple(_among(x.features, said, label) for x in (full, fast)))
        spent.append((full.gmacs, fast.gmacs))
        if progress:
            progress(number, len(samples))
    if not right:
        raise ValueError(f"No clip of {samples.name} could be read. {skipped[0] if skipped else ''}".strip())
    full, plan = (np.array(x) for x in zip(*right, strict=True))
    return Answers(full, plan, tuple(np.mean(spent, 0).tolist()), tuple(skipped))


def _among(features: Tensor, said: Tensor, label: int) -> np.ndarray:
    """Whether the label is the best class, and among the best five."""
    order = (said.double() @ features.double().mean(0)).argsort(descending=True, stable=True)
    place = int((order == label).nonzero())
    return np.array([place < 1, place < 5])
