"""Sums and means over the workers of a training, which can be differentiated any number of times.

Where there is one process they are the identity. The slices of the workers must be of equal size.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def workers() -> int:
    """The number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The place of this process among them, from 0 on."""
    return dist.get_rank() if workers() > 1 else 0


class _Sum(torch.autograd.Function):
    """All-reduce whose gradient is an all-reduce."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> Tensor:
        total: Tensor = _Sum.apply(gradient[0])
        return total


def mean_over_workers(x: Tensor) -> Tensor:
    """The mean of a tensor that each worker has, any shape."""
    if workers() == 1:
        return x
    total: Tensor = _Sum.apply(x)
    return total / workers()
