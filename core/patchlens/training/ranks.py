"""One training in several processes (`torchrun`): each draws its share of every batch, gradients are averaged.

Without torchrun there is one process, and every function here leaves its input as it is. Knows no model and no file.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather
from torch.distributed.rendezvous import rendezvous

from patchlens.encoders.encoder import pick_device

Rows = TypeVar("Rows", range, list, Tensor)
_JOINED = itertools.count()  # how often this process has joined the others


@dataclass(frozen=True)
class Share:
    """Which part of each batch a process draws: every `ranks`-th sample, from number `rank` on."""

    rank: int = 0
    ranks: int = 1

    @classmethod
    def here(cls) -> Share:
        """This process's share, as torchrun says it; all where nobody does."""
        return cls(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))

    @property
    def first(self) -> bool:
        """Whether this process validates, logs and writes."""
        return self.rank == 0

    def own(self, rows: Rows) -> Rows:
        """Of all rows of a batch, those of this process."""
        return rows[self.rank :: self.ranks]


def own_device(device: str) -> torch.device:
    """The device by name, and on a host with several GPUs this process's own one."""
    found = pick_device(device)
    if found.type == "cuda" and "LOCAL_RANK" in os.environ:
        found = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(found)
    return found


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Within it, the processes that torchrun started speak to each other (NCCL on GPUs, gloo elsewhere)."""
    if Share.here().ranks == 1:
        yield
        return
    store, rank, ranks = next(rendezvous("env://"))
    # Names of its own each time: torch would find the last group's addresses, whose ports are closed.
    store = dist.PrefixStore(f"joined {next(_JOINED)}", store)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", store=store, rank=rank, world_size=ranks)
    try:
        yield
    finally:
        dist.destroy_process_group()


def average(parameters: Sequence[nn.Parameter], samples: int) -> int:
    """Make every gradient the mean over all processes, weighted by their `samples`; returns the sum of these.

    A parameter that no process used keeps no gradient, as it would in one process.
    """
    if not dist.is_initialized():
        return samples
    used = torch.tensor([p.grad is not None for p in parameters] + [samples], device=parameters[0].device)
    grads = [torch.zeros_like(p) if p.grad is None else p.grad * samples for p in parameters]
    flat = torch.cat([used.float(), *(g.flatten().float() for g in grads)])
    dist.all_reduce(flat)
    used, means = flat[: len(used)], (flat[len(used) :] / flat[len(used) - 1]).split([p.numel() for p in parameters])
    for p, mean, count in zip(parameters, means, used, strict=False):
        p.grad = mean.view_as(p).to(p.dtype) if count else None
    return int(used[-1])


def gather(x: Tensor) -> Tensor:
    """Rows of all processes in the batch's order, (n, ...) to (ranks*n, ...); gradients flow back to where they belong.

    Under it every process computes the same loss of the whole batch, so that `average` gives that loss's gradient.
    """
    return torch.stack(all_gather(x.contiguous()), 1).flatten(0, 1) if dist.is_initialized() else x


def summed(values: Sequence[float], device: torch.device) -> list[float]:
    """Each value's sum over all processes."""
    if not dist.is_initialized():
        return list(values)
    total = torch.tensor(values, dtype=torch.float32, device=device)
    dist.all_reduce(total)
    return total.tolist()
