"""Features to files: complete, resumable without loss, and in the format asked for."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import toys
from clips import encode, moving
from patchlens.cli import cli
from patchlens.evaluation import features
from patchlens.evaluation.features import check_kind, extract, videos_of
from patchlens.selectors.residualvit import ResidualViT
from typer.testing import CliRunner

PLAN = ResidualViT(2, 0.6, "motion")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "slide.mp4"
    return encode(path, moving(120, dx=3, height=48, width=80), options={"bf": "0", "g": "15"})


def test_every_sampled_frame_has_its_feature(video: Path, tmp_path: Path) -> None:
    encoder = toys.frame_cls(residual=1)
    told: list[tuple[str, float, float]] = []
    made = extract(video, tmp_path / "a.npz", encoder, PLAN, 10.0, told=lambda *x: told.append(x))
    stored = np.load(tmp_path / "a.npz")
    assert made["frames"] == len(stored["times"]) == 48 and stored["features"].shape == (48, encoder.config.width)
    assert np.allclose(np.diff(stored["times"]), 0.1, atol=0.03) and stored["intra"][0]
    assert made["gmacs"] > 0 and made["full"] > 0 and told[-1][1] == pytest.approx(1, abs=0.03) and told[-1][2] < 5
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("plan", [None, PLAN])
def test_a_killed_run_loses_nothing(video: Path, tmp_path: Path, plan: object, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = toys.frame_cls(residual=1)
    monkeypatch.setattr("patchlens.data.asked.PIECE", 10)
    extract(video, tmp_path / "whole.npz", encoder, plan, 10.0)
    asked = features.stream

    def cut(*args: object) -> object:
        for number, part in enumerate(asked(*args)):
            if number == 2:
                raise KeyboardInterrupt
            yield part

    monkeypatch.setattr(features, "stream", cut)
    with pytest.raises(KeyboardInterrupt):
        extract(video, tmp_path / "cut.npz", encoder, plan, 10.0)
    assert len(list((tmp_path / "cut.npz.parts").glob("part-*.npz"))) == 2
    monkeypatch.setattr(features, "stream", asked)
    extract(video, tmp_path / "cut.npz", encoder, plan, 10.0)
    whole, again = (np.load(tmp_path / f"{name}.npz") for name in ("whole", "cut"))
    assert np.array_equal(whole["times"], again["times"]) and np.array_equal(whole["intra"], again["intra"])
    np.testing.assert_allclose(whole["features"], again["features"], rtol=1e-4, atol=1e-5)


def test_parquet_where_pyarrow_is(video: Path, tmp_path: Path) -> None:
    if find_spec("pyarrow") is None:
        with pytest.raises(ValueError, match="Parquet files need pyarrow"):
            check_kind(".parquet")
        return
    import pyarrow.parquet

    extract(video, tmp_path / "a.parquet", toys.frame_cls(), None, 5.0)
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    assert table.column_names == ["time", "intra", "feature"] and len(table) == 24


def test_what_cannot_be_done_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no video, and no folder that holds one"):
        videos_of(tmp_path)
    with pytest.raises(ValueError, match="choose one of .npz, .parquet"):
        check_kind(".csv")


def test_the_command_does_a_folder_and_leaves_finished_files_alone(video: Path, tmp_path: Path) -> None:
    ways = ["features", str(video.parent), "--out", str(tmp_path), "--weights", "random", "--fps", "2", "--drop", "0.9"]
    first = CliRunner().invoke(cli, ways, catch_exceptions=False)
    assert "1 of 1: slide.mp4.npz, 10 frames" in first.output and "% saved" in first.output
    again = CliRunner().invoke(cli, ways, catch_exceptions=False)
    assert "slide.mp4.npz is there already" in again.output
