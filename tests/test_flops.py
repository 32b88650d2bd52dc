"""Closed-form costs equal what torch's counter and fvcore count on what really ran."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from patchlens import flops
from patchlens.encoders.catalog import CATALOG
from patchlens.encoders.vit import ViT, ViTConfig
from patchlens.flops import coefficients, mlp_cost, norm_gmacs, vit_cost
from patchlens.types import Cost
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

VIDEO = replace(CATALOG["videomae-base"], outputs=174)
TIMESFORMER = ViTConfig(768, 12, 12, 3072, (8, 14, 14), 16, prefix=1, outputs=174)
L14, B16, B32 = (CATALOG[name] for name in ("ViT-L-14", "ViT-B-16", "ViT-B-32"))

CLIPS = ViTConfig(48, 2, 4, 96, (2, 4, 4), 4, 2, outputs=5)
FRAMES = ViTConfig(48, 3, 4, 192, (1, 4, 4), 4, prefix=1, pool="cls", outputs=5)
REGISTERS = ViTConfig(48, 2, 4, 96, (1, 4, 4), 4, prefix=3, pool="cls", norm_pre=True)
RESIDUAL = ViTConfig(64, 2, 4, 96, (1, 4, 4), 4, prefix=1, pool="cls", outputs=32, output_bias=False)
RUNS = {
    "space-time": (CLIPS, (32,), False),
    "space-time, dropped": (CLIPS, (13,), False),
    "two clips of different lengths": (CLIPS, (13, 30), False),
    "frames with a class token": (FRAMES, (16, 16, 3, 1), False),
    "registers, pre-norm": (REGISTERS, (5, 7), False),
    "residual token": (RESIDUAL, (4, 4, 6), True),
}


@contextmanager
def counted_products() -> Iterator[FlopCounterMode]:
    """Torch's counter, with attention as plain matrix products: the fused CPU kernel is not in every version's list."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        yield counter


def counted(vit: ViT, counts: tuple[int, ...], residual: bool, every_patch: bool) -> Cost:
    """Run, and sort torch's count (2 per MAC) into attention and the rest."""
    index = torch.cat([torch.arange(k) for k in counts])
    tokenizer = nn.Linear(vit.config.outputs, vit.config.width) if residual else None
    whole = len(counts) * vit.config.tokens
    with counted_products() as counter:
        if every_patch:
            vit.embedding(torch.randn(whole, vit.config.patch_dim))
            x = torch.randn(len(index), vit.config.width)
        else:
            x = vit.embed(torch.randn(len(index), vit.config.patch_dim), index)
        vit(x, counts, residual=tokenizer(torch.randn(len(counts), vit.config.outputs)) if tokenizer else None)
    parts = {str(op): n for op, n in counter.get_flop_counts()["Global"].items()}
    attention = sum(n for op, n in parts.items() if "scaled_dot_product" in op or "bmm" in op)
    return Cost((sum(parts.values()) - attention) / 2e9, attention / 2e9)


@pytest.mark.parametrize("every_patch", [False, True])
@pytest.mark.parametrize(("config", "counts", "residual"), RUNS.values(), ids=RUNS.keys())
def test_closed_form_is_half_of_torchs_count(
    config: ViTConfig, counts: tuple[int, ...], residual: bool, every_patch: bool
) -> None:
    embedded = len(counts) * config.tokens if every_patch else None
    found = counted(ViT(config).eval(), counts, residual, every_patch)
    expected = vit_cost(config, counts, embedded, residual)
    assert found.linear == pytest.approx(expected.linear, rel=1e-12)
    assert found.attention == pytest.approx(expected.attention, rel=1e-12)


@pytest.mark.parametrize("stop", [0, 1, 3])
def test_a_part_of_the_blocks_costs_its_part(stop: int) -> None:
    config = ViTConfig(48, 3, 4, 96, (1, 4, 4), 4, prefix=1, outputs=5)
    vit = ViT(config).eval()
    with counted_products() as counter:
        x = vit.embed(torch.randn(16, 48), torch.arange(16))
        packed, segments, _ = vit.assemble(x, (16,))
        vit.trunk(packed, segments, stop=stop)
    expected = vit_cost(config, [16], blocks=stop, head=False)
    assert counter.get_total_flops() == pytest.approx(2e9 * expected.total, rel=1e-12)


def test_torch_counts_a_selector_as_we_do() -> None:
    mlp = nn.Sequential(nn.Linear(48, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 1))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        mlp(torch.randn(20, 48))
    assert counter.get_total_flops() == pytest.approx(2e9 * mlp_cost(20, (48, 16, 8, 1)).total, rel=1e-12)
    assert sum(p.numel() for p in mlp.parameters()) == flops.mlp_parameters((48, 16, 8, 1))


def test_coefficients_follow_a_slider() -> None:
    """A polynomial of K per segment, evaluated by hand as the browser does."""
    for config, residual in ((VIDEO, False), (L14, True), (TIMESFORMER, False)):
        for kept in (1, 38, 196):
            linear, attention = coefficients(config, embed_kept=False, residual=residual)
            by_hand = sum(c * kept**i for i, c in enumerate(linear)) + sum(c * kept**i for i, c in enumerate(attention))
            total = vit_cost(config, [kept], config.tokens, residual).total
            assert by_hand / 1e9 + config.tokens * config.patch_dim * config.width / 1e9 == pytest.approx(
                total, rel=1e-12
            )


def test_attention_is_quadratic_per_segment_and_empty_segments_are_free() -> None:
    one, two = vit_cost(L14, [100]), vit_cost(L14, [100, 100])
    assert two.total == pytest.approx(2 * one.total)
    assert vit_cost(VIDEO, [200]).attention == pytest.approx(2 * vit_cost(VIDEO, [100, 100]).attention)
    assert vit_cost(L14, [100, 0, 0]) == one and norm_gmacs(L14, [100, 0]) == norm_gmacs(L14, [100])


def test_fvcore_agrees_once_it_is_taught_attention() -> None:
    """It counts one per MAC and 5 per LayerNorm element, but knows no fused attention."""
    analysis = pytest.importorskip("fvcore.nn")
    config = ViTConfig(48, 2, 4, 96, (1, 4, 4), 4, prefix=1, pool="cls", norm_pre=True, outputs=5)

    class Run(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vit = ViT(config)

        def forward(self, patches: torch.Tensor) -> torch.Tensor:
            return self.vit(self.vit.embed(patches, torch.arange(9)), (9,)).out

    def products(inputs: list, outputs: list) -> int:
        batch, heads, length, width = inputs[0].type().sizes()
        return 2 * batch * heads * length**2 * width

    count = analysis.FlopCountAnalysis(Run().eval(), torch.randn(9, 48)).unsupported_ops_warnings(False)
    count.tracer_warnings("none")
    linear = vit_cost(config, [9]).linear + norm_gmacs(config, [9])
    assert count.total() == pytest.approx(1e9 * linear, rel=1e-9)
    count = count.copy().set_op_handle("aten::scaled_dot_product_attention", products)
    assert count.total() == pytest.approx(1e9 * (linear + vit_cost(config, [9]).attention), rel=1e-9)
