"""Tidying collects what holds itself in a cycle, and can be done again and again."""

from __future__ import annotations

import gc
import weakref

from patchlens.tidy import tidy


class Run:
    """Holds itself."""

    def __init__(self) -> None:
        self.me = self


def test_cycles_are_collected_each_time():
    tidy()  # the first time settles what is there
    gc.disable()
    try:
        for _ in range(2):
            run = Run()
            seen = weakref.ref(run)
            del run
            assert seen() is not None
            tidy()
            assert seen() is None
    finally:
        gc.enable()
        gc.unfreeze()
