"""Batches that depend on (seed, step) alone: the samples of a step are the same for any number of workers."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ganops.pixels import to_float
from ganops.randomness import generator


@dataclass
class Batches:
    """Draws the batch of any step from samples on the device, without replacement within an epoch.

    The samples of all steps form one endless sequence of epochs, each a permutation given by (seed, epoch). Step t is
    the t-th piece of `size` samples, of which each worker takes its slice.
    """

    images: Tensor
    """uint8 [N, C, H, W] on the device."""
    labels: Tensor | None
    """int64 [N] on the device."""
    size: int
    """Samples of a step over all workers; a multiple of `workers`."""
    seed: int
    rank: int = 0
    workers: int = 1
    dtype: torch.dtype = torch.float32
    _epochs: dict[int, Tensor] = field(default_factory=dict, repr=False)

    def __call__(self, step: int) -> tuple[Tensor, Tensor | None]:
        """This worker's slice of a step: x float [size / workers, C, H, W] in [-1, 1], and its labels."""
        share = self.size // self.workers
        first = step * self.size + self.rank * share
        indices = self._indices(first, first + share).to(self.images.device)
        x = to_float(self.images[indices], self.dtype)
        x = x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
        return x, None if self.labels is None else self.labels[indices]

    def _indices(self, first: int, last: int) -> Tensor:
        count = len(self.images)
        positions = torch.arange(first, last)
        epochs = positions // count
        pieces = [self._epoch(e)[positions[epochs == e] % count] for e in sorted(set(epochs.tolist()))]
        return torch.cat(pieces)

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._epochs:
            for old in [e for e in self._epochs if e < epoch - 1]:
                del self._epochs[old]
            order = generator(self.seed, "epoch", epoch)
            self._epochs[epoch] = torch.randperm(len(self.images), generator=order)
        return self._epochs[epoch]
