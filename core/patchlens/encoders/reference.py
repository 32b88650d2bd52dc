"""The bundled space-time models: trained on procedural motions, and honest about anything else.

`tiny-video` answers from the mean over the patches, `tiny-video-cls` from a class token, as TimeSformer does.

Its file carries a card (classes, how it was trained, what was measured) and the mean and spread of its features on held-out
clips of its own kind, so that footage unlike its training can be told apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from patchlens.encoders import carded
from patchlens.encoders import weights as files
from patchlens.encoders.catalog import BUNDLED
from patchlens.encoders.loaded import IMAGENET_MEAN, IMAGENET_STD, Inputs, Loaded
from patchlens.encoders.loading import adopt, initialise
from patchlens.encoders.vit import ViT, ViTConfig

CONFIG = ViTConfig(width=192, depth=6, heads=3, mlp=768, grid=(8, 8, 8), patch=8, tubelet=2, prefix=8, outputs=16)
CLS_CONFIG = replace(CONFIG, pool="cls", prefix=CONFIG.prefix + 1)  # the class token stands before the registers
CONFIGS = {"tiny-video": CONFIG, "tiny-video-cls": CLS_CONFIG}
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD


@dataclass(frozen=True, eq=False)
class Domain:
    """Where a model's features lie on clips like its training's.

    mean (D,), precision (D, D): of pooled features; limit: the distance that 99 % of such clips stay below;
    drawn_by: the module that drew them all.
    """

    mean: Tensor
    precision: Tensor
    limit: float
    drawn_by: str = "patchlens.data.motions"

    @classmethod
    def fit(cls, features: Tensor) -> Domain:
        """From pooled features (n, D) of held-out clips: half of them for the shape, half for the limit."""
        half = len(features) // 2
        mean, spread = features[:half].mean(0), torch.cov(features[:half].T)
        ridge = 0.01 * spread.diagonal().mean() * torch.eye(len(mean))
        domain = cls(mean, torch.linalg.inv(spread + ridge), 0.0)
        distances = torch.tensor([domain.distance(f) for f in features[half:]])
        return cls(mean, domain.precision, float(distances.quantile(0.99)))

    def distance(self, feature: Tensor) -> float:
        """Mahalanobis distance of a pooled feature (D,), per root of D: about 1 on the training's kind of clips."""
        off = feature.double() - self.mean.double()
        return float((off @ self.precision.double() @ off / len(off)).clamp(min=0).sqrt())


def load(name: str, weights: str | None = None, seed: int = 0) -> Loaded:
    """The bundled weights, a file of the same kind, or "random".

    Raises ValueError when the file is not one.
    """
    if weights == "random":
        from patchlens.data.motions import CLASSES

        config = CONFIGS[name]
        return Loaded(initialise(ViT(config), seed), _inputs(config, MEAN, STD), CLASSES, "random", {"seed": seed})
    bundled = weights in (None, "bundled")
    path = BUNDLED / f"{name}.safetensors" if bundled else Path(str(weights))
    with carded.expected(path, "reference model", "patchlens train tiny-video"):
        state, card = carded.read(path)
    domain = Domain(state.pop("domain.mean"), state.pop("domain.precision"), card["domain_limit"])
    config = ViTConfig(**{**card["config"], "grid": tuple(card["config"]["grid"])})
    vit = adopt(config, state, path.name)
    card |= files.read_json(path.with_name(f"{path.stem}-card.json"))  # what was measured after the file was written
    facts = {k: card[k] for k in ("oracle", "trained", "accuracy") if k in card}
    inputs = _inputs(config, tuple(card["mean"]), tuple(card["std"]))
    tag = "bundled" if bundled else path.name
    return Loaded(
        vit,
        inputs,
        tuple(card["classes"]),
        tag,
        {**facts, "licence": "Apache-2.0", "sha256": files.digest(path)},
        domain=domain,
    )


def _inputs(config: ViTConfig, mean: tuple[float, ...], std: tuple[float, ...]) -> Inputs:
    t, h, w = config.grid
    size = (h * config.patch, w * config.patch)
    return Inputs(size, t * config.tubelet, config.tubelet, config.patch, mean, std, "squash")


def write(path: Path, vit: ViT, domain: Domain, card: dict[str, Any]) -> None:
    """Write weights, feature statistics and card as one safetensors file, whole or not at all."""
    own = {"domain.mean": domain.mean, "domain.precision": domain.precision}
    carded.write(path, {**vit.state_dict(), **own}, {**card, "domain_limit": domain.limit})
