"""The batch that the workers of a training share: its slices, and means over it, differentiable any number of times.

Slices may differ in size: within `sharing` a worker weighs as much as its samples. One process alone has all of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ganops.core.errors import ConfigError

_share: ContextVar[tuple[int, int]] = ContextVar("share", default=(0, 0))
"""Samples of this worker, and of all workers; 0 of 0: all have equally many."""


def workers() -> int:
    """The number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The place of this process among them, from 0 on."""
    return dist.get_rank() if workers() > 1 else 0


def group_size(batch: int, group: int) -> int:
    """The samples of each group where all of a batch are compared in groups: the largest divisor, at most `group`."""
    return next(size for size in range(min(group, batch), 0, -1) if batch % size == 0)


def most_workers(batch: int, group: int = 1) -> int:
    """The largest number of workers that can share a batch: one for each group of samples that D compares."""
    return batch // group_size(batch, group)


def shares(batch: int, workers: int, group: int = 1) -> list[slice]:
    """The slice of a batch that each worker has: whole groups of consecutive samples, as equal as can be.

    Args:
        batch: Samples of all workers, at least 1.
        workers: Their number.
        group: Samples that D compares with one another, at most: those of a group (`group_size`) stay on one worker.

    Raises:
        ConfigError: There are fewer groups than workers.
    """
    size, most = group_size(batch, group), most_workers(batch, group)
    if workers > most:
        groups = f" in groups of {size} that D compares (model.options.group)" if size > 1 else ""
        raise ConfigError(f"{workers} workers cannot share a batch of {batch} samples{groups}: at most {most} can")
    ends = [size * (most * n // workers) for n in range(workers + 1)]
    return [slice(*part) for part in pairwise(ends)]


@contextmanager
def sharing(samples: int, batch: int) -> Iterator[None]:
    """Make this worker weigh, for the block, as much as its `samples` of a batch in means over the workers."""
    token = _share.set((samples, batch))
    try:
        yield
    finally:
        _share.reset(token)


def total(count: int) -> int:
    """The sum over the workers of a count that is in proportion to their samples, such as that of pixels."""
    if workers() == 1:
        return count
    samples, batch = _share.get()
    return count * batch // samples if samples else count * workers()


def weighted(x: Tensor) -> Tensor:
    """A worker's own mean times N samples / share, so that the plain mean over N workers is that over all samples.

    `plain_means` of the gradients of what each worker descends are then those of the whole batch.
    """
    samples, batch = _share.get()
    if workers() == 1 or samples * workers() == batch:  # not even rounding differs where all have equally many
        return x
    return x * (samples * workers() / batch)


class _Sum(torch.autograd.Function):
    """All-reduce whose gradient is an all-reduce."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        everywhere = x.clone()
        dist.all_reduce(everywhere)
        return everywhere

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> Tensor:
        everywhere: Tensor = _Sum.apply(gradient[0])
        return everywhere


def mean_over_workers(x: Tensor) -> Tensor:
    """The mean over all samples of a tensor, any shape, that each worker has as the mean over its own samples."""
    if workers() == 1:
        return x
    everywhere: Tensor = _Sum.apply(weighted(x))
    return everywhere / workers()


@torch.no_grad()
def plain_means(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the plain means over the workers of dense tensors of one type, by one collective.

    With several workers they are views of one flat tensor, whose order is the same in each step: that of a sum decides
    its last bits where workers are more than two.
    """
    if workers() == 1 or not tensors:
        return list(tensors)
    flat = torch.cat([each.as_strided((each.numel(),), (1,)) for each in tensors])  # as they lie: nothing is permuted
    dist.all_reduce(flat)
    parts = torch.split(flat.div_(workers()), [each.numel() for each in tensors])
    return [part.as_strided(each.shape, each.stride()) for part, each in zip(parts, tensors, strict=True)]


@torch.no_grad()
def begin_alike(tensors: Iterable[Tensor]) -> None:
    """Give the tensors of all workers the values of the first: another processor rounds what is drawn otherwise."""
    for tensor in tensors if workers() > 1 else ():
        dist.broadcast(tensor, 0)


def of_all_workers(x: Tensor) -> Tensor:
    """The tensors, of one shape [...], that the workers have: [workers, ...], the same on all of them."""
    parts = [torch.empty_like(x) for _ in range(workers())]
    if len(parts) == 1:
        return x[None]
    dist.all_gather(parts, x.contiguous())
    return torch.stack(parts)


def any_worker(flag: bool, device: torch.device) -> bool:
    """Return True where the flag of some worker is set; the workers wait for one another."""
    return bool(mean_over_workers(torch.tensor(float(flag), dtype=torch.float64, device=device)) > 0)


class _Gather(torch.autograd.Function):
    """[...] of each worker -> [workers, ...] on all of them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        rows = x.new_zeros(workers(), *x.shape)
        rows[rank()] = x  # the sum with zeros is exact, and gloo and NCCL share no other call that stays
        dist.all_reduce(rows)
        return rows

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> Tensor:
        own: Tensor = _Sum.apply(gradient[0].contiguous())[rank()]
        return own


def moments_over_workers(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the variance over all samples, any shape, of those that each worker has over its own samples.

    V = Σ w (v + (m - M)²), M = Σ w m (Chan et al. 1979): one collective, and nothing cancels where the mean is large.
    """
    samples, batch = _share.get()
    equal = samples * workers() == batch
    own = [mean, variance] if equal else [mean, variance, torch.full_like(mean, samples / batch)]
    means, variances, *weights = _Gather.apply(torch.stack(own)).unbind(1)

    def over_workers(x: Tensor) -> Tensor:
        return (x * weights[0]).sum(0) if weights else x.mean(0)

    whole = over_workers(means)
    return whole, over_workers(variances + (means - whole).square())
