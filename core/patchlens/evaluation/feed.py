"""Samples in chunks, made one chunk ahead of their use, and held in memory between two passes while there is room.

What cannot be read is left out with its sentence. Knows how to prepare a sample and nothing of what is measured on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from patchlens.data.samples import SampleSet
from patchlens.evaluation.measure import Bench, Prepared
from patchlens.limits import VideoError

HELD_BYTES = 1 << 30


@dataclass(eq=False)
class Chunk:
    """Some samples ready to be measured, and a sentence for each that could not be read."""

    number: int
    items: list[Prepared] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """Roughly what it holds in memory."""
        return sum(item.bytes for item in self.items)


class Feed:
    """The samples of a set in chunks of `size`."""

    def __init__(self, bench: Bench, samples: SampleSet, size: int, room: int = HELD_BYTES) -> None:
        self.bench, self.room = bench, room
        self.chunks = [samples.samples[i : i + size] for i in range(0, len(samples), size)]
        self._held: dict[int, Chunk] = {}

    def __call__(self, numbers: Iterable[int], hold: bool = False) -> Iterator[Chunk]:
        """Chunks by number; while one is in use the next is made by a thread (drawing and decoding let others run).

        hold: keep them for the next call, which takes them.
        """
        todo = list(numbers)
        with ThreadPoolExecutor(1) as maker:
            ahead = [maker.submit(self._make, n) for n in todo[:1]]
            for n in todo[1:] + [None]:
                if not ahead:
                    return
                chunk = ahead.pop().result()
                if n is not None:
                    ahead.append(maker.submit(self._make, n))
                if hold and chunk.bytes <= self.room:
                    self.room -= chunk.bytes
                    self._held[chunk.number] = chunk
                yield chunk

    def _make(self, number: int) -> Chunk:
        if number in self._held:
            return self._held.pop(number)
        chunk = Chunk(number)
        for sample in self.chunks[number]:
            try:
                chunk.items.append(self.bench.prepare(sample))
            except (VideoError, OSError) as error:
                chunk.skipped.append(f"{sample.name}: {error}")
        return chunk
