"""The one file format of our own trainings: tensors as safetensors, with a card (plain data) in the file's metadata.

Knows neither what the tensors are for nor what a card says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from patchlens.cache import write_whole


def write(
    path: Path, tensors: Mapping[str, Tensor], card: Mapping[str, Any], dtype: torch.dtype = torch.float32
) -> None:
    """Write tensors (as `dtype`) and card, whole or not at all."""
    plain = {name: x.detach().cpu().to(dtype).contiguous() for name, x in tensors.items()}
    write_whole(path, save(plain, {"card": json.dumps(card, sort_keys=True)}))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors as float32, card) of a file; call it within `expected`, which turns what goes wrong into a sentence."""
    with safe_open(str(path), "pt") as file:
        card = json.loads(file.metadata()["card"])
        return {name: file.get_tensor(name).float() for name in file.keys()}, card  # noqa: SIM118 - not a dict


def card_of(path: Path) -> dict[str, Any]:
    """The card alone, as `read` has it."""
    with safe_open(str(path), "pt") as file:
        return json.loads(file.metadata()["card"])


@contextmanager
def expected(path: Path, what: str, command: str) -> Iterator[None]:
    """Around the reading of `path`, which shall be a `what` (as in "selector") that `command` wrote.

    Raises ValueError for an absent file, and for whatever goes wrong inside.
    """
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"There is no file {path.name}; make it with `{command}`.") from None
    except Exception as error:
        raise ValueError(f"{path.name} is no {what} of PatchLens ({error}); give a file that `{command}` wrote.") from error
