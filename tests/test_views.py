"""Views are pure functions of a Trace: same Trace, same bytes; text from outside stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from patchlens.keep import _KINDS, Rule, TopK, best
from patchlens.knobs import choice, knob
from patchlens.outputs import csv_bytes
from patchlens.types import MotionMap, Trace
from patchlens.views import bundle
from patchlens.views.card import card
from patchlens.views.figures import score_histogram, tokens_over_time
from patchlens.views.overlay import contact_sheet, overlay, save_mp4, save_png, tubelet_frame
from patchlens.views.player import (
    MOST_LANES,
    controls,
    display_rect,
    manifest,
    payload,
    payloads,
    without_pictures,
)
from patchlens.views.report import dumps, html_report, tidy, trace_json
from traces import HOSTILE, frame_trace, toy_trace

TRACES = {"rlt": toy_trace, "frames": frame_trace, "crop": lambda: toy_trace(crop=True)}

APP = Path(__file__).resolve().parents[1] / "app" / "patchlens_app" / "page"


@pytest.fixture(params=TRACES, scope="module")
def trace(request: Any) -> Trace:
    return TRACES[request.param]()


def opened(data: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A payload's manifest and blobs."""
    (length,) = struct.unpack("<I", data[:4])
    found = json.loads(data[4 : 4 + length])
    places = found["blobs"].items()
    return found, {name: data[4 + length + start :][:size] for name, (start, size) in places}


def test_same_trace_same_bytes(trace: Trace) -> None:
    assert payload(trace) == payload(trace)
    assert html_report(trace) == html_report(trace)
    assert card(trace) == card(trace)
    assert dumps(toy_trace()) == dumps(toy_trace())


def test_json_has_the_schema_of_version_1(trace: Trace) -> None:
    data = json.loads(dumps(trace))
    assert data["version"] == 1
    assert set(data) == {"version", "clip", "encoder", "selector", "plan", "seed", "tokens", "gmacs", "fidelity",
                         "prediction", "notes", "timing_s"}  # fmt: skip
    assert data["tokens"]["kept"] == trace.keep.count
    assert data["tokens"]["total"] == trace.grid.n
    assert sum(data["tokens"]["per_tubelet"]) == trace.keep.count
    assert {"full", "reduced", "selector"} <= set(data["gmacs"])
    assert {"name", "weights", "device", "dtype", "grid", "tubelet", "patch"} <= set(data["encoder"])
    assert data["encoder"]["grid"] == [trace.grid.t, trace.grid.h, trace.grid.w]
    assert data["selector"]["name"] in trace.request.plan
    assert {"cosine", "top1_same", "kl", "label_probability"} <= set(data["fidelity"])
    assert len(data["clip"]["times"]) == len(trace.clip.frames)


def test_json_keys_are_sorted_and_only_timing_may_differ() -> None:
    first, second = toy_trace(), replace(toy_trace(), timing={"decode": 9.87654321})
    one, two = json.loads(dumps(first)), json.loads(dumps(second))
    assert one.pop("timing_s") != two.pop("timing_s")
    assert json.dumps(one) == json.dumps(two)
    assert dumps(first) == json.dumps(json.loads(dumps(first)), sort_keys=True, indent=2, ensure_ascii=False)


def test_predictions_hold_the_full_runs_answer() -> None:
    trace = toy_trace()
    answers = trace_json(trace)["prediction"]
    assert len(answers) == 5
    assert trace.classes[int(trace.reference.logits.argmax())] in [a["label"] for a in answers]
    whole = toy_trace()
    none = replace(whole, encoding=replace(whole.encoding, logits=None))
    assert trace_json(none)["prediction"] == []


def test_tidy_rounds_and_names_what_json_cannot_say() -> None:
    value = {"a": 1 / 3, "b": (True, 2, None), "c": float("inf"), "d": float("nan"), "e": torch.float32}
    assert tidy(value) == {"a": 0.333333, "b": [True, 2, None], "c": "inf", "d": "nan", "e": "torch.float32"}


