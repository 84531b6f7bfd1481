"""Precision, recall, density and coverage by nearest neighbours, in blocks so that memory stays bounded."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ganops.core.cores import side_by_side
from ganops.core.errors import FeatureError

Array = NDArray[np.float64]

BLOCK = 2**22
"""The most distances of a block (32 MiB); for each core two blocks are held at once."""
EQUAL = 1e-12
"""Square of a distance, as a share of the squares of both rows, below which it is rounding: such rows are equal."""


def precision_recall_density_coverage(
    real: NDArray[np.floating], fake: NDArray[np.floating], k: int = 5
) -> dict[str, float]:
    """Fidelity and diversity by balls that reach to the k-th neighbour of one's own kind.

    `precision` and `recall` are those of Kynkäänniemi et al. 2019 (equation 1), `density` and `coverage` those of
    Naeem et al. 2020 (equations 3 and 4); balls are closed, so that equal rows lie in one another's. All but the
    density are in [0, 1]; the density of equal sets without copies is 1 in expectation, and copies of a real sample
    beyond k raise it by their number. They depend on the number of samples: compare equal counts only.

    Args:
        real: features [N, d], N > k.
        fake: features [M, d], M > k.
        k: the neighbour that sets the radius of a ball, not counting the sample itself.

    Raises:
        FeatureError: A side has at most k samples.
    """
    if min(len(real), len(fake)) <= k:
        raise FeatureError(f"{k} neighbours need more than {k} samples a side, got {len(real)} and {len(fake)}")
    real_radius, fake_radius = _radii(real, k), _radii(fake, k)
    held = np.zeros(len(fake), np.int64)  # in how many real balls a fake sample lies
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for rows, distances in _blocks(real, fake):
        inside = distances <= real_radius[rows, None]
        held += inside.sum(axis=0)
        covered[rows] = inside.any(axis=1)
        recalled[rows] = (distances <= fake_radius).any(axis=1)
    return {
        "precision": float((held > 0).mean()),
        "recall": float(recalled.mean()),
        "density": float(held.mean() / k),
        "coverage": float(covered.mean()),
    }


def realism(real: NDArray[np.floating], fake: NDArray[np.floating], k: int = 5) -> Array:
    """Return the realism score of each sample (Kynkäänniemi et al. 2019, equation 3): [M], above 1 inside.

    The largest ratio of the radius of a real sample's ball to the distance from its centre; the larger half of the
    balls is left out, as published, because it belongs to outliers.

    Args:
        real: features [N, d], N > k.
        fake: features [M, d].
        k: the neighbour that sets the radius of a ball, not counting the sample itself.

    Raises:
        FeatureError: There are at most k real samples.
    """
    if len(real) <= k:
        raise FeatureError(f"{k} neighbours need more than {k} real samples, got {len(real)}")
    radii = _radii(real, k)
    typical = radii <= np.median(radii)
    radii, centres = radii[typical], real[typical]
    # a sample on a centre has no finite ratio: it is as real as can be
    return np.concatenate([(radii / distances.clip(1e-12)).max(axis=1) for _, distances in _blocks(fake, centres)])


def nearest(
    query: NDArray[np.floating], base: NDArray[np.floating], k: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The k nearest of `base` [M, d] to each of `query` [N, d]: indices and distances [N, k], nearest first.

    Raises:
        FeatureError: The base has fewer than k samples.
    """
    if len(base) < k:
        raise FeatureError(f"{k} neighbours need at least {k} samples, got {len(base)}")
    indices, distances = np.empty((len(query), k), np.int64), np.empty((len(query), k))

    def find(of: tuple[slice, Array]) -> None:
        rows, block = of
        found = np.argpartition(block, k - 1, axis=1)[:, :k]
        values = np.take_along_axis(block, found, axis=1)
        order = np.lexsort((found, values))  # equal distances: the lower index first
        indices[rows] = np.take_along_axis(found, order, axis=1)
        distances[rows] = np.take_along_axis(values, order, axis=1)

    for _ in side_by_side(find, _blocks(query, base)):
        pass
    return indices, distances


def _radii(x: NDArray[np.floating], k: int) -> Array:
    """The distance of each sample to its k-th neighbour; the 0-th is the sample itself."""
    return np.concatenate([np.partition(distances, k, axis=1)[:, k] for _, distances in _blocks(x, x)])


def _blocks(a: NDArray[np.floating], b: NDArray[np.floating]) -> Iterator[tuple[slice, Array]]:
    """Rows of the matrix of Euclidean distances [len(a), len(b)], a block at a time.

    |a - b|² = |a|² + |b|² - 2a·b cancels where samples are close: hence float64, about a common centre.
    """
    centre = np.mean(b, axis=0, dtype=np.float64)
    a, b = np.asarray(a, np.float64) - centre, np.asarray(b, np.float64) - centre
    a_square, b_square = np.square(a).sum(axis=1), np.square(b).sum(axis=1)
    step = max(1, BLOCK // len(b))
    for start in range(0, len(a), step):
        rows = slice(start, start + step)
        square = a[rows] @ b.T
        square *= -2
        square += a_square[rows, None]
        square += b_square
        # what the sum leaves of the distance of equal rows is rounding, and would decide who lies in a ball of radius 0
        square[square < EQUAL * (a_square[rows, None] + b_square)] = 0
        yield rows, np.sqrt(square, out=square)
