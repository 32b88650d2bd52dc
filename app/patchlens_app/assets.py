"""Files that the page fetches when it first needs them, from this server and nowhere else: plotly.js."""

from __future__ import annotations

from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PLOTLY = f"/patchlens/plotly-{version('plotly')}.js"  # a new version has a new address, so that it may be kept for ever


def plotly(request: Request) -> Response:
    """The plotly package's own plotly.js, packed."""
    from patchlens.views.bundle import packed_plotly

    headers = {"Content-Encoding": "gzip", "Cache-Control": "public, max-age=31536000, immutable"}
    return Response(packed_plotly(), media_type="text/javascript", headers=headers)


ROUTES = [Route(PLOTLY, plotly)]
