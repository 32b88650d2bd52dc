"""From a model's name to a `Loaded` ViT: the dispatcher, and what all family loaders share.

It knows how foreign tensors become our ViT's, and no family's names for them. A family module
(`open_clip.py`, `videomae.py`, `timm.py`, `reference.py`) has `load(name, weights, seed) -> Loaded` and is
imported when first needed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from patchlens.encoders.catalog import family_of
from patchlens.encoders.loaded import Loaded
from patchlens.encoders.vit import ViT, ViTConfig


def load(name: str, weights: str | None = None, seed: int = 0) -> Loaded:
    """See `catalog.load_loaded`.

    Raises KeyError for an unknown name; ValueError for weights that are absent or do not fit; ImportError,
    saying what to install, where the family's library is missing.
    """
    family, bare = family_of(name)
    try:
        module = importlib.import_module(f"patchlens.encoders.{family}")
        return module.load(bare, weights, seed)
    except ModuleNotFoundError as error:
        if error.name not in ("timm", "open_clip"):
            raise
        library = {"open_clip": "open_clip_torch"}.get(error.name, error.name)
        raise ImportError(f"{name} needs the library {library}: pip install {library}.") from error


class Foreign:
    """A foreign state dict that is taken apart name by name, so that nothing is lost or made up unseen."""

    def __init__(self, state: dict[str, Tensor], what: str) -> None:
        self.left, self.what = dict(state), what

    def __contains__(self, name: str) -> bool:
        return name in self.left

    def take(self, name: str) -> Tensor:
        """Remove and return a tensor.

        Raises ValueError, naming it and what is there instead, when it is missing.
        """
        if name not in self.left:
            first = ", ".join(list(self.left)[:3]) or "nothing"
            raise ValueError(f"{self.what} lacks {name}; it has {first}, ... Is it a checkpoint of another model?")
        return self.left.pop(name)

    def layer(self, ours: str, theirs: str, bias: bool = True) -> dict[str, Tensor]:
        """Weight (a convolution's flattened to two dimensions) and bias of a layer under our name."""
        weight = self.take(f"{theirs}.weight")
        out = {f"{ours}.weight": weight.flatten(1) if weight.ndim > 2 else weight}
        return out | ({f"{ours}.bias": self.take(f"{theirs}.bias")} if bias else {})

    def layer_or_zero(self, ours: str, theirs: str) -> dict[str, Tensor]:
        """As `layer`, with a zero bias where the foreign layer has none."""
        out = self.layer(ours, theirs, bias=False)
        weight = out[f"{ours}.weight"]
        bias = self.left.pop(f"{theirs}.bias", None)
        return out | {f"{ours}.bias": weight.new_zeros(len(weight)) if bias is None else bias}

    def scaled(self, ours: str, theirs: str, scale: str) -> dict[str, Tensor]:
        """As `layer_or_zero`, with a layer scale (D,), if any, folded in: s(Wx + b) = (sW)x + sb."""
        out = self.layer_or_zero(ours, theirs)
        if scale not in self.left:
            return out
        factor = self.left.pop(scale)
        return {name: factor.reshape(-1, *[1] * (x.ndim - 1)) * x for name, x in out.items()}

    def close(self) -> None:
        """Raises ValueError, naming the first ones, when tensors are left over."""
        if self.left:
            first = ", ".join(list(self.left)[:3])
            raise ValueError(
                f"{self.what} holds {len(self.left)} tensors that the model has no place for: {first}, ..."
            )


def adopt(config: ViTConfig, state: dict[str, Tensor], what: str) -> ViT:
    """A ViT in evaluation mode that uses the tensors of `state` as they are, without a copy.

    Raises ValueError naming the first tensors that are missing, left over, or of another shape.
    """
    with torch.device("meta"):  # shapes only: no memory, no random numbers
        vit = ViT(config)
    shapes = {name: tuple(x.shape) for name, x in vit.state_dict().items()}
    wrong = [f"{n} is absent" for n in shapes if n not in state]
    wrong += [f"{n} is not wanted" for n in state if n not in shapes]
    wrong += [
        f"{n} is {tuple(x.shape)}, not {shapes[n]}"
        for n, x in state.items()
        if n in shapes and tuple(x.shape) != shapes[n]
    ]
    if wrong:
        raise ValueError(f"{what} does not fit the model: {'; '.join(wrong[:3])}{' ...' if wrong[3:] else ''}.")
    vit.load_state_dict({name: x.detach().float().contiguous() for name, x in state.items()}, assign=True)
    return vit.eval()


def misfit(name: str, why: str) -> ValueError:
    """The error for a model whose parts the one transformer has not."""
    return ValueError(
        f"{name} cannot be loaded: {why}. PatchLens runs plain pre-norm ViTs, whose tokens can be dropped; "
        "`patchlens list` shows some."
    )


def activation_of(module: nn.Module, name: str) -> str:
    """ "gelu" or "quick_gelu".

    Raises ValueError for other activations (the tanh approximation of GELU among them).
    """
    kind = type(module).__name__
    if kind == "QuickGELU":
        return "quick_gelu"
    if kind == "GELU" and getattr(module, "approximate", "none") == "none":
        return "gelu"
    raise misfit(name, f"its activation is {module}")


def eps_of(norms: list[nn.Module], name: str) -> float:
    """The epsilon that all these LayerNorms share.

    Raises ValueError when one is no LayerNorm with weight and bias, or when they differ.
    """
    for norm in norms:
        if not isinstance(norm, nn.LayerNorm) or norm.bias is None:
            raise misfit(name, f"it normalises by {norm}, not by a LayerNorm with a bias")
    found = {norm.eps for norm in norms}
    if len(found) > 1:
        raise misfit(name, f"its norms use different epsilons ({', '.join(map(str, sorted(found)))})")
    return found.pop()


def fit(
    convert: Callable[[dict[str, Tensor], ViTConfig, str], dict[str, Tensor]],
    state: dict[str, Tensor],
    config: ViTConfig,
    what: str,
) -> ViT:
    """Convert and adopt a family's state dict.

    Raises ValueError, also where tensors of another model cannot even be joined.
    """
    try:
        return adopt(config, convert(state, config, what), what)
    except (RuntimeError, IndexError) as error:
        raise ValueError(f"{what} does not fit the model: its tensors have other shapes ({error}).") from error


@contextmanager
def private_rng(seed: int) -> Iterator[None]:
    """Seed torch inside the block and leave the caller's random numbers as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def initialise(vit: ViT, seed: int) -> ViT:
    """Random weights of our own: N(0, 0.02) for matrices, zero biases; the rest stays as it is."""
    with private_rng(seed), torch.no_grad():
        for module in vit.modules():
            if isinstance(module, nn.Linear):
                module.weight.normal_(std=0.02)
                if module.bias is not None:
                    module.bias.zero_()
    return vit.eval()


def numbered(classes: int) -> tuple[str, ...]:
    """Names for a head whose classes have none."""
    return tuple(f"class {i}" for i in range(classes))


def classes_of(settings: dict[str, Any], count: int) -> tuple[str, ...]:
    """Names from a Hugging Face config's `id2label`, unless they are the library's placeholders."""
    names = {int(key): str(name) for key, name in (settings.get("id2label") or {}).items()}
    if set(names) != set(range(count)) or names.get(0, "").startswith("LABEL_"):
        return numbered(count)
    return tuple(names[i] for i in range(count))
