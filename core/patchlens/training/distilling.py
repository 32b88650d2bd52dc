"""How far P-frames' features are from the full encoder's: the losses that a residual tokenizer is distilled by.

- both: cross-entropy between the softmaxes of similarities to the batch's sentences, in both directions (the paper)
- image-to-text: in one direction (the released script)
- mse: square error of the features, which reads no sentence
- mse+text: beside it the square error of the similarities to the batch's sentences; ours

Source: ResidualViT (arXiv 2509.13255) eq. 2; algorithms.md 2.6. Departure: means over the batch, where eq. 2 has a sum.
"""

from __future__ import annotations

from torch import Tensor

OBJECTIVES = ("both", "image-to-text", "mse", "mse+text")
TEXT = 1000.0  # weight of the similarities in "mse+text": theirs is the larger part of the loss


def needs_texts(objective: str) -> bool:
    """Whether an objective compares similarities to sentences."""
    return objective != "mse"


def cross_entropy(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean over rows of the cross-entropy between the softmaxes of two sets of logits (B, C)."""
    return -(teacher.softmax(-1) * student.log_softmax(-1)).sum(-1).mean()


def distance(teacher: Tensor, student: Tensor, texts: Tensor | None, scale: float, objective: str) -> Tensor:
    """The loss of features (B, b), normalised, against the full encoder's, by one of OBJECTIVES.

    texts: features (C, b) of sentences, normalised, where the objective needs them; scale: CLIP's temperature, inverted.
    Raises ValueError where sentences are missing.
    """
    if texts is None and needs_texts(objective):
        raise ValueError(f"The objective {objective} compares similarities; give the features of sentences.")
    if objective.startswith("mse"):
        error = teacher - student
        apart = 100 * error.square().sum(-1).mean() / teacher.shape[-1] ** 0.5
        return apart if objective == "mse" else apart + TEXT * (error @ texts.T).square().mean()
    full, fast = scale * teacher @ texts.T, scale * student @ texts.T
    loss = cross_entropy(full, fast)
    return loss if objective == "image-to-text" else loss + cross_entropy(full.T, fast.T)
