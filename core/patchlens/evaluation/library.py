"""The same architecture as its own library runs it, from the same uint8 frames, to hold our full run against.

Weights play no part in the time; shapes, dtype and device are those of our encoder. Knows transformers' VideoMAE,
open_clip's visual towers and timm's ViTs; None for other encoders, and where the library is not installed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from patchlens.encoders.catalog import family_of
from patchlens.encoders.encoder import Encoder

Run = tuple[str, Callable[[], Any]]


def library_run(encoder: Encoder, frames: Sequence[Tensor]) -> Run | None:
    """(name, run) of the library's model over uint8 frames (T, H, W, 3) of each clip, normalised in the run."""
    try:
        family, known = family_of(encoder.name)
        model = {"videomae": _videomae, "open_clip": _open_clip, "timm": _timm}[family](encoder, known)
    except (ImportError, KeyError):
        return None
    name = {"videomae": "transformers"}.get(family, family)
    model = model.to(encoder.device, encoder.dtype).eval()
    whole = encoder.segments == "clip"

    @torch.no_grad()
    def run() -> None:
        scale, shift = (torch.tensor(x, device=encoder.device)[:, None, None] for x in _affine(encoder))
        batch = (torch.stack if whole else torch.cat)(list(frames)).to(encoder.device).movedim(-1, -3)
        model(torch.addcmul(shift, batch.float(), scale).to(encoder.dtype))

    return f"full run in {name}", run


def _affine(encoder: Encoder) -> tuple[list[float], list[float]]:
    mean, std = encoder.inputs.mean, encoder.inputs.std
    return [1 / (255 * s) for s in std], [-m / s for m, s in zip(mean, std, strict=True)]


def _videomae(encoder: Encoder, known: str) -> nn.Module:
    import transformers

    c = encoder.config
    config = transformers.VideoMAEConfig(
        image_size=c.grid[1] * c.patch, patch_size=c.patch, num_frames=c.grid[0] * c.tubelet, tubelet_size=c.tubelet,
        hidden_size=c.width, num_hidden_layers=c.depth, num_attention_heads=c.heads, intermediate_size=c.mlp,
        num_labels=c.outputs, attn_implementation="sdpa",
    )  # fmt: skip
    return transformers.VideoMAEForVideoClassification(config)


def _open_clip(encoder: Encoder, known: str) -> nn.Module:
    import open_clip

    return open_clip.create_model(known, pretrained=None).visual


def _timm(encoder: Encoder, known: str) -> nn.Module:
    import timm

    return timm.create_model(known, pretrained=False)
