"""Training a pruner on toys: masking is dropping, draws pass gradients, the wanted share is met, a kill loses nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import toys
from patchlens.mergers.pruner import Pruning as Merger
from patchlens.pruner import Pruner, PrunerConfig, pruner_for, write_pruner
from patchlens.training.loop import fit
from patchlens.training.pruner import Pruning, Recipe, drawn, masked, run_pruned, top_share
from patchlens.training.pruner_run import run_training
from safetensors import safe_open
from toy_clips import toy_set

RECIPE = Recipe(batch=4, epochs=2, rho=0.5, lr=5e-3)


def training(encoder, recipe: Recipe = RECIPE, clips: int = 16, broken: tuple[int, ...] = ()) -> Pruning:
    return Pruning(recipe, encoder, toy_set(clips, broken=broken), toy_set(6))


@pytest.mark.parametrize("shape", [{}, {"prefix": 0}, {"prefix": 1, "pool": "cls", "norm_pre": True, "depth": 6}])
def test_masking_the_top_share_is_what_the_merger_drops(tmp_path, shape) -> None:
    encoder = toys.space_time(**shape)
    write_pruner(tmp_path / "p.safetensors", toys.redraw(Pruner(PrunerConfig(32)), 4), {})
    path = str(tmp_path / "p.safetensors")
    tokens = [encoder.tokens(toys.clip(8, seed)) for seed in (1, 2, 3)]
    x = torch.cat([encoder.embed(t.patches, torch.arange(60)) for t in tokens])
    with torch.no_grad():
        out, policies = run_pruned(encoder.vit, pruner_for(path)[0], x, 3, top_share(0.6))
    made = encoder.encode_many(tokens, merger=Merger(0.6, path))
    torch.testing.assert_close(out.out, torch.stack([m.logits for m in made]), rtol=1e-4, atol=1e-5)
    for policy, one in zip(policies[-1], made, strict=True):
        assert torch.equal(policy.bool(), one.groups >= 0)


def test_what_is_masked_may_be_anything(space_time) -> None:
    x = torch.randn(2 * 9, 32)
    policy = (torch.rand(2, 9) > 0.4).float().index_fill(1, torch.tensor([0]), 1.0)
    gone = policy.flatten() == 0
    assert gone.any()
    other = torch.where(gone[:, None], 100 * torch.randn_like(x), x)
    here, there = (masked(space_time.vit.blocks[0], each, policy)[~gone] for each in (x, other))
    torch.testing.assert_close(here, there, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        masked(space_time.vit.blocks[0], x[:9], torch.ones(1, 9)),
        toys.Plain(space_time).block(x[None, :9], 0)[0], rtol=1e-4, atol=1e-5,
    )  # fmt: skip


def test_a_draw_is_hard_and_passes_the_gradient_of_its_sigmoid() -> None:
    logits = torch.tensor([-2.0, 0.5, 3.0], requires_grad=True)
    hard = drawn(logits)
    assert hard.tolist() == pytest.approx([0, 1, 1])
    hard.sum().backward()
    torch.testing.assert_close(logits.grad, (logits.sigmoid() * (1 - logits.sigmoid())).detach())


def test_what_is_dropped_never_comes_back_and_gradients_reach_every_scorer(space_time) -> None:
    one = training(space_time)
    items, uniform = next(iter(one.batches(0)))
    found = one.loss(0, (items, uniform))
    found.mean.backward()
    for scorer in one.pruner.stages:
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in scorer.parameters())
    assert all(p.grad is None for p in space_time.vit.parameters()), "the backbone is frozen"
    x = one.embedded(items)
    noise = torch.logit(uniform)
    with torch.no_grad():
        _, (first, second) = run_pruned(space_time.vit, one.pruner, x, 4, lambda i, logits, _: drawn(logits + noise[:, i]))
        _, none = run_pruned(space_time.vit, one.pruner, x, 4, lambda i, logits, _: torch.zeros_like(logits))
    assert bool((second <= first).all()) and 0 < float(second.sum()) < float(first.sum()) < first.numel()
    assert [p.sum(1).tolist() for p in none] == [[1] * 4] * 2, "one token always goes on"


def test_scorers_come_to_keep_the_share_that_is_wanted(space_time, tmp_path) -> None:
    one = training(space_time, replace(RECIPE, epochs=10, lr=2e-2), clips=16)
    for scorer in one.pruner.stages:
        torch.nn.init.constant_(scorer.layers[-1].bias, 3.0)  # nearly all, at first
    items, uniform = next(iter(one.batches(0)))
    before = one.loss(0, (items, uniform)).figures
    fit(one, tmp_path, every=40)
    after = one.loss(0, (items, uniform)).figures
    assert before["kept"] > 0.7 and after["kept"] == pytest.approx(0.25, abs=0.12)
    assert after["ratio"] < 0.1 * before["ratio"]


def test_it_learns_which_tokens_tell_the_label(space_time, tmp_path) -> None:
    """Of tokens that trained scorers let through the label is likelier than of those of the first ones, or of all."""
    one = training(space_time, replace(RECIPE, epochs=12, lr=2e-2), clips=24)
    items = one.clips(one.data, range(24))
    x = one.embedded(items)
    full = space_time.vit(x, (60,) * 24).out
    labels = one.labels(items, full)
    whole = float(torch.nn.functional.cross_entropy(full, labels))

    @torch.no_grad()
    def surprise() -> float:
        out, _ = run_pruned(space_time.vit, one.pruner, x, 24, top_share(0.5))
        return float(torch.nn.functional.cross_entropy(out.out, labels))

    first = surprise()
    fit(one, tmp_path, every=72)
    assert abs(first - whole) < 0.01, "untrained scorers choose as good as at random"
    assert surprise() < whole - 0.04


def test_a_killed_pruner_training_ends_as_if_it_had_not_been(space_time, tmp_path) -> None:
    def trained(folder, *stops):
        for until in (*stops, None):
            one = training(space_time, broken=(3,))
            fit(one, folder, every=2, until=until)
        return one.pruner

    whole, broken = trained(tmp_path / "a"), trained(tmp_path / "b", 4)
    for (name, p), q in zip(whole.named_parameters(), broken.parameters(), strict=True):
        assert torch.equal(p, q), name
    with pytest.raises(ValueError, match="holds a training by another recipe"):
        fit(training(space_time, replace(RECIPE, rho=0.7)), tmp_path / "a")


def test_the_whole_command_writes_a_pruner_with_its_card(space_time, tmp_path) -> None:
    path = run_training(space_time, toy_set(8), toy_set(8), tmp_path, replace(RECIPE, epochs=1))
    pruner, card = pruner_for(str(path))
    assert pruner.config == PrunerConfig(32, 2) and card["blocks"] == [1, 2] and card["recipe"]["rho"] == 0.5
    assert {r["selector"] for r in card["rows"]} == {"everything", "random", "pruner", "pruner, untrained", "tome"}
    assert 0 < card["gmacs"] < card["pruned_gmacs"] < card["full_gmacs"]
    text = (tmp_path / "pruner.md").read_text()
    assert "| pruner | 0.5 |" in text and "8 held-out clips" in text and str(tmp_path) not in text
    with safe_open(str(path), "pt") as file:
        assert str(tmp_path) not in file.metadata()["card"], "no path of this machine"


def test_what_cannot_be_trained_is_said(frame_cls) -> None:
    with pytest.raises(ValueError, match="^toy-frame-cls does not name what happens in a clip"):
        training(frame_cls)
    with pytest.raises(ValueError, match="rho is 1.0; give a share between 0 and 1"):
        Recipe(rho=1.0)
