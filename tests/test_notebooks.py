"""Every lesson is stored without outputs, short, and with a word for the teacher; nbmake runs them (see pyproject.toml)."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

LESSONS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))


def test_there_are_lessons():
    assert LESSONS


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_a_lesson_is_short_and_stored_clean(path):
    lesson = nbformat.read(path, as_version=4)
    code = [c for c in lesson.cells if c.cell_type == "code"]
    assert not any(c.outputs or c.execution_count for c in code), "clear the outputs before committing"
    assert sum(len(c.source.splitlines()) for c in code) <= 60
    own = "your_own" in path.stem
    assert own or not any("def " in c.source for c in code), "a lesson that needs a helper lacks a view"
    assert any("For the teacher" in c.source for c in lesson.cells if c.cell_type == "markdown")


def test_the_suite_runs_them(pytestconfig):
    assert "notebooks" in pytestconfig.getini("testpaths") and pytestconfig.getoption("nbmake")
