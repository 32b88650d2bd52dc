"""The one way through: what is cached, when it stops, and whether its figures can be worked out again."""

from __future__ import annotations

from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path

import patchlens
import pytest
import torch
import toys
from clips import encode, moving
from patchlens.cache import Cache
from patchlens.encoders import reference, resident
from patchlens.encoders.vit import ViT, ViTConfig
from patchlens.pipeline import Cancelled, load_encoder, run, run_steps
from patchlens.selectors.baselines import Random
from patchlens.selectors.oracle import Oracle
from patchlens.selectors.rlt import RLT
from patchlens.types import Scores, Trace

PLANS = [
    "rlt:tau=0.1",
    "random:keep=0.3",
    "oracle:keep=0.25,block=1",
    "rlt:tau=0.05+random:keep=0.5",
    "saliency",
    "attention",
]


def flat(value: object, path: str = "") -> dict[str, object]:
    """Every tensor (as bytes) and plain value inside a value, by its path."""
    if isinstance(value, torch.Tensor):
        return {path: (str(value.dtype), tuple(value.shape), value.numpy().tobytes())}
    if is_dataclass(value):
        parts = {f.name: getattr(value, f.name) for f in fields(value)}
    elif isinstance(value, dict):
        parts = value
    elif isinstance(value, tuple | list):
        parts = dict(enumerate(value))
    else:
        return {path: value}
    return {k: v for name, part in parts.items() for k, v in flat(part, f"{path}.{name}").items()}


def facts_of(trace: Trace) -> dict[str, object]:
    """All of a Trace but its timing."""
    return flat(replace(trace, timing={}))


def watch(monkeypatch, cls: type) -> list[str]:
    """Count the calls of a selector's score."""
    calls, score = [], cls.score
    monkeypatch.setattr(
        cls, "score", lambda self, tokens, context: calls.append(self.name) or score(self, tokens, context)
    )
    return calls


@pytest.mark.parametrize("plan", PLANS)
def test_cached_is_uncached_to_the_last_byte(encoder, plan, tmp_path):
    ways = dict(encoder=encoder, selector=plan, label="still", seed=3)
    plain = facts_of(run(toys.clip(seed=11), **ways, cache=False))
    first = facts_of(run(toys.clip(seed=11), **ways, cache=Cache(tmp_path)))
    assert list(tmp_path.rglob("*.npz"))
    from_disk = facts_of(run(toys.clip(seed=11), **ways, cache=Cache(tmp_path)))
    assert plain == first == from_disk


def test_what_a_slider_moves_asks_for_no_new_scores(space_time, monkeypatch):
    cache, calls = Cache(None), watch(monkeypatch, RLT)
    clip, ways = toys.clip(seed=12), dict(encoder=space_time, cache=cache)
    kept = {tau: run(clip, selector=RLT(tau), **ways).keep.count for tau in (0.0, 0.3, 0.6)}
    assert len(calls) == 1 and kept[0.0] > kept[0.3] > kept[0.6]
    run(clip, selector="rlt:tau=0.2+random:keep=0.5", seed=4, label="still", **ways)
    assert len(calls) == 1, "neither a seed nor a label nor a neighbour in the plan changes what RLT measures"


SCORE_KEYS = [
    (
        Oracle,
        dict(selector="oracle:keep=0.3"),
        dict(selector="oracle:keep=0.6,per=frame"),
        False,
        "keep ratio",
    ),
    (Oracle, dict(selector="oracle:block=0"), dict(selector="oracle:block=1"), True, "block"),
    (Oracle, dict(label="still"), dict(label="Rising"), True, "label of the clip"),
    (
        Oracle,
        dict(selector="oracle:label=still"),
        dict(selector="oracle:label=rising"),
        True,
        "label of the knob",
    ),
    (Oracle, dict(seed=1), dict(seed=2), False, "seed of a selector that draws nothing"),
    (
        Random,
        dict(selector="random", seed=1),
        dict(selector="random", seed=2),
        True,
        "seed of one that draws",
    ),
    (
        Random,
        dict(selector="random:keep=0.1"),
        dict(selector="random:keep=0.9"),
        False,
        "keep ratio of one that draws",
    ),
]


