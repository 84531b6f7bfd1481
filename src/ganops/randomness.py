"""Randomness that depends on its key alone, so that no generator state has to be kept or synchronised."""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor


def seed_of(*key: int | str) -> int:
    """A 63-bit seed from any key, the same on every machine."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "little") >> 1


def generator(*key: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator whose stream depends on `key` and the kind of device only."""
    return torch.Generator(device).manual_seed(seed_of(*key))


@dataclass(frozen=True)
class Draws:
    """The random numbers of one turn: drawn for the batch of all workers, of which each takes its slice."""

    key: tuple[int | str, ...]
    batch: int
    """Samples of all workers."""
    part: slice
    """Those of this worker."""
    device: torch.device
    dtype: torch.dtype

    def normal(self, name: str, *shape: int) -> Tensor:
        """Standard normal numbers [N, *shape] for this worker's samples."""
        whole = torch.empty(self.batch, *shape, device=self.device, dtype=self.dtype)
        return whole.normal_(generator=self.source(name))[self.part]

    def uniform(self, name: str, *shape: int) -> Tensor:
        """Numbers from [0, 1), likewise."""
        whole = torch.empty(self.batch, *shape, device=self.device, dtype=self.dtype)
        return whole.uniform_(generator=self.source(name))[self.part]

    def source(self, name: str) -> torch.Generator:
        """A fresh source of numbers for the batch of all workers."""
        return generator(*self.key, name, device=self.device)
