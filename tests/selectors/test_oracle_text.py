"""CLIP's oracle: a sentence as the label, its cosine to the clip as what is explained."""

from __future__ import annotations

import patchlens as pl
import pytest
import torch
import toys
from patchlens.gradcam import token_values
from patchlens.selectors.oracle import Oracle
from torch.nn import functional

CLIP = toys.clip(4, seed=6)


@pytest.fixture(scope="module")
def clip_like():
    return toys.clip_like()


def test_a_sentence_gives_a_map_and_another_sentence_another(clip_like):
    made = [pl.run(CLIP, encoder=clip_like, selector=f"oracle:label={t}", cache=False) for t in ("a red ball", "a wall")]
    a, b = (t.scores for t in made)
    assert a.facts["label"] == "a red ball" and a.facts["label_from"] == "given" and "'a red ball'" in a.unit
    assert a.values.max() == 1 and not torch.allclose(a.fine, b.fine) and not made[0].notes


def test_the_clips_own_label_is_the_sentence(clip_like):
    given = pl.run(CLIP, encoder=clip_like, selector="oracle", label="a red ball", cache=False)
    asked = pl.run(CLIP, encoder=clip_like, selector="oracle:label=a red ball", cache=False)
    assert torch.equal(given.scores.fine, asked.scores.fine) and given.report.label is None


def test_what_is_explained_is_the_cosine_of_clip_and_text(clip_like):
    tokens, text = clip_like.tokens(CLIP), toys.Words().encode_text(["a red ball"])[0]
    (value,) = token_values(clip_like, [tokens], [text], -2)
    frames = clip_like.encode(tokens).frames
    assert float(value.logits[0]) == pytest.approx(float((frames @ text).mean()), abs=1e-5)


def test_a_value_is_what_a_little_more_of_the_token_adds_to_it(clip_like):
    """The map of one block with each token's own gradient, against finite differences of that block's MLP output."""
    tokens, text = clip_like.tokens(CLIP), toys.Words().encode_text(["a red ball"])[0]
    (value,) = token_values(clip_like, [tokens], [text], 1, gradient="own")
    plain = toys.Plain(clip_like).double()
    x = plain.embed(CLIP.frames)
    frame, token, step, sides = 2, 7, 1e-4, []
    for sign in (1, -1):

        def scale(_, args, sign=sign):
            out = args[0].clone()
            out[frame, :, token] *= 1 + sign * step
            return (out,)

        hook = plain.taps[1].register_forward_pre_hook(scale)
        sides.append(float((functional.normalize(plain(x), dim=-1) @ text.double()).mean()))
        hook.remove()
    assert (sides[0] - sides[1]) / (2 * step) == pytest.approx(float(value.signed[frame * 15 + token]), rel=1e-3, abs=1e-7)


def test_without_a_sentence_it_asks_for_one(clip_like):
    with pytest.raises(ValueError, match="names no classes: give a text to compare with as the label"):
        pl.run(CLIP, encoder=clip_like, selector=Oracle(), cache=False)
