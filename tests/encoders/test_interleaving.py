"""I- and P-frames: equal to a per-frame reference in plain torch, at the papers' cost, blind to what was dropped."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import patchlens
import pytest
import torch
import torch.nn.functional as F
import toys
from open_clip.model import resize_pos_embed
from patchlens.encoders.catalog import CATALOG
from patchlens.encoders.costs import cost_of
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.loaded import Inputs, Loaded
from patchlens.encoders.residual import ResidualTokenizer, attach, beside, made_for, read, write
from patchlens.encoders.vit import ViT, ViTConfig
from patchlens.flops import norm_gmacs, vit_cost
from patchlens.interleave import Interleave, blocks, coarser, schedule, survivors
from patchlens.keep import covered, keep_of
from patchlens.pipeline import run
from patchlens.specs import parse_plugin
from patchlens.types import Keep, Scores
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

CLIP = toys.clip(7, seed=3)


def decided(encoder: Encoder, n: int = 2, p: float = 0.6, residual: str = "auto", cut: int | None = None) -> Keep:
    """An interleaved decision by random scores, with a cut at frame `cut`."""
    grid = encoder.tokens(CLIP).grid
    change = torch.zeros(grid.t)
    if cut is not None:
        change[cut] = torch.inf
    values = torch.rand(grid.n, generator=torch.Generator().manual_seed(4))
    return keep_of([(Scores(values, "random", change=change), Interleave(n, p, residual=residual))], grid)


def reference(encoder: Encoder, keep: Keep, mode: str) -> torch.Tensor:
    """Features (t, D) frame by frame: CLS, then the residual token, then the kept patches, one ordinary ViT run each."""
    kept = keep.mask.reshape(keep.grid.t, -1)
    return run_alone(encoder, keep, [x[k] for x, k in zip(toys.Plain(encoder).embed(CLIP.frames), kept, strict=True)], mode)


def run_alone(encoder: Encoder, keep: Keep, embedded: list[torch.Tensor], mode: str) -> torch.Tensor:
    """The same from the embedded patches (K, D) of every frame."""
    plain, config, features = toys.Plain(encoder), encoder.config, []
    for t, rows in enumerate(embedded):
        x = rows[None]
        prefix = plain.w["prefix"][None]
        if int(keep.anchor[t]) < t and mode != "off":
            token = torch.zeros(1, 1, config.width)
            if mode == "on":
                token = F.normalize(features[int(keep.anchor[t])], dim=-1)[None, None]
                for i, layer in enumerate(encoder.tokenizer.layers):
                    token = (token.relu() if i else token) @ layer.weight.T + layer.bias
            prefix = torch.cat([prefix[:, :1], token, prefix[:, 1:]], 1)
        x = plain.norm(torch.cat([prefix, x], 1), "norm_pre", config.eps)
        for i in range(config.depth):
            name = f"blocks.{i}"
            x = x + plain.attention(plain.norm(x, f"{name}.norm1", config.eps), f"{name}.attention")[0]
            hidden = plain.linear(plain.norm(x, f"{name}.norm2", config.eps), f"{name}.mlp.fc1")
            x = x + plain.linear(hidden * torch.sigmoid(1.702 * hidden), f"{name}.mlp.fc2")
        pooled, out = plain.finish(x)
        features.append((out if encoder.classes is None else pooled)[0])
    return torch.stack(features)


def test_p_frames_of_half_the_resolution_equal_a_reference_frame_by_frame() -> None:
    """Pixels averaged two by two, positions by open_clip's own interpolation, in one ordinary ViT run per frame."""
    encoder, clip = toys.frame_cls(classes=None, residual=1, grid=(1, 4, 4)), toys.clip(7, seed=3, size=(16, 16))
    tokens = encoder.tokens(clip)
    scores = Scores(torch.rand(tokens.grid.n, generator=torch.Generator().manual_seed(4)), "random")
    keep = keep_of([(scores, Interleave(2, 0.25, scale=0.5))], tokens.grid)
    assert keep.coarse == (2, 2) and keep.per_frame == [16, 3, 3, 16, 3, 3, 16]
    plain = toys.Plain(encoder)
    table = {"visual.positional_embedding": torch.cat([torch.zeros(1, 24), plain.w["position"]])}
    resize_pos_embed(table, SimpleNamespace(visual=SimpleNamespace(grid_size=(2, 2))))
    small = F.avg_pool2d(clip.frames.permute(0, 3, 1, 2).float(), 2).add(0.5).floor().permute(0, 2, 3, 1).to(torch.uint8)
    whole, plain.w["position"] = plain.embed(clip.frames), table["visual.positional_embedding"][1:]
    coarse, corners = plain.embed(small), torch.tensor([0, 2, 8, 10])
    kept = keep.mask.reshape(7, -1)
    rows = [whole[t] if keep.intra[t] else coarse[t][kept[t][corners]] for t in range(7)]
    expected = F.normalize(run_alone(encoder, keep, rows, "on"), dim=-1)
    made = encoder.encode(tokens, keep)
    torch.testing.assert_close(made.frames, expected, rtol=1e-5, atol=1e-5)
    assert len(made.tokens) == keep.count


