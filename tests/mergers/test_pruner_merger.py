"""The learned pruner against DynamicViT's formula, and that what it drops is really gone."""

from __future__ import annotations

import patchlens.pruner
import pytest
import torch
import toys
from patchlens.evaluation.budgets import contender, solve_merger
from patchlens.flops import pruned_blocks, pruned_schedule
from patchlens.merge import Look, cuts, mean_share
from patchlens.mergers.pruner import Pruning
from patchlens.pipeline import load_encoder, run
from patchlens.pruner import Pruner, PrunerConfig, Scorer, pruner_for, scorer_macs, write_pruner
from torch.utils.flop_counter import FlopCounterMode


def weights(tmp_path, width: int = 32, stages: int = 3) -> str:
    path = tmp_path / "pruner.safetensors"
    write_pruner(path, toys.redraw(Pruner(PrunerConfig(width, stages)), 4), {})
    return str(path)


def by_hand(scorer: Scorer, x: torch.Tensor, there: list[int]) -> list[float]:
    """The logit of each token that is there, in plain loops from the paper."""
    w = {name: p.tolist() for name, p in scorer.state_dict().items()}
    gelu = lambda v: 0.5 * v * (1 + torch.erf(torch.tensor(v / 2**0.5))).item()  # noqa: E731

    def layer(name: str, v: list[float]) -> list[float]:
        return [sum(a * b for a, b in zip(row, v, strict=True)) + c
                for row, c in zip(w[f"{name}.weight"], w[f"{name}.bias"], strict=True)]  # fmt: skip

    def normed(v: list[float]) -> list[float]:
        mean = sum(v) / len(v)
        spread = (sum((a - mean) ** 2 for a in v) / len(v) + 1e-5) ** 0.5
        return [(a - mean) / spread * g + b for a, g, b in zip(v, w["norm.weight"], w["norm.bias"], strict=True)]

    z = {i: [gelu(v) for v in layer("enter", normed(x[i].tolist()))] for i in there}
    half = len(z[there[0]]) // 2
    shared = [sum(z[i][c] for i in there) / len(there) for c in range(half, 2 * half)]
    out = []
    for i in there:
        v = z[i][:half] + shared
        for number in range(2):
            v = [gelu(a) for a in layer(f"layers.{number}", v)]
        out.append(layer("layers.2", v)[0])
    return out