def test_payload_carries_scores_as_float32_and_the_decision(trace: Trace) -> None:
    found, blobs = opened(payload(trace))
    for i, (scores, _) in enumerate(trace.stages):
        assert np.array_equal(np.frombuffer(blobs[f"scores{i}"], "<f4"), scores.values.numpy())
        assert (f"fine{i}" in blobs) == (scores.fine is not None) == found["stages"][i]["fine"]
    assert np.array_equal(np.frombuffer(blobs["mask"], np.uint8).astype(bool), trace.keep.mask.numpy())
    assert found["runs"] == (trace.keep.run_length is not None)
    if found["runs"]:
        assert np.array_equal(np.frombuffer(blobs["runs"], "<i4"), trace.keep.run_length.numpy())
    assert all(start % 4 == 0 for start, _ in found["blobs"].values())
    picture = cv2.imdecode(np.frombuffer(blobs["picture0"], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert picture.shape == tuple(trace.clip.display.shape[1:])
    assert np.abs(picture.astype(int) - trace.clip.display[found["pictures"][0]].numpy()).mean() < 6


def test_motion_travels_as_the_way_of_each_token_in_display_pixels() -> None:
    trace = toy_trace(crop=True)  # display = source, 120 x 200; the encoder sees columns 40..160
    assert "flow" not in opened(payload(trace))[1]
    ways = torch.zeros(8, 12, 20, 2)  # blocks of 10 pixels
    ways[2, 0, 4:6] = torch.tensor([3.0, -1.0])
    ways[3, :2, 4] = torch.tensor([1.0, 0.0])
    clip = replace(trace.clip, motion=MotionMap(ways.norm(dim=-1), "codec vectors", 0.0, ways))
    _, blobs = opened(payload(replace(trace, clip=clip)))
    found = np.frombuffer(blobs["flow"], "<f4").reshape(4, 6, 10, 2)
    # cells are 12 x 20 pixels: cell (0, 0) is columns 40..52 and rows 0..20, two rows of blocks and 1.2 columns
    assert found[1, 0, 0] == pytest.approx([0.5 * 3 + (10 * 1.0) / 12, 0.5 * -1], rel=1e-5)
    assert np.count_nonzero(np.abs(found).sum(-1)) == 2 and found[1, 0, 1, 0] == pytest.approx(0.5 * 3 * 8 / 12)
    bare = replace(clip, motion=MotionMap(ways.norm(dim=-1), "codec vectors"))
    assert "flow" not in opened(payload(replace(trace, clip=bare)))[1], "lengths alone give no arrows"


def test_merged_groups_travel_as_token_numbers() -> None:
    trace = toy_trace()
    groups = torch.where(trace.keep.mask, torch.arange(trace.grid.n), -1)
    _, blobs = opened(payload(replace(trace, encoding=replace(trace.encoding, groups=groups))))
    assert np.array_equal(np.frombuffer(blobs["groups"], "<i4"), groups.numpy())
    assert "groups" not in opened(payload(trace))[1]


def test_only_the_first_of_several_payloads_brings_pictures() -> None:
    first, second = (opened(data) for data in payloads([toy_trace(), toy_trace(tau=0.5)]))
    assert first[0]["media"] and "picture0" in first[1]
    assert not second[0]["media"] and not any(name.startswith("picture") for name in second[1])
    assert second[0]["pictures"] == first[0]["pictures"]
    with pytest.raises(ValueError, match="The traces differ in clip, frames or encoder"):
        payloads([toy_trace(), frame_trace()])
    with pytest.raises(ValueError, match="0 traces were given"):
        payloads([])
    with pytest.raises(ValueError, match="5 traces were given; a page shows one to 4"):
        payloads([toy_trace()] * (MOST_LANES + 1))


def test_a_notebook_widget_holds_the_same_payloads() -> None:
    trace, other = toy_trace(), toy_trace(tau=0.5)
    widget = trace.widget(other)
    assert [bytes(p) for p in widget.payloads] == payloads([trace, other])
    assert "export default { render }" in widget._esm and ".pl-lanes" in widget._css


def test_csv_has_one_row_per_token(trace: Trace) -> None:
    head, *rows = csv_bytes(trace).decode().splitlines()
    table = [dict(zip(head.split(","), row.split(","), strict=True)) for row in rows]
    assert len(table) == trace.grid.n
    assert [(int(r["t"]), int(r["y"]), int(r["x"])) for r in table] == [trace.grid.cell(n) for n in range(trace.grid.n)]
    assert [r["kept"] == "1" for r in table] == trace.keep.mask.tolist()
    number = "" if len(trace.stages) == 1 else "1"
    values = np.array([r[f"value{number}"] for r in table], np.float32)
    assert np.array_equal(values, trace.scores.values.numpy()), "nine digits give the float32 back"
    ranks = np.array([int(r[f"rank{number}"]) for r in table])
    assert sorted(ranks) == list(range(1, trace.grid.n + 1))
    best_first = values[np.argsort(ranks)]
    assert (best_first[:-1] >= best_first[1:]).all()
    lengths = trace.keep.run_length
    assert [r["run"] for r in table] == ([""] * trace.grid.n if lengths is None else [str(x) for x in lengths.tolist()])


def test_frames_point_at_pictures_and_true_times(trace: Trace) -> None:
    found = manifest(trace)
    assert len(found["frames"]) == trace.grid.frames
    for frame, index in zip(found["frames"], trace.frame_index.tolist(), strict=True):
        assert found["pictures"][frame["picture"]] == index
        assert frame["time"] == pytest.approx(float(trace.clip.times[index]), abs=1e-4)


def test_rect_is_in_display_pixels() -> None:
    assert display_rect(toy_trace()) == [0, 0, 200, 120]
    assert display_rect(toy_trace(crop=True)) == [40, 0, 160, 120]


@dataclass(frozen=True)
class Plain:
    """A selector whose rule simply takes its knob."""

    share: float = knob(0.5, 0.1, 1.0)
    per: str = choice("clip", ("clip", "frame"))

    def rule(self) -> Rule:
        return best(self.share, self.per)


@dataclass(frozen=True)
class Squared(Plain):
    """A selector whose rule takes something made of its knob."""

    def rule(self) -> Rule:
        return TopK(self.share**2)


def test_controls_are_found_by_trying() -> None:
    found = controls(Plain())
    assert found["live"] and found["fields"] == {"share": "keep"}
    assert {name: rule["kind"] for name, rule in found["rules"].items()} == {"clip": "topk", "frame": "topk_per_frame"}
    assert not controls(Squared())["live"], "its slider has to ask the server"


def test_overlay_keeps_kept_pixels_and_darkens_the_rest() -> None:
    picture = np.full((60, 100, 3), 200, np.uint8)
    mask = np.zeros((3, 5), bool)
    mask[1, 2] = True
    out = overlay(picture, mask, [0, 0, 100, 60], grid_lines=False)
    assert out.shape == picture.shape and out.dtype == np.uint8
    assert (out[30, 50] == 200).all(), "the middle of the kept patch is clear"
    assert (out[5:15, 5:15].mean(-1) < 150).all() and len(np.unique(out[5:15, 5:15].mean(-1))) > 1, "dimmed and hatched"
    assert (picture == 200).all(), "the input is untouched"


def test_overlay_marks_what_the_encoder_never_saw() -> None:
    out = tubelet_frame(toy_trace(crop=True), 0)
    assert out[:, :35].mean() < 45 < out[:, 60:140].mean()


def test_png_and_contact_sheet(trace: Trace, tmp_path: Path) -> None:
    save_png(trace, tmp_path / "sheet.png")
    read = cv2.imread(str(tmp_path / "sheet.png"))[..., ::-1]
    assert np.array_equal(read, contact_sheet(trace))


def test_mp4_shows_every_sampled_frame(trace: Trace, tmp_path: Path) -> None:
    save_mp4(trace, tmp_path / "overlay.mp4")
    with av.open(str(tmp_path / "overlay.mp4")) as video:
        assert video.streams.video[0].codec_context.name == "h264"
        pictures = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(pictures) == trace.grid.frames
    assert np.abs(pictures[0].astype(int) - tubelet_frame(trace, 0)).mean() < 8


def test_mp4_uses_the_playable_copy_at_its_own_rate(tmp_path: Path) -> None:
    from patchlens.export import write_mp4

    trace = toy_trace()
    write_mp4(tmp_path / "proxy.mp4", np.repeat(trace.clip.display.numpy(), 3, axis=0), fps=24)
    clip = replace(trace.clip, proxy=(tmp_path / "proxy.mp4").read_bytes())
    save_mp4(replace(trace, clip=clip), tmp_path / "overlay.mp4")
    with av.open(str(tmp_path / "overlay.mp4")) as video:
        assert float(video.streams.video[0].average_rate) == pytest.approx(24, rel=0.05)
        assert sum(1 for _ in video.decode(video=0)) == 24
    assert "proxy" in opened(payload(replace(trace, clip=clip)))[1]


def test_writing_the_overlay_video_can_be_stopped(tmp_path):
    class Enough(Exception):
        pass

    def check():
        raise Enough

    with pytest.raises(Enough):
        save_mp4(toy_trace(), tmp_path / "overlay.mp4", check)


def test_report_is_one_file_with_a_policy() -> None:
    page = html_report(toy_trace())
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page).group(1)
    assert "default-src 'none'" in policy and "unsafe-eval" not in policy
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy, "exactly this script may run"
    assert not re.search(r'(src|href)="(https?:)?//', page) and "@import" not in page and "url(http" not in page
    assert len(page) < 2_000_000


def test_a_large_playable_copy_stays_out_of_the_report() -> None:
    trace = toy_trace()
    with_copy = replace(trace, clip=replace(trace.clip, proxy=bytes(8_000_000)))
    assert len(html_report(with_copy)) < 1_000_000 < len(payload(with_copy))


def test_hostile_names_stay_text() -> None:
    trace = toy_trace(HOSTILE)
    for text in (html_report(trace), card(trace)):
        assert "<img src=x" not in text and "<script>window.hacked" not in text
    assert json.loads(dumps(trace))["clip"]["name"] == HOSTILE
    assert html_report(trace).count("</script>") == 2


def test_card_is_still_and_says_what_it_shows() -> None:
    text = card(toy_trace())
    assert "<script" not in text and "javascript:" not in text
    assert re.search(r'<img src="data:image/jpeg;base64,[^"]+" alt="Contact sheet of 4 tubelets', text)
    assert len(text) < 1_000_000


def test_bundle_has_every_module_once_and_no_import_left() -> None:
    script = bundle.script()
    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)
    assert not re.search(r"^import\b", bundle.module(), re.MULTILINE)
    used = [*bundle.ordered(bundle.VIEWER / "widget.js"), *bundle.ordered(APP / "app.js")]  # rooms are the dashboard's
    assert {path for path in used if path.parent == bundle.VIEWER} == set(bundle.VIEWER.glob("*.js"))
    assert "export default { render }" in bundle.module()