def test_the_cost_at_half_the_resolution_is_what_torch_counts_and_the_closed_form() -> None:
    encoder = toys.frame_cls(classes=None, residual=1, grid=(1, 4, 4))
    tokens = encoder.tokens(toys.clip(7, seed=3, size=(16, 16)))
    keep = keep_of([(Scores(torch.rand(tokens.grid.n), "random"), Interleave(2, 0.25, scale=0.5))], tokens.grid)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        encoder.encode(tokens, keep)
    cost = cost_of(encoder, keep)[0]
    assert counter.get_total_flops() / 2e9 == pytest.approx(cost.total, rel=1e-12)
    rest = vit_cost(encoder.config, [3] * 4, embedded=4 * 4, residual=True)
    assert cost.total == pytest.approx(vit_cost(encoder.config, [16] * 3).total + rest.total, rel=1e-12)


def test_coarse_patches_cover_the_frame() -> None:
    for h, w, scale in ((4, 6, 0.5), (7, 7, 0.5), (3, 5, 0.5), (1, 1, 0.5), (9, 4, 0.3)):
        coarse = coarser(Interleave(2, 0.0, scale=scale), h, w)
        first = blocks(h, w, coarse)
        assert coarse == (max(1, int(h * scale)), max(1, int(w * scale))) and len(set(first)) == coarse[0] * coarse[1]
        assert (first[first] == first).all() and (first <= np.arange(h * w)).all()
    assert blocks(2, 4, (1, 2)).tolist() == [0, 0, 2, 2, 0, 0, 2, 2]
    grid = patchlens.Grid(2, 2, 4, 1, 4)
    values = torch.tensor([0.0] * 8 + [1, 0, 0, 2, 0, 0, 0, 0])
    keep = keep_of([(Scores(values, "r"), Interleave(1, 0.5, scale=0.5))], grid)
    assert keep.index.tolist() == [*range(8), 8 + 2], "a coarse patch ranks like the best of those that it covers"
    assert covered(keep).reshape(2, 2, 4)[1].int().tolist() == [[0, 0, 1, 1]] * 2


def test_clips_of_different_resolution_do_not_share_a_batch() -> None:
    encoder = toys.frame_cls(residual=1)
    tokens = encoder.tokens(CLIP)
    scores = Scores(torch.rand(tokens.grid.n), "random")
    keeps = [keep_of([(scores, Interleave(2, 0.5, scale=scale))], tokens.grid) for scale in (1.0, 0.5)]
    with pytest.raises(ValueError, match="differ in resolution"):
        encoder.encode_many([tokens, tokens], keeps)


