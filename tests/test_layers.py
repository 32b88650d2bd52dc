"""The house: who may import whom, how long files may be, what stays unimported until it is needed."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"patchlens": ROOT / "core" / "patchlens", "patchlens_app": ROOT / "app" / "patchlens_app"}

# Lowest first; a name stands for a module and all below it. A module may import its own layer and lower ones.
LAYERS = [
    "lazy tidy clip results types",
    "limits container sampling upright decoding motion cuts album moved export reading thumbnails wire worker video",
    "knobs registry interleave adaptive keep specs cache flops merge",  # flops is arithmetic: it knows types alone
    "encoders selectors mergers gradcam attention ranker glance pruner cleaning attributions",
    "metrics assembly recall pipeline streaming data",
    "training evaluation",
    "views outputs listing",
    "notebook widget comparison",
    "cli commands __main__",
]
EXCEPTIONS = {
    ("clip", "video"): "Clip.from_file is the one door from the data to the decoder, imported when called",
    ("results", "notebook"): "a Trace in a notebook cell shows its card and views, imported when called",
    ("encoders.reference", "data.motions"): "random weights of tiny-video name the benchmark's own classes",
}
STRANGERS = {  # within a layer: who knows nothing of whom, even where the layers would allow it
    "selectors": "encoders mergers",  # the algorithm knows no model ...
    "encoders": "selectors mergers gradcam attention registry specs",  # ... and the model no algorithm
    "mergers": "encoders selectors",
    "knobs": "limits video",
    "registry": "limits video",
    "keep": "limits video",
    "specs": "limits video",
    "flops": "limits video knobs registry keep specs",
    "views": "pipeline encoders selectors",  # a view is a function of a Trace
}
LATE = "gradio IPython open_clip timm transformers captum plotly anywidget scenedetect"  # never at the top of a core file


def modules() -> dict[str, Path]:
    """Every module of the core and the app, by dotted name."""
    found = {}
    for top, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = (top, *path.relative_to(folder).with_suffix("").parts)
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def nodes(tree: ast.AST, inside: bool = False) -> Iterator[tuple[ast.stmt, bool]]:
    """Import statements, and whether they stand inside a function; those for type checkers are left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, inside
        yield from nodes(node, inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@functools.cache
def parsed(module: str) -> ast.Module:
    """A module's syntax tree."""
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@functools.cache
def imports(module: str, anywhere: bool = True) -> frozenset[str]:
    """Names of the modules that a module imports, at its top or (with `anywhere`) in its functions too."""
    found = set()
    package = module.split(".") if MODULES[module].stem == "__init__" else module.split(".")[:-1]
    for node, inside in nodes(parsed(module)):
        if inside and not anywhere:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
            continue
        near = package[: len(package) - node.level + 1] if node.level else []
        origin = ".".join([*near, *([node.module] if node.module else [])])
        full = {f"{origin}.{alias.name}" for alias in node.names}
        found |= {name if name in MODULES else origin for name in full}
    return frozenset(found)


def place(module: str) -> tuple[int, str]:
    """Layer and name within the core: patchlens.encoders.vit -> (3, "encoders")."""
    name = module.split(".")[1]
    for number, names in enumerate(LAYERS):
        if name in names.split():
            return number, name
    raise AssertionError(f"{module} has no layer yet; say in LAYERS where it belongs")


CORE = [m for m in MODULES if m.startswith("patchlens.")]


@pytest.mark.parametrize("module", CORE)
def test_a_module_imports_its_own_layer_and_lower_ones(module):
    layer, name = place(module)
    for other in sorted(imports(module)):
        if not other.startswith("patchlens."):
            continue
        target, part = place(other)
        pair = (module.removeprefix("patchlens."), other.removeprefix("patchlens."))
        if pair in EXCEPTIONS:
            continue
        assert target <= layer, f"{module} imports {other}, which lies above it"
        assert part not in STRANGERS.get(name, "").split(), f"{module} imports {other}; {name} knows nothing of {part}"


def test_exceptions_are_still_needed():
    for (name, other), reason in EXCEPTIONS.items():
        assert f"patchlens.{other}" in imports(f"patchlens.{name}"), f"no longer so: {reason}"


def test_the_core_never_names_the_app_nor_gradio():
    for module in CORE:
        named = {name.split(".")[0] for name in imports(module)}
        assert not named & {"patchlens_app", "gradio"}, module


@pytest.mark.parametrize("module", ["patchlens", *CORE])
def test_heavy_libraries_wait_until_they_are_needed(module):
    named = {name.split(".")[0] for name in imports(module, anywhere=False)}
    assert not named & set(LATE.split())


LIGHT = "types keep knobs registry specs flops listing cli"


def test_light_modules_import_no_torch():
    code = f"import sys\nfor m in '{LIGHT}'.split(): __import__('patchlens.' + m)\n"
    code += "from patchlens.registry import plugins\nplugins()\n"
    code += "print(sorted({'torch', 'av', 'cv2', 'gradio', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


# --- Sizes ---

LONGEST_FILE, LONGEST_FUNCTION = 250, 60  # lines


@pytest.mark.parametrize("module", list(MODULES))
def test_a_file_holds_one_idea(module):
    text = MODULES[module].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            told = len((ast.get_docstring(node, clean=False) or "").splitlines())
            lines = node.end_lineno - node.lineno + 1 - told
            assert lines <= LONGEST_FUNCTION, f"{node.name} at line {node.lineno}, its docstring left out"
    empty = len(parsed(module).body) <= 1
    assert empty or ast.get_docstring(parsed(module)), "a module says what it knows"


def test_no_file_is_named_for_nothing():
    names = {path.stem for path in MODULES.values()}
    assert not names & {"utils", "common", "base", "helpers", "misc", "util"}


def test_the_top_level_stays_as_it_is():
    known = {
        "pyproject.toml",
        "app",
        "notebooks",
        "core",
        "tests",
        "README.md",
        "LICENSE",
        "runs",
        "build",
        "dist",
    }
    found = {p.name for p in ROOT.iterdir() if not p.name.startswith(".") and p.suffix != ".egg-info"}
    assert not found - known
