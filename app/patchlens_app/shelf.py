"""What has been run lately: traces in memory and files to fetch, both bounded in bytes.

A run is named by a token that only this process can make, so that a page can come back to its run and to no other file.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import threading
from collections import OrderedDict
from pathlib import Path

from patchlens.types import Trace

from patchlens_app.asks import Ask

MEMORY_BYTES = 384 << 20
DISK_BYTES = 1 << 30
MOST_ASKS = 2000


class Shelf:
    """Traces by token, least recently used go first; files live in `folder`, one folder for each token."""

    def __init__(self, folder: Path, memory_bytes: int = MEMORY_BYTES, disk_bytes: int = DISK_BYTES) -> None:
        self.folder, self.memory_bytes, self.disk_bytes = folder, memory_bytes, disk_bytes
        self._secret = secrets.token_bytes(16)
        self._asks: OrderedDict[str, Ask] = OrderedDict()
        self._traces: OrderedDict[str, tuple[Trace, int]] = OrderedDict()
        self._lock = threading.Lock()

    def token(self, ask: Ask) -> str:
        """The name of a run, remembered."""
        name = self._name(ask)
        with self._lock:
            self._asks[name] = ask
            self._asks.move_to_end(name)
            while len(self._asks) > MOST_ASKS:
                self._asks.popitem(last=False)
        return name

    def ask(self, token: object) -> Ask:
        """The run of that name.

        Raises KeyError where it is not known (any more).
        """
        with self._lock:
            if not isinstance(token, str) or token not in self._asks:
                raise KeyError("This run is not remembered any more; press Run again.")
            return self._asks[token]

    def trace(self, ask: Ask) -> Trace | None:
        """The trace of a run while it is still held."""
        with self._lock:
            found = self._traces.get(self._name(ask))
            if found is None:
                return None
            self._traces.move_to_end(self._name(ask))
            return found[0]

    def hold(self, ask: Ask, trace: Trace) -> None:
        """Keep a trace while there is room."""
        with self._lock:
            self._traces[self._name(ask)] = (trace, _bytes(trace))
            while sum(size for _, size in self._traces.values()) > self.memory_bytes and len(self._traces) > 1:
                self._traces.popitem(last=False)

    def _name(self, ask: Ask) -> str:
        return hashlib.sha256(self._secret + repr(ask).encode()).hexdigest()[:32]

    def place(self, ask: Ask, name: str) -> Path:
        """Where a file of a run belongs, with room made for it."""
        folder = self.folder / self._name(ask)
        if not folder.exists():
            self._trim()
            folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def stored(self, ask: Ask, name: str) -> Path | None:
        """A file of a run that is there already."""
        path = self.folder / self._name(ask) / name
        return path if path.exists() else None

    def _trim(self) -> None:
        """Remove the oldest folders while all are larger than allowed."""
        folders = [f for f in self.folder.glob("*") if f.is_dir()] if self.folder.exists() else []
        sizes = {f: sum(p.stat().st_size for p in f.iterdir()) for f in folders}
        total = sum(sizes.values())
        for folder in sorted(folders, key=lambda f: f.stat().st_mtime):
            if total <= self.disk_bytes:
                return
            total -= sizes[folder]
            shutil.rmtree(folder, ignore_errors=True)


def _bytes(trace: Trace) -> int:
    clip = trace.clip
    scores = sum(s.values.numel() * 4 for s, _ in trace.stages)
    return clip.frames.numel() + clip.display.numel() + len(clip.proxy or b"") + scores + 100_000
