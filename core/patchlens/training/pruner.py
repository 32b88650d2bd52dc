"""Train a pruner in DynamicViT's manner: scorers at three stages learn which tokens an encoder can do without.

Tokens are dropped by drawing (straight-through Gumbel), and stay in the sequence: attention to what is dropped is masked
out, so that gradients reach the scorers. Loss = cross-entropy with the label + 2 (share kept - share wanted)^2, mean over
stages, + 0.5 KL to the full run's answer + 0.5 squared distance of the tokens that are left to those of the full run.
Source: Rao et al., DynamicViT (arXiv 2106.02034), sec. 3.3 and its released weights of the losses.
Departures: the backbone is frozen, and is its own teacher; tokens are normalised without a learned scale before they are
compared; a dropped token does not see itself, for nothing looks at it any more; scorers start at keeping the share wanted;
rho is 0.6, with which half of the tokens are there on average over `tiny-video`'s blocks. Knows no evaluation and no file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from patchlens.data.samples import SampleSet
from patchlens.encoders.block import Block
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.vit import Output, ViT
from patchlens.evaluation.measure import Bench, Prepared
from patchlens.evaluation.multiview import FRAMES, Views
from patchlens.flops import pruned_blocks
from patchlens.limits import VideoError
from patchlens.pruner import Pruner, PrunerConfig
from patchlens.training.epochs import Epochs
from patchlens.training.loop import Loss, Training
from patchlens.training.optimisers import Fit, half_cosine

RATIO, ANSWER, TOKENS = 2.0, 0.5, 0.5  # weights of the losses beside the cross-entropy
CHECKED = 64  # held-out clips that a validation looks at
EPS = 1e-9  # where nothing that a token looks at is left

Choose = Callable[[int, Tensor, Tensor], Tensor]  # (stage, logits (B, N), policy (B, N)) -> the new policy


@dataclass(frozen=True)
class Recipe(Fit):
    """All that decides the weights beside data, encoder and code; `rho`: the share kept at each stage."""

    batch: int = 16
    lr: float = 2e-3
    weight_decay: float = 0.05
    epochs: int = 1
    warmup: float = 0.05
    rho: float = 0.6

    def __post_init__(self) -> None:
        if not 0 < self.rho < 1:
            raise ValueError(f"rho is {self.rho}; give a share between 0 and 1.")


class Pruning(Training):
    """A pruner for one encoder, on the clips of a set; its labels are the encoder's classes, where they are known."""

    figures, checks = ("task", "ratio", "answer", "tokens", "kept"), ("top1", "same")
    recipe: Recipe

    def __init__(self, recipe: Recipe, encoder: Encoder, data: SampleSet, held: SampleSet) -> None:
        super().__init__(recipe, encoder.device)
        if encoder.segments != "clip" or not encoder.classes:
            raise ValueError(f"{encoder.name} does not name what happens in a clip; train a pruner for one that does.")
        torch.manual_seed(recipe.seed)
        self.encoder, self.data, self.held = encoder, data, held
        self.epochs = Epochs(len(data), recipe.batch, recipe.epochs, recipe.seed)
        self.bench = Bench(encoder, Views(), False, FRAMES)
        config = encoder.config
        self.at = pruned_blocks(config.depth)
        self.pruner = Pruner(PrunerConfig(config.width, len(self.at)))
        for scorer in self.pruner.stages:
            torch.nn.init.constant_(scorer.layers[-1].bias, float(torch.logit(torch.tensor(recipe.rho))))
        self.modules = {"pruner": self.pruner.to(self.device)}
        self.optimisers = [
            torch.optim.AdamW(self.pruner.parameters(), recipe.lr, (0.9, 0.98), weight_decay=recipe.weight_decay)
        ]

    @property
    def identity(self) -> dict[str, Any]:
        weights = str(self.encoder.loaded.facts.get("sha256", ""))
        return {**super().identity, "encoder": weights, "data": self.data.name, "clips": len(self.data)}

    @property
    def steps(self) -> int:
        return self.epochs.steps

    def rate(self, step: int) -> float:
        return half_cosine((step + 1) / self.steps, self.recipe.warmup)

    def batches(self, start: int) -> Iterable[tuple[list[Prepared], Tensor]]:
        """This process's clips of each step that can be read, and a number in 0..1 for every stage and token of each."""
        for step in range(start, self.steps):
            shape = (self.recipe.batch, len(self.at), self.encoder.config.tokens)
            uniform = self.share.own(torch.rand(shape, generator=self.generator))
            items = self.clips(self.data, self.share.own(self.epochs.members(step)))
            yield items, uniform[: len(items)]

    def clips(self, samples: SampleSet, numbers: Iterable[int]) -> list[Prepared]:
        """Those that can be read."""
        out = []
        for i in numbers:
            with suppress(VideoError, OSError):
                out.append(self.bench.prepare(samples[i]))
        return out

    def loss(self, step: int, data: tuple[list[Prepared], Tensor]) -> Loss:
        items, uniform = data
        if not items:
            return Loss(torch.zeros(()), 0)
        vit, x = self.encoder.vit, self.embedded(items)
        with torch.no_grad():
            full = vit(x, (self.encoder.config.tokens,) * len(items))
        noise = torch.logit(uniform.to(x.device), 1e-6)  # the difference of two Gumbel numbers is logistic
        out, policies = run_pruned(vit, self.pruner, x, len(items), lambda i, logits, _: drawn(logits + noise[:, i]))
        shares = torch.stack([p.mean(1) for p in policies])  # (stages, B)
        wanted = self.recipe.rho ** torch.arange(1, len(policies) + 1, device=x.device)
        parts = {
            "task": F.cross_entropy(out.out, self.labels(items, full.out)),
            "ratio": (shares - wanted[:, None]).square().mean(),
            "answer": F.kl_div(out.out.log_softmax(1), full.out.log_softmax(1), reduction="batchmean", log_target=True),
            "tokens": _distance(out.patches, full.patches, policies[-1].flatten()),
        }
        total = parts["task"] + RATIO * parts["ratio"] + ANSWER * parts["answer"] + TOKENS * parts["tokens"]
        figures = {name: x.detach() for name, x in parts.items()}
        return Loss(total, len(items), {**figures, "kept": shares[-1].detach().mean()})

    def embedded(self, items: list[Prepared]) -> Tensor:
        """All patches of all clips, (B * N, D)."""
        tokens = [item.views[0].tokens for item in items]
        index = torch.arange(self.encoder.config.tokens).repeat(len(items))
        return self.encoder.embed_with(self.encoder.vit, torch.cat([t.patches for t in tokens]), index)

    def labels(self, items: list[Prepared], full: Tensor) -> Tensor:
        """Class numbers (B,); where a label is unknown, the full run's answer."""
        known = torch.tensor([-1 if item.number is None else item.number for item in items], device=full.device)
        return torch.where(known >= 0, known, full.argmax(1))

    def validate(self) -> dict[str, float]:
        """Right on held-out clips, and answered as in full, when the top share is kept as at inference."""
        found, held = [], self.held.first(CHECKED)
        for start in range(0, len(held), self.recipe.batch):
            items = self.clips(held, range(start, min(start + self.recipe.batch, len(held))))
            if not items:
                continue
            x = self.embedded(items)
            full = self.encoder.vit(x, (self.encoder.config.tokens,) * len(items)).out
            out, _ = run_pruned(self.encoder.vit, self.pruner, x, len(items), top_share(self.recipe.rho))
            answer = out.out.argmax(1)
            found.append(torch.stack([answer == self.labels(items, full), answer == full.argmax(1)], 1).float())
        top1, same = torch.cat(found).mean(0).tolist()
        return {"top1": top1, "same": same}


