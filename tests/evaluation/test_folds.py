"""Models that each saw a part of a set, measured together: joined tables, linear probes, folders of trainings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toys
from patchlens.evaluation.folds import fit_probe, probe_runs, trained_runs
from patchlens.evaluation.principles import principles_of
from patchlens.evaluation.rows import rows_of
from patchlens.evaluation.sweep import measure_runs, measure_set
from patchlens.training.inflate import with_head
from toy_sets import toy_set


def test_joined_tables_hold_every_sample_once():
    encoder, data, plans = toys.space_time(), toy_set(12), ["rlt", "center"]
    halves = [data.first(7), toy_set(12).samples[7:]]
    runs = [(encoder, halves[0]), (encoder, type(data)("rest", halves[1], data.offers))]
    table = measure_runs(runs, plans, budgets=[0.5])
    whole = measure_set(encoder, data, plans, budgets=[0.5])
    assert table.names == whole.names and table.labels == whole.labels
    for variant, measured in table.runs.items():  # also RLT's threshold is the whole set's
        assert np.allclose(measured.view("f8"), whole.runs[variant].view("f8"), atol=1e-6)
    assert rows_of(table)[0] == rows_of(whole)[0]
    with pytest.raises(ValueError, match="no model to measure"):
        measure_runs([], plans)


def test_a_probe_separates_what_can_be_separated():
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(90) % 3
    features = torch.randn(90, 10, generator=rng) * torch.logspace(-3, 3, 10) + 5
    features[:, 4] += 40 * labels * features[:, 4].std()
    weight, bias = fit_probe(features, labels)
    assert (features @ weight.T + bias).argmax(1).eq(labels).float().mean() == 1.0


@pytest.mark.parametrize("model", ["frame_cls", "space_time"])
def test_probes_are_fitted_on_the_other_folds(model):
    encoder, data = getattr(toys, model)(), toy_set(24)
    runs = probe_runs(encoder, data, 3, frames=8)
    assert sorted(s.name for _, test in runs for s in test) == sorted(s.name for s in data)
    heads = [e.vit.head.weight for e, _ in runs]
    assert not torch.equal(heads[0], heads[1]) and all(e.classes == data.classes for e, _ in runs)
    trunk = [n for n, _ in encoder.vit.named_parameters() if not n.startswith("head")]
    mine, theirs = runs[0][0].vit.state_dict(), encoder.vit.state_dict()
    assert all(torch.equal(mine[n], theirs[n]) for n in trunk) and "linear probe" in runs[0][0].facts["weights"]
    result = principles_of(runs, cues=["center"], budgets=[0.3, 0.5], seeds=1, frames=8)
    assert result["n"] == 24 and len(result["principles"]) == 5


def test_a_head_without_a_bias_gets_one():
    encoder = toys.space_time(output_bias=False)
    assert with_head(encoder.loaded, toys.CLASSES).head.bias is not None


def test_a_folder_that_is_no_training_is_said(tmp_path):
    with pytest.raises(ValueError, match="holds no heldout.csv"):
        trained_runs([tmp_path], toy_set(3))
    (tmp_path / "heldout.csv").write_text("file,class\nother.mp4,x\n")
    with pytest.raises(ValueError, match="held out other.mp4, which toys has not"):
        trained_runs([tmp_path], toy_set(3))
