"""The kernel distance: an unbiased estimate with error bars, also for few samples."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ganops.core.cores import side_by_side
from ganops.core.errors import FeatureError

BLOCK = 2**22
"""Entries of a kernel matrix that are held at a time: 32 MB."""


def kernel_distance(
    x: NDArray[np.floating], y: NDArray[np.floating], *, subsets: int = 100, size: int = 1000, seed: int
) -> NDArray[np.float64]:
    """KID: squared maximum mean discrepancy under k(a, b) = (a·b / d + 1)³ (Bińkowski et al. 2018, section 4).

    Args:
        x: features [N, d].
        y: features [M, d].
        subsets: the number of random subsets, drawn from both without replacement.
        size: the size of a subset; `subset_size` clips it to the samples there are.
        seed: draws the subsets.

    Returns:
        The distance of each subset, float64 [subsets]. Their mean, the KID, is unbiased, so it is below zero by chance
        where x and y have one distribution; they are equal where each subset is all there is.

    Raises:
        FeatureError: A side has fewer than 2 samples.
    """
    size = subset_size(x, y, size)
    generator = np.random.default_rng(seed)
    pairs = ((_draw(x, size, generator), _draw(y, size, generator)) for _ in range(subsets))
    return np.array(list(side_by_side(lambda pair: _mmd(*pair), pairs)))


def kernel_replicates(
    x: NDArray[np.floating], y: NDArray[np.floating], halves: Iterable[NDArray[np.int64]]
) -> NDArray[np.float64]:
    """Return the distance of each half of y, float64 [H], up to a constant: the part within x is left out.

    Each kernel is computed once and not once a half: Σ k(yᵢ, yⱼ) over a half is hᵀ K h, where h marks its members.

    Args:
        x: features [N, d].
        y: features [M, d].
        halves: indices of the members of each, at least 2.
    """
    members = list(halves)
    a: NDArray[np.float64] = np.asarray(x, np.float64)
    b: NDArray[np.float64] = np.asarray(y, np.float64)
    h: NDArray[np.float64] = np.zeros((len(members), len(y)))
    for row, half in zip(h, members, strict=True):
        row[half] = 1
    within, between, own = np.zeros(len(h)), np.zeros(len(h)), (np.square(b).sum(axis=1) / b.shape[1] + 1) ** 3
    step = max(1, BLOCK // max(len(a), len(b)))
    for start in range(0, len(b), step):
        rows = slice(start, start + step)
        within += ((h[:, rows] @ _kernel(b[rows], b)) * h).sum(axis=1)
        between += h[:, rows] @ _kernel(b[rows], a).sum(axis=1)
    n = h.sum(axis=1)
    found: NDArray[np.float64] = (within - h @ own) / (n * (n - 1)) - 2 * between / (n * len(a))
    return found


def subset_size(x: NDArray[np.floating], y: NDArray[np.floating], size: int = 1000) -> int:
    """The size of the subsets that `kernel_distance` really uses: at most the number of samples on either side.

    Raises:
        FeatureError: A side has fewer than 2 samples.
    """
    size = min(size, len(x), len(y))
    if size < 2:
        raise FeatureError(f"a kernel distance needs at least 2 samples on each side, got {len(x)} and {len(y)}")
    return size


def _draw(x: NDArray[np.floating], size: int, generator: np.random.Generator) -> NDArray[np.float64]:
    return np.asarray(x[generator.permutation(len(x))[:size]], np.float64)


def _mmd(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """The unbiased estimator: pairs of a sample with itself are left out (Gretton et al. 2012, equation 3)."""
    n = len(x)
    within = sum(kernel.sum() - np.trace(kernel) for kernel in (_kernel(x, x), _kernel(y, y)))
    return float(within / (n * (n - 1)) - 2 * _kernel(x, y).mean())


def _kernel(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    k: NDArray[np.float64] = x @ y.T / x.shape[1] + 1
    return k * k * k  # many times quicker than k**3