@pytest.mark.parametrize(("cls", "one", "two", "anew", "why"), SCORE_KEYS, ids=[k[-1] for k in SCORE_KEYS])
def test_the_score_key_holds_what_scores_depend_on_and_no_more(
    space_time, monkeypatch, cls, one, two, anew, why
):
    cache, calls = Cache(None), watch(monkeypatch, cls)
    for ways in (one, two, one):
        run(toys.clip(seed=13), encoder=space_time, cache=cache, **{"selector": "oracle", **ways})
    assert len(calls) == 1 + anew


def test_other_weights_get_other_scores(monkeypatch):
    cache, calls = Cache(None), watch(monkeypatch, Oracle)
    first, second = (
        run(toys.clip(), encoder=toys.space_time(seed), selector="oracle", cache=cache) for seed in (0, 9)
    )
    assert len(calls) == 2 and not torch.equal(first.scores.values, second.scores.values)
    assert not torch.equal(first.reference.pooled, second.reference.pooled)


def test_other_pixels_get_other_scores_although_the_file_is_the_same(space_time):
    """Two spans, two windows or two ways to resize one file share its digest, but not its scores."""
    one, two = toys.clip(seed=14), toys.clip(seed=15)
    two = replace(two, source=one.source)
    cache = Cache(None)
    for clip in (one, two):
        cached = run(clip, encoder=space_time, selector="rlt", cache=cache)
        plain = run(clip, encoder=space_time, selector="rlt", cache=False)
        assert torch.equal(cached.scores.values, plain.scores.values)


def model_file(folder: Path, seed: int) -> Path:
    """A small reference model under one name, with weights of its own."""
    config = ViTConfig(16, 1, 2, 32, (2, 2, 2), 8, 2, outputs=2)
    card = dict(config=asdict(config), mean=toys.MEAN, std=toys.STD, classes=["one", "two"])
    folder.mkdir()
    vit = toys.redraw(ViT(config), seed)
    reference.write(
        folder / "model.safetensors", vit, reference.Domain(torch.zeros(16), torch.eye(16), 1e9), card
    )
    return folder / "model.safetensors"


def test_two_files_of_one_name_are_two_models(tmp_path):
    """A model that was trained anew must not be answered with what the old one made."""
    cache, clip = Cache(tmp_path / "cache"), toys.clip(4, size=(16, 16))
    for seed in (1, 2):
        file = str(model_file(tmp_path / str(seed), seed))
        ways = dict(weights=file, device="cpu", selector="oracle")
        cached, plain = run(clip, cache=cache, **ways), run(clip, cache=False, **ways)
        assert torch.equal(cached.reference.pooled, plain.reference.pooled)
        assert torch.equal(cached.scores.values, plain.scores.values)


# --- Stopping ---


class Asked:
    """A `cancel` that turns true at the n-th question."""

    def __init__(self, at: int) -> None:
        self.at, self.count = at, 0

    def __call__(self) -> bool:
        self.count += 1
        return self.count >= self.at


def test_cancel_is_asked_between_blocks_and_stops_there(encoder, tmp_path):
    clip = toys.clip(seed=16)
    never = Asked(10**9)
    whole = run(clip, encoder=encoder, selector="random", cancel=never, cache=False)
    stages = 5  # load, decode, score, the full and the reduced run
    assert never.count == stages + 2 * encoder.config.depth, (
        "once per stage, and before each block of both runs"
    )
    for at in range(1, never.count + 1):
        store, asked = Cache(tmp_path / str(at)), Asked(at)
        with pytest.raises(Cancelled):
            run(clip, encoder=encoder, selector="random", cancel=asked, cache=store)
        assert asked.count == at, "nothing runs on after the answer"
        after = run(clip, encoder=encoder, selector="random", cache=Cache(tmp_path / str(at)))
        assert facts_of(after) == facts_of(whole), "a cancelled run leaves nothing wrong in the cache"


