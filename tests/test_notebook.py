"""What a Trace offers in a notebook: a table of tokens, figures, files, comparisons and sweeps in one line."""

from __future__ import annotations

import numpy as np
import patchlens as pl
import pytest
import toys
from patchlens.data.motions import sample_clip
from traces import HOSTILE, frame_trace, toy_trace


def test_the_table_of_tokens_says_what_the_trace_says():
    trace = toy_trace()
    frame, grid = trace.to_frame(), trace.grid
    assert len(frame) == grid.n
    for n in (0, 17, grid.n - 1):
        row = frame.iloc[n]
        assert (row.t, row.y, row.x) == grid.cell(n)
        assert row.time == float(trace.clip.times[trace.frame_index[int(row.t) * grid.tubelet]])
        assert row.run_length == int(trace.keep.run_length[n])
        assert row.kept == bool(trace.keep.mask[n])
    by_rank = frame.sort_values("rank")
    assert sorted(frame["rank"]) == list(range(1, grid.n + 1))
    assert (np.diff(by_rank.score[np.isfinite(by_rank.score)]) <= 0).all()
    assert set(by_rank.head(trace.keep.count).token) == set(frame[frame.kept].token)


def test_a_chained_plan_has_columns_for_every_stage():
    frame = frame_trace().to_frame()
    assert {"score", "rank", "score_2", "rank_2"} <= set(frame) and "run_length" not in frame


def test_an_unknown_plot_names_the_known_ones():
    with pytest.raises(KeyError, match="scores, tokens"):
        toy_trace().plot("pie")


def test_plots_hold_every_token_once():
    trace = toy_trace()
    figure = trace.plot("tokens")
    assert sum(sum(bars.y) for bars in figure.data) == trace.grid.n
    scores = trace.plot("scores")
    finite = int(np.isfinite(trace.scores.values.numpy()).sum())
    assert sum(sum(bars.y) for bars in scores.data) == finite


def test_files_are_written_where_asked(tmp_path):
    path = toy_trace(HOSTILE).save_html(tmp_path / "report.html")
    assert path.read_text().startswith("<!doctype html>") and "<script>window.hacked" not in path.read_text()
    assert toy_trace().save_mp4(tmp_path / "overlay.mp4").stat().st_size > 1000
    with pytest.raises(ValueError, match="folder"):
        toy_trace().save_html(tmp_path / "nowhere" / "report.html")


@pytest.fixture(scope="module")
def duel():
    clip = pl.Clip.from_frames(sample_clip("static camera", size=(48, 80)).frames, fps=12)
    return pl.compare(clip, ["rlt:tau=0.1", pl.Random(keep=0.25)], encoder=toys.space_time(), cache=None)


def test_a_comparison_is_one_clip_under_several_plans(duel):
    assert [t.request.plan for t in duel] == ["rlt:tau=0.1", "random:keep=0.25"]
    assert len({t.clip.source.sha256 for t in duel}) == 1
    table = duel.to_frame()
    assert list(table.kept) == [t.keep.count for t in duel]
    assert "rlt:tau=0.1" in duel._repr_html_() and "<script" not in duel._repr_html_()


def test_a_comparison_of_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing to compare"):
        pl.compare("clip.mp4", [])


def test_a_sweep_in_one_line():
    found = pl.sweep("motions", ["uniform"], budgets=[0.25], limit=8, seeds=1)
    table = found.to_frame()
    assert list(table.selector) == ["everything", "random", "uniform"]
    assert table.top1.between(0, 1).all() and table.gmacs.iloc[0] > table.gmacs.iloc[1]
    assert "uniform" in found._repr_html_()
    assert {"uniform", "random"} <= {line.name for line in found.plot().data}
