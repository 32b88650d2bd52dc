"""The room of residual tokens: with and without the token, moments of a sentence to play, costs side by side, sliders."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from patchlens.selectors.residualvit import READY

pytestmark = pytest.mark.browser
APP = "document.querySelector('.pl-app').patchlens"
IDLE = f"!{APP}.busy && {APP}.player.model !== null"
MODEL = f"{APP}.player.model"
LONG = 240_000


def link(sample: str, plan: str, frames: int = 16) -> str:
    """A view of the room."""
    named = [("sample", sample), ("encoder", "tiny-clip"), ("frames", frames), ("room", "residual"), ("plan", plan)]
    return "#" + urlencode([("v", "1"), *named])


def graph(page: Any, title: str) -> str:
    """What a graph says, once it says something."""
    page.wait_for_function(
        "(title) => [...document.querySelectorAll('.pl-graph')]"
        ".some((g) => !g.hidden && g.innerText.includes(title) && g.querySelector('figcaption').innerText)",
        arg=title,
        timeout=LONG,
    )
    return page.inner_text(f".pl-graph:has-text('{title}') figcaption")


@pytest.fixture
def room(dashboard: Any) -> Any:
    """room(sample, plan, frames) -> a page whose P-frames have been run without the token."""

    def make(sample: str = "pan", plan: str = "residualvit:n=2,p=0.85", frames: int = 16, **options: Any) -> Any:
        page = dashboard(link(sample, plan, frames), **options)
        page.wait_for_function(f"{IDLE} && {MODEL}.keep.anchor", timeout=LONG)
        graph(page, "What the token adds")
        return page

    return make


@pytest.mark.slow
def test_it_opens_where_the_effect_is_plain_and_offers_where_it_fails(dashboard: Any) -> None:
    page = dashboard()
    page.click("role=tab[name='Residual tokens']")
    page.wait_for_function(f"{IDLE} && {MODEL}.manifest.report.clip.name === 'story'", timeout=LONG)
    graph(page, "What the token adds")
    found = f"{APP}.rooms.views.residual.leaning.found"
    leaning = lambda: page.evaluate(f"{found}.adds.filter((_, t) => !{found}.intra[t])")  # noqa: E731
    plain = leaning()
    assert sum(plain) / len(plain) > 0.05 and min(plain) > -0.05, "it helps, and takes away next to nothing"
    page.click("text=Where it misleads")
    page.wait_for_function(f"{IDLE} && {MODEL}.manifest.report.clip.name === 'cut story'", timeout=LONG)
    page.wait_for_function(f"{found}?.plan === {MODEL}.spec", timeout=LONG)
    fails = leaning()
    assert min(fails) < -0.5 and sum(fails) / len(fails) < -0.05, "it takes away, and much in some frames"
    assert "A new shot begins at frame" in graph(page, "Cosine to the full run")


def test_with_and_without_the_token_on_one_chart(room: Any) -> None:
    page = room()
    page.click(".pl-thumb >> nth=1")
    words = graph(page, "I- and P-frames")
    assert re.search(r"6 I-frames are encoded whole; 10 P-frames keep 15\.3 %.*leans on frame 1\.", words), words
    words = graph(page, "Cosine to the full run")
    assert "with the token (solid)" in words and "without (dashed)" in words and "A new shot" not in words
    assert re.search(r"the I-frame's feature in place of their own: 0\.\d+ \(dotted\)", words), words
    assert "of cosine to a P-frame on average; it takes away in" in graph(page, "What the token adds")
    near = page.evaluate(f"{MODEL}.measured.fidelity.frame_cosine")
    found = page.evaluate(f"{APP}.rooms.views.residual.leaning.found")
    assert found["with"] == pytest.approx(near, abs=1e-5) and found["without"] != found["with"]


def test_sliders_strategy_and_token_move_mask_and_cost_without_asking(room: Any) -> None:
    page = room()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    mask = lambda: page.evaluate(f"Array.from({MODEL}.keep.mask).join('')")  # noqa: E731
    cost = lambda: page.inner_text("tr[data-cost=clip] td >> nth=0")  # noqa: E731
    counted = page.inner_text("tr[data-cost=counted] td >> nth=0")
    assert counted == cost(), "torch counts what the closed form says"
    seen = [(mask(), cost())]
    for setting in ({"n": 5}, {"p": 0.5}, {"drop": "random"}, {"drop": "uniform"}, {"residual": "off"}):
        before = page.evaluate(f"{MODEL}.spec")
        page.evaluate(f"(setting) => {APP}.player.set(setting)", setting)
        page.wait_for_function(f"{MODEL}.spec !== {before!r} && {APP}.player.pending === null")
        seen.append((mask(), cost()))
    masks, costs = zip(*seen, strict=True)
    assert len(set(masks)) == 5 and masks[-1] == masks[-2], "the token changes no mask"
    assert costs[1] < costs[0] < costs[2] and costs[3] == costs[4] and costs[5] < costs[4]
    assert not [url for url in asked if "/patchlens/" in url]
    assert "with residualvit:n=2,p=0.85" in page.inner_text("tr[data-cost=counted]")
    assert "As measured with residualvit:n=2,p=0.85" in graph(page, "Cosine to the full run")
    wanted = page.evaluate(f"[{MODEL}.spec, {MODEL}.kept]")
    page.evaluate(f"{APP}.player.released()")
    page.wait_for_function(f"{MODEL}.measured.spec === {wanted[0]!r}", timeout=LONG)
    assert page.evaluate(f"{MODEL}.measured.tokens.kept") == wanted[1], "the server keeps as many"
    page.wait_for_function(f"{APP}.rooms.views.residual.leaning.found.plan === {wanted[0]!r}", timeout=LONG)
    assert page.inner_text("tr[data-cost=counted] td >> nth=0") == cost()


def test_the_strategy_is_a_menu_beside_the_sliders(room: Any) -> None:
    page = room()
    menu = page.locator(".pl-knobs label:has-text('drop') select")
    assert menu.locator("option").all_inner_texts() == list(READY)
    menu.select_option("center")
    page.wait_for_function(f"{MODEL}.measured.spec.includes('drop=center')", timeout=LONG)
    assert page.input_value(".pl-desk .pl-field:has-text('drop') input") == "center"


def test_a_sentence_finds_moments_and_a_click_plays_one(room: Any) -> None:
    page = room("story", frames=32)
    page.wait_for_selector(".pl-moment", timeout=LONG)
    assert page.locator(".pl-moment-row").count() == 3, "in full, by the plan, and the truth"
    words = graph(page, "How alike each frame is")
    assert "Best moment" in words and "overlap by" in words and "As measured with" not in words
    second = page.locator(".pl-part:has-text('Find a moment') .pl-saves button >> nth=1")
    second.click()
    asked = f"{APP}.rooms.views.residual.sentence.found"
    page.wait_for_function(f"{asked}.sentence === {second.inner_text()!r}", timeout=LONG)
    found = page.evaluate(asked)
    best = found["full"]["moments"][0]
    assert best["end"] - best["start"] < 12 and best["start"] > 8, "the second half of the clip"
    page.click("[data-way=full] .pl-moment[data-rank='1']")
    page.wait_for_function(f"{APP}.player.playback.playing")
    time = f"{MODEL}.manifest.frames[{APP}.player.frame].time"
    assert best["start"] - 1 <= page.evaluate(time) <= best["end"]
    span = {"start": best["end"] - 1.5, "end": best["end"]}  # the last of it, for it plays in real time
    page.evaluate(f"(span) => {APP}.rooms.views.residual.sentence.play(span)", span)
    page.wait_for_function(f"!{APP}.player.playback.playing", timeout=LONG)
    assert best["end"] - 1.5 < page.evaluate(time) < best["end"] + 1e-6, "and stops where the moment ends"


def test_an_unknown_word_is_said_in_one_sentence(room: Any) -> None:
    page = room()
    page.fill("input[aria-label=Sentence]", "a dog")
    page.press("input[aria-label=Sentence]", "Enter")
    page.wait_for_selector(".pl-part:has-text('Find a moment') [role=status]:has-text(\"'dog'\")", timeout=LONG)
    assert page.locator(".pl-moment").count() == 0


def test_p_frames_may_save_by_resolution_or_by_merging(room: Any) -> None:
    page = room()
    page.click("button:text-is('half the resolution')")
    page.wait_for_function(f"{IDLE} && {MODEL}.keep.coarse", timeout=LONG)
    frame = page.evaluate(f"{MODEL}.keep.anchor.findIndex((a, t) => a !== t)")
    page.evaluate(f"{APP}.player.seek({frame})")
    blocks = page.evaluate(f"Array.from({MODEL}.scene({frame}, 'dim').blocks)")
    assert len(blocks) == 144 and len(set(blocks)) == 36, "a quarter of the cells are drawn"
    assert "in 6 × 6 patches" in graph(page, "I- and P-frames")
    page.click("button:text-is('merged tokens')")
    page.wait_for_function(f"{IDLE} && {MODEL}.merger === 'tome:r=22'", timeout=LONG)
    page.wait_for_function(f"{APP}.rooms.views.residual.leaning.found?.plan === {MODEL}.spec", timeout=LONG)
    assert "tome:r=22 leaves" in graph(page, "I- and P-frames")
    assert page.inner_text("tr[data-cost=counted] td >> nth=0") == page.inner_text("tr[data-cost=clip] td >> nth=0")
    assert page.evaluate(f"{MODEL}.spec").startswith("residualvit:n=2,p=0")
    page.click("button:text-is('few, evenly spread, no token')")
    page.wait_for_function(f"{IDLE} && {MODEL}.spec.includes('drop=motion:steps=4,residual=off')", timeout=LONG)
    assert "P-frames keep 15.3 %" in graph(page, "I- and P-frames")