def test_cancel_is_asked_between_blocks_of_an_oracle_too(space_time):
    never, plain = Asked(10**9), Asked(10**9)
    run(toys.clip(), encoder=space_time, selector="random", cancel=plain, cache=False)
    run(toys.clip(), encoder=space_time, selector="oracle", cancel=never, cache=False)
    assert never.count > plain.count


def test_cancel_while_decoding_is_the_same_exception(space_time, tmp_path):
    file = encode(tmp_path / "a.mp4", moving(20, height=48, width=64))
    with pytest.raises(Cancelled):
        run(file, encoder=space_time, cancel=Asked(4), cache=False)


def test_stages_come_in_order_and_are_timed(space_time):
    steps, seen = run_steps(toys.clip(), encoder=space_time, cache=False), []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as done:
            trace = done.value
            break
    assert [s for s, _ in seen] == ["load", "decode", "score", "encode", "encode", "report"]
    assert set(trace.timing) == {"load", "decode", "score", "encode_full", "encode_reduced"}
    assert all(seconds >= 0 for seconds in trace.timing.values())
    told = []
    run(
        toys.clip(),
        encoder=space_time,
        cache=False,
        progress=lambda stage, share: told.append((stage, share)),
    )
    assert told == seen


def test_a_generator_that_is_dropped_stops(space_time):
    steps = run_steps(toys.clip(), encoder=space_time, cache=False)
    next(steps), next(steps)
    steps.close()


# --- The figures, worked out again ---


def macs(encoder, counts: list[int]) -> float:
    """1e9 multiply-accumulates of segments with so many patches, written out layer by layer."""
    c, total = encoder.config, 0
    for kept in counts:
        s = kept + c.prefix
        total += kept * 3 * c.tubelet * c.patch**2 * c.width  # embedding
        qkv, attention, proj, mlp = (
            3 * s * c.width**2,
            2 * s * s * c.width,
            s * c.width**2,
            2 * s * c.width * c.mlp,
        )
        total += c.depth * (qkv + attention + proj + mlp) + c.width * c.outputs
    return total / 1e9


@pytest.mark.parametrize(
    "plan", ["random:keep=0.3", "oracle:keep=0.25,block=1", "rlt:tau=0.3+saliency:keep=0.5"]
)
def test_every_figure_of_a_report_can_be_worked_out_again(encoder, plan):
    clip = toys.clip(seed=17)
    trace = run(clip, encoder=encoder, selector=plan, label="left to right", cache=False)
    r, keep, grid = trace.report, trace.keep, trace.grid
    tokens = encoder.tokens(clip)
    full, reduced = encoder.encode(tokens), encoder.encode(tokens, keep)
    kept_per_frame = keep.mask.reshape(grid.t, -1).sum(1).tolist()
    whole = [grid.n] if encoder.segments == "clip" else [grid.per_frame] * grid.t
    left = [keep.count] if encoder.segments == "clip" else [k for k in kept_per_frame if k]
    assert (r.tokens_total, r.tokens_kept) == (
        60 if encoder.segments == "clip" else 120,
        int(keep.mask.sum()),
    )
    assert r.full.total == pytest.approx(macs(encoder, whole))
    assert r.reduced.total == pytest.approx(macs(encoder, left))
    assert r.selector_gmacs == pytest.approx(sum(s.gmacs for s, _ in trace.stages))
    assert r.saved == pytest.approx(1 - (macs(encoder, left) + r.selector_gmacs) / macs(encoder, whole))
    a, b = full.pooled.double(), reduced.pooled.double()
    assert r.cosine == pytest.approx(float(a @ b / a.norm() / b.norm()))
    p, q = full.logits.double().softmax(0), reduced.logits.double().softmax(0)
    assert r.kl == pytest.approx(float((p * (p / q).log()).sum()))
    assert r.top1_same == (int(p.argmax()) == int(q.argmax()))
    assert r.label == "left to right" and r.label_probability == pytest.approx((float(p[2]), float(q[2])))
    if encoder.segments == "frame":
        pairs = zip(full.frames.double(), reduced.frames.double(), strict=True)
        assert r.frame_cosine == pytest.approx([float(x @ y / x.norm() / y.norm()) for x, y in pairs])
    assert torch.equal(trace.encoding.tokens, reduced.tokens) and trace.encoding.tokens.shape[0] == keep.count


