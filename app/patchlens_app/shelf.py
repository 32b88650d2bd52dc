"""What has been run lately: traces in memory, files on disk, both bounded in bytes.

A run is named by what was asked; the name holds a secret of this process, so that nobody can guess a folder.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import threading
from collections import OrderedDict
from pathlib import Path

from patchlens.cache import write_whole
from patchlens.types import Trace

from patchlens_app.asks import Ask

MEMORY_BYTES = 128 << 20
DISK_BYTES = 1 << 30


class Shelf:
    """Traces by what was asked, least recently used go first; files live in `folder`, one folder for each run."""

    def __init__(self, folder: Path, memory_bytes: int = MEMORY_BYTES, disk_bytes: int = DISK_BYTES) -> None:
        self.folder, self.memory_bytes, self.disk_bytes = folder, memory_bytes, disk_bytes
        self._secret = secrets.token_bytes(16)
        self._traces: OrderedDict[Ask, tuple[Trace, int]] = OrderedDict()
        self._lock = threading.Lock()

    def trace(self, ask: Ask) -> Trace | None:
        """The trace of a run while it is still held."""
        with self._lock:
            found = self._traces.get(ask)
            if found is None:
                return None
            self._traces.move_to_end(ask)
            return found[0]

    def hold(self, ask: Ask, trace: Trace) -> None:
        """Keep a trace while there is room."""
        with self._lock:
            self._traces[ask] = (trace, _bytes(trace))
            while sum(size for _, size in self._traces.values()) > self.memory_bytes and len(self._traces) > 1:
                self._traces.popitem(last=False)

    def path(self, ask: Ask, name: str) -> Path:
        """Where a file of a run lies, or would lie."""
        return self._folder(ask) / name

    def read(self, ask: Ask, name: str) -> bytes | None:
        """A file of a run that is there already."""
        try:
            return self.path(ask, name).read_bytes()
        except OSError:
            return None

    def write(self, ask: Ask, name: str, data: bytes) -> bytes:
        """Store a file of a run, with room made for it; returns the data."""
        folder = self._folder(ask)
        if not folder.exists():
            self._trim()
        write_whole(folder / name, data)
        return data

    def _folder(self, ask: Ask) -> Path:
        return self.folder / hashlib.sha256(self._secret + repr(ask).encode()).hexdigest()[:32]

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
