"""Where a figure comes from: date, commit, versions and hardware, to be written beside it."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def provenance() -> dict[str, Any]:
    """Plain data: date (UTC), versions, commit (None outside a checkout), machine, threads, accelerator."""
    import torch

    from patchlens import __version__

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "patchlens": __version__,
        "torch": torch.__version__,
        "commit": commit(),
        "machine": f"{cpu_name()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
        "accelerator": gpu,
    }


def ran_on(made: dict[str, Any]) -> str:
    """One line of a `provenance`: hardware, torch, date and commit."""
    where = made["accelerator"] or f"{made['machine']}, {made['threads']} threads"
    return f"{where}, torch {made['torch']}, {made['date']}, commit {made['commit']}"


def commit() -> str | None:
    """The checkout's commit, with "+" where files differ from it; None where there is no checkout."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def cpu_name() -> str:
    """The processor's own name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
