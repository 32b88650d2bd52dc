"""Where the time of a run goes: torch's profiler, its operations by kind. Knows no model and no clip."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

KINDS = {
    "linear layers": r"(add|b|baddb)?mm|linear|mkldnn_linear|mkldnn_convolution|convolution",
    "attention": r".*(scaled_dot_product|flash|efficient)_?attention.*",
    "copies": r"copy_|cat|index|index_select|gather|clone",
    "element by element": r"(add|sub|mul|div|addcmul|gelu|relu|exp|native_layer_norm|_?softmax)_?",
}
REST = "everything else"


def operations(run: Callable[[], Any], runs: int = 3) -> dict[str, float]:
    """Seconds of one run by kind of operation, means over some; REST is what the clock says beyond them.

    An operation counts without those that it calls. On an accelerator it is the accelerator's time.
    """
    from torch.profiler import profile

    run()  # the first run also loads and plans
    with profile() as seen:
        begun = time.perf_counter()
        for _ in range(runs):
            run()
        wall = time.perf_counter() - begun
    found = dict.fromkeys(KINDS, 0.0)
    for event in seen.key_averages():
        name = event.key.removeprefix("aten::")
        if kind := next((k for k, names in KINDS.items() if re.fullmatch(names, name)), None):
            found[kind] += (event.self_device_time_total or event.self_cpu_time_total) / 1e6 / runs
    return {**found, REST: max(0.0, wall / runs - sum(found.values()))}


def operations_table(rows: Sequence[dict[str, Any]]) -> str:
    """Seconds by kind as Markdown, and how many times less than the first row; the fall of GMACs stands beside it."""
    rows = [r for r in rows if "operations" in r]
    names = list(rows[0]["operations"])
    lines = [f"| seconds (times less) | GMACs | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for r in rows:
        each = [f"{r['operations'][n]:.3f} ({_times(rows[0]['operations'][n], r['operations'][n])})" for n in names]
        lines.append(f"| {r['plan']} | {r['gmacs']:.1f} ({r['gmacs_ratio']:.2f}) | {' | '.join(each)} |")
    return "\n".join(lines)


def _times(before: float, now: float) -> str:
    return f"{before / now:.2f}" if now > 0 else "-"
