"""The commands of `patchlens study`: tables, JSON that says where it comes from, and pages that open offline."""

from __future__ import annotations

import json

import pytest
from clips import encode, moving
from patchlens.cli import cli


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return str(encode(tmp_path_factory.mktemp("study") / "clip.mp4", moving(40, height=96, width=128)))


COMMANDS = {
    "redundancy": ["--level", "0.5", "--noise", "0", "--clips", "2", "--frames", "4"],
    "compression": ["CLIP", "--codec", "x264", "--rate", "200", "--frames", "32"],
    "footage": ["CLIP", "--tau", "0.2"],
    "camera": ["--limit", "2"],
}


@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_study_prints_and_writes(name, clip, tmp_path, capsys):
    table, plot = tmp_path / "out.json", tmp_path / "out.html"
    asked = [clip if x == "CLIP" else x for x in COMMANDS[name]]
    cli(["study", name, *asked, "--json", str(table), "--plot", str(plot)], standalone_mode=False)
    found, said = json.loads(table.read_text()), capsys.readouterr().out
    assert found["provenance"]["machine"] in said and said.count("|") > 10
    assert found.get("rows") or found["curve"]
    page = plot.read_text()
    assert "Plotly.newPlot" in page and "cdn.plot.ly" not in page.split("</script>")[-2]


def test_an_output_without_a_folder_is_refused_before_any_work(clip, tmp_path):
    with pytest.raises(ValueError, match="--plot .*the folder"):
        cli(["study", "footage", clip, "--plot", str(tmp_path / "no" / "x.html")], standalone_mode=False)


def test_a_codec_that_is_not_known_is_refused(clip):
    with pytest.raises(ValueError, match="codec is 'av2'"):
        cli(["study", "compression", clip, "--codec", "av2"], standalone_mode=False)


def test_the_oracle_by_block_gradient_and_sign_is_the_cards_table(tmp_path, capsys):
    table = tmp_path / "out.json"
    cli(["study", "oracle", "--weights", "random", "--limit", "4", "--json", str(table)], standalone_mode=False)
    found, said = json.loads(table.read_text()), capsys.readouterr().out
    assert len(found["oracle_table"]) == 4 * 7 + 1 and found["oracle_clips"] == 4 and found["data"] == "motions, stream 2"
    assert "(4 clips of motions, stream 2)" in said and "| random |  |  |" in said
    best = max(found["oracle_table"][:-1], key=lambda row: (row["predicted 0.3"], row["label probability"]))
    chosen = found["oracle"]
    assert (chosen["gradient"], chosen["signs"][best["gradient"]]) == (best["gradient"], best["sign"])
    assert f"gradient {best['gradient']}, block {best['block']}" in said


def test_an_encoder_that_knows_none_of_the_classes_is_one_sentence():
    for encoder in ("tiny-clip", "tiny-video"):
        with pytest.raises(ValueError, match=f"{encoder} knows no class of scenes"):
            asked = ["study", "oracle", "scenes", "--encoder", encoder, "--weights", "random", "--limit", "2"]
            cli(asked, standalone_mode=False)
