"""Randomness that depends on its key alone, so that no generator state has to be kept or synchronised."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


def seed_of(*key: int | str) -> int:
    """A 63-bit seed from any key, the same on every machine."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "little") >> 1


def generator(*key: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator whose stream depends on `key` and the kind of device only.

    On GPUs torch's Philox takes all bits of `seed_of`. On CPUs its Mersenne Twister (MT19937, Matsumoto & Nishimura
    1998) would take the lower 32: of 77,000 streams two would be the same, more likely than not. So there its whole
    state is a hash of the key (SHAKE-256).
    """
    source = torch.Generator(device).manual_seed(seed_of(*key))
    if source.device.type != "cpu":
        return source
    state, words = source.get_state(), hashlib.shake_256(repr(key).encode()).digest(4 * WORDS)
    state.numpy()[FIRST : FIRST + 8 * WORDS].view("<u8")[:] = np.frombuffer(words, "<u4")
    return source.set_state(state)


WORDS = 624
"""Number of 32-bit words in the state of MT19937."""
FIRST = 24
"""Place in bytes of these words, 8 bytes each, in the state that torch gives out and takes."""


@dataclass(frozen=True)
class Draws:
    """The random numbers of one turn: drawn for the batch of all workers, of which each takes its slice."""

    key: tuple[int | str, ...]
    batch: int
    """Samples of all workers."""
    part: slice
    """Slice of this worker's samples."""
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
