"""One bounded cache: in memory by bytes, and on disk as .npz files that are written whole or not at all.

It stores dictionaries of arrays and plain values under a key made of everything they depend on, and knows nothing of
what they mean. `PATCHLENS_CACHE` names the folder; a broken or foreign file on disk is a miss, never an error.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from patchlens.lazy import torch

MEMORY_BYTES = 512 << 20
DISK_BYTES = 2 << 30
FORMAT = 3  # raise it when what is stored changes meaning


def default_folder() -> Path:
    """`PATCHLENS_CACHE`, or patchlens in the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("PATCHLENS_CACHE") or Path(home) / "patchlens")


def cache_key(**parts: Any) -> str:
    """SHA-256 of the parts as sorted JSON."""
    text = json.dumps({"format": FORMAT, **parts}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class Cache:
    """Least-recently-used values, bounded in bytes, safe to share between threads.

    folder=None keeps everything in memory only.
    """

    def __init__(
        self, folder: Path | None = None, memory_bytes: int = MEMORY_BYTES, disk_bytes: int = DISK_BYTES
    ) -> None:
        self.folder, self.memory_bytes, self.disk_bytes = folder, memory_bytes, disk_bytes
        self._held: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, key: str, make: Callable[[], Any], size: Callable[[Any], int]) -> Any:
        """A value from memory, else made now and kept there while it fits."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key][0]
        value = make()
        self._hold(key, value, size(value))
        return value

    def arrays(self, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A dictionary of tensors and plain values from memory or disk, else made now and stored in both."""
        return self.remember(key, lambda: self._from_disk(key) or self._to_disk(key, make()), _bytes)

    def _hold(self, key: str, value: Any, size: int) -> None:
        with self._lock:
            self._held[key] = (value, size)
            while sum(s for _, s in self._held.values()) > self.memory_bytes:
                self._held.popitem(last=False)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.npz"

    def _from_disk(self, key: str) -> dict[str, Any] | None:
        if self.folder is None:
            return None
        try:
            path = self._path(key)
            with np.load(path, allow_pickle=False) as stored:
                os.utime(path)  # read lately: trimmed last
                values = json.loads(str(stored["json"]))
                return {**values, **{k: torch.from_numpy(stored[k]) for k in stored.files if k != "json"}}
        except Exception:
            return None  # absent, half-written by a crash, or of another version: a miss

    def _to_disk(self, key: str, values: dict[str, Any]) -> dict[str, Any]:
        if self.folder is None:
            return values
        arrays = {k: v.numpy() for k, v in values.items() if isinstance(v, torch.Tensor)}
        plain = json.dumps({k: v for k, v in values.items() if k not in arrays})
        data = io.BytesIO()
        np.savez(data, json=np.array(plain), **arrays)
        try:
            write_whole(self._path(key), data.getvalue())
            self._trim()
        except OSError:
            pass  # a full or read-only disk costs speed, not the result
        return values

    def _trim(self) -> None:
        for orphan in self.folder.glob("*/*.partial"):  # left by a kill
            if time.time() - orphan.stat().st_mtime > 3600:
                orphan.unlink(missing_ok=True)
        files = sorted(((f.stat().st_mtime, f.stat().st_size, f) for f in self.folder.glob("*/*.npz")), reverse=True)
        total = 0
        for _, size, file in files:
            total += size
            if total > self.disk_bytes:
                file.unlink(missing_ok=True)


def _bytes(values: dict[str, Any]) -> int:
    return 1024 + sum(v.numel() * v.element_size() for v in values.values() if isinstance(v, torch.Tensor))


def write_whole(path: Path, data: bytes) -> None:
    """Write a file next to `path`, then rename it into place, so that no reader meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.partial")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