def test_bundle_refuses_two_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("export function same() {}\n")
    (tmp_path / "b.js").write_text('import { same } from "./a.js";\nconst same = 1;\n')
    with pytest.raises(ValueError, match="same is defined in a.js and in b.js"):
        bundle.joined(bundle.ordered(tmp_path / "b.js"))


def test_the_browser_knows_every_rule() -> None:
    text = (bundle.VIEWER / "keep.js").read_text()
    for kind in _KINDS.values():
        assert f'"{kind}"' in text


def test_viewer_never_parses_text_as_markup() -> None:
    for path in bundle.VIEWER.glob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|https?://(?!www\.w3\.org)",
            path.read_text(),
        ), path


def test_figures_count_every_token(trace: Trace) -> None:
    over_time = tokens_over_time(trace)
    assert [sum(part.y) for part in over_time.data] == [trace.keep.count, trace.grid.n - trace.keep.count]
    for stage, (scores, _) in enumerate(trace.stages):
        histogram = score_histogram(trace, stage)
        assert sum(sum(part.y) for part in histogram.data) == int(scores.values.isfinite().sum())


def test_a_buffer_loses_its_pictures_and_nothing_else() -> None:
    trace = toy_trace()
    assert without_pictures(payload(trace)) == payload(trace, media=False)
