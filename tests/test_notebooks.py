"""Every lesson runs from top to bottom, and is stored without outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

LESSONS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))


def test_there_are_lessons():
    assert LESSONS


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_a_lesson_runs_and_is_stored_clean(path):
    lesson = nbformat.read(path, as_version=4)
    code = [c for c in lesson.cells if c.cell_type == "code"]
    assert not any(c.outputs or c.execution_count for c in code), "clear the outputs before committing"
    assert sum(len(c.source.splitlines()) for c in code) <= 60
    NotebookClient(lesson, timeout=120, kernel_name="python3").execute()
