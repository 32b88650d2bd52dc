"""Names, files and the hub: what loads, and the one sentence for what does not. No test here asks a network."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from patchlens.encoders import catalog, loading
from patchlens.encoders import weights as files
from patchlens.encoders.catalog import CATALOG, Weights, family_of, load_loaded, on_disk
from patchlens.encoders.loading import Foreign, adopt
from patchlens.encoders.vit import ViT, ViTConfig
from safetensors.torch import save_file

SMALL = ViTConfig(width=16, depth=1, heads=2, mlp=32, grid=(1, 2, 2), patch=4, outputs=3)


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache and no network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def in_cache(cache: Path, repo: str, name: str, source: Path) -> Path:
    """Put a file where the hub's client would have."""
    folder, revision = cache / f"models--{repo.replace('/', '--')}", "0" * 40
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(revision)
    target = folder / "snapshots" / revision / name
    target.parent.mkdir(parents=True)
    target.write_bytes(source.read_bytes())
    return target


def test_the_catalogue_is_light_and_answers_at_once() -> None:
    code = (
        "import sys, time; t = time.time(); from patchlens.encoders.catalog import CATALOG, on_disk;"
        "[on_disk(e) for e in CATALOG.values()]; heavy = {'torch', 'timm', 'open_clip', 'transformers'};"
        "print(time.time() - t, *(heavy & set(sys.modules)))"
    )
    seconds, *heavy = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split()
    assert heavy == [] and float(seconds) < 1.5


@pytest.mark.parametrize(
    "name", [n for n in CATALOG if n.startswith(("deit", "vit_s", "vit_base_patch32", "videomae-s"))]
)
def test_entries_state_the_shape_of_what_they_load(name: str) -> None:
    entry, loaded = CATALOG[name], load_loaded(name, "random")
    config = loaded.vit.config
    for field in ("width", "depth", "heads", "mlp", "grid", "patch", "tubelet", "prefix", "outputs", "norm_pre"):
        assert getattr(entry, field) == getattr(config, field), field
    assert entry.patch_dim == config.patch_dim and entry.tokens == config.tokens
    count = sum(p.numel() for p in loaded.vit.parameters()) / 1e6
    fixed = entry.tokens * entry.width / 1e6 if entry.family == "videomae" else 0  # VideoMAE's table is no parameter
    assert count - fixed == pytest.approx(entry.params, rel=0.01)


@pytest.mark.parametrize("name", [n for n, e in CATALOG.items() if e.weights and e.weights[0].repo])
def test_entries_state_shapes_that_count_up(name: str) -> None:
    entry = CATALOG[name]
    clip = entry.family == "open_clip"
    config = ViTConfig(
        entry.width, entry.depth, entry.heads, entry.mlp, entry.grid, entry.patch, entry.tubelet, prefix=entry.prefix,
        outputs=entry.outputs, output_bias=not clip, embed_bias=not clip, norm_pre=entry.norm_pre,
    )  # fmt: skip
    with torch.device("meta"):
        vit = ViT(config)
    count = sum(p.numel() for n, p in vit.named_parameters() if clip or n != "position") / 1e6
    assert count == pytest.approx(entry.params, rel=0.01)


def test_open_clip_and_timm_know_the_tags_of_the_catalogue() -> None:
    open_clip, timm = pytest.importorskip("open_clip"), pytest.importorskip("timm")
    for entry in CATALOG.values():
        for weights in entry.weights:
            if entry.family == "open_clip":
                known = open_clip.get_pretrained_cfg(entry.name, weights.tag)
                assert known["hf_hub"].rstrip("/") == weights.repo
                quick = open_clip.get_model_config(entry.name).get("quick_gelu", False)
                assert known.get("quick_gelu") in (quick, quick or None)
            if entry.family == "timm":
                known = timm.get_pretrained_cfg(f"{entry.name}.{weights.tag}")
                assert known.hf_hub_id == weights.repo and known.license.lower() == weights.licence.lower()


def test_names_lead_to_families() -> None:
    assert family_of("ViT-B-32") == ("open_clip", "ViT-B-32")
    assert family_of("timm:vit_base_patch8_224.dino") == ("timm", "vit_base_patch8_224.dino")
    assert family_of("open_clip:ViT-H-14") == ("open_clip", "ViT-H-14")
    for wrong in ("videomae-bas", "nothing like it", "keras:vit", "timm:"):
        with pytest.raises(KeyError, match="No encoder is called .*did you mean .*patchlens list"):
            family_of(wrong)
    with pytest.raises(KeyError, match="timm has no model called 'no_such'"):
        load_loaded("timm:no_such", "random")
    with pytest.raises(KeyError, match="open_clip has no model called 'no_such'"):
        load_loaded("open_clip:no_such", "random")