@pytest.mark.parametrize("classes", [None, toys.CLASSES], ids=["projected", "pooled"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("mode", ["on", "zero", "off"])
def test_p_frames_equal_a_reference_frame_by_frame(mode: str, layers: int, classes: tuple[str, ...] | None) -> None:
    encoder = toys.frame_cls(classes=classes, residual=layers)
    keep = decided(encoder, residual=mode, cut=4)
    assert keep.anchor.tolist() == [0, 0, 0, 3, 4, 4, 4]
    expected = reference(encoder, keep, mode)
    if encoder.loaded.normalise:
        expected = F.normalize(expected, dim=-1)
    torch.testing.assert_close(encoder.encode(encoder.tokens(CLIP), keep).frames, expected, rtol=1e-5, atol=1e-5)


def test_two_clips_in_a_batch_are_each_as_alone() -> None:
    encoder = toys.frame_cls(residual=1)
    others = toys.clip(4, seed=9), toys.clip(1, seed=10)
    clips = [encoder.tokens(c) for c in (CLIP, *others)]
    keeps = [decided(encoder), None, keep_of([(Scores(torch.rand(15), "r"), Interleave(2, 0.5))], clips[2].grid)]
    for one, tokens, keep in zip(encoder.encode_many(clips, keeps), clips, keeps, strict=True):
        alone = encoder.encode(tokens, keep)
        torch.testing.assert_close(one.frames, alone.frames, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(one.tokens, alone.tokens, rtol=1e-5, atol=1e-5)


def test_tokens_come_back_in_their_order() -> None:
    encoder = toys.frame_cls(residual=1)
    keep = decided(encoder, residual="off")
    frames = [encoder.encode(encoder.tokens(CLIP), Keep(keep.mask, keep.grid)), encoder.encode(encoder.tokens(CLIP), keep)]
    torch.testing.assert_close(frames[0].tokens, frames[1].tokens, rtol=1e-5, atol=1e-5)


def test_dropping_nothing_without_a_token_is_the_plain_encoder_to_the_last_bit() -> None:
    encoder = toys.frame_cls()
    keep = decided(encoder, p=0.0)
    assert keep.count == keep.grid.n and encoder.residual(keep) == "off"
    plain, made = encoder.encode(encoder.tokens(CLIP)), encoder.encode(encoder.tokens(CLIP), keep)
    assert torch.equal(plain.frames, made.frames) and torch.equal(plain.tokens, made.tokens)


@pytest.mark.parametrize("mode", ["on", "off", "zero"])
def test_dropped_patches_do_not_matter(mode: str) -> None:
    encoder = toys.frame_cls(residual=1)
    tokens, keep = encoder.tokens(CLIP), decided(encoder, residual=mode)
    spoilt = tokens.patches.clone()
    spoilt[~keep.mask] = 255 - spoilt[~keep.mask]
    a, b = encoder.encode(tokens, keep), encoder.encode(replace(tokens, patches=spoilt, _embedded={}), keep)
    assert torch.equal(a.frames, b.frames) and torch.equal(a.tokens, b.tokens)


@pytest.mark.parametrize("mode", ["on", "off", "zero"])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_cost_is_what_torch_counts(mode: str, layers: int) -> None:
    encoder = toys.frame_cls(classes=None, residual=layers)
    keep, tokens = decided(encoder, residual=mode), encoder.tokens(CLIP)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):  # the fused one goes uncounted
        encoder.encode(tokens, keep)
    assert counter.get_total_flops() / 2e9 == pytest.approx(cost_of(encoder, keep)[0].total, rel=1e-12)


@pytest.mark.parametrize("mode", ["on", "off"])
def test_tokens_merge_in_p_frames_only(mode: str) -> None:
    encoder = toys.frame_cls(classes=None, residual=1)
    keep, tokens, merger = decided(encoder, residual=mode), encoder.tokens(CLIP), parse_plugin("tome:r=1", "merger")
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        made = encoder.encode(tokens, keep, merger=merger)
    cost, own = cost_of(encoder, keep, merger)
    assert counter.get_total_flops() / 2e9 == pytest.approx(cost.total + own, rel=0.02)
    plain, intra = encoder.encode(tokens, keep), keep.intra
    torch.testing.assert_close(made.frames[intra], plain.frames[intra])
    assert not torch.allclose(made.frames[~intra], plain.frames[~intra], atol=1e-3)
    frame = torch.arange(keep.grid.n) // keep.grid.per_frame
    own_group = made.groups == torch.arange(keep.grid.n)
    assert (own_group == keep.mask)[intra[frame]].all(), "in I-frames every token stands for itself"
    assert (frame[made.groups[keep.index]] == frame[keep.index]).all()
    assert len(made.tokens) == int(own_group.sum()) == keep.count - 4 * int((~intra).sum())


def test_the_schedule() -> None:
    assert schedule(Interleave(2, 0.85), 8).tolist() == [0, 0, 0, 3, 3, 3, 6, 6]
    assert schedule(Interleave(1, 0.85), 4).tolist() == [0, 0, 2, 2]
    assert schedule(Interleave(10, 0.85), 12).tolist() == [0] * 11 + [11]
    change = torch.tensor([0.0, 1, 1, torch.inf, 1, 1, 1, 0]).numpy()
    assert schedule(Interleave(3, 0.85), 8, change).tolist() == [0, 0, 0, 3, 3, 3, 3, 7]
    assert schedule(Interleave(3, 0.85, cuts=False), 8, change).tolist() == [0, 0, 0, 0, 4, 4, 4, 4]
    assert schedule(Interleave(9, 0.85, reach=1.5), 8, change).tolist() == [0, 0, 2, 3, 3, 5, 5, 5]


def test_survivors_are_the_papers() -> None:
    assert [survivors(0.85, n) for n in (256, 196, 49, 144)] == [38, 29, 7, 22]
    assert survivors(0.5, 5) == 2 and survivors(0.5, 7) == 4, "halves to even"
    assert survivors(0.95, 4) == 1 and survivors(0.0, 49) == 49


# Per frame, all patches embedded, LayerNorms counted, attention products not: algorithms.md 6.3 and 6.4.
ROWS = [("ViT-B-32", 4.368, 0.882, 2.044), ("ViT-B-16", 16.867, 2.752, 7.457), ("ViT-L-14", 77.831, 12.245, 34.107)]


@pytest.mark.parametrize(("name", "intra", "predicted", "average"), ROWS)
def test_the_papers_costs_through_the_plan(name: str, intra: float, predicted: float, average: float) -> None:
    entry = CATALOG[name]
    shape = dict(width=entry.width, depth=entry.depth, heads=entry.heads, mlp=entry.mlp, grid=entry.grid, patch=entry.patch)
    config = ViTConfig(**shape, prefix=1, pool="cls", outputs=entry.outputs, output_bias=False, norm_pre=True)
    tokenizer = ResidualTokenizer(entry.outputs, entry.width)
    assert sum(p.numel() for p in tokenizer.parameters()) == {512: 393_984, 768: 787_456}[entry.outputs]
    with torch.device("meta"):
        vit = ViT(config)
    side = entry.grid[1] * entry.patch
    encoder = Encoder.__new__(Encoder)  # costs need no weights: these are hundreds of megabytes
    encoder.name, encoder.config, encoder.tokenizer, encoder.segments = name, vit.config, tokenizer, "frame"
    encoder.loaded = Loaded(vit, Inputs((side, side), None, 1, entry.patch))
    grid = patchlens.Grid(3, *entry.grid[1:], 1, entry.patch)
    keep = keep_of([(Scores(torch.rand(grid.n), "random"), patchlens.ResidualViT(drop="random").rule())], grid)
    whole = Keep(torch.ones(grid.n, dtype=torch.bool), grid)
    counts = keep.per_frame
    norms = [norm_gmacs(config, counts[:1]), norm_gmacs(config, counts[1:], residual=True)]
    full = (cost_of(encoder, whole)[0].linear + norm_gmacs(config, whole.per_frame)) / 3
    mean = (cost_of(encoder, keep)[0].linear + sum(norms)) / 3
    assert full == pytest.approx(intra, abs=6e-4) and mean == pytest.approx(average, abs=6e-4)
    assert (3 * mean - full) / 2 == pytest.approx(predicted, abs=6e-4)


def test_a_tokenizer_is_asked_for_in_vain_in_one_sentence() -> None:
    bare = toys.frame_cls()
    with pytest.raises(ValueError, match="residualvit needs residual_token, which the encoder toy-frame-cls does not"):
        run(CLIP, encoder=bare, selector="residualvit:drop=random,residual=on", cache=False)
    trace = run(CLIP, encoder=bare, selector="residualvit:drop=random", cache=False)
    assert "toy-frame-cls has no residual tokenizer: its P-frames run without a residual token." in trace.notes
    with pytest.raises(ValueError, match="has no residual tokenizer; train one"):
        bare.encode(bare.tokens(CLIP), decided(bare, residual="on"))


DROPS = ["random", "uniform", "center", "motion", "saliency", "attention:block=1", "oracle", "rlt"]


@pytest.mark.parametrize("drop", DROPS)
def test_any_score_can_thin_p_frames(drop: str) -> None:
    trace = run(CLIP, encoder=toys.frame_cls(residual=1), selector=patchlens.ResidualViT(2, 0.8, drop), label="still")
    assert trace.keep.anchor.tolist() == [0, 0, 0, 3, 3, 3, 6] and trace.keep.per_frame == [15, 3, 3, 15, 3, 3, 15]
    assert trace.report.reduced.total == pytest.approx(trace.report.full.total - 4 * saved(trace))
    assert min(trace.report.frame_cosine[i] for i in (0, 3, 6)) > 1 - 1e-6


def saved(trace: patchlens.Trace) -> float:
    """GMACs that one P-frame saves."""
    way = trace.encoder["cost"]
    cost = lambda k, c: c[0] + c[1] * k + c[2] * k * k  # noqa: E731
    return cost(15, way["per_segment"]) - cost(3, way["predicted"]["auto"])


def test_the_tokenizers_file_lies_beside_the_weights_and_fits_them_only(tmp_path) -> None:
    encoder = toys.frame_cls(classes=None)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"")
    made = ResidualTokenizer(encoder.config.outputs, encoder.config.width, 2)
    path = beside("toy", str(weights))
    assert path == tmp_path / "model.residual.safetensors" and beside("toy", str(tmp_path)).parent == tmp_path
    assert attach(encoder.loaded, "toy", str(weights)).residual_tokenizer is None
    mine = {"encoder_weights": made_for(encoder.loaded)}
    write(path, made, mine)
    again, card, tower = read(path)
    assert tower == {} and card == mine
    features = torch.randn(3, encoder.config.outputs)
    torch.testing.assert_close(again(features), made(4 * features))
    assert attach(encoder.loaded, "toy", str(weights)).residual_tokenizer is not None
    write(path, made, {"encoder_weights": "others"})
    other = toys.frame_cls(classes=None).loaded
    assert attach(other, "toy", str(weights)).residual_tokenizer is None
    with pytest.raises(ValueError, match="was trained for other weights of toy"):
        attach(other, "toy", None, str(path))
    with pytest.raises(ValueError, match=r"There is no file gone.safetensors; make it with"):
        attach(other, "toy", None, str(tmp_path / "gone.safetensors"))
    (tmp_path / "bad.safetensors").write_bytes(b"x")
    with pytest.raises(ValueError, match="is no residual tokenizer"):
        attach(other, "toy", None, str(tmp_path / "bad.safetensors"))
    write(path, ResidualTokenizer(5, 7), {})
    with pytest.raises(ValueError, match="maps 5 numbers to 7; toy needs 6 to 24"):
        attach(other, "toy", None, str(path))


@pytest.mark.parametrize(("anchor", "sentence"), [
    ([0, 0, 2, 1, 4, 4, 4], "leans on the last I-frame"),
    ([1, 1, 1, 1, 1, 1, 1], "leans on the last I-frame"),
    ([0] * 6, "one I-frame per frame"),
])  # fmt: skip
def test_an_impossible_anchor_is_refused(anchor: list[int], sentence: str) -> None:
    grid = toys.frame_cls().tokens(CLIP).grid
    with pytest.raises(ValueError, match=sentence):
        Keep(torch.ones(grid.n, dtype=torch.bool), grid, None, torch.tensor(anchor))


def test_an_empty_p_frame_is_refused() -> None:
    grid = toys.frame_cls().tokens(CLIP).grid
    mask = torch.ones(grid.n, dtype=torch.bool)
    mask[grid.per_frame : 2 * grid.per_frame] = False
    with pytest.raises(ValueError, match="keeps a patch"):
        Keep(mask, grid, None, torch.zeros(grid.t, dtype=torch.int64))
