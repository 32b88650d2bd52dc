"""An encoder: one ViT with its input rules, its device and dtype, over one clip or many.

Space-time encoders attend over the whole clip, frame encoders over one frame at a time; both pack every segment of every
clip into one sequence. Knows nothing of selectors: it is told what to keep.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from patchlens.encoders.batches import interleaved, packed
from patchlens.encoders.catalog import glance_file, pruner_file, selector_file
from patchlens.encoders.loaded import Loaded
from patchlens.encoders.patches import cut, fit_frames, frame_choice, normalise
from patchlens.encoders.vit import Check, Output, ViT
from patchlens.merge import Merger
from patchlens.types import Clip, Encoding, Grid, Keep, Tokens

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
    "float16": torch.float16,
}


def pick_device(device: str = "auto") -> torch.device:
    """CUDA, then MPS, then CPU for "auto".

    Raises ValueError for a device that is not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"The device {device!r} cannot be used here; give auto, cpu, cuda or mps.") from error
    return torch.device(device)


def pick_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """bfloat16 on CUDA and float32 elsewhere for "auto": on a CPU the same bits everywhere count for more than speed."""
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}; choose auto, float32, bfloat16 or float16.")
    return DTYPES[dtype]


class Encoder:
    """A loaded checkpoint ready to run; made by `load_encoder`.

    offers: what plug-ins may ask for ("logits", "gradients", "attention", "class_token", "residual_token", and "frames" or
    "space-time attention").
    segments: "clip" (space-time attention) or "frame".
    """

    def __init__(self, name: str, loaded: Loaded, device: str = "auto", dtype: str = "auto") -> None:
        self.name, self.loaded, self.inputs = name, loaded, loaded.inputs
        self.device = pick_device(device)
        self.dtype = pick_dtype(dtype, self.device)
        self.classes = loaded.classes
        self.vit = loaded.vit.to(self.device).float().eval().requires_grad_(False)
        self.fast = self.vit if self.dtype == torch.float32 else copy.deepcopy(self.vit).to(self.dtype)
        tuned = loaded.predictor
        self.predictor = self.fast if tuned is None else tuned.to(self.device, self.dtype).eval().requires_grad_(False)
        self.tokenizer = loaded.residual_tokenizer and loaded.residual_tokenizer.to(self.device).eval()
        self.config = self.vit.config
        self.segments = "frame" if self.inputs.frames is None else "clip"

    @property
    def offers(self) -> frozenset[str]:
        """What this encoder can give a selector."""
        offers = {"embeddings", "gradients", "attention"} | ({"logits"} if self.explains else set())
        if self.loaded.weights == "bundled":
            trained = {"a trained selector": selector_file, "a trained glance": glance_file,
                       f"a pruner trained for {self.name}": pruner_file}  # fmt: skip
            offers |= {what for what, file in trained.items() if file(self.name).is_file()}
        offers |= {"class_token"} if self.config.pool == "cls" else set()
        offers |= {"residual_token"} if self.tokenizer is not None else set()
        return frozenset(offers | {"frames" if self.segments == "frame" else "space-time attention"})

    @property
    def explains(self) -> bool:
        """Whether it answers with something that can be explained: classes, or the similarity to a text."""
        return bool(self.classes) or self.loaded.text is not None

    @property
    def facts(self) -> dict[str, Any]:
        """Plain data on what runs: name, weights, device, dtype, tubelet, patch."""
        return {
            "name": self.name,
            "weights": self.loaded.weights,
            "device": self.device.type,
            "dtype": str(self.dtype).removeprefix("torch."),
            "tubelet": self.inputs.tubelet,
            "patch": self.inputs.patch,
        }

    def fit(self, clip: Clip) -> Clip:
        """The clip with frames at this encoder's input size; frames that already have it are used untouched."""
        if clip.size_hw == self.inputs.size_hw:
            return clip
        frames, rect = fit_frames(clip.frames, self.inputs.size_hw, self.inputs.fit)
        x0, y0, x1, y1 = clip.rect
        sx, sy = (x1 - x0) / clip.size_hw[1], (y1 - y0) / clip.size_hw[0]
        inner = (x0 + rect[0] * sx, y0 + rect[1] * sy, x0 + rect[2] * sx, y0 + rect[3] * sy)
        return replace(clip, frames=frames, rect=inner)

    def tokens(self, clip: Clip) -> Tokens:
        """Cut a clip into patches; a clip of another length than the encoder's is sampled (or held) evenly."""
        clip, inputs = self.fit(clip), self.inputs
        index = frame_choice(len(clip.frames), inputs.frames, inputs.tubelet)
        patches = cut(clip.frames[index], inputs.tubelet, inputs.patch)
        h, w = (side // inputs.patch for side in inputs.size_hw)
        grid = Grid(len(index) // inputs.tubelet, h, w, inputs.tubelet, inputs.patch)
        return Tokens(patches, grid, index, self.embed)

    @torch.no_grad()
    def embed(self, patches: Tensor, index: Tensor) -> Tensor:
        """uint8 patches (K, C, tubelet, p, p) and token numbers (K,) to float32 embeddings (K, D)."""
        return self.embed_with(self.vit, patches, index).float()

    def embed_with(
        self, vit: ViT, patches: Tensor, index: Tensor, lengths: Tensor | None = None, grid: tuple[int, int] | None = None
    ) -> Tensor:
        """Embeddings (K, D) in the dtype of `vit`, as `ViT.embed` makes them."""
        x = normalise(patches.to(self.device), self.inputs.mean, self.inputs.std, vit.embedding.weight.dtype)
        return vit.embed(x, index.to(self.device), None if lengths is None else lengths.to(self.device), grid)

    def counts(self, keep: Keep) -> tuple[int, ...]:
        """Kept patches per segment that is run: empty frames are not."""
        if self.segments == "clip":
            return (keep.count,)
        return tuple(k for k in keep.per_frame if k)

    def residual(self, keep: Keep) -> str:
        """What P-frames are given of their I-frame: "on", "zero" or "off".

        Raises ValueError where a residual token is asked for and there is no tokenizer.
        """
        if keep.residual == "on" and self.tokenizer is None:
            raise ValueError(
                f"{self.name} has no residual tokenizer; train one with `patchlens train residual --encoder {self.name}`, "
                "or take residual=off."
            )
        return keep.residual if keep.residual != "auto" else "on" if self.tokenizer is not None else "off"

    def encode(
        self, tokens: Tokens, keep: Keep | None = None, check: Check | None = None, merger: Merger | None = None
    ) -> Encoding:
        """Encode the kept tokens of one clip (all without `keep`)."""
        return self.encode_many([tokens], [keep], check=check, merger=merger)[0]

    @torch.no_grad()
    def encode_many(
        self,
        tokens: Sequence[Tokens],
        keeps: Sequence[Keep | None] | None = None,
        backend: str | None = None,
        check: Check | None = None,
        merger: Merger | None = None,
    ) -> list[Encoding]:
        """Encode several clips as one packed sequence; each result equals that of the clip alone.

        Interleaved keeps (ResidualViT) take two: one of all I-frames, one of all P-frames. `check` is called before each
        block and may raise to stop; `merger` shortens the sequence inside the blocks, of interleaved keeps in P-frames.
        Raises ValueError when the lists differ in length.
        """
        keeps = list(keeps) if keeps is not None else [None] * len(tokens)
        if len(keeps) != len(tokens):
            raise ValueError(f"There are {len(tokens)} clips and {len(keeps)} keeps; give one keep per clip.")
        full = [k or Keep(torch.ones(x.grid.n, dtype=torch.bool), x.grid) for x, k in zip(tokens, keeps, strict=True)]
        out: dict[int, Output] = {}
        for run, chosen in ((interleaved, True), (packed, False)):
            part = [i for i, k in enumerate(full) if self._leans(k, merger) == chosen]
            if part:
                made = run(self, [tokens[i] for i in part], [full[i] for i in part], backend, check, merger)
                out |= dict(zip(part, made, strict=True))
        return [self._encoding(out[i], k) for i, k in enumerate(full)]

    def _leans(self, keep: Keep, merger: Merger | None) -> bool:
        """Whether its P-frames are run otherwise than as frames among frames."""
        alike = merger is None and keep.count == keep.grid.n and self.residual(keep) == "off"
        return keep.anchor is not None and not alike

    def feature(self, output: Output) -> Tensor:
        """What stands for a segment, (G, D): the projection of a CLIP model, the pooled feature elsewhere."""
        return output.out if self.classes is None and self.config.outputs else output.pooled

    def _encoding(self, output: Output, keep: Keep) -> Encoding:
        made = self._features(output, keep)
        if output.groups is None:
            return made
        groups, own = torch.full((keep.grid.n,), -1), output.groups.cpu()
        groups[keep.index] = torch.where(own >= 0, keep.index[own.clamp(min=0)], -1)
        return replace(made, groups=groups)

    def _features(self, output: Output, keep: Keep) -> Encoding:
        patches, feature, out = (x.float().cpu() for x in (output.patches, self.feature(output), output.out))
        if self.loaded.normalise:
            feature = torch.nn.functional.normalize(feature, dim=-1)
        logits = out if self.classes is not None else None
        if self.segments == "clip":
            return Encoding(patches, feature[0], None, None if logits is None else logits[0])
        held = held_rows(keep)
        frames = feature[held]
        return Encoding(patches, frames.mean(0), frames, None if logits is None else logits[held].mean(0))


def held_rows(keep: Keep) -> Tensor:
    """For each frame the row of the encoded features it shows: its own, or the last one before it, int64 (t,)."""
    present = torch.tensor([k > 0 for k in keep.per_frame])
    if not present[0]:
        raise ValueError(
            "The first frame kept no patch, and there is no earlier feature to repeat; keep one of its patches."
        )
    return present.long().cumsum(0) - 1
