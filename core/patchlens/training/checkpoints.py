"""Checkpoints and logs of a training run: written whole or not at all, so that a kill loses only the last steps."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import torch


def save_whole(state: Any, path: Path) -> None:
    """Write a checkpoint next to `path`, then rename it into place (atomic on one file system)."""
    partial = path.with_suffix(f".partial{os.getpid()}")
    torch.save(state, partial)
    os.replace(partial, path)


def load_last(path: Path, device: str) -> dict[str, Any] | None:
    """The checkpoint at `path`, or None where there is none."""
    return torch.load(path, map_location=device, weights_only=True) if path.exists() else None


class Log:
    """One CSV row per report; a resumed run drops the rows past its checkpoint first."""

    def __init__(self, path: Path, columns: tuple[str, ...], start: int) -> None:
        self.path, self.columns = path, columns
        old = list(csv.DictReader(path.open())) if path.exists() else []
        with path.open("w", newline="") as f:
            writer = csv.DictWriter(f, columns)
            writer.writeheader()
            writer.writerows(r for r in old if int(r["step"]) <= start)

    def add(self, **row: Any) -> None:
        """Append a row and flush it."""
        with self.path.open("a", newline="") as f:
            csv.DictWriter(f, self.columns).writerow(
                {k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()}
            )
