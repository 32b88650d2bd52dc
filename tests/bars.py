"""What was measured beside what is asked of it, one JSON line for each bar.

`pytest -s` shows the lines, and PATCHLENS_BARS=FILE collects them.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from browsers import busy_machine


def bar(name: str, measured: float, most: float, unit: str, timed: bool = True, **more: float) -> None:
    """Hold a measured value to a bar; what takes time is excused on a busy machine, and its line says so.

    Raises AssertionError when it is above `most`.
    """
    excused = timed and busy_machine()
    said = {"bar": name, "measured": round(measured, 3), "most": most, "unit": unit}
    said |= {key: round(value, 3) for key, value in more.items()}
    said |= {"load_average": round(os.getloadavg()[0], 2), "cores": os.cpu_count(), "busy": excused}
    said |= {"date": time.strftime("%Y-%m-%d %H:%M", time.gmtime())}
    line = json.dumps(said)
    print(f"\n{line}")
    if file := os.environ.get("PATCHLENS_BARS"):
        with Path(file).open("a") as out:
            out.write(f"{line}\n")
    assert measured <= most or excused, line
