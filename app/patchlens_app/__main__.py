"""`patchlens app`: start the dashboard. Light to import, because every `patchlens` command looks it up."""

from __future__ import annotations

from typing import Annotated

import typer


def app(
    host: Annotated[str, typer.Option(help="address to listen on; 0.0.0.0 opens it to the network")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="port to listen on; 0 takes a free one")] = 7860,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="do not open a browser window")] = False,
) -> None:
    """Open the dashboard: pick or upload a video, see which tokens stay, what it saves and what it costs."""
    from patchlens_app.dashboard import serve

    serve(host, port, open_browser=not no_browser)


if __name__ == "__main__":
    typer.run(app)
