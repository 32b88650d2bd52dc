"""The viewer's modules joined into one script, for pages that cannot import files: gr.HTML, the report, anywidget.

It knows file names and two forms of statement (`import ... from "./x.js"` and `export`), nothing of what they do. A
bundle is one scope, so the modules share their top-level names; `joined` refuses two of a name.
"""

from __future__ import annotations

import gzip
import importlib.resources
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

VIEWER = Path(__file__).resolve().parents[1] / "viewer"
IMPORT = re.compile(r'^import\s+(?:[^;]*?\sfrom\s+)?"(\./[\w.-]+)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export\s+(?=(?:async\s+)?(?:function|class|const|let)\b)", re.MULTILINE)
NAMES = re.compile(r"^(?:export\s+)?(?:async\s+)?(?:function|class|const|let)\s+(\w+)", re.MULTILINE)


def ordered(entry: Path) -> list[Path]:
    """The module files that `entry` needs, each after those that it imports, `entry` last."""
    done: list[Path] = []

    def visit(path: Path) -> None:
        if path in done:
            return
        for name in IMPORT.findall(path.read_text("utf-8")):
            visit((path.parent / name).resolve() if (path.parent / name).exists() else VIEWER / name)
        if path not in done:
            done.append(path)

    visit(entry.resolve())
    return done


def joined(files: Iterable[Path]) -> str:
    """The files as one piece of script without imports or exports.

    Raises ValueError when two of them use one top-level name.
    """
    seen: dict[str, str] = {}
    parts = []
    for path in files:
        text = path.read_text("utf-8")
        for name in NAMES.findall(text):
            if name in seen:
                raise ValueError(f"{name} is defined in {seen[name]} and in {path.name}; rename one of them.")
            seen[name] = path.name
        parts.append(EXPORT.sub("", IMPORT.sub("", text)).strip())
    return "\n\n".join(parts)


@cache
def script(entry: Path = VIEWER / "player.js", offer: str = "mount, unpack, fromBase64") -> str:
    """One expression that gives an object with the names in `offer`: `(() => {...; return {mount}})()`."""
    return f'(() => {{\n"use strict";\n{joined(ordered(entry))}\nreturn {{ {offer} }};\n}})()'


@cache
def module() -> str:
    """The viewer as one ES module with a default export `{ render }`, as anywidget asks for."""
    return joined(ordered(VIEWER / "widget.js"))


@cache
def style() -> str:
    """The viewer's style sheet."""
    return (VIEWER / "viewer.css").read_text("utf-8")


@cache
def plotly() -> str:
    """The plotly package's own plotly.js, which draws the chart: one version everywhere, and no network."""
    return (importlib.resources.files("plotly") / "package_data" / "plotly.min.js").read_text("utf-8")


@cache
def packed_plotly() -> bytes:
    """The same as gzip, a third of its size; a page unpacks it, or a browser on its way."""
    return gzip.compress(plotly().encode(), 9, mtime=0)
