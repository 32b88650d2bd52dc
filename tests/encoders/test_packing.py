"""Packed attention equals attention per segment and attention under a block mask, values and gradients."""

from __future__ import annotations

import pytest
import torch
from patchlens.encoders.loading import initialise
from patchlens.encoders.packing import Segments, attend, pick_backend, segment_mean
from patchlens.encoders.vit import ViT, ViTConfig, patch_places
from torch import Tensor

RAGGED = [(5,), (4, 4, 4), (3, 7, 1), (1, 1, 1, 1), (6, 6, 2, 2, 9, 6), (16, 3, 16)]
CONFIGS = {
    "space-time, no prefix": {"grid": (2, 4, 4), "tubelet": 2, "pool": "mean"},
    "class token": {"grid": (1, 4, 4), "prefix": 1, "pool": "cls"},
    "class token, registers, pre-norm": {"grid": (1, 4, 4), "prefix": 3, "pool": "cls", "norm_pre": True},
    "registers with mean pooling": {"grid": (2, 4, 4), "tubelet": 2, "prefix": 2, "pool": "mean"},
}


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, atol=1e-5, rtol=1e-5)


def tiny(**shape: object) -> ViT:
    config = ViTConfig(width=48, depth=2, heads=4, mlp=96, patch=4, outputs=5, **shape)
    vit = initialise(ViT(config), 0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in vit.parameters():
            p.add_(torch.randn(p.shape, generator=generator), alpha=0.2)
    return vit.requires_grad_(False)


@pytest.mark.parametrize("lengths", RAGGED)
def test_backends_agree_on_values_and_gradients(lengths: tuple[int, ...]) -> None:
    segments = Segments(lengths)
    results = {}
    for backend in ("segments", "masked"):
        torch.manual_seed(0)
        q, k, v = (torch.randn(segments.total, 3, 8, requires_grad=True) for _ in range(3))
        out = attend(q, k, v, segments, backend)
        (out * torch.arange(out.numel()).reshape(out.shape).cos()).sum().backward()
        results[backend] = (out.detach(), q.grad, k.grad, v.grad)
    assert all(close(a, b) for a, b in zip(*results.values(), strict=True))


@pytest.mark.parametrize("lengths", RAGGED)
def test_a_segment_sees_only_itself(lengths: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    segments = Segments(lengths)
    q, k, v = torch.randn(3, segments.total, 2, 8)
    whole = attend(q, k, v, segments)
    pieces = zip(*(x.split(lengths) for x in (q, k, v)), strict=True)
    parts = [attend(*piece, Segments((len(piece[0]),))) for piece in pieces]
    assert close(whole, torch.cat(parts))


@pytest.mark.parametrize("shape", CONFIGS.values(), ids=CONFIGS.keys())
@pytest.mark.parametrize("counts", RAGGED)
@pytest.mark.parametrize("with_residual", [False, True])
def test_vit_packed_equals_alone_equals_masked(shape: dict, counts: tuple[int, ...], with_residual: bool) -> None:
    vit = tiny(**shape)
    torch.manual_seed(0)
    x = torch.randn(sum(counts), 48)
    residual = torch.randn(len(counts), 48) if with_residual else None
    packed = vit(x, counts, residual=residual)
    masked = vit(x, counts, residual=residual, backend="masked")
    assert all(close(a, b) for a, b in zip(packed[:3], masked[:3], strict=True))
    for i, (piece, count) in enumerate(zip(x.split(counts), counts, strict=True)):
        alone = vit(piece, (count,), residual=residual[i : i + 1] if with_residual else None)
        start = sum(counts[:i])
        assert close(packed.patches[start : start + count], alone.patches)
        assert close(packed.pooled[i], alone.pooled[0])
        assert close(packed.out[i], alone.out[0])


@pytest.mark.parametrize("shape", CONFIGS.values(), ids=CONFIGS.keys())
def test_gradients_agree_through_the_whole_vit(shape: dict) -> None:
    vit, counts = tiny(**shape).requires_grad_(True), (3, 7, 1)
    torch.manual_seed(0)
    start, residual = torch.randn(11, 48), torch.randn(3, 48)
    results = []
    for backend in ("segments", "masked"):
        vit.zero_grad()
        x, extra = start.clone().requires_grad_(), residual.clone().requires_grad_()
        vit(x, counts, residual=extra, backend=backend).out.square().sum().backward()
        reached = [p.grad for p in vit.parameters() if p.grad is not None]
        results.append([x.grad, extra.grad, *reached])
    assert len(results[0]) == len(results[1]) > 20
    assert all(torch.allclose(a, b, atol=1e-4, rtol=1e-4) for a, b in zip(*results, strict=True))


def padded(vit: ViT, x: Tensor, counts: tuple[int, ...]) -> Tensor:
    """Outputs (G, 5) of an ordinary batch: padded with noise to the longest, with a mask over keys, and a masked mean."""
    front, config = vit.config.prefix, vit.config
    noise = torch.full((max(counts), 48), 7.0)
    rows = [torch.cat([vit.prefix, part, noise[len(part) :]]) for part in x.split(counts)]
    batch = vit.norm_pre(torch.stack(rows))
    real = torch.arange(batch.shape[1])[None] < front + torch.tensor(counts)[:, None]
    for block in vit.blocks:
        q, k, v = block.attention.split(block.norm1(batch).flatten(0, 1))
        heads = (h.unflatten(0, batch.shape[:2]).transpose(1, 2) for h in (q, k, v))
        mixed = torch.nn.functional.scaled_dot_product_attention(*heads, real[:, None, None])
        batch = batch + block.attention.proj(mixed.transpose(1, 2).flatten(2))
        batch = batch + block.mlp_output(batch)
    share = (real / torch.tensor(counts)[:, None])[:, front:, None]
    pooled = batch[:, 0] if config.pool == "cls" else (batch[:, front:] * share).sum(1)
    return vit.head(vit.norm_post(pooled))


@pytest.mark.parametrize("shape", CONFIGS.values(), ids=CONFIGS.keys())
def test_packed_is_per_clip_is_padded_and_masked_with_gradients(shape: dict) -> None:
    vit, counts = tiny(**shape).requires_grad_(True), (3, 7, 7, 1)
    torch.manual_seed(0)
    patches = torch.randn(sum(counts), vit.config.patch_dim)
    index = torch.cat([torch.randperm(16)[:k] for k in counts])
    ways = {
        "packed": lambda x: vit(x, counts).out,
        "masked": lambda x: vit(x, counts, backend="masked").out,
        "per clip": lambda x: torch.cat([vit(part, (len(part),)).out for part in x.split(counts)]),
        "padded": lambda x: padded(vit, x, counts),
    }
    found = {}
    for name, way in ways.items():
        vit.zero_grad()
        leaf = patches.clone().requires_grad_()
        out = way(vit.embed(leaf, index))
        out.square().mean().backward()
        found[name] = [out.detach(), leaf.grad, *(p.grad for p in vit.parameters() if p.grad is not None and len(p))]
    for name, values in found.items():
        assert len(values) == len(found["packed"]) > 20
        assert all(close(a, b) for a, b in zip(values, found["packed"], strict=True)), name


def test_the_residual_token_stands_behind_the_class_token_without_a_position() -> None:
    vit = tiny(grid=(1, 4, 4), prefix=3, pool="cls")
    x, residual = torch.randn(5, 48), torch.randn(2, 48)
    packed, segments, where = vit.assemble(x, (2, 3), residual)
    assert segments.lengths == (6, 7)
    first = torch.cat([vit.prefix[:1], residual[:1], vit.prefix[1:], x[:2]])
    assert torch.equal(packed[:6], first)
    assert torch.equal(packed[where], x)


def test_places_and_means_of_segments() -> None:
    assert patch_places((2, 3), 2).tolist() == [2, 3, 6, 7, 8]
    x = torch.arange(12.0).reshape(6, 2)
    assert close(segment_mean(x, Segments((2, 1, 3))), torch.tensor([[1.0, 2.0], [4.0, 5.0], [8.0, 9.0]]))
    assert Segments((2, 2, 5, 2)).runs == ((0, 2, 2), (4, 1, 5), (9, 1, 2))
    assert Segments((2, 1)).owner().tolist() == [0, 0, 1]
    assert Segments((2, 1)).bounds("cpu").tolist() == [0, 2, 3]


def test_an_unknown_backend_is_named() -> None:
    q = torch.randn(4, 1, 8)
    with pytest.raises(ValueError, match="'flash'; choose segments, varlen or masked"):
        attend(q, q, q, Segments((4,)), "flash")
    assert pick_backend(q, Segments((1, 3))) == "segments"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("lengths", RAGGED)
def test_varlen_flash_attention_agrees_on_a_gpu(lengths: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    segments = Segments(lengths)
    q, k, v = torch.randn(3, segments.total, 4, 32, device="cuda", dtype=torch.bfloat16)
    reference = attend(q.float(), k.float(), v.float(), segments, "masked")
    for backend in ("varlen", "segments"):
        assert (attend(q, k, v, segments, backend).float() - reference).abs().max() < 0.02
