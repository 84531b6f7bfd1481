"""The kernel distance: an unbiased estimate with error bars, also for few samples."""

import numpy as np
from numpy.typing import NDArray

from ganops.errors import FeatureError


def kernel_distance(
    x: NDArray[np.floating], y: NDArray[np.floating], *, subsets: int = 100, size: int = 1000, seed: int
) -> tuple[float, float]:
    """KID: squared maximum mean discrepancy under k(a, b) = (a·b / d + 1)³ (Bińkowski et al. 2018, section 4).

    Args:
        x: features [N, d].
        y: features [M, d].
        subsets: the number of random subsets, drawn from both without replacement.
        size: the size of a subset; `subset_size` clips it to the samples there are.
        seed: draws the subsets.

    Returns:
        The mean and the standard deviation over the subsets. The mean is unbiased, so it is below zero by chance where
        x and y have one distribution; the deviation is 0 where each subset is all there is.
    """
    size = subset_size(x, y, size)
    generator = np.random.default_rng(seed)
    values = [_mmd(_draw(x, size, generator), _draw(y, size, generator)) for _ in range(subsets)]
    return float(np.mean(values)), float(np.std(values))


def subset_size(x: NDArray[np.floating], y: NDArray[np.floating], size: int = 1000) -> int:
    """The size of the subsets that `kernel_distance` really uses: at most the number of samples on either side."""
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
