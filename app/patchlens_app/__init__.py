"""The PatchLens dashboard: `patchlens app`. It imports patchlens and gradio; nothing imports it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from patchlens_app.dashboard import Dashboard


def launch(host: str = "127.0.0.1", port: int = 0, open_browser: bool = False) -> Dashboard:
    """Start the dashboard in this process, say a notebook's, and go on; `.url` is where it is, `.close()` stops it.

    Selectors and encoders that were registered here before are in it. port 0 takes a free one.

        dashboard = patchlens_app.launch()
    """
    from patchlens_app.dashboard import start

    return start(host, port, open_browser)
