"""What `patchlens train rlt` compares: one backbone fine-tuned with all tokens, with RLT and with random dropping.

All arms go on from one half-trained start, on the same clips in the same order: static-camera motions, drawn on the fly,
chosen by a plan in the one grammar and run packed as they are at inference. The start lies on the straight line from the
first weights of a seed to the trained `tiny-video`, where loss falls steadily (Goodfellow et al. 2015, arXiv 1412.6544):
half-trained, without the hour that training up to there takes. Two ablations and an extension of ours: a learned length
encoding (zero at first), the mean weighted by run lengths (`pool=runs`), and steps that are filled with clips up to a
number of tokens instead of a number of clips.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from patchlens.clip import Clip
from patchlens.data.motions import DRAWN_BY, motion_clip
from patchlens.encoders.batches import packed
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.loading import adopt
from patchlens.encoders.packing import batches, filled
from patchlens.encoders.reference import load
from patchlens.keep import keep_of
from patchlens.pipeline import RunContext
from patchlens.specs import parse_plan
from patchlens.training.loop import Loss, Training
from patchlens.training.optimisers import Fit, muon_and_adamw, remaining
from patchlens.training.precision import mixed
from patchlens.training.tiny_video import TRAIN_SEED, VALIDATION_SEED, first_model
from patchlens.types import Keep, Tokens

CHUNK, MOST_TOKENS = 64, 8192  # held-out clips drawn at a time; tokens of one packed run


@dataclass(frozen=True)
class Recipe(Fit):
    """All that decides an arm's weights, beside code and start."""

    batch: int = 16
    lr: float = 7e-4
    smoothing: float = 0.05
    steps: int = 40
    warmup: int = 4  # steps; then the rate falls linearly to zero
    stream: int = TRAIN_SEED + 1000  # of procedural clips
    plan: str = "everything"
    lengths: bool = False  # a learned length encoding
    filled: float = 0.0  # steps are filled to this share of `batch` whole clips' tokens; 0: `batch` clips each
    start: str = ""  # digest of the weights that it went on from


class Seen(NamedTuple):
    """A clip as a model is to see it."""

    tokens: Tokens
    keep: Keep
    label: int


class Tally(nn.Module):
    """How many clips and tokens a training saw; part of its checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("clips", torch.zeros((), dtype=torch.long))
        self.register_buffer("tokens", torch.zeros((), dtype=torch.long))


class FineTuning(Training):
    """One arm: an encoder trained on what its plan keeps."""

    figures, checks = ("tokens",), ("top1",)
    recipe: Recipe

    def __init__(self, recipe: Recipe, encoder: Encoder, held_out: int = 64) -> None:
        super().__init__(recipe, encoder.device)
        self.encoder, self.plan, self.held_out, self.tally = encoder, parse_plan(recipe.plan), held_out, Tally()
        vit = encoder.vit.requires_grad_(True)
        self.modules = {"vit": vit, "tally": self.tally}
        matrices = [p for p in vit.blocks.parameters() if p.ndim == 2]
        self.optimisers = muon_and_adamw(matrices, [{"params": remaining([vit], matrices)}], recipe)

    @property
    def steps(self) -> int:
        return self.recipe.steps

    def rate(self, step: int) -> float:
        r = self.recipe
        return min(1.0, (step + 1) / r.warmup, 1 - step / r.steps)

    def batches(self, start: int) -> Iterator[list[Seen]]:
        r, first = self.recipe, int(self.tally.clips)
        if not r.filled:
            for step in range(start, r.steps):
                yield [self.seen(i, r.stream) for i in range(step * r.batch, (step + 1) * r.batch)]
            return
        stream = (self.seen(i, r.stream) for i in range(first, first + r.steps * r.batch * self.encoder.config.tokens))
        most = int(r.filled * r.batch * self.encoder.config.tokens)
        yield from filled(stream, lambda seen: seen.keep.count, most)

    def seen(self, index: int, stream: int) -> Seen:
        """Clip `index` of a stream, filmed by a static camera, and what the plan keeps of it."""
        made = motion_clip(index, stream, scene="static")
        clip = Clip.from_frames(torch.from_numpy(made.frames), 8.0, drawn_by=DRAWN_BY)
        tokens = self.encoder.tokens(clip)
        asked = RunContext(self.encoder, clip, None, self.recipe.seed)
        keep = keep_of([(s.score(tokens, asked), s.rule()) for s in self.plan.selectors], tokens.grid)
        return Seen(tokens, keep, made.label)

    def logits(self, clips: list[Seen]) -> Tensor:
        """Class scores (B, classes), by the way of inference."""
        with mixed(self.device):
            outputs = packed(self.encoder, [c.tokens for c in clips], [c.keep for c in clips])
        return torch.cat([output.out for output in outputs]).float()

    def loss(self, step: int, data: list[Seen]) -> Loss:
        labels = torch.tensor([c.label for c in data], device=self.device)
        tokens = sum(c.keep.count for c in data)
        self.tally.clips += len(data)
        self.tally.tokens += tokens
        loss = F.cross_entropy(self.logits(data), labels, label_smoothing=self.recipe.smoothing)
        return Loss(loss, len(data), {"tokens": tokens / len(data)})

    def validate(self) -> dict[str, float]:
        return {"top1": float(self.right(self.held_out, VALIDATION_SEED)[0].mean())}

    @torch.no_grad()
    def right(self, count: int, stream: int, whole: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Whether each of a stream's first `count` clips is named right, bool (count,), and the tokens kept of each.

        whole: seen with all tokens, whatever the plan.
        """
        plan, self.plan = self.plan, parse_plan("everything") if whole else self.plan
        try:
            return self._right(count, stream)
        finally:
            self.plan = plan

    def _right(self, count: int, stream: int) -> tuple[np.ndarray, np.ndarray]:
        right, kept = np.zeros(count, bool), np.zeros(count, np.int64)
        for start in range(0, count, CHUNK):
            clips = [self.seen(i, stream) for i in range(start, min(count, start + CHUNK))]
            kept[start : start + len(clips)] = [c.keep.count for c in clips]
            for group in batches([c.keep.count for c in clips], MOST_TOKENS):
                answers = self.logits([clips[i] for i in group]).argmax(1).tolist()
                for i, answer in zip(group, answers, strict=True):
                    right[start + i] = answer == clips[i].label
        return right, kept


def encoder_with(state: dict[str, Tensor], device: torch.device, lengths: bool = False) -> Encoder:
    """A `tiny-video` of its own with these weights, and with a length encoding of zeros where asked for."""
    loaded = load("tiny-video")
    config = replace(loaded.vit.config, lengths=loaded.vit.config.grid[0] if lengths else 0)
    own = {name: x.clone() for name, x in state.items()}
    if lengths:
        own["length"] = torch.zeros(config.lengths, config.width)
    loaded.vit = adopt(config, own, "the start")
    return Encoder("tiny-video", loaded, str(device), "float32")


def half_trained(seed: int, along: float) -> dict[str, Tensor]:
    """Weights so far along the line from the first ones of a seed (0) to the bundled `tiny-video` (1)."""
    trained, first = load("tiny-video").vit.state_dict(), first_model(seed)[0].state_dict()
    return {name: torch.lerp(first[name], x, along) for name, x in trained.items()}
