"""What a weights loader hands over: `Loaded`, a ViT with the frames it wants and the facts of its weights.

It knows no family and opens no file; the loaders (`open_clip.py`, `videomae.py`, `timm.py`, `reference.py`)
fill it in and `encoder.py` wraps it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from patchlens.encoders.vit import ViT

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Inputs:
    """The frames that an encoder wants.

    size_hw  height and width in pixels
    frames   frames per clip; None: any number, because frames are encoded one at a time
    tubelet  frames per token; patch: side of a token in pixels
    mean     and std: per channel, of pixels in 0..1
    fit      "squash" (both sides resized, nothing lost) or "crop" (short side resized, centre cropped)
    """

    size_hw: tuple[int, int]
    frames: int | None
    tubelet: int
    patch: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    fit: str = "crop"
    interpolation: str = "bicubic"

    def __post_init__(self) -> None:
        if self.fit not in ("squash", "crop"):
            raise ValueError(f"Inputs.fit is {self.fit!r}; choose squash or crop.")


@dataclass
class Loaded:
    """A ViT with its weights.

    classes    label names of the head's outputs, or None
    weights    what was loaded: a tag, a file's name, or "random"
    facts      plain data: library, licence, source, digest of the weights file or seed, ...
    text       for CLIP: an object with `encode_text(list[str]) -> (n, D)`, L2-normalised
    domain     for the bundled models: `reference.Domain`, which tells footage unlike the training apart
    normalise  True where features are compared by cosine and thus L2-normalised (CLIP)
    residual_tokenizer  `residual.ResidualTokenizer` or None: what makes an I-frame's feature a token for its P-frames
    predictor  a ViT fine-tuned for P-frames together with that tokenizer, or None: the same one
    """

    vit: ViT
    inputs: Inputs
    classes: tuple[str, ...] | None = None
    weights: str = "random"
    facts: dict[str, Any] = field(default_factory=dict)
    text: Any | None = None
    normalise: bool = False
    domain: Any | None = None
    residual_tokenizer: Any | None = None
    predictor: ViT | None = None
