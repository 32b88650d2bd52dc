"""The dashboard's page and server: one gr.HTML that holds the desk and the viewer, the API endpoint, launch settings.

The template is constant; names and numbers travel as JSON and are drawn in the browser, so that no text from outside is
ever read as markup.
"""

from __future__ import annotations

import os
import threading
import urllib.parse
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio is imported

import gradio as gr
from patchlens import __version__
from patchlens.limits import Limits
from starlette.middleware import Middleware

from patchlens_app.handlers import SAVES, Handlers

PAGE = Path(__file__).parent / "page"
QUEUE_LENGTH = 16
SESSIONS = 200
OFFERED = frozenset({"logits", "gradients", "class_token", "frames", "attention"})  # what some encoder offers
TEMPLATE = '<div class="pl-app"><p class="pl-loading">PatchLens is starting …</p></div>'


def page(offer: dict[str, Any]) -> gr.HTML:
    """Desk and viewer in one component: `value` is the latest message from the server, `about` what the desk offers.

    A function and no subclass, because gradio writes a .pyi file beside the source of every subclass.
    """
    from patchlens.views import bundle

    script = bundle.script(PAGE / "app.js", "start")
    events = '"run", "settle", "save", "cancel"'  # gradio looks for the quoted names of events in the script
    start = f"/* {events} */ ({script}).start(element, {{ trigger, props, upload, watch }});"
    return gr.HTML(html_template=TEMPLATE, js_on_load=start, apply_default_css=False, elem_id="patchlens", about=offer)


def uploads_only(component: gr.File) -> gr.File:
    """A file input that takes uploads only: the server fetches no address for anybody."""
    move = component.async_move_resource_to_block_cache

    async def move_local(path: str | Path | None) -> str | None:
        if isinstance(path, str) and "://" in path:
            raise gr.Error("Give a file, not an address: the server fetches nothing.", print_exception=False)
        return await move(path)

    component.async_move_resource_to_block_cache = move_local
    return component


class NoOutbound:
    """Refuses the routes through which gradio would fetch an address on a visitor's behalf."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """One request."""
        path = urllib.parse.unquote(scope.get("path", "")).lower()
        if scope["type"] == "http" and ("/file=http" in path or "/file/http" in path or "/proxy=" in path):
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"This server fetches no addresses."})
            return
        await self.app(scope, receive, send)


def about() -> dict[str, Any]:
    """What the desk offers: samples, encoders with what is on disk, selectors with their knobs, limits."""
    from patchlens.encoders.catalog import CATALOG, on_disk
    from patchlens.knobs import knobs_of
    from patchlens.registry import plugins
    from patchlens.views.player import knob_json

    from patchlens_app.asks import MOST_RANDOM_PARAMETERS
    from patchlens_app.samples import samples

    encoders = [
        {"name": e.name, "summary": e.summary, "on_disk": on_disk(e), "megabytes": e.megabytes, "tokens": e.tokens,
         "small": e.params <= MOST_RANDOM_PARAMETERS, "frames": e.grid[0] * e.tubelet if e.grid[0] > 1 else None}
        for e in CATALOG.values()
    ]  # fmt: skip
    selectors = [
        {"name": name, "summary": (cls.__doc__ or "").strip().splitlines()[0], "needs": sorted(cls.requires - OFFERED),
         "knobs": [knob_json(k) for k in knobs_of(cls)]}
        for name, cls in plugins("selector").items()
    ]  # fmt: skip
    return {
        "version": __version__,
        "samples": [s.about() for s in samples().values()],
        "encoders": encoders,
        "selectors": selectors,
        "limits": Limits.public().describe(),
        "saves": list(SAVES.items()),
    }


def build() -> gr.Blocks:
    """The page with all its events and the named API endpoint."""
    handlers = Handlers()
    one_model = {"concurrency_id": "model", "concurrency_limit": 1}
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    with gr.Blocks(title="PatchLens", delete_cache=(3600, 86400), fill_width=True) as demo:
        view = page(about())
        view.run(handlers.run, outputs=view, trigger_mode="multiple", **quiet, **one_model)
        view.settle(handlers.settle, outputs=view, trigger_mode="always_last", **quiet, **one_model)
        view.save(handlers.save, outputs=view, **quiet, **one_model)
        view.cancel(handlers.cancel, queue=False, trigger_mode="multiple", **quiet)
        _api(handlers, one_model)
        demo.unload(handlers.leave)
    demo.queue(max_size=QUEUE_LENGTH, default_concurrency_limit=1)
    return demo


def _api(handlers: Handlers, one_model: dict[str, Any]) -> None:
    """`/analyze`: what the page does, for gradio_client."""
    with gr.Column(visible=False):
        inputs = [
            uploads_only(gr.File(label="video", type="filepath")),
            gr.Textbox("tiny-video", label="encoder"),
            gr.Textbox("rlt:tau=0.1", label="selector"),
            gr.Textbox("", label="label"),
            gr.Number(16, label="frames", precision=0),
            gr.Number(0, label="seed", precision=0),
        ]
        report = gr.JSON(label="report")
        gr.Button("analyze").click(
            handlers.analyze, inputs, report, api_name="analyze", show_progress="hidden", **one_model
        )


def theme() -> gr.themes.Base:
    """Gradio's own parts in the system's fonts: nothing is fetched."""
    fonts = ("ui-sans-serif", "system-ui", "sans-serif")
    return gr.themes.Base(primary_hue="teal", neutral_hue="slate", font=fonts, font_mono=("ui-monospace", "monospace"))


def styles() -> str:
    """All style sheets in one. Ours are nested under the page's id, so that they outweigh gradio's.

    They go into the head as they are: gradio would rewrite the selectors of `css=`, but not those in container queries.
    """
    from patchlens.views import bundle

    own = bundle.style() + (PAGE / "app.css").read_text("utf-8")
    return f"{(PAGE / 'gradio.css').read_text('utf-8')}\n#patchlens {{\n{own}\n}}"


def launch_options() -> dict[str, Any]:
    """Settings for a small server that may face strangers."""
    return {
        "theme": theme(),
        "head": f"<style>{styles()}</style>",
        "footer_links": ["api"],
        "show_error": False,
        "run_history": False,
        "enable_monitoring": False,
        "strict_cors": True,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "share": False,
        "max_file_size": Limits.public().bytes,
        "state_session_capacity": SESSIONS,
        "app_kwargs": {"middleware": [Middleware(NoOutbound)]},
    }


def warm_up() -> None:
    """Import what the first run needs, and run the first sample, so that the first visitor does not wait for it."""
    import logging

    try:
        from patchlens import pipeline

        from patchlens_app.samples import samples

        first = next(iter(samples().values()))
        pipeline.run(first.path(), proxy=True, name=first.name)
    except Exception as error:  # the page will say it again, to a person
        logging.getLogger("patchlens.app").info("not warmed up: %s", error)


def serve(host: str, port: int, open_browser: bool) -> None:
    """Build the page, start the server, and stay."""
    demo = build()
    threading.Thread(target=warm_up, daemon=True, name="patchlens-warm-up").start()
    options = {**launch_options(), "prevent_thread_lock": True, "quiet": True, "inbrowser": open_browser}
    _, url, _ = demo.launch(server_name=host, server_port=port or None, **options)
    print(f"PatchLens is at {url} (Ctrl+C stops it)", flush=True)
    demo.block_thread()
