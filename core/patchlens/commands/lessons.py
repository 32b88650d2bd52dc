"""`patchlens lab` opens the lessons in JupyterLab; `patchlens lessons` runs them and writes them as HTML.

In a checkout the lessons are the folder `notebooks`; a wheel installs them under `share/patchlens`, from where they are
copied to a place that can be written. Knows files and Jupyter's own programs, not what a lesson says.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Annotated

import typer

CHECKOUT = Path(__file__).resolve().parents[3] / "notebooks"
INSTALLED = Path(sysconfig.get_path("data")) / "share" / "patchlens" / "notebooks"


def lessons_folder() -> Path:
    """Where the lessons lie: the checkout's `notebooks`, else what the wheel brought.

    Raises ValueError where there are none.
    """
    for folder in (CHECKOUT, INSTALLED):
        if any(folder.glob("*.ipynb")):
            return folder
    raise ValueError("The lessons are missing from this installation; install patchlens again, from its wheel or checkout.")


def copied(target: Path) -> Path:
    """Copy the lessons into `target`, leaving files that are there already untouched (they may hold work)."""
    target.mkdir(parents=True, exist_ok=True)
    for lesson in sorted(lessons_folder().glob("*.ipynb")):
        place = target / lesson.name
        if not place.exists():
            place.write_bytes(lesson.read_bytes())
    return target


def lab_command(
    folder: Annotated[
        Path | None, typer.Option(help="copy the lessons here and open that; a checkout opens its own without it")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="port to listen on; 0 takes a free one")] = 8888,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="do not open a browser window")] = False,
) -> None:
    """Open JupyterLab on the lessons (copied to ./patchlens-lessons when installed from a wheel)."""
    own = folder is None and lessons_folder() == CHECKOUT
    place = CHECKOUT if own else copied(folder or Path("patchlens-lessons"))
    typer.echo(f"The lessons are in {place.resolve()}")
    words = ["jupyterlab", f"--notebook-dir={place.resolve()}", f"--port={port}", *(["--no-browser"] if no_browser else [])]
    raise typer.Exit(subprocess.call([sys.executable, "-m", *words]))


def lessons_command(
    html: Annotated[Path, typer.Option("--html", help="folder for the executed lessons")] = Path("lessons-html"),
    only: Annotated[str, typer.Option(help="only lessons whose file name holds this text")] = "",
) -> None:
    """Run the lessons from top to bottom and write each as an HTML page, to read without running."""
    import nbformat
    from nbclient import NotebookClient
    from nbconvert import HTMLExporter

    from patchlens.cache import write_whole

    chosen = [path for path in sorted(lessons_folder().glob("*.ipynb")) if only in path.name]
    if not chosen:
        raise ValueError(f"No lesson's file name holds {only!r}.")
    html.mkdir(parents=True, exist_ok=True)
    for path in chosen:
        lesson = nbformat.read(path, as_version=4)
        NotebookClient(lesson, timeout=600, kernel_name="python3").execute()
        page, _ = HTMLExporter(embed_images=True).from_notebook_node(lesson, {"metadata": {"name": path.stem}})
        write_whole(html / f"{path.stem}.html", page.encode())
        typer.echo(f"wrote {html / path.stem}.html")
