"""The samples' traces under the default plan, made once and shipped, so that a first picture needs no model.

`python -m patchlens_app.traces` makes them anew; a test says when that is due.
"""

from __future__ import annotations

import io
import json
import struct
from dataclasses import replace
from functools import cache
from pathlib import Path

from patchlens.encoders.catalog import CATALOG, on_disk
from patchlens.types import Trace
from patchlens.views.frontier import frontier

from patchlens_app.asks import SAMPLE, Ask

FOLDER = Path(__file__).parent / "shipped"
QUALITY, CRF = 60, 34  # lighter than a run's own pictures: they travel with the package
ENCODER, PLAN = "tiny-video", "rlt:tau=0.1"


def path_of(name: str) -> Path:
    """Where the trace of a sample lies, if it is shipped."""
    return FOLDER / f"{name.replace(' ', '-')}.bin"


def shipped(ask: Ask) -> bytes | None:
    """The payload of a run where it came with the package."""
    usual = Ask(ask.source, ask.name, ENCODER, next(iter(on_disk(CATALOG[ENCODER])), None), PLAN)
    if ask != usual or not ask.source.startswith(SAMPLE):
        return None
    path = path_of(ask.name)
    return _current(path) if path.exists() else None


@cache
def _current(path: Path) -> bytes:
    """A shipped payload with today's frontier: a sweep may be newer than the trace."""
    payload = path.read_bytes()
    (length,) = struct.unpack_from("<I", payload)
    manifest = json.loads(payload[4 : 4 + length])
    manifest["frontier"] = frontier(manifest["report"]["encoder"])
    text = json.dumps(manifest, sort_keys=True, allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    return struct.pack("<I", len(text)) + text + payload[4 + length :]


def make(name: str) -> bytes:
    """The payload of a sample, run now."""
    from patchlens import pipeline
    from patchlens.views.player import payload

    ask = Ask(f"{SAMPLE}{name}", name, ENCODER, None, PLAN)
    trace = pipeline.run(ask.path, **ask.options())
    return payload(_light(trace), quality=QUALITY)


def _light(trace: Trace) -> Trace:
    """The same with a playable copy of fewer bytes, and without the seconds that this machine took."""
    import av
    from patchlens.export import Mp4Writer

    data = io.BytesIO()
    with av.open(io.BytesIO(trace.clip.proxy)) as video:
        frames = [(frame, frame.time) for frame in video.decode(video=0)]
    with Mp4Writer(data, (frames[0][0].height, frames[0][0].width), CRF, "medium", 48) as writer:
        for frame, time in frames:
            writer.add(frame, time)
    return replace(trace, clip=replace(trace.clip, proxy=data.getvalue()), timing={})


def main() -> None:
    """Make all of them."""
    from patchlens.cache import write_whole

    from patchlens_app.samples import procedural

    for name in procedural():
        data = make(name)
        write_whole(path_of(name), data)
        print(f"{name}: {len(data) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
