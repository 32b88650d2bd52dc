"""The dashboard's page and server: one gr.HTML that holds the desk and the viewer, the doors beside it, launch settings.

The template is constant; names and numbers travel as JSON and are drawn in the browser, so that no text from outside is
ever read as markup.
"""

from __future__ import annotations

import html
import os
import threading
import urllib.parse
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio is imported

import gradio as gr
from gradio.utils import get_upload_folder
from patchlens.limits import Limits
from starlette.middleware import Middleware

from patchlens_app.assets import ROUTES
from patchlens_app.doors import doors
from patchlens_app.endpoints import endpoints
from patchlens_app.offer import about
from patchlens_app.runs import Runs

PAGE = Path(__file__).parent / "page"
QUEUE_LENGTH = 16
SESSIONS = 200
PAUSE = 1.0  # seconds between two samples that are drawn ahead
TEMPLATE = '<div class="pl-app"><p class="pl-loading">PatchLens is starting …</p></div>'


def page(offer: dict[str, Any]) -> gr.HTML:
    """Desk and viewer in one component; `about` is what the desk offers.

    A function and no subclass, because gradio writes a .pyi file beside the source of every subclass.
    """
    from patchlens.views import bundle

    start = f"({bundle.script(PAGE / 'app.js', 'start')}).start(element, {{ about: props.about, upload }});"
    made = gr.HTML(html_template=TEMPLATE, js_on_load=start, apply_default_css=False, elem_id="patchlens", about=offer)
    made.self = None  # else a script that says "self" in quotes would send the component, and copy all it leads to
    return made


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


def build(runs: Runs) -> gr.Blocks:
    """The page and the named API endpoints."""
    with gr.Blocks(title="PatchLens", delete_cache=(3600, 86400), fill_width=True) as demo:
        page(about())
        endpoints(runs)
    demo.queue(max_size=QUEUE_LENGTH, default_concurrency_limit=1)
    return demo


def theme() -> gr.themes.Base:
    """Gradio's own parts in the system's fonts: nothing is fetched."""
    fonts = ("ui-sans-serif", "system-ui", "sans-serif")
    return gr.themes.Base(primary_hue="teal", neutral_hue="slate", font=fonts, font_mono=("ui-monospace", "monospace"))


def styles() -> str:
    """All style sheets in one. Ours are nested under the page's id, so that they outweigh gradio's.

    They go into the head as they are: gradio would rewrite the selectors of `css=`, but not those in container queries.
    """
    from patchlens.views import bundle

    own = bundle.style() + "".join((PAGE / name).read_text("utf-8") for name in ("app.css", "desk.css"))
    return f"{(PAGE / 'gradio.css').read_text('utf-8')}\n#patchlens {{\n{own}\n}}"


def launch_options(runs: Runs) -> dict[str, Any]:
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
        "app_kwargs": {"middleware": [Middleware(NoOutbound)], "routes": [*doors(runs), *ROUTES]},
    }


def warm_up(runs: Runs, stop: threading.Event) -> None:
    """Import what the first run needs and run the first sample, so that no visitor waits for it; then draw the others.

    The wheel's clips ship without a trace: theirs are made last. Whoever comes meanwhile waits for one of these at most.
    `stop` ends it.
    """
    import logging

    from patchlens_app.runs import last
    from patchlens_app.samples import samples

    drawn = [name for name, sample in samples().items() if sample.kind != "gradio"]
    try:
        last(runs.report(runs.ask({"source": f"sample:{drawn[0]}"}), stop))
        for name in samples():
            if stop.wait(PAUSE):
                return
            if name in drawn:
                samples()[name].path()
            else:
                last(runs.payload(runs.ask({"source": f"sample:{name}"}), stop))
    except Exception as error:  # the page will say it again, to a person
        logging.getLogger("patchlens.app").info("not warmed up: %s", error)


@dataclass(frozen=True, eq=False)
class Dashboard:
    """A running dashboard: its address, and how to stop it."""

    url: str
    blocks: gr.Blocks
    stop: threading.Event  # of what is made ahead of visitors

    def close(self) -> None:
        """Stop the server."""
        self.stop.set()
        self.blocks.close(verbose=False)

    def _repr_html_(self) -> str:
        return f'<a href="{html.escape(self.url)}" target="_blank">PatchLens at {html.escape(self.url)}</a>'


def start(host: str, port: int, open_browser: bool) -> Dashboard:
    """Build the page and start the server in threads of this process."""
    runs = Runs(Path(get_upload_folder()))
    blocks = build(runs)
    options = {**launch_options(runs), "prevent_thread_lock": True, "quiet": True, "inbrowser": open_browser}
    _, url, _ = blocks.launch(server_name=host, server_port=port or None, **options)
    running = Dashboard(url, blocks, threading.Event())
    threading.Thread(target=warm_up, args=(runs, running.stop), daemon=True, name="patchlens-warm-up").start()
    return running


def serve(host: str, port: int, open_browser: bool) -> None:
    """Start the dashboard, and stay."""
    running = start(host, port, open_browser)
    print(f"PatchLens is at {running.url} (Ctrl+C stops it)", flush=True)
    running.blocks.block_thread()
