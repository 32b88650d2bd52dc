"""Weights files: finding them on disk or on the hub, and reading tensors out of them safely.

It knows file formats and the hub's cache, and no model. Pickles are read with `weights_only=True` only, so
that a file can hold tensors but no code. Every failure is one ValueError sentence with a cure.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from patchlens.encoders.catalog import HUB_FILES, Weights, bundled, cached

SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
CONTAINERS = ("state_dict", "model", "module", "model_state")
CONNECT_SECONDS = 4.0


@dataclass(frozen=True)
class Chosen:
    """What `choose` settled on: a file or folder (None: random weights), its label, and facts."""

    path: Path | None
    label: str
    facts: dict[str, Any] = field(default_factory=dict)


def choose(model: str, weights: str | None, known: Mapping[str, Weights], seed: int = 0) -> Chosen:
    """Turn a request for weights into a file, downloading only what was asked for by tag and is absent.

    Raises ValueError for unknown tags, absent files, and weights that are neither on disk nor reachable.
    """
    if weights == "random":
        return Chosen(None, "random", {"source": "random", "seed": seed})
    if weights is None:
        present = [tag for tag, w in known.items() if cached(w.repo, w.files)]
        if not present:
            raise ValueError(_unsettled(model, known))
        weights = present[0]
    if weights in known:
        wanted = known[weights]
        path = cached(wanted.repo, wanted.files) or download(model, wanted)
        return Chosen(path, weights, {"source": wanted.repo, "licence": wanted.licence})
    path = Path(weights).expanduser()
    if path.exists():
        return Chosen(path, path.name, {"source": path.name})
    raise ValueError(
        f"The weights {weights!r} of {model} are no file, no folder and no tag; its tags are "
        f"{', '.join(known) or 'none'}, and 'random' makes some up."
    )


def _cure() -> str:
    return f"give a file or folder, or 'random', or take a bundled model: {', '.join(bundled())}"


def _unsettled(model: str, known: Mapping[str, Weights]) -> str:
    from huggingface_hub import constants

    ask = f"ask for a tag to download it ({', '.join(known)}), " if known else ""
    return f"No weights of {model} are in {constants.HF_HUB_CACHE}; {ask}{_cure()}."


def _absent(model: str, weights: Weights, why: str) -> str:
    from huggingface_hub import constants

    return (
        f"The weights {weights.tag!r} of {model} ({weights.repo}) are not in "
        f"{constants.HF_HUB_CACHE}, and {why}; {_cure()}."
    )


def download(model: str, weights: Weights) -> Path:
    """Fetch the first of the files that the repository has.

    Raises ValueError within seconds when the hub is off or out of reach: its own client would retry for
    minutes.
    """
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    if constants.HF_HUB_OFFLINE:
        raise ValueError(_absent(model, weights, "HF_HUB_OFFLINE is set"))
    if trouble := _unreachable(constants.ENDPOINT):
        raise ValueError(_absent(model, weights, f"{constants.ENDPOINT} cannot be reached ({trouble})"))
    last: Exception | None = None
    for name in weights.files:
        try:
            return Path(hf_hub_download(weights.repo, name, etag_timeout=CONNECT_SECONDS))
        except Exception as error:  # the client raises a dozen kinds, its own and two HTTP libraries'
            last = error
            if not isinstance(error, EntryNotFoundError) or isinstance(error, LocalEntryNotFoundError):
                break
    raise ValueError(_absent(model, weights, f"downloading failed ({type(last).__name__})")) from last


def _unreachable(endpoint: str) -> str:
    """Why the hub cannot be reached, or ""; one short request through the hub's own session."""
    from huggingface_hub import get_session

    try:
        get_session().head(endpoint, timeout=CONNECT_SECONDS)
    except Exception as error:  # httpx or requests, as the hub's version has it
        return type(error).__name__
    return ""


def locate(path: Path, names: tuple[str, ...] = HUB_FILES) -> Path:
    """The weights file at `path`: itself, or in a folder one of `names`, or the only weights file there.

    Raises ValueError for a folder with none, or with several of other names.
    """
    if path.is_file():
        return path
    for name in names:
        if (path / name).is_file():
            return path / name
    found = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES)
    if len(found) != 1:
        raise ValueError(f"The folder {path} holds {len(found)} weights files; name one, or call it {names[0]}.")
    return found[0]


def read(path: Path) -> dict[str, Tensor]:
    """Float32 tensors of a weights file by name, out of the usual containers ("state_dict", ...).

    Raises ValueError for other formats, broken files, and pickles that hold anything but tensors and plain
    data.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path.name} is no weights file; known endings are {', '.join(SUFFIXES)}.")
    try:
        content = _safetensors(path) if path.suffix == ".safetensors" else _pickle(path)
    except pickle.UnpicklingError as error:
        reason = re.search(r"(?:GLOBAL|global) ([\w.]+)", str(error))
        what = f" (it names {reason[1]})" if reason else ""
        raise ValueError(
            f"{path.name} is a pickle with more than tensors{what}, which could run code; convert it to safetensors."
        ) from error
    except Exception as error:  # safetensors and torch raise many kinds on a truncated or foreign file
        raise ValueError(f"{path.name} cannot be read as weights ({type(error).__name__}); is it whole?") from error
    state = _unwrap(content)
    if not state:
        raise ValueError(f"{path.name} holds no tensors.")
    return state


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def _pickle(path: Path) -> Any:
    with torch.serialization.safe_globals([argparse.Namespace]):  # training scripts save their arguments too
        return torch.load(path, map_location="cpu", weights_only=True)


def _unwrap(content: Any) -> dict[str, Tensor]:
    for name in CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping):
        return {}
    return {
        str(k).removeprefix("module."): v.float() if v.is_floating_point() else v
        for k, v in content.items()
        if isinstance(v, Tensor)
    }


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, or {} where there is no such file.

    Raises ValueError for a file that is not a JSON object.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds a JSON {type(content).__name__}; it must be an object.")
    return content


def digest(path: Path) -> str:
    """SHA-256 of a file; the hub's cache names large files by it, which saves the reading."""
    blob = path.resolve().name
    if re.fullmatch(r"[0-9a-f]{64}", blob):
        return blob
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
