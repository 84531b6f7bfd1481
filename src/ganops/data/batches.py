"""Batches that depend on (seed, step) alone: the samples of a step are the same for any number of workers."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganops.core.collective import shares
from ganops.core.devices import pinned, sent, uploaded
from ganops.core.randomness import generator
from ganops.kinds import Spec


@dataclass
class Ahead:
    """A function of the turn, called one turn ahead in a thread of its own while the present one is learnt from."""

    read: Callable[[int], tuple[Tensor, Tensor]]
    _next: dict[int, Future[tuple[Tensor, Tensor]]] = field(default_factory=dict, repr=False)
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "batches"), repr=False)

    def __call__(self, turn: int) -> tuple[Tensor, Tensor]:
        """Return what `read` returns; an error in it is raised here."""
        present = self._next.pop(turn, None) or self._thread.submit(self.read, turn)
        self._next = {turn + 1: self._thread.submit(self.read, turn + 1)}
        return present.result()


@dataclass
class Batches:
    """Draws the batch of any turn without replacement within an epoch.

    The samples of all turns form one endless sequence of epochs, each a permutation given by (seed, epoch). Turn t is
    the t-th piece of `size` samples, of which each worker takes its slice.
    """

    samples: NDArray[Any]
    """Stored samples [N, ...], in memory or mapped from the disk."""
    labels: NDArray[np.int64] | None
    """[N]."""
    size: int
    """Samples of a turn over all workers."""
    seed: int
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    rank: int = 0
    workers: int = 1
    dtype: torch.dtype = torch.float32
    streamed: bool = False
    """False: all samples lie on the GPU, or are read when they are needed. True: they are read one turn ahead."""
    group: int = 1
    """Samples that D compares with one another, which one worker has."""
    spec: Spec = field(default_factory=lambda: Spec("image", ()))
    """Specification of the samples, for their floats."""
    _epochs: dict[int, Tensor] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._part = shares(self.size, self.workers, self.group)[self.rank]
        self._labels = None if self.labels is None else torch.from_numpy(np.array(self.labels)).to(self.device)
        if self.streamed or self.device.type == "cpu":
            self._take: Callable[[int], tuple[Tensor, Tensor]] = Ahead(self._read) if self.streamed else self._read
        else:
            whole = uploaded(self.samples, self.device)
            self._stored = whole.dtype
            self._held = whole.view(torch.int16) if whole.dtype == torch.uint16 else whole  # CUDA indexes no uint16
            self._take = self._pick

    def __call__(self, turn: int) -> tuple[Tensor, Tensor | None]:
        """This worker's slice of a turn: x float [N, ...], of images in [-1, 1], and its labels [N]."""
        samples, indices = self._take(turn)
        x = self.spec.floats(samples.to(self.device, non_blocking=True), self.dtype)
        x = x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
        return x, None if self._labels is None else self._labels[indices.to(self.device, non_blocking=True)]

    def _pick(self, turn: int) -> tuple[Tensor, Tensor]:
        indices = sent(self._indices(turn), self.device)
        return self._held[indices].view(self._stored), indices

    def _read(self, turn: int) -> tuple[Tensor, Tensor]:
        indices = self._indices(turn)
        samples = torch.from_numpy(self.samples[indices.numpy()])
        return pinned(samples, self.device), pinned(indices, self.device)

    def _indices(self, turn: int) -> Tensor:
        first, count = turn * self.size, len(self.samples)
        positions = torch.arange(first + self._part.start, first + self._part.stop)
        epochs = positions // count
        pieces = [self._epoch(e)[positions[epochs == e] % count] for e in sorted(set(epochs.tolist()))]
        return torch.cat(pieces)

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._epochs:
            for old in [e for e in self._epochs if e < epoch - 1]:
                del self._epochs[old]
            order = generator(self.seed, "epoch", epoch)
            self._epochs[epoch] = torch.randperm(len(self.samples), generator=order)
        return self._epochs[epoch]
