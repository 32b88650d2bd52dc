"""The encoders that can be asked for by name, and which of their weights lie on this disk.

It imports neither torch nor a model library, so that `patchlens list` answers at once; `load_loaded` goes on
to the family's loader. An `Entry` has the fields that `flops.vit_cost` needs, so that a model's cost is known
before it is loaded. Beside the names listed, `open_clip:NAME` and `timm:NAME` reach every plain ViT of these
libraries.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from patchlens.encoders.loaded import Loaded

BUNDLED = Path(__file__).resolve().parents[1] / "reference"
OPEN_CLIP_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
PREFIXES = ("open_clip", "timm")


@dataclass(frozen=True)
class Weights:
    """One set of weights: a hub repository ("" = bundled) and the file names to look for, best first."""

    tag: str
    repo: str
    files: tuple[str, ...]
    licence: str = ""


@dataclass(frozen=True)
class Entry:
    """A model by name: its shape at the default input, its size, and the weights known for it.

    grid is (t, h, w) of one segment; params are those of the vision model, in millions; megabytes is one
    download.
    """

    name: str
    family: str
    summary: str
    grid: tuple[int, int, int]
    tubelet: int
    patch: int
    width: int
    depth: int
    heads: int
    params: float
    megabytes: int
    weights: tuple[Weights, ...]
    prefix: int = 0
    outputs: int = 0
    norm_pre: bool = False

    @property
    def mlp(self) -> int:
        """Width of the MLP's hidden layer: four times the model's in every model listed."""
        return 4 * self.width

    @property
    def patch_dim(self) -> int:
        """Numbers in one RGB patch."""
        return 3 * self.tubelet * self.patch**2

    @property
    def tokens(self) -> int:
        """Patches of one segment."""
        t, h, w = self.grid
        return t * h * w

    @property
    def tags(self) -> tuple[str, ...]:
        """Names of the weights known."""
        return tuple(w.tag for w in self.weights)


Shape = tuple[int, int, int, float, int]  # width, depth, heads, millions of parameters, megabytes of a download


def _bundled(name: str, family: str, what: str, grid: tuple[int, int, int], tubelet: int, heads: int, **more) -> Entry:
    weights = (Weights("bundled", "", (f"{name}.safetensors",), "Apache-2.0"),)
    return Entry(name, family, f"bundled: {what}", grid, tubelet, 8, 192, 6, heads, 2.8, 0, weights, **more)


def _videomae(size: str, shape: Shape, tags: dict[str, str]) -> Entry:
    repo, summary = (
        f"MCG-NJU/videomae-{size}-",
        f"VideoMAE ViT-{size[0].upper()}: space-time attention, classifier",
    )
    weights = tuple(Weights(tag, repo + end, HUB_FILES, "CC-BY-NC-4.0") for tag, end in tags.items())
    return Entry(f"videomae-{size}", "videomae", summary, (8, 14, 14), 2, 16, *shape, weights, outputs=400)


def _clip(name: str, side: int, outputs: int, shape: Shape, tags: dict[str, str]) -> Entry:
    summary = "CLIP image and text encoders" + (", QuickGELU" if name.endswith("quickgelu") else "")
    licences = {tag: "CC-BY-NC-4.0" if "metaclip" in tag else "MIT" for tag in tags}
    weights = tuple(Weights(tag, repo, OPEN_CLIP_FILES, licences[tag]) for tag, repo in tags.items())
    grid, more = (1, side, side), {"prefix": 1, "outputs": outputs, "norm_pre": True}
    return Entry(name, "open_clip", summary, grid, 1, 224 // side, *shape, weights, **more)


def _timm(name: str, shape: Shape, *tags: str) -> Entry:
    weights = tuple(Weights(tag, f"timm/{name}.{tag}", HUB_FILES, "Apache-2.0") for tag in tags)
    summary, patch = "image ViT with an ImageNet-1k classifier", 32 if "patch32" in name else 16
    grid = (1, 224 // patch, 224 // patch)
    return Entry(name, "timm", summary, grid, 1, patch, *shape, weights, prefix=1, outputs=1000)


_TINY_CLIP = {"prefix": 1, "outputs": 192, "norm_pre": True}
_KINETICS = {"kinetics": "finetuned-kinetics"}
_BOTH = _KINETICS | {"ssv2": "finetuned-ssv2"}
_SHORT = {"kinetics-short": "short-finetuned-kinetics", "ssv2-short": "short-finetuned-ssv2"}  # 800 epochs
_B32, _B16, _L14 = (768, 12, 12, 87.8, 605), (768, 12, 12, 86.2, 599), (1024, 24, 16, 304.0, 1711)
_LAION_B32 = {
    "laion2b_s34b_b79k": "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
    "datacomp_xl_s13b_b90k": "laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K",
}
_LAION_B16 = {
    "laion2b_s34b_b88k": "laion/CLIP-ViT-B-16-laion2B-s34B-b88K",
    "datacomp_xl_s13b_b90k": "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K",
}
_LAION_L14 = {
    "laion2b_s32b_b82k": "laion/CLIP-ViT-L-14-laion2B-s32B-b82K",
    "datacomp_xl_s13b_b90k": "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K",
}
_QUICK = ("openai", "metaclip_400m")  # trained with QuickGELU
_QUICK_B32 = {tag: f"timm/vit_base_patch32_clip_224.{tag}" for tag in _QUICK}
_QUICK_B16 = {tag: f"timm/vit_base_patch16_clip_224.{tag}" for tag in _QUICK}
_QUICK_L14 = {tag: f"timm/vit_large_patch14_clip_224.{tag}" for tag in _QUICK}
_TI, _S, _B = (192, 12, 3, 5.7, 23), (384, 12, 6, 22.1, 88), (768, 12, 12, 86.6, 346)
_AUGREG = "augreg_in21k_ft_in1k"

_ENTRIES = (
    _bundled("tiny-video", "reference", "names 16 motions in procedural video", (8, 8, 8), 2, 3, prefix=8, outputs=16),
    _bundled("tiny-clip", "tiny_clip", "CLIP for procedural scenes", (1, 12, 12), 1, 6, **_TINY_CLIP),
    _bundled("tiny-video-cls", "reference", "tiny-video with a class token, as TimeSformer has one", (8, 8, 8), 2, 3,
             prefix=9, outputs=16),
    _videomae("small", (384, 12, 6, 22.0, 88), _BOTH),
    _videomae("base", (768, 12, 12, 86.5, 346), _BOTH | _SHORT),
    _videomae("large", (1024, 24, 16, 304.3, 1218), _KINETICS),
    _videomae("huge", (1280, 32, 16, 632.4, 2530), _KINETICS),
    Entry("timesformer-base", "timesformer", "TimeSformer-B: joint space-time attention, class token, classifier",
          (8, 14, 14), 1, 16, 768, 12, 12, 86.2, 0, (), prefix=1, outputs=174),
    _clip("ViT-B-32", 7, 512, _B32, _LAION_B32),
    _clip("ViT-B-32-quickgelu", 7, 512, _B32, _QUICK_B32),
    _clip("ViT-B-16", 14, 512, _B16, _LAION_B16),
    _clip("ViT-B-16-quickgelu", 14, 512, _B16, _QUICK_B16),
    _clip("ViT-L-14", 16, 768, _L14, _LAION_L14),
    _clip("ViT-L-14-quickgelu", 16, 768, _L14, _QUICK_L14),
    _timm("deit_tiny_patch16_224", _TI, "fb_in1k"),
    _timm("deit_small_patch16_224", _S, "fb_in1k"),
    _timm("deit_base_patch16_224", _B, "fb_in1k"),
    _timm("vit_tiny_patch16_224", _TI, _AUGREG),
    _timm("vit_small_patch16_224", _S, _AUGREG, "augreg_in1k"),
    _timm("vit_base_patch16_224", _B, "augreg2_in21k_ft_in1k", _AUGREG, "augreg_in1k"),
    _timm("vit_base_patch32_224", (768, 12, 12, 88.2, 353), _AUGREG, "augreg_in1k"),
    _timm("vit_large_patch16_224", (1024, 24, 16, 304.3, 1217), _AUGREG),
)
CATALOG: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}


def bundled() -> tuple[str, ...]:
    """Names of the models that come with PatchLens."""
    return tuple(e.name for e in CATALOG.values() if e.weights and not e.weights[0].repo)


def selector_file(name: str) -> Path:
    """Where the trained selector (LITE) that ships for a model lies, or would lie."""
    return BUNDLED / f"{name}.lite.safetensors"


def glance_file(name: str) -> Path:
    """Where the small network that judges a clip's difficulty for it (LITE++) lies, or would lie."""
    return BUNDLED / f"{name}.glance.safetensors"


