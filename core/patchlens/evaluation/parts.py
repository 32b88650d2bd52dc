"""What a long measurement has done so far, on disk: one .npz per chunk, written whole or not at all.

A kill loses at most the chunk under way. The folder holds the key of what was asked for; another question starts it anew.
"""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np

from patchlens.cache import write_whole

Arrays = dict[str, np.ndarray]


class Parts:
    """Arrays by stage and chunk number; folder=None keeps them in memory."""

    def __init__(self, folder: Path | None, key: str) -> None:
        self.folder, self._held = folder, {}
        if folder is None:
            return
        known = folder / "key"
        if not known.is_file() or known.read_text() != key:
            if folder.exists() and not known.is_file() and any(folder.iterdir()):
                raise ValueError(
                    f"The folder {folder} holds something else; move it away or choose another output name."
                )
            shutil.rmtree(folder, ignore_errors=True)
            write_whole(known, key.encode())

    def load(self, stage: str, chunk: int) -> Arrays | None:
        """A chunk's arrays, or None where it has not been done."""
        if self.folder is None:
            return self._held.get((stage, chunk))
        path = self._path(stage, chunk)
        if not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}

    def save(self, stage: str, chunk: int, arrays: Arrays) -> Arrays:
        """Keep a chunk's arrays."""
        if self.folder is None:
            self._held[stage, chunk] = arrays
        else:
            data = io.BytesIO()
            np.savez(data, **arrays)
            write_whole(self._path(stage, chunk), data.getvalue())
        return arrays

    def _path(self, stage: str, chunk: int) -> Path:
        return self.folder / f"{stage}-{chunk:05d}.npz"


def forget(folder: Path | None) -> None:
    """Remove a finished measurement's parts (only a folder that `Parts` made)."""
    if folder is not None and (folder / "key").is_file():
        shutil.rmtree(folder, ignore_errors=True)
