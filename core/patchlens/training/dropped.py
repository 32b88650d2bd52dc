"""Which patches a P-frame keeps in training: random ones, or, of every other pair, those that a selector ranks first.

Source: ResidualViT (arXiv 2509.13255) drops at random in training, whatever ranks patches later; ranking is our extension.
"""

from __future__ import annotations

from torch import Tensor

from patchlens.encoders.encoder import Encoder
from patchlens.pipeline import RunContext
from patchlens.specs import parse_plugin
from patchlens.types import Clip

RANDOM = "random"
REMEMBERED = 100_000  # pairs of which is kept what an epoch would work out again, some KB each
TIES = 1e-6  # share of the noise that parts patches of equal value, as in the released evaluation


class Dropped:
    """Orders patches of P-frames; a selector's values are worked out once per pair.

    Raises KeyError or ValueError for a strategy that is no single selector.
    """

    def __init__(self, encoder: Encoder, strategy: str, fps: float) -> None:
        self.encoder, self.fps = encoder, fps
        self.selector = None if strategy == RANDOM else parse_plugin(strategy)
        self.known: dict[int, Tensor] = {}

    def order(self, numbers: list[int], frames: Tensor, noise: Tensor, epoch: int) -> Tensor:
        """What ranks the patches of each P-frame, float (B, N, tokens), from frames (B, 1+N, H, W, 3) and uniform noise.

        A pair is ranked at random in one epoch and by the selector in the next.
        """
        if self.selector is None:
            return noise
        order = noise.clone()
        for place, number in enumerate(numbers):
            if (number + epoch) % 2:
                order[place] = self.values(number, frames[place]) + TIES * noise[place]
        return order

    def values(self, number: int, frames: Tensor) -> Tensor:
        """The selector's values for the P-frames of a pair, float (N, tokens)."""
        if number in self.known:
            return self.known[number]
        clip = Clip.from_frames(frames.numpy(), self.fps)
        scores = self.selector.score(self.encoder.tokens(clip), RunContext(self.encoder, clip, None, number))
        values = scores.values.cpu().view(len(frames), -1)[1:].float()
        if len(self.known) < REMEMBERED:
            self.known[number] = values
        return values