def pruner_file(name: str) -> Path:
    """Where the trained pruner (DynamicViT) that ships for a model lies, or would lie."""
    return BUNDLED / f"{name}.pruner.safetensors"


def family_of(name: str) -> tuple[str, str]:
    """Family of a model and its name there: "timm:vit_x" -> ("timm", "vit_x").

    Raises KeyError, naming close matches, for a name that is neither listed nor prefixed.
    """
    if name in CATALOG:
        return CATALOG[name].family, name
    prefix, _, bare = name.partition(":")
    if bare and prefix in PREFIXES:
        return prefix, bare
    close = get_close_matches(name, CATALOG, 3, 0.5) or list(bundled())
    raise KeyError(
        f"No encoder is called {name!r}; did you mean {', '.join(close)}? `patchlens list` shows all, and "
        "open_clip:NAME or timm:NAME reaches any plain ViT of these libraries."
    )


def cached(repo: str, files: tuple[str, ...]) -> Path | None:
    """The first of `files` that the hub's cache holds of `repo`, or None; asks no network."""
    from huggingface_hub import constants, try_to_load_from_cache

    for name in files:
        path = try_to_load_from_cache(repo, name, cache_dir=constants.HF_HUB_CACHE)
        if isinstance(path, str) and Path(path).exists():
            return Path(path)
    return None


def on_disk(entry: Entry) -> list[str]:
    """Tags of the weights that can be loaded without a network."""
    return [w.tag for w in entry.weights if _present(w)]


def _present(weights: Weights) -> bool:
    if weights.repo:
        return cached(weights.repo, weights.files) is not None
    return any((BUNDLED / name).exists() for name in weights.files)


def load_loaded(name: str, weights: str | None = None, seed: int = 0) -> Loaded:
    """Load a model by name.

    weights is a tag (downloaded where it is not on disk), a file or folder, "random" (made from `seed`), or
    None: the first tag on disk. Raises KeyError for an unknown name, ValueError for weights that are absent
    or do not fit.

        loaded = load_loaded("videomae-base", "kinetics")
    """
    from patchlens.encoders import loading, residual

    loaded = loading.load(name, weights, seed)
    return residual.attach(loaded, family_of(name)[1], weights)
