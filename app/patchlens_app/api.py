"""The named endpoints for programs (gradio_client, curl): what the page does, with typed and documented arguments."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
from patchlens.cli import parse_span

from patchlens_app.asks import SAMPLE, UPLOAD, Ask
from patchlens_app.clips import clips
from patchlens_app.jobs import Steps
from patchlens_app.judges import agree
from patchlens_app.offer import encoders_on_offer, selectors_on_offer
from patchlens_app.runs import Runs, sentence

MOST_PLANS = 4


class Api:
    """The endpoints' functions; every docstring is what `view_api()` shows."""

    def __init__(self, runs: Runs) -> None:
        self.runs = runs

    def analyze(
        self, video: str, sample: str, encoder: str, selector: str, label: str, frames: float, seed: float, span: str
    ) -> Iterator[Any]:
        """Run one video through a plan and the full encoder: what stays, what it saves and what it costs.

        Parameters:
            video: the video file; or none, and a sample
            sample: name of a sample, as /samples lists them, where there is no video
            encoder: name of an encoder whose weights are on the server, such as "tiny-video"
            selector: the plan, such as "rlt:tau=0.1" or "rlt:tau=0.1+random:keep=0.5"
            label: the clip's class, for the oracle and the report; may be empty
            frames: frames to sample, 1 to 64
            seed: for random choices
            span: seconds START:END of the video, such as "2:7.5"; empty for all of it
        Returns:
            the report as JSON, schema version 1: clip, encoder, selector, tokens, gmacs, fidelity, prediction, timing_s
        """
        ask = self._ask(video, sample, encoder, selector, label, frames, seed, span)
        yield from _result(lambda stop: self.runs.report(ask(), stop))

    def compare(
        self, video: str, sample: str, encoder: str, plans: str, label: str, frames: float, seed: float, span: str
    ) -> Iterator[Any]:
        """Run one video through several plans under the same encoder.

        Parameters:
            video: the video file; or none, and a sample
            sample: name of a sample, where there is no video
            encoder: name of an encoder whose weights are on the server
            plans: 2 to 4 plans, one a line
            label: the clip's class; may be empty
            frames: frames to sample, 1 to 64
            seed: for random choices
            span: seconds START:END; empty for all of it
        Returns:
            {"reports": one report as /analyze gives it for each plan, "agreement": for each pair of plans the share of
            tokens on which they decide alike, and how many tokens both keep, only the first, only the second}
        """
        chosen = [line.strip() for line in (plans or "").splitlines() if line.strip()]
        asks = [self._ask(video, sample, encoder, plan, label, frames, seed, span) for plan in chosen]
        yield from _result(lambda stop: self._compare([ask() for ask in asks], stop))

    def _compare(self, asks: list[Ask], stop: threading.Event) -> Steps:
        from patchlens.views.report import trace_json

        if not 2 <= len(asks) <= MOST_PLANS:
            raise ValueError(f"There are {len(asks)} plans; give 2 to {MOST_PLANS}, one a line.")
        traces = []
        for ask in asks:
            traces.append((yield from self.runs.trace(ask, stop)))
        pairs = [(i, j) for i in range(len(asks)) for j in range(i + 1, len(asks))]
        agreement = [{"plans": [i, j], **agree(traces[i].keep.mask, traces[j].keep.mask)} for i, j in pairs]
        return {"reports": [trace_json(trace) for trace in traces], "agreement": agreement}

    def export(
        self,
        video: str,
        sample: str,
        encoder: str,
        selector: str,
        label: str,
        frames: float,
        seed: float,
        span: str,
        kind: str,
    ) -> Iterator[Any]:
        """Make a file of a run: the numbers, pictures, the overlay video or the one-file report.

        Parameters:
            video: the video file; or none, and a sample
            sample: name of a sample, where there is no video
            encoder: name of an encoder whose weights are on the server
            selector: the plan
            label: the clip's class; may be empty
            frames: frames to sample, 1 to 64
            seed: for random choices
            span: seconds START:END; empty for all of it
            kind: npz (mask, scores and run_length, each t x h x w), json, csv, png, mp4 or html
        Returns:
            the file
        """
        ask = self._ask(video, sample, encoder, selector, label, frames, seed, span)
        yield from _result(lambda stop: self._export(ask(), kind, stop))

    def _export(self, ask: Ask, kind: str, stop: threading.Event) -> Steps:
        name, _ = yield from self.runs.file(ask, kind, stop)
        return str(self.runs.shelf.path(ask, name))

    def judge(
        self,
        video: str,
        sample: str,
        encoder: str,
        selector: str,
        label: str,
        frames: float,
        seed: float,
        span: str,
        question: str,
    ) -> Iterator[Any]:
        """Ask about a run: is its token map true on this clip, and do other tokens do better at the same count?

        Parameters:
            video: the video file; or none, and a sample
            sample: name of a sample, where there is no video
            encoder: name of an encoder whose weights are on the server
            selector: the plan; your own tokens are "chosen:tokens=0-63.72"
            label: the clip's class; may be empty
            frames: frames to sample, 1 to 64
            seed: for random choices
            span: seconds START:END; empty for all of it
            question: "faithfulness" (deletion and insertion curves against chance), "rivals" (the plan's tokens against the
                oracle's, LITE's and random ones), "blocks" (the oracle's cost and accuracy by block), "residual" (each
                frame's cosine with and without the residual token; GMACs per frame by eq. (1) and as torch counts them),
                or "holding" (the label's probability by kept share, in the plan's order, the oracle's and random ones)
        Returns:
            the answer as JSON
        """
        ask = self._ask(video, sample, encoder, selector, label, frames, seed, span)
        yield from _result(lambda stop: self._judged(ask(), question, stop))

    def _judged(self, ask: Ask, question: str, stop: threading.Event) -> Steps:
        found, _ = yield from self.runs.judged(ask, question, stop)
        return found

    def ground(
        self,
        video: str,
        sample: str,
        encoder: str,
        selector: str,
        label: str,
        frames: float,
        seed: float,
        span: str,
        sentence: str,
    ) -> Iterator[Any]:
        """Find the moments that a sentence describes, from every frame in full and from the plan's frames.

        Parameters:
            video: the video file; or none, and a sample
            sample: name of a sample, where there is no video
            encoder: name of a CLIP model whose weights are on the server, such as "tiny-clip"
            selector: the plan, such as "residualvit:n=2,p=0.85"
            label: may be empty
            frames: frames to sample, 1 to 64; the benchmark has 3 a second
            seed: for random choices
            span: seconds START:END; empty for all of it
            sentence: what to look for, such as "a red star"
        Returns:
            {"times" of the sampled frames in seconds, and for "full" and "plan" {"similarities": the cosine of each frame
            to the sentence, "moments": [{"start", "end", "score"}, ...] in seconds of the video, best first}}
        """
        ask = self._ask(video, sample, encoder, selector, label, frames, seed, span)
        yield from _result(lambda stop: self.runs.grounded(ask(), sentence, stop))

    def thumbnails(self, video: str) -> Iterator[Any]:
        """Look over a whole video.

        Parameters:
            video: the video file, of any length
        Returns:
            {"sha256", "start", "end" in seconds, "longest": seconds that one run may read, "thumbs": at most 24 pairs of
            seconds and a JPEG as a data URI}
        """
        yield from _result(lambda stop: self.runs.glance({"source": f"{UPLOAD}{video}"}, stop))

    def clips(self) -> dict[str, Any]:
        """The samples side by side, easy and hard: for each how its label's probability holds by kept share.

        Returns:
            {"encoder", "clips": for each sample its full run, curves in the order of several selectors and at random, the
            share each needs, and how the oracle's value is spread}
        """
        return clips()

    def samples(self) -> list[dict[str, Any]]:
        """The clips that come with the server: name, the class each shows (or none), a note."""
        from patchlens_app.samples import samples

        return [{"name": s.name, "label": s.label, "note": s.note} for s in samples().values()]

    def encoders(self) -> list[dict[str, Any]]:
        """The encoders: name, summary, which weights are on the server's disk, and what a download costs in MB."""
        return encoders_on_offer()

    def selectors(self) -> list[dict[str, Any]]:
        """The selectors: name, summary, knobs with their bounds and units."""
        return selectors_on_offer()

    def _ask(self, video: str, sample: str, encoder: str, selector: str, *rest: Any) -> Callable[[], Ask]:
        """The checked request, made when it is called, so that what is wrong with it is said like any other error."""

        def make() -> Ask:
            label, frames, seed, span = rest
            if bool(video) == bool(sample):
                raise ValueError("Give either a video or the name of a sample.")
            source = f"{UPLOAD}{video}" if video else f"{SAMPLE}{sample}"
            seconds = parse_span(span.strip() or None) if isinstance(span, str) else None
            data = {"source": source, "encoder": encoder or "tiny-video", "selector": selector or "rlt",
                    "label": label or "", "frames": frames, "seed": seed, "span": seconds and list(seconds)}  # fmt: skip
            return self.runs.ask(data)

        return make


def _result(begin: Callable[[threading.Event], Steps]) -> Iterator[Any]:
    """Go through the steps, so that a cancelled call stops the job; yields the result, or raises one sentence."""
    steps: Steps | None = None
    try:
        steps = begin(threading.Event())
        while True:
            next(steps)
            yield gr.skip()
    except StopIteration as done:
        yield done.value
    except GeneratorExit:
        raise
    except BaseException as error:
        raise gr.Error(sentence(error), print_exception=False) from None
    finally:
        if steps is not None:
            steps.close()
