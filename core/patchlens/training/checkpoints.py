"""Checkpoints and logs of a training: written whole or not at all, so that a kill loses only the last steps."""

from __future__ import annotations

import csv
import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from patchlens.cache import write_whole


def save_whole(state: Any, path: Path) -> None:
    """Write a checkpoint next to `path`, then rename it into place (atomic on one file system)."""
    partial = path.with_name(f"{path.name}.partial")  # what a kill leaves of it, the next checkpoint overwrites
    torch.save(state, partial)
    os.replace(partial, path)


def load_last(path: Path, device: torch.device) -> dict[str, Any] | None:
    """The checkpoint at `path`, or None where there is none."""
    return torch.load(path, map_location=device, weights_only=True) if path.exists() else None


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a log; none where there is no file."""
    return list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []


def speed_of(folder: Path, unit: str) -> float | None:
    """Samples a second at the last report of the training in `folder`; None where it has none."""
    rows = rows_of(folder / "log.csv")
    return float(rows[-1][f"{unit}_per_s"]) if rows else None


class Log:
    """`log.csv` and TensorBoard events, one row per report; a resumed training drops the rows past its checkpoint.

    TensorBoard is left out where it is not installed.
    """

    def __init__(self, folder: Path, columns: tuple[str, ...], start: int) -> None:
        self.path, self.columns, self.events = folder / "log.csv", columns, None
        kept = [r for r in rows_of(self.path) if int(r["step"]) <= start]
        write_whole(self.path, self._text([dict(zip(columns, columns, strict=True)), *kept]).encode())
        with suppress(ImportError):
            from torch.utils.tensorboard import SummaryWriter

            self.events = SummaryWriter(str(folder / "tensorboard"), purge_step=start + 1)

    def _text(self, rows: list[dict[str, Any]]) -> str:
        out = io.StringIO(newline="")
        csv.DictWriter(out, self.columns, restval="", lineterminator="\n").writerows(rows)
        return out.getvalue()

    def add(self, step: int, **figures: float) -> None:
        """Append a row, in one piece; columns without a figure stay empty."""
        row = {k: f"{v:.5g}" if isinstance(v, float) else v for k, v in figures.items()}
        with self.path.open("a", newline="") as f:
            f.write(self._text([{"step": step, **row}]))
        if self.events is not None:
            for name, value in figures.items():
                self.events.add_scalar(name, value, step)
            self.events.flush()
