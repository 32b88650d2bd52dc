"""The room Token value: the oracle's blocks to scrub through, its label and cleaning, a sentence's map."""

from __future__ import annotations

import re
from typing import Any

import pytest
from browsers import HASH

pytestmark = pytest.mark.browser
APP = "document.querySelector('.pl-app').patchlens"
ROOM = "#v=1&sample=static+camera&encoder=tiny-video&room=value&plan="
ORACLE = "oracle%3Akeep%3D0.3"
SPEC, MEASURED = f"{APP}.player.model.spec", f"{APP}.player.model.measured.spec"
BLOCK = "input[aria-label=Block]"
CAPTION = ".pl-oracle .pl-graph figcaption"


def oracle(dashboard: Any, plan: str = ORACLE, **options: Any) -> Any:
    """The room with the maps of all blocks at hand."""
    page = dashboard(ROOM + plan, **options)
    page.wait_for_selector(BLOCK, timeout=240_000)
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    return page


def slide(page: Any, place: int) -> None:
    """Move the slider without letting go."""
    page.eval_on_selector(BLOCK, f"(range) => {{ range.value = {place}; range.dispatchEvent(new Event('input')); }}")


def test_scrubbing_the_blocks_asks_nobody_and_letting_go_measures(dashboard: Any) -> None:
    page = oracle(dashboard)
    assert page.input_value(BLOCK) == "0" and "Block 0: with 30 %" in page.inner_text(CAPTION)
    seen, kept = {page.evaluate(HASH)}, page.evaluate(f"{APP}.player.model.kept")
    for place in (6, 1, 2, 3, 4, 5):
        slide(page, place)
        block = place if place < 6 else "mean"
        page.wait_for_function(f"{SPEC} === 'oracle:keep=0.3,block={block},gradient=own,sign=either'")
        page.wait_for_function(f"!{APP}.player.pending")
        seen.add(page.evaluate(HASH))
        assert page.evaluate(f"{APP}.player.model.kept") == kept
        assert page.inner_text(CAPTION).startswith(f"Block {place}: with 30 %" if place < 6 else "Mean of blocks 0 to 5: ")
    assert len(seen) == 7, "every block has another map"
    assert page.evaluate(f"{APP}.player.mode") == "value" and page.asked == []
    assert "(random 95.3 %, so −22 points)" in page.inner_text(CAPTION)
    assert "at block 5" in page.inner_text(".pl-part:has-text('How value is spread')")
    page.dispatch_event(BLOCK, "change")
    page.wait_for_function(f"{MEASURED} === {SPEC}", timeout=240_000)
    cost = page.evaluate(f"[{APP}.player.model.deciding, {APP}.player.model.measured.gmacs.selector]")
    assert cost[0] == pytest.approx(cost[1], rel=1e-4), "the last block alone is cheaper to ask"


def test_a_link_to_a_block_keeps_what_the_slider_kept(dashboard: Any) -> None:
    page, mask = oracle(dashboard), f"Array.from({APP}.player.model.keep.mask).join('')"
    slide(page, 2)
    page.wait_for_function(f"!{APP}.player.pending && {SPEC}.includes('block=2')")
    again = dashboard(ROOM + "oracle%3Akeep%3D0.3%2Cblock%3D2%2Cgradient%3Down%2Csign%3Deither")
    assert again.evaluate(mask) == page.evaluate(mask), "the server decides the same"
    assert again.input_value("label.pl-field:has-text('block') input") == "2", "the desk says it too"


def test_keys_step_through_the_blocks(dashboard: Any) -> None:
    page = oracle(dashboard)
    page.keyboard.press(">")
    page.wait_for_function(f"{SPEC}.includes('block=1')")
    page.keyboard.press(">")
    page.wait_for_function(f"{SPEC}.includes('block=2')")
    for _ in range(3):
        page.keyboard.press("<")
    page.wait_for_function(f"{SPEC} === 'oracle:keep=0.3'")
    page.focus(BLOCK)
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"{SPEC}.includes('block=1')")


def test_gradient_sign_and_cleaning_change_the_map_without_a_run(dashboard: Any) -> None:
    page = oracle(dashboard)
    first = page.evaluate(HASH)
    page.select_option(".pl-oracle-fields label:has-text('map') select", "edges")
    page.wait_for_function(f"{SPEC}.includes('clean=edges')")
    assert page.evaluate(HASH) != first
    page.select_option(".pl-oracle-fields label:has-text('gradient') select", "mean")
    page.wait_for_function(f"{SPEC} === 'oracle:keep=0.3,block=0,gradient=mean,sign=either,clean=edges'")
    assert "69.1 %" in page.inner_text(CAPTION) and "not as this one is cleaned" in page.inner_text(CAPTION)
    page.select_option(".pl-oracle-fields label:has-text('counts') select", "positive")
    page.wait_for_function(f"{SPEC} === 'oracle:keep=0.3,block=0,gradient=mean,sign=positive,clean=edges'")
    assert "60.6 %" in page.inner_text(CAPTION)
    assert not [url for url in page.asked if url.endswith("/run")], "only the answer is measured"
    page.wait_for_function(f"{MEASURED} === {SPEC}", timeout=240_000)


