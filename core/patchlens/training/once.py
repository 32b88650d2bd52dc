"""What a training computes of its clips once: chunk by chunk on disk, shared out over processes, resumable after a kill.

Knows neither what is computed nor what for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from patchlens.evaluation.feed import Chunk, Feed
from patchlens.evaluation.parts import Arrays, Parts
from patchlens.training.ranks import Share

WAIT = 0.2  # seconds between two looks for what another process makes


def made_once(
    feed: Feed, folder: Path, key: str, share: Share, make: Callable[[Chunk], Arrays], what: str
) -> list[Arrays]:
    """The arrays of every chunk in order, from `folder` or made now by whichever process has the chunk; `what` names them.

    `key` says what they depend on: those of another key are made anew.
    """
    parts = _open(folder, key, share)
    numbers = range(len(feed.chunks))
    own = [n for n in share.own(numbers) if parts.load("once", n) is None]
    for done, chunk in enumerate(feed(own), 1):
        parts.save("once", chunk.number, make(chunk))
        if share.first and (done % 8 == 0 or done == len(own)):
            print(f"{what}: {done} of {len(own)} chunks", flush=True)
    return [_wait(parts, n) for n in numbers]


def _open(folder: Path, key: str, share: Share) -> Parts:
    """The first process opens the folder; the others wait until it has."""
    known = folder / "key"
    while not share.first and not (known.is_file() and known.read_text() == key):
        time.sleep(WAIT)
    return Parts(folder, key)


def _wait(parts: Parts, number: int) -> Arrays:
    """A chunk, once the process whose it is has written it."""
    while (found := parts.load("once", number)) is None:
        time.sleep(WAIT)
    return found