def test_the_cost_that_travels_to_a_browser_follows_the_slider(encoder):
    trace = run(toys.clip(), encoder=encoder, selector="random:keep=0.4,per=frame", cache=False)
    a, b, c = trace.encoder["cost"]["per_segment"]
    counts = [trace.keep.count] if encoder.segments == "clip" else trace.keep.per_frame
    assert sum(a + b * k + c * k * k for k in counts) == pytest.approx(trace.report.reduced.total)


def test_keeping_everything_changes_and_saves_nothing(encoder):
    r = run(toys.clip(), encoder=encoder, selector="everything", cache=False).report
    assert (r.keep_ratio, r.saved, r.top1_same, r.kl) == (1.0, 0.0, True, 0.0)
    assert r.cosine == pytest.approx(1, abs=1e-12)


def test_an_oracle_costs_more_than_it_saves(space_time):
    assert run(toys.clip(), encoder=space_time, selector="oracle:keep=0.5", cache=False).report.saved < 0


# --- What a Trace says ---


def test_a_trace_holds_what_was_asked_for(space_time):
    clip = toys.clip(seed=18)
    trace = run(clip, encoder=space_time, selector=RLT(0.2), label="Still", seed=5, cache=False)
    request = trace.request
    assert (request.plan, request.label, request.seed) == ("rlt:tau=0.2", "Still", 5)
    assert request.clip.source == clip.source.sha256
    assert (request.encoder.name, request.encoder.device, request.encoder.dtype) == (
        "toy-space-time",
        "cpu",
        "float32",
    )
    assert type(request).from_json(request.to_json()) == request
    assert trace.encoder["name"] == "toy-space-time" and trace.encoder["segments"] == "clip"
    assert trace.scores is trace.stages[0][0] and trace.classes == toys.CLASSES


def test_a_clip_of_another_length_is_sampled_and_says_so(space_time):
    trace = run(toys.clip(11), encoder=space_time, cache=False)
    assert "toy-space-time reads 8 frames; this clip has 11, sampled evenly to fit." in trace.notes
    assert trace.frame_index.tolist() == [0, 1, 3, 4, 6, 7, 9, 10]
    assert not run(toys.clip(8), encoder=space_time, cache=False).notes


def test_notes_are_what_a_person_should_know(space_time, frame_cls):
    clip = replace(toys.clip(), notes=("2 frames were damaged.",))
    assert run(clip, encoder=space_time, cache=False).notes == ("2 frames were damaged.",)
    empty = run(toys.clip(), encoder=frame_cls, selector="oracle:block=-1", cache=False)
    (note,) = empty.notes
    assert note.startswith("The token-value map is empty: this encoder answers from its class token")
    bare = toys.frame_cls(classes=None)
    (note,) = run(toys.clip(), encoder=bare, selector="random", label="still", cache=False).notes
    assert note == "toy-frame-cls names no classes, so the label 'still' is not used."
    guess = toys.space_time()
    guess.loaded.weights = "random"
    (note,) = run(toys.clip(), encoder=guess, cache=False).notes
    assert (
        note == "toy-space-time runs on random weights: costs and timings are real, its answers mean nothing."
    )


class Far:
    """A domain that every clip lies outside of."""

    limit = 1.0
    drawn_by = "the toy shop"

    def distance(self, feature: torch.Tensor) -> float:
        return 2.5


