"""Two clocks that run only while they are told to: seconds that passed, and seconds that this process was at work.

On a machine with other work the second is the fairer one; both are kept in a training's checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Clock:
    """Wall and processor seconds spent inside `running`, over all of a training's sittings."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.wall, self.processor = device, 0.0, 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count what happens inside, work of a GPU included."""
        wall, processor = self._now()
        try:
            yield
        finally:
            after, used = self._now()
            self.wall, self.processor = self.wall + after - wall, self.processor + used - processor

    def _now(self) -> tuple[float, float]:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter(), time.process_time()
