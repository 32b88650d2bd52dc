"""A class token over space and time, as TimeSformer has one: it alone answers, and the last block values no patch."""

from __future__ import annotations

import patchlens as pl
import pytest
import torch
import toys
from patchlens.data.motions import CLASSES, batch
from patchlens.encoders.catalog import BUNDLED, CATALOG, on_disk
from patchlens.encoders.reference import CLS_CONFIG, CONFIG, load
from patchlens.evaluation import oracles
from patchlens.flops import coefficients

CLIP = toys.clip(8, seed=41)


@pytest.fixture(scope="module")
def reads_token():
    """The toy of space and time, answering from its class token."""
    return toys.space_time(pool="cls")


def test_it_answers_as_an_ordinary_vit_does(reads_token):
    tokens, plain = reads_token.tokens(CLIP), toys.Plain(reads_token)
    made = reads_token.encode(tokens)
    torch.testing.assert_close(made.logits, plain(plain.embed(CLIP.frames))[0], rtol=1e-5, atol=1e-5)
    assert "class_token" in reads_token.offers and reads_token.segments == "clip"


def test_a_dropped_patch_reaches_the_answer_only_through_attention(reads_token):
    """With few patches the answer is another one than with all, although the token that is read is always there."""
    tokens = reads_token.tokens(CLIP)
    few = reads_token.encode(tokens, toys.some(tokens.grid, 6))
    assert len(few.tokens) == 6 and not torch.allclose(few.logits, reads_token.encode(tokens).logits, atol=1e-3)


def test_the_last_block_is_no_candidate_for_the_oracle(reads_token):
    """Its map is zero, and equal values fall at random: it would stand in the table as good as random."""
    tokens = [reads_token.tokens(toys.clip(8, seed=s)) for s in range(4)]
    card = oracles.oracle_card(reads_token, [(tokens, torch.tensor([0, 1, 2, 3]))], (0.3,))
    assert {r["block"] for r in card["oracle_table"]} == {"mean", "0", "1", "random"}
    scores = pl.run(CLIP, encoder=reads_token, selector="oracle:block=-1", cache=False).scores
    assert not scores.fine.any() and "answers from its class token" in scores.facts["note"]


def test_the_catalog_knows_its_shape():
    entry, loaded = CATALOG["tiny-video-cls"], load("tiny-video-cls", "random")
    config = loaded.vit.config
    assert config == CLS_CONFIG and config.pool == "cls" and config.prefix == CONFIG.prefix + 1 == entry.prefix
    assert loaded.classes == CLASSES and coefficients(entry) == coefficients(config)


@pytest.mark.skipif(not on_disk(CATALOG["tiny-video-cls"]), reason="tiny-video-cls's weights are not there")
def test_the_shipped_model_names_motions_from_its_class_token():
    encoder = pl.load_encoder("tiny-video-cls", device="cpu")
    assert encoder.config == CLS_CONFIG and encoder.loaded.domain is not None
    frames, labels, _ = batch(range(16), seed=3)
    tokens = [encoder.tokens(pl.Clip.from_frames(f, fps=8.0)) for f in frames]
    answers = torch.stack([e.logits for e in encoder.encode_many(tokens)]).argmax(1)
    assert int((answers == torch.from_numpy(labels)).sum()) >= 13
    assert BUNDLED.joinpath("tiny-video-cls.md").is_file()
