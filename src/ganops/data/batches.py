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
from ganops.core.devices import fetched, pinned, planes, sent, uploaded
from ganops.data.order import Order
from ganops.data.shards import LABEL, SAMPLE, Column
from ganops.kinds import Spec

Taken = tuple[Tensor, Tensor | None]
"""Stored samples [N, ...] of a turn, and their labels [N]."""


@dataclass
class Ahead:
    """A function of the turn, called one turn ahead in a thread of its own while the present one is learnt from."""

    read: Callable[[int], Taken]
    _next: dict[int, Future[Taken]] = field(default_factory=dict, repr=False)
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "batches"), repr=False)

    def __call__(self, turn: int) -> Taken:
        """Return what `read` returns; an error in it is raised here."""
        present = self._next.pop(turn, None) or self._thread.submit(self.read, turn)
        self._next = {turn + 1: self._thread.submit(self.read, turn + 1)}
        return present.result()

    def close(self) -> None:
        """End the thread; what it reads is thrown away."""
        self._thread.shutdown(cancel_futures=True)


@dataclass
class Batches:
    """Draws the batch of any turn without replacement within an epoch.

    The samples of all turns form one endless sequence of epochs, each a permutation given by (seed, epoch): `Order`.
    Turn t is the t-th piece of `size` samples, of which each worker takes its slice.
    """

    samples: NDArray[Any] | Column
    """Stored samples [N, ...], in memory, mapped from the disk, or in shards."""
    labels: NDArray[np.int64] | Column | None
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

    def __post_init__(self) -> None:
        self._part = shares(self.size, self.workers, self.group)[self.rank]
        self._shards = self.samples.shards if isinstance(self.samples, Column) else None
        count = len(self.samples)
        self.order = Order(count, self._shards.size if self._shards else count, self.seed)
        if self.streamed or self.device.type == "cpu":
            self._take: Callable[[int], Taken] = Ahead(self._read) if self.streamed else self._read
        else:
            whole = uploaded(self.samples, self.device)
            self._stored = whole.dtype
            self._held = whole.view(torch.int16) if whole.dtype == torch.uint16 else whole  # CUDA indexes no uint16
            self._labels = None if self.labels is None else torch.from_numpy(np.array(self.labels)).to(self.device)
            self._take = self._pick

    def __call__(self, turn: int) -> tuple[Tensor, Tensor | None]:
        """This worker's slice of a turn: x float [N, ...], of images in [-1, 1], and its labels [N]."""
        samples, labels = self._take(turn)
        x = self.spec.floats(fetched(samples, self.device), self.dtype)
        x = x.contiguous(memory_format=planes(self.device)) if x.dim() == 4 else x
        return x, None if labels is None else fetched(labels, self.device)

    def close(self) -> None:
        """End the reading ahead, and let go of the shards: no turn can be asked for any more."""
        if isinstance(self._take, Ahead):
            self._take.close()
        if self._shards:
            self._shards.files.close()

    def _pick(self, turn: int) -> Taken:
        indices = sent(self.order.batch(turn, self.size)[self._part], self.device)
        return self._held[indices].view(self._stored), None if self._labels is None else self._labels[indices]

    def _read(self, turn: int) -> Taken:
        if self._shards:
            self._shards.files.expect(self.order, self.order.window_at(turn * self.size), self._share())
        indices = self.order.batch(turn, self.size)[self._part].numpy()
        fields = (SAMPLE,) if self.labels is None else (SAMPLE, LABEL)
        columns = (self.samples,) if self.labels is None else (self.samples, self.labels)
        found = self._shards.take(indices, *fields) if self._shards else [each[indices] for each in columns]
        samples, *labels = (pinned(torch.from_numpy(each), self.device) for each in found)
        return samples, labels[0] if labels else None

    def _share(self) -> tuple[float, float]:
        """Ends of the share of a window's shards that this worker's slice of any turn needs.

        The q-th part of a batch comes from the q-th part of the shards but for a deviation of at most
        1 / (2 sqrt(size)), that of a quantile: three of these are added on both sides.
        """
        margin = 1.5 / self.size**0.5
        return max(0.0, self._part.start / self.size - margin), min(1.0, self._part.stop / self.size + margin)
