"""What a page may ask for is checked before any work, and said in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from patchlens_app.asks import Ask

GOOD = {"source": "sample:pan", "encoder": "videomae-base", "weights": "random", "selector": "rlt:tau=0.2"}


def test_a_good_request_is_taken(tmp_path: Path) -> None:
    ask = Ask.of({**GOOD, "label": " left ", "frames": 8, "seed": 3, "span": [1, 2.5]}, tmp_path)
    assert (ask.name, ask.selector, ask.label, ask.frames, ask.seed) == ("pan", "rlt:tau=0.2", "left", 8, 3)
    assert ask.options()["span"] == (1.0, 2.5)
    assert ask.options()["proxy"] and "limits" not in ask.options()


@pytest.mark.parametrize(
    ("selector", "plan", "merger"),
    [
        ("rlt:tau=0.2+tome:r=8", "rlt:tau=0.2", "tome:r=8"),
        ("tome:r=30", "everything", "tome:r=30"),
        ("rlt:tau=0.2", "rlt:tau=0.2", None),
    ],
)
def test_a_plan_may_end_in_a_merger(tmp_path: Path, selector: str, plan: str, merger: str | None) -> None:
    ask = Ask.of({**GOOD, "encoder": "tiny-video", "weights": "random", "selector": selector}, tmp_path)
    assert (ask.selector, ask.merger) == (plan, merger)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": "sample:nope"}, "no sample named"),
        ({"source": "upload:/etc/passwd"}, "upload it again"),
        ({"source": "/etc/passwd"}, "upload it again"),
        ({"source": "upload:http://example.org/x.mp4"}, "upload it again"),
        ({"source": "upload:\0"}, "upload it again"),
        ({"source": 7}, "missing or too long"),
        ({"encoder": "nope"}, "offers no encoder"),
        ({"encoder": "videomae-huge"}, "million parameters"),
        ({"encoder": "videomae-base", "weights": "kinetics"}, "no such weights"),
        ({"selector": "rlt:taw=1"}, "not a knob"),
        ({"selector": "nope"}, "no selector named"),
        ({"selector": "x" * 9000}, "too long"),
        ({"frames": 0}, "whole number from 1 to 64"),
        ({"frames": True}, "whole number"),
        ({"frames": 1.5}, "whole number"),
        ({"seed": -1}, "whole number"),
        ({"label": ["x"]}, "missing or too long"),
        ({"span": [2, 1]}, "span is"),
        ({"span": [1]}, "span is"),
        ({"span": "1:2"}, "span is"),
        ({"span": [0, float("nan")]}, "span is"),
        ({"span": [False, True]}, "span is"),
    ],
)
def test_a_bad_request_is_one_sentence(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, KeyError), match=words):
        Ask.of({**GOOD, **change}, tmp_path)


@pytest.mark.parametrize("data", [None, [], "x", 3])
def test_nonsense_is_no_request(data: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not understood"):
        Ask.of(data, tmp_path)


def test_uploads_must_lie_in_the_upload_folder(tmp_path: Path) -> None:
    inside, outside = tmp_path / "up" / "a.mp4", tmp_path / "b.mp4"
    inside.parent.mkdir()
    for path in (inside, outside):
        path.write_bytes(b"x")
    ask = Ask.of({**GOOD, "source": f"upload:{inside}", "name": "my ${clip}.mp4"}, tmp_path / "up")
    assert ask.name == "my ${clip}.mp4" and ask.path == inside
    assert ask.options()["isolate"] and ask.options()["limits"].bytes <= 64 * 2**20
    for source in (outside, tmp_path / "up" / ".." / "b.mp4"):
        with pytest.raises(ValueError, match="upload it again"):
            Ask.of({**GOOD, "source": f"upload:{source}"}, tmp_path / "up")
    (tmp_path / "up" / "link.mp4").symlink_to(outside)
    with pytest.raises(ValueError, match="upload it again"):
        Ask.of({**GOOD, "source": f"upload:{tmp_path / 'up' / 'link.mp4'}"}, tmp_path / "up")