def test_footage_unlike_the_training_is_said_to_be(space_time):
    stranger = toys.space_time()
    stranger.loaded.domain = Far()
    trace = run(toys.clip(), encoder=stranger, cache=False)
    told = {"like_training": False, "distance": 2.5, "limit": 1.0, "trained_on": "the toy shop"}
    assert trace.encoder["domain"] == told
    assert len(trace.notes) == 1 and trace.notes[0].startswith(
        "This footage is unlike what toy-space-time was trained on"
    )
    Far.limit = 3.0
    assert run(toys.clip(), encoder=stranger, cache=False).notes, "near, but drawn by somebody else"
    own = patchlens.Clip.from_frames(toys.clip().frames, drawn_by="the toy shop")
    assert not run(own, encoder=stranger, cache=False).notes


REFUSED = [
    (
        dict(selector="oracle"),
        ValueError,
        "oracle needs logits, which the encoder toy-frame-cls does not offer.",
    ),
    (
        dict(selector="rlt+oracle"),
        ValueError,
        "oracle needs logits, which the encoder toy-frame-cls does not offer.",
    ),
    (dict(selector="rtl"), KeyError, "There is no selector named 'rtl'"),
    (dict(selector=""), ValueError, "The plan is empty"),
]


@pytest.mark.parametrize(("ways", "error", "sentence"), REFUSED)
def test_what_does_not_fit_is_said_before_running(ways, error, sentence, monkeypatch):
    bare = toys.frame_cls(classes=None)
    monkeypatch.setattr(
        bare, "tokens", lambda clip: pytest.fail("the clip was read before the plan was checked")
    )
    with pytest.raises(error) as raised:
        run(toys.clip(), encoder=bare, cache=False, **ways)
    assert sentence in raised.value.args[0]


def test_a_label_that_no_class_has_is_one_sentence(space_time):
    with pytest.raises(ValueError, match="The encoder knows no class 'flying'; it knows 6: Rising, falling"):
        run(toys.clip(), encoder=space_time, label="flying", cache=False)


# --- Files and names ---


def test_a_file_is_decoded_once_and_again_when_it_changes(space_time, tmp_path, monkeypatch):
    from patchlens import video

    calls, read = [], video.read
    monkeypatch.setattr(video, "read", lambda path, **ways: calls.append(ways) or read(path, **ways))
    file = encode(tmp_path / "a.mp4", moving(20, height=48, width=64))
    ways = dict(encoder=space_time, cache=Cache(None), frames=8)
    first = run(file, **ways)
    again = run(str(file), selector="random:keep=0.2", **ways)
    assert len(calls) == 1 and torch.equal(first.clip.frames, again.clip.frames)
    assert calls[0]["size"] == (12, 20) and calls[0]["fit"] == "squash" and calls[0]["frames"] == 8
    encode(file, moving(21, height=48, width=64, seed=5))
    changed = run(file, **ways)
    assert len(calls) == 2 and not torch.equal(first.clip.frames, changed.clip.frames)
    assert not torch.equal(first.scores.values, changed.scores.values)
    run(file, span=(0.2, 0.6), **ways)
    assert len(calls) == 3


def test_a_file_that_is_not_there_is_one_sentence(space_time, tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.mp4"):
        run(tmp_path / "nothing.mp4", encoder=space_time, cache=False)


def test_random_weights_come_from_their_seed():
    one, same, two = (load_encoder("tiny-video", "random", seed=s, device="cpu") for s in (1, 1, 2))
    assert one is same and not torch.equal(one.vit.embedding.weight, two.vit.embedding.weight)
    resident._LOADED.clear()
    fresh = load_encoder("tiny-video", "random", seed=1, device="cpu")
    assert fresh is not one and torch.equal(one.vit.embedding.weight, fresh.vit.embedding.weight)


def test_the_python_front_door():
    """`patchlens.run` and friends, as the README shows them."""
    trace = patchlens.run(
        toys.clip(16, size=(64, 64)),
        encoder="tiny-video",
        weights="random",
        selector=patchlens.RLT(tau=0.1),
        device="cpu",
    )
    assert (
        trace.keep.mask.shape == trace.scores.values.shape == trace.keep.run_length.shape == (trace.grid.n,)
    )
    assert isinstance(trace.scores, Scores) and trace.report.keep_ratio == trace.keep.ratio
