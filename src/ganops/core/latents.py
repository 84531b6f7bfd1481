"""Latents from integer seeds: the same bits in every runtime, for ever.

Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") makes 16-bit integers of a seed, and a
table of 65,536 normal quantiles turns them into float32. Integers and look-ups only: no rounding that a library or a
processor could do otherwise. This file needs numpy alone, because every registered model carries a copy of it.
"""

from statistics import NormalDist
from typing import Any

import numpy as np

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
"""Multipliers of Philox4x32-10, and the numbers that its keys grow by in each round."""
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


def philox(counter: Any, key: Any) -> Any:
    """Philox4x32-10 on 32-bit words held in uint64: `counter` [4, ...], `key` [2, ...] -> [4, ...]."""
    x0, x1, x2, x3 = (np.asarray(word, np.uint64) for word in counter)
    k0, k1 = (np.asarray(word, np.uint64) for word in key)
    for _ in range(10):
        first, second = x0 * _MULTIPLIERS[0], x2 * _MULTIPLIERS[1]
        x0, x1, x2, x3 = (second >> _SHIFT) ^ x1 ^ k0, second & _LOW, (first >> _SHIFT) ^ x3 ^ k1, first & _LOW
        k0, k1 = (k0 + np.uint64(_WEYL[0])) & _LOW, (k1 + np.uint64(_WEYL[1])) & _LOW
    return np.stack(np.broadcast_arrays(x0, x1, x2, x3))


def normal_table() -> Any:
    """The quantiles of the standard normal distribution at (i + 1/2) / 65536: float32 [65536].

    Each registered model stores this table, so that it does not depend on the logarithms of the reader's library.
    """
    upper = [NormalDist().inv_cdf((i + 0.5) / 65536) for i in range(32768, 65536)]
    half = np.asarray(upper, np.float64).astype(np.float32)
    return np.concatenate([-half[::-1], half])


def latents(seeds: Any, dimensions: int, table: Any) -> Any:
    """One latent for one seed: int64 [N] -> float32 [N, dimensions], independent of the batch it is asked in."""
    seeds = np.asarray(seeds, np.int64).view(np.uint64).reshape(-1)
    blocks = np.arange(-(-dimensions // 8), dtype=np.uint64)  # 8 numbers of 16 bits from each block of 4 words
    counter = np.zeros((4, len(seeds), len(blocks)), np.uint64)
    counter[0] = blocks
    words = philox(counter, (seeds[:, None] & _LOW, seeds[:, None] >> _SHIFT))
    halves = np.stack([words & np.uint64(0xFFFF), words >> np.uint64(16)], axis=-1)  # [4, N, blocks, 2]
    indices = halves.transpose(1, 2, 0, 3).reshape(len(seeds), 8 * len(blocks))[:, :dimensions]
    return table[indices.astype(np.int64)]
