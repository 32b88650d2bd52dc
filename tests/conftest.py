"""What every test shares: seeds, one torch thread, a private cache, two toy encoders, real videos."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
import toys
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("patchlens", max_examples=60, deadline=None, derandomize=True, database=None)
settings.load_profile("patchlens")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """One torch thread: tests run beside other work, and sums then come out in one order."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded():
    """The same random numbers in every test, whatever ran before it."""
    import torch

    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory):
    """A cache folder of the tests' own, for this process and those it starts."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["PATCHLENS_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real videos beside the repository; the test is skipped where there is none."""
    folder = ROOT.parent / "shared"
    if not (folder / "videos").is_dir():
        pytest.skip("there are no real videos: the folder `shared` does not lie beside the repository")
    return folder


@pytest.fixture(scope="session")
def space_time():
    """A small space-time encoder with mean pooling, two register tokens and six classes."""
    return toys.space_time()


@pytest.fixture(scope="session")
def frame_cls():
    """A small frame encoder with a class token, one register, a norm before the blocks and six classes."""
    return toys.frame_cls()


@pytest.fixture(scope="session", params=["space_time", "frame_cls"])
def encoder(request):
    """Both toy encoders in turn."""
    return request.getfixturevalue(request.param)