@pytest.mark.parametrize("name", ["videomae-base", "ViT-B-32", "deit_tiny_patch16_224", "timm:vit_base_patch8_224"])
def test_absent_weights_are_one_sentence_at_once(name: str, empty_cache: Path) -> None:
    family, bare = family_of(name)
    known = CATALOG[name].tags if name in CATALOG else ("dino",)
    with pytest.raises(ValueError) as none:
        load_loaded(name)
    start = time.time()
    with pytest.raises(ValueError) as tagged:
        load_loaded(name, known[0])
    assert time.time() - start < 3
    for caught in (none, tagged):
        text = str(caught.value)
        assert bare in text and str(empty_cache) in text and "tiny-video" in text
        assert "\n" not in text and text.count(". ") == 0, "one sentence"
    assert known[0] in str(tagged.value) and "HF_HUB_OFFLINE is set" in str(tagged.value)
    assert known[0] in str(none.value) and "ask for a tag" in str(none.value)


def test_a_hub_out_of_reach_is_given_up_at_once(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    start = time.time()
    with pytest.raises(ValueError, match="127.0.0.1:9 cannot be reached"):
        load_loaded("videomae-base", "ssv2")
    assert time.time() - start < 2 * files.CONNECT_SECONDS


def test_a_failing_download_is_the_same_sentence(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub import constants

    def fail(*_args: object, **_kwargs: object) -> str:
        raise TimeoutError("slow")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(files, "_unreachable", lambda endpoint: "")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(ValueError, match="downloading failed .TimeoutError.; give a file"):
        load_loaded("deit_tiny_patch16_224", "fb_in1k")


def test_unknown_tags_name_the_known_ones(empty_cache: Path) -> None:
    with pytest.raises(ValueError, match="'imagenet' of videomae-base .* tags are kinetics, ssv2"):
        load_loaded("videomae-base", "imagenet")


def test_weights_in_the_hubs_cache_are_found_without_a_network(empty_cache: Path, tmp_path: Path) -> None:
    entry = CATALOG["deit_tiny_patch16_224"]
    assert on_disk(entry) == []
    source = tmp_path / "weights.safetensors"
    model = pytest.importorskip("timm").create_model(entry.name)
    save_file(model.state_dict(), source)
    in_cache(empty_cache, entry.weights[0].repo, "model.safetensors", source)
    assert on_disk(entry) == ["fb_in1k"]
    for weights in (None, "fb_in1k"):
        loaded = load_loaded(entry.name, weights)
        assert loaded.weights == "fb_in1k" and loaded.facts["licence"] == "apache-2.0"
        assert loaded.facts["source"] == entry.weights[0].repo
        assert torch.equal(loaded.vit.head.weight, model.head.weight)
        assert loaded.classes[1].startswith("goldfish")


def test_bundled_weights_are_seen_by_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "BUNDLED", tmp_path)
    assert on_disk(CATALOG["tiny-video"]) == []
    (tmp_path / "tiny-video.safetensors").touch()
    assert on_disk(CATALOG["tiny-video"]) == ["bundled"]
    assert catalog.bundled() == ("tiny-video", "tiny-clip", "tiny-video-cls")


def test_adopting_shares_tensors_and_names_what_does_not_fit() -> None:
    state = ViT(SMALL).state_dict()
    vit = adopt(SMALL, state, "mine")
    assert vit.head.weight.data_ptr() == state["head.weight"].data_ptr() and not vit.training
    with pytest.raises(ValueError, match="mine does not fit the model: head.bias is absent."):
        adopt(SMALL, {k: v for k, v in state.items() if k != "head.bias"}, "mine")
    with pytest.raises(ValueError, match="more is not wanted; .*prefix is .9,., not .0, 16."):
        adopt(SMALL, state | {"more": torch.ones(1), "prefix": torch.ones(9)}, "mine")


def test_foreign_states_lose_nothing_unseen() -> None:
    state = {"conv.weight": torch.ones(4, 3, 2, 2), "fc.weight": torch.ones(2, 4), "g": torch.tensor([2.0, 3.0])}
    foreign = Foreign(state, "f")
    assert foreign.layer("x", "conv", bias=False)["x.weight"].shape == (4, 12)
    with pytest.raises(ValueError, match="f holds 2 tensors that the model has no place for: fc.weight, g"):
        foreign.close()
    folded = foreign.scaled("y", "fc", "g")
    assert folded["y.weight"][:, 0].tolist() == [2, 3] and folded["y.bias"].tolist() == [0, 0]
    with pytest.raises(ValueError, match="f lacks h; it has nothing"):
        foreign.take("h")
    foreign.close()


def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ImportError, match="pip install open_clip_torch"):
        loading.load("ViT-B-32", "random")


def test_weights_choose_in_order(tmp_path: Path, empty_cache: Path) -> None:
    known = {"first": Weights("first", "a/b", ("m.safetensors",)), "second": Weights("second", "c/d", ("m.bin",))}
    assert files.choose("m", "random", known, 4) == files.Chosen(None, "random", {"source": "random", "seed": 4})
    (tmp_path / "w.bin").write_bytes(b"x")
    in_cache(empty_cache, "c/d", "m.bin", tmp_path / "w.bin")
    assert files.choose("m", None, known).label == "second", "the first tag that is on disk"
    assert files.choose("m", str(tmp_path / "w.bin"), known).label == "w.bin"
