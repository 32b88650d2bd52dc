"""The interactive viewer in a notebook cell: Traces as one anywidget, live without a kernel once it is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from patchlens.types import Trace

if TYPE_CHECKING:
    from anywidget import AnyWidget


def widget(*traces: Trace) -> AnyWidget:
    """The viewer with one trace, or with two to four of one clip under one encoder side by side.

    Sliders redraw in the browser; faithfulness stays that of the runs.
    Raises ValueError for traces that cannot share a page (see `player.payloads`).
    """
    import anywidget
    import traitlets

    from patchlens.views import bundle
    from patchlens.views.player import payloads

    class Viewer(anywidget.AnyWidget):
        _esm = bundle.module()
        _css = bundle.style()
        payloads = traitlets.List(traitlets.Bytes()).tag(sync=True)

    return Viewer(payloads=payloads(traces))
