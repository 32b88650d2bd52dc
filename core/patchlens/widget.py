"""The player in a notebook: the dashboard's viewer as an anywidget, with what a person sets coming back as traits.

Scores and pictures go to the browser once; sliders move masks there. A slider that is let go is measured in the kernel by
the same pipeline, and `trace` is then the run under the plan on screen. Knows the viewer's messages, nothing it draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from patchlens import pipeline
from patchlens.specs import parse_way
from patchlens.types import Trace
from patchlens.views import bundle
from patchlens.views.player import payloads
from patchlens.views.report import trace_json

if TYPE_CHECKING:
    from anywidget import AnyWidget as Player


def player(traces: Sequence[Trace], encoder: Any = None) -> Player:
    """A widget with a lane for each trace; they are of one clip and one encoder.

    Traits, both ways: `frame` (token frame shown), `patch` (pinned patch of the frame, -1 for none), `lane` (whose
    sliders act), `plans` (one spec per lane) and `threshold` (the active lane's first slider). `trace` is the active
    lane's last measured run, `traces` those of all lanes. `encoder` is needed only for one that has no name to load it by.
    Raises ValueError for traces that cannot share a page (see `views.player.payloads`).
    """
    return _player_class()(list(traces), encoder)


def measured(trace: Trace, plan: str, encoder: Any = None) -> Trace:
    """The run of the same clip and encoder under another plan; scores and the full run come from the cache.

    A merger may stand last in the plan.

    Raises ValueError or KeyError in one sentence, among others for an encoder that has no name to load it by.
    """
    asked = trace.request
    spec = asked.encoder
    selectors, merger = parse_way(plan)
    place = {"weights": spec.weights, "device": spec.device, "dtype": spec.dtype} if encoder is None else {}
    way = {"selector": selectors, "merger": merger}
    return pipeline.run(trace.clip, encoder=encoder or spec.name, **way, label=asked.label, seed=asked.seed, **place)


@cache
def _player_class() -> type[Player]:
    import anywidget
    from traitlets import Bytes, Int, List, Unicode
    from traitlets import Float as Number

    class Player(anywidget.AnyWidget):
        """See `player`."""

        _esm = bundle.module()
        _css = bundle.style()
        payloads = List(Bytes()).tag(sync=True)  # one buffer per lane
        plans = List(Unicode()).tag(sync=True)
        lane = Int(0).tag(sync=True)
        frame = Int(0).tag(sync=True)
        patch = Int(-1).tag(sync=True)
        threshold = Number(0.0).tag(sync=True)

        def __init__(self, traces: list[Trace], encoder: Any) -> None:
            self.traces, self.encoder = traces, encoder
            plans = [t.request.way for t in traces]
            super().__init__(payloads=payloads(traces), plans=plans, frame=traces[0].grid.frames // 2)
            self.on_msg(lambda _, content, __: self.answer(content))

        @property
        def trace(self) -> Trace:
            """The active lane's last measured run."""
            return self.traces[self.lane]

        def answer(self, message: dict[str, Any]) -> None:
            """Measure a lane's plan again when its slider was let go; hand out plotly.js when a chart is first seen.

            The 1.4 MB of it travel as a message, which no notebook stores.
            """
            if message.get("kind") == "plotly":
                self.send({"kind": "plotly"}, [bundle.packed_plotly()])
            if message.get("kind") != "settle":
                return
            lane, plan = int(message["lane"]), str(message["plan"])
            try:
                found = measured(self.traces[lane], plan, self.encoder)
            except (ValueError, KeyError) as error:
                self.send({"kind": "trouble", "sentence": str(error.args[0])})
                return
            self.traces[lane] = found
            self.send({"kind": "settled", "lane": lane, "plan": plan, "report": trace_json(found)})

    return Player
