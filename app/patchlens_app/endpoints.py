"""The named endpoints' places in the Blocks: which fields each takes, and how many may run at once."""

from __future__ import annotations

import gradio as gr

from patchlens_app.api import Api
from patchlens_app.runs import Runs
from patchlens_app.uploads import uploads_only


def endpoints(runs: Runs) -> None:
    """Put all named endpoints into the Blocks that is being built."""
    api = Api(runs)
    model = {"concurrency_id": "model", "concurrency_limit": 1, "show_progress": "hidden"}
    light = {"queue": False, "show_progress": "hidden"}
    text = lambda label, value="": gr.Textbox(value, label=label)  # noqa: E731
    with gr.Column(visible=False):
        video, sample = uploads_only(gr.File(label="video", type="filepath")), text("sample")
        encoder, selector = text("encoder", "tiny-video"), text("selector", "rlt:tau=0.1")
        plans = gr.Textbox("rlt:tau=0.1\nrandom:keep=0.3", label="plans", lines=2)
        label, span, kind = text("label"), text("span"), text("kind", "npz")
        question, sentence = text("question", "rivals"), text("sentence")
        frames, seed = (gr.Number(n, label=name, precision=0) for n, name in ((16, "frames"), (0, "seed")))
        report, file = gr.JSON(label="result"), gr.File(label="file")
        run = [video, sample, encoder, selector, label, frames, seed, span]
        button = gr.Button("call")
        button.click(api.analyze, run, report, api_name="analyze", **model)
        several = [video, sample, encoder, plans, label, frames, seed, span]
        button.click(api.compare, several, report, api_name="compare", **model)
        button.click(api.export, [*run, kind], file, api_name="export", **model)
        button.click(api.judge, [*run, question], report, api_name="judge", **model)
        button.click(api.ground, [*run, sentence], report, api_name="ground", **model)
        button.click(api.thumbnails, video, report, api_name="thumbnails", concurrency_limit=2, show_progress="hidden")
        for name in ("clips", "samples", "encoders", "selectors"):
            button.click(getattr(api, name), None, report, api_name=name, **light)