def test_a_scorer_is_the_papers_formula() -> None:
    scorer, x = toys.redraw(Scorer(8), 3), torch.randn(5, 8)
    there = [0, 2, 3]
    policy = torch.zeros(1, 5).index_fill(1, torch.tensor(there), 1.0)
    expected = torch.tensor(by_hand(scorer, x, there))
    torch.testing.assert_close(scorer(x[None], policy)[0, there], expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(scorer(x[None, there])[0], expected, rtol=1e-4, atol=1e-4)


def test_its_own_cost_is_half_of_torchs_count() -> None:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        Scorer(24)(torch.zeros(2, 7, 24))
    assert counter.get_total_flops() == 2 * scorer_macs(24, 14)


def test_stages_lie_where_the_paper_has_them() -> None:
    assert pruned_blocks(12) == [3, 6, 9] and pruned_blocks(6) == [1, 3, 4]
    assert pruned_blocks(3) == [1, 2] and pruned_blocks(1) == []
    lengths = [a for a, _ in pruned_schedule(197, 12, 0.7, protected=1)]
    assert lengths == [197] * 3 + [138] * 3 + [96] * 3 + [67] * 3, "int(196 * 0.7 ** i) and the class token"
    assert [m - 8 for _, m in pruned_schedule(520, 6, 0.6, 8)] == [512, 307, 307, 184, 110, 110]
    assert pruned_schedule(5, 6, 0.05, 3)[-1] == (4, 4), "one token always goes on"


def test_the_top_share_goes_on_in_its_old_order(monkeypatch) -> None:
    known = torch.tensor([[0.3, 0.9, -1.0, 0.5, 0.5, 0.1], [2.0, -3.0, 1.0, 0.0, 4.0, 3.0]])
    monkeypatch.setattr(patchlens.pruner, "pruner_for", lambda weights: (weights, {}))
    asked = []
    monkeypatch.setattr(patchlens.pruner, "score_tokens", lambda p, stage, x: asked.append((p, stage, x.shape)) or known)
    x = torch.randn(2, 8, 4)
    look = Look(x, x, x, torch.ones(2, 8), length=5, front=2, block=2, depth=6)
    merge = Pruning(0.5, "mine").decide(look)
    assert merge.stay.tolist() == [[0, 1, 3, 5, 6], [0, 1, 2, 6, 7]], "of the two at 0.5 both, of six tokens three"
    assert merge.into[0].tolist() == [0, 1, -1, 2, -1, 3, 4, -1]
    assert asked == [("mine", 1, (2, 6, 4))], "before block 3 of 6 stands the second stage; prefix tokens are not scored"


def test_what_is_dropped_is_no_longer_computed(tmp_path) -> None:
    encoder = toys.space_time(depth=6)
    merger, seen = Pruning(0.5, weights(tmp_path)), []
    taps = [b.register_forward_pre_hook(lambda _, x: seen.append(len(x[0]))) for b in (x.norm1 for x in encoder.vit.blocks)]
    made = encoder.encode(encoder.tokens(toys.clip(8)), merger=merger)
    for tap in taps:
        tap.remove()
    assert seen == [62, 32, 32, 17, 9, 9] and len(made.tokens) == 7
    assert int((made.groups >= 0).sum()) == 7, "nothing joins another"


def test_scores_decide_and_dropped_tokens_cannot_change_the_result(tmp_path) -> None:
    """Behind the first stage the tokens that were dropped may be anything, as long as they still rank below."""
    encoder, merger = toys.space_time(), Pruning(0.5, weights(tmp_path))
    scorer = pruner_for(merger.weights)[0].stages[0]
    cut = cuts(merger.lengths(62, 3, 2), 2)[0]
    x = torch.randn(1, 62, 32)
    ways = []
    for poison in (0.0, 1.0):
        look = Look(x, x, x, torch.ones(1, 62), cut.left, 2, cut.block, 3)
        stay = merger.decide(look).stay
        scores = scorer(x[:, 2:])[0]
        kept = (stay[0, 2:] - 2).tolist()
        assert sorted(scores.argsort(descending=True)[: len(kept)].tolist()) == kept
        gone = torch.ones(62, dtype=torch.bool).index_fill(0, stay[0], False)
        x = x.clone()
        x[:, gone] += poison * torch.randn(int(gone.sum()), 32)
        shorter, _ = merger.decide(look).apply(x)
        ways.append(encoder.vit.trunk(shorter[0], encoder.vit.assemble(shorter[0, 2:], (cut.left - 2,))[1], start=1))
    assert torch.equal(*ways)


def test_a_sweep_solves_rho_for_the_mean_share() -> None:
    who = contender("pruner")
    assert (who.name, who.knob) == ("pruner", "rho") and contender("pruner:rho=0.8").knob is None
    for budget in (0.3, 0.5, 0.7, 0.95):
        rho = solve_merger(who.merger, 520, 6, 8, budget)
        lengths = who.merger_at(rho).lengths(520, 6, 8)
        assert mean_share(lengths, 8) == pytest.approx(budget, abs=0.006) and who.spec(rho) == f"pruner:rho={rho}"
    assert solve_merger(who.merger, 520, 6, 8, 1.0) == 1 and 0.05 <= solve_merger(who.merger, 520, 6, 8, 0.01) < 0.1


def test_what_does_not_fit_is_one_sentence(tmp_path, space_time) -> None:
    with pytest.raises(ValueError, match="^pruner needs a pruner trained for tiny-video, which the encoder toy-space-time"):
        run(toys.clip(8), encoder=space_time, merger="pruner", cache=False)
    wrong = Pruning(0.5, weights(tmp_path, width=24))
    with pytest.raises(ValueError, match="3 stages for tokens of width 24, and is asked for stage 1 of width 32"):
        run(toys.clip(8), encoder=space_time, merger=wrong, cache=False)
    with pytest.raises(ValueError, match="no file none.safetensors; make it with `patchlens train pruner`"):
        run(toys.clip(8), encoder=space_time, merger=Pruning(0.5, str(tmp_path / "none.safetensors")), cache=False)
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(ValueError, match="text.safetensors is no pruner of PatchLens"):
        run(toys.clip(8), encoder=space_time, merger=Pruning(0.5, str(tmp_path / "text.safetensors")), cache=False)


def test_the_one_that_ships_was_trained_on_the_tiny_video_that_ships() -> None:
    encoder = load_encoder("tiny-video")
    pruner, card = pruner_for()
    assert card["encoder_sha256"] == encoder.loaded.facts["sha256"] and card["recipe"]["rho"] == Pruning().rho
    assert "a pruner trained for tiny-video" in encoder.offers
    assert (pruner.config.width, pruner.config.stages) == (encoder.config.width, 3) and not pruner.training
    trace = run(toys.clip(16, size=(64, 64)), encoder=encoder, selector="everything", merger="pruner", cache=False)
    assert trace.report.tokens_left == 110 and trace.report.selector_gmacs == pytest.approx(card["gmacs"])