def drawn(logits: Tensor) -> Tensor:
    """0 or 1 for each noisy logit, with the gradient of its sigmoid (straight-through, temperature 1)."""
    soft = logits.sigmoid()
    return (soft > 0.5).float() + soft - soft.detach()


def top_share(rho: float) -> Choose:
    """At each stage the top share `rho` of what is still there, as the merger `pruner` keeps it."""

    def choose(stage: int, logits: Tensor, policy: Tensor) -> Tensor:
        left = max(1, int(float(policy[0].sum()) * rho + 1e-9))
        best = logits.masked_fill(policy == 0, -torch.inf).argsort(dim=1, descending=True, stable=True)[:, :left]
        return torch.zeros_like(policy).scatter(1, best, 1.0)

    return choose


def run_pruned(vit: ViT, pruner: Pruner, x: Tensor, batch: int, choose: Choose) -> tuple[Output, list[Tensor]]:
    """Embedded patches (B * N, D) of B clips through all blocks, with dropped tokens masked out instead of removed.

    Returns the output, all patches in it, pooled over those that are left; and each stage's policy (B, N), 1 for a token
    that is still there: `choose` can bring none back, and where it leaves none the best one stays.
    """
    counts = (len(x) // batch,) * batch
    x, segments, where = vit.assemble(x, counts)
    front, at = segments.lengths[0] - counts[0], pruned_blocks(len(vit.blocks))
    policies = [torch.ones(batch, counts[0], device=x.device)]
    for number, block in enumerate(vit.blocks):
        if number in at:
            stage, before = at.index(number), policies[-1]
            logits = pruner.stages[stage](x.unflatten(0, (batch, -1))[:, front:], before)
            after = before * choose(stage, logits, before)
            policies.append(_never_none(after, logits.masked_fill(before == 0, -torch.inf)))
        x = block(x, segments) if len(policies) == 1 else masked(block, x, F.pad(policies[-1], (front, 0), value=1.0))
    return vit.finish(x, segments, where, counts, policies[-1].flatten()), policies[1:]


def _never_none(policy: Tensor, logits: Tensor) -> Tensor:
    best = torch.zeros_like(policy).scatter(1, logits.argmax(1, keepdim=True), 1.0)
    return torch.where(policy.sum(1, keepdim=True) > 0, policy, best)


def masked(block: Block, x: Tensor, policy: Tensor) -> Tensor:
    """One block over B sequences end to end, (B * L, D), in which keys count by `policy` (B, L).

    The softmax runs over all keys and is divided by what it gave to those that count.
    """
    q, k, v = (part.unflatten(0, policy.shape).transpose(1, 2) for part in block.attention.split(block.norm1(x)))
    weight = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
    there = policy[:, None, :, None]
    seen = weight @ (v * there) / (weight @ there).clamp(min=EPS)
    x = x + block.attention.join(seen.transpose(1, 2).flatten(0, 1))
    return x + block.mlp_output(x)


def _distance(tokens: Tensor, teacher: Tensor, policy: Tensor) -> Tensor:
    """Mean squared distance of normalised tokens (B * N, D) to the teacher's, over those that are left."""
    apart = (F.layer_norm(tokens, tokens.shape[-1:]) - F.layer_norm(teacher, teacher.shape[-1:])).square().mean(1)
    left = policy.detach()
    return (apart * left).sum() / left.sum().clamp(min=1)