def test_value_for_another_answer(dashboard: Any) -> None:
    page = oracle(dashboard)
    label = page.locator(".pl-oracle-fields label:has-text('value for') select")
    words = label.locator("option").all_inner_texts()
    assert words[0].startswith("auto: ") and "left to right (what the clip shows)" in words
    label.select_option("growing")
    page.wait_for_function(f"{SPEC} === 'oracle:keep=0.3,label=growing'", timeout=240_000)
    page.wait_for_selector(BLOCK)
    assert "'growing'" in page.inner_text(".pl-part:has-text('How value is spread')")


@pytest.mark.slow
def test_any_sentence_gives_a_map(dashboard: Any) -> None:
    page = oracle(dashboard)
    page.fill("[aria-label=Sentence]", "a red star")
    page.press("[aria-label=Sentence]", "Enter")
    page.wait_for_function(f"{APP}.player.model.manifest.report.encoder.name === 'tiny-clip'", timeout=240_000)
    page.wait_for_selector(BLOCK)
    assert "'a red star'" in page.inner_text(".pl-part:has-text('How value is spread')")
    assert "--label 'a red star'" in page.inner_text(".pl-same >> nth=0")
    slide(page, 1)
    page.wait_for_function(f"{SPEC}.includes('block=1')")


def test_another_plan_offers_the_oracles_map(dashboard: Any) -> None:
    page = dashboard(ROOM + "random%3Akeep%3D0.4")
    assert page.is_hidden(".pl-oracle")
    page.click("text=Show the oracle's map")
    page.wait_for_function(f"{SPEC} === 'oracle:keep=0.4'", timeout=240_000)
    page.wait_for_selector(BLOCK)
    assert re.search(r"Gini 0\.\d+", page.inner_text(".pl-graph:has-text('Lorenz')"))


CARDS = ".pl-clips > li"


def test_easy_and_hard_clips_lie_side_by_side_and_follow_the_budget(dashboard: Any) -> None:
    page = oracle(dashboard)
    page.wait_for_selector(CARDS)
    names = page.eval_on_selector_all(CARDS, "cards => cards.map((card) => card.dataset.clip)")
    assert len(names) == 8 and names[0] == "busy" and set(names[-2:]) == {"noise", "flicker"}, "easiest first, unknown last"
    words = page.locator(f"{CARDS} > p").all_inner_texts()
    assert words[0].startswith("Right: oracle from 2 % on, random from ") and words[-1].startswith("Wrong with all tokens")
    assert page.get_attribute("[data-clip='static camera']", "aria-current") == "true"
    page.evaluate(f"{APP}.player.set({{ keep: 0.05 }})")
    page.wait_for_function(f"{APP}.player.model.kept < 40 && !{APP}.player.pending")
    assert page.locator(f"{CARDS} > p").first.inner_text() != words[0], "the line moves with the slider"
    classes = page.inner_text(".pl-hardness")
    assert "undecided" in classes and "hard 2.9 [1.2, 5.1]" in classes


def test_a_click_opens_the_clip_under_the_same_plan(dashboard: Any) -> None:
    page = dashboard(ROOM + "attention%3Akeep%3D0.2")
    page.wait_for_selector(CARDS)
    assert "attention" in page.inner_text(f"{CARDS} >> nth=0")
    page.click("[data-clip='two things'] button")
    page.wait_for_function("document.querySelector('.pl-title').textContent.startsWith('two things')", timeout=240_000)
    page.wait_for_function(f"{SPEC} === 'attention:keep=0.2'")
    page.wait_for_selector("[data-clip='two things'][aria-current]")


@pytest.mark.slow
def test_the_clip_on_the_screen_is_put_beside_them(dashboard: Any) -> None:
    page = dashboard(ROOM + "oracle%3Akeep%3D0.3%2Cblock%3D5")
    page.click("[data-ask=holding]")
    page.wait_for_function("document.querySelectorAll('.pl-clips > li').length === 9", timeout=240_000)
    assert page.inner_text(f"{CARDS} >> nth=0").startswith("static camera")


def test_a_selector_is_set_against_the_oracle_in_one_click(dashboard: Any) -> None:
    page = dashboard(ROOM + "random%3Akeep%3D0.4")
    page.click(".pl-ways >> text=A selector against the oracle")
    page.click("text=This plan")
    page.wait_for_function(f"{APP}.player.lanes.length === 2 && !{APP}.busy", timeout=240_000)
    assert page.evaluate(f"{APP}.player.state.plans") == ["random:keep=0.4", "oracle:keep=0.4"]
    assert page.evaluate(f"{APP}.player.mode") == "difference"
    assert "only A" in page.inner_text(".pl-legend") and "Jaccard" in page.inner_text(".pl-agreement")


def test_lite_is_set_against_the_oracle_that_it_learned(dashboard: Any) -> None:
    page = dashboard(ROOM + "random%3Akeep%3D0.3")
    page.click("button:text-is('LITE')")
    page.wait_for_function(f"{APP}.player.lanes.length === 2 && !{APP}.busy", timeout=240_000)
    plans = page.evaluate(f"{APP}.player.state.plans")
    assert plans[0] == "lite:keep=0.3" and "sign=either" in plans[1] and "clean=rank" in plans[1]
    told = re.search(r"Spearman of scores\s+([\d.]+)", page.inner_text(".pl-agreement"))
    assert told and float(told[1]) > 0.1


def test_the_scale_of_values_says_what_0_and_1_mean(dashboard: Any) -> None:
    page = oracle(dashboard)
    page.click("button:text-is('Values')")
    words = " ".join(page.inner_text(".pl-legend").split())
    assert words == "0 1 share of this clip's tokens that are worth less: 0 none, 1 all others"
