"""The Fréchet distance between two Gaussians, and what it would be without the bias of few samples."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from ganops.core.cores import side_by_side
from ganops.core.errors import FeatureError

Features = NDArray[np.float32]
"""float32 [N, d]: one feature vector for one sample."""
Array = NDArray[np.float64]

MANY_DIMENSIONS = 512
"""Dimensions beyond which a distance takes seconds."""
PER_DIMENSION = 3
"""Samples a dimension below which the distance is no longer linear in 1/N."""
LEVER = 1.5
"""All samples over the smallest subset: with less of a lever the line's end moves by twice as much and more."""


@dataclass(frozen=True)
class Statistics:
    """The mean [d] and the unbiased covariance [d, d] (as numpy.cov, ddof 1) of `count` feature vectors, in float64."""

    count: int
    mean: Array
    covariance: Array

    @property
    def singular(self) -> bool:
        """True where samples are too few for a covariance of full rank: the distance is then mostly bias."""
        return self.count <= len(self.mean)

    @classmethod
    def of(cls, features: NDArray[np.floating]) -> "Statistics":
        """The statistics of `features` [N, d], N >= 2.

        Raises:
            FeatureError: There are fewer than 2 samples, or the features have another number of axes than two.
        """
        return Sums.of(features).statistics()


@dataclass(frozen=True)
class Sums:
    """Count, sum [d] and sum of outer products [d, d] of feature vectors, in float64: parts add up to the whole."""

    count: int
    total: Array
    outer: Array

    @classmethod
    def of(cls, features: NDArray[np.floating]) -> "Sums":
        """The sums of `features` [N, d].

        Raises:
            FeatureError: The features have another number of axes than two.
        """
        x = np.asarray(features, np.float64)
        if x.ndim != 2:
            raise FeatureError(f"features: expected [N, d], got the shape {list(x.shape)}")
        return cls(len(x), x.sum(axis=0), x.T @ x)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.count + other.count, self.total + other.total, self.outer + other.outer)

    def add(self, features: NDArray[np.floating]) -> "Sums":
        """Return the sum of these sums and those of `features` [N, d].

        Raises:
            FeatureError: The features have another number of axes than two.
        """
        return self + Sums.of(features)

    def statistics(self) -> Statistics:
        """The mean and the unbiased covariance of all that was added.

        Raises:
            FeatureError: Fewer than 2 samples were added.
        """
        if self.count < 2:
            raise FeatureError(f"a covariance needs at least 2 samples, got {self.count}")
        mean = self.total / self.count
        scatter = self.outer - self.count * np.outer(mean, mean)
        return Statistics(self.count, mean, (scatter + scatter.T) / (2 * (self.count - 1)))


def frechet_distance(a: Statistics, b: Statistics) -> float:
    """|μa - μb|² + tr(Σa + Σb - 2 (Σa Σb)^½), the FID of Heusel et al. 2017 (equation 6) in these features; >= 0.

    Singular covariances (no more samples than dimensions) need no jitter, and nothing complex or NaN can come out.

    Raises:
        FeatureError: The two have different dimensions.
    """
    return distance_to(a)(b)


def frechet_between(x: NDArray[np.floating], y: NDArray[np.floating]) -> float:
    """`frechet_distance` of features [N, d] and [M, d], by the shorter way where a side has no more samples than d.

    Then covariances are products Xᵀ X and Yᵀ Y of the centred samples over √(N - 1), and the roots of the eigenvalues
    of Xᵀ X Yᵀ Y are the singular values of X Yᵀ, which is N x M: no covariance is needed.

    Raises:
        FeatureError: A side has fewer than 2 samples.
    """
    if min(len(x), len(y)) > x.shape[1]:
        return frechet_distance(Statistics.of(x), Statistics.of(y))
    (mean_x, x), (mean_y, y) = _centred(x), _centred(y)
    spread = np.square(x).sum() + np.square(y).sum() - 2 * linalg.svdvals(x @ y.T).sum()
    return max(0.0, float(np.square(mean_x - mean_y).sum() + spread))


def _centred(features: NDArray[np.floating]) -> tuple[Array, Array]:
    """The mean [d], and what is left over √(N - 1) [N, d]."""
    if len(features) < 2:
        raise FeatureError(f"a covariance needs at least 2 samples, got {len(features)}")
    x = np.asarray(features, np.float64)
    mean = x.mean(axis=0)
    return mean, (x - mean) / np.sqrt(len(x) - 1)


def distance_to(reference: Statistics) -> Callable[[Statistics], float]:
    """`frechet_distance` to `reference` as a function, with the reference's covariance factored only once.

    Raises:
        FeatureError: The returned function gets statistics of other dimensions.
    """
    spectrum = _spectrum_with(reference)

    def distance(other: Statistics) -> float:
        if other.mean.shape != reference.mean.shape:
            own, theirs = len(reference.mean), len(other.mean)
            raise FeatureError(f"features of {own} and of {theirs} dimensions have no distance")
        # the rank of the product is below the smaller count: what else is not 0 is rounding, of which roots are large
        fidelity = np.sqrt(spectrum(other.covariance)[-(other.count - 1) :].clip(0)).sum()
        spread = np.trace(reference.covariance) + np.trace(other.covariance) - 2 * fidelity
        return max(0.0, float(np.square(reference.mean - other.mean).sum() + spread))

    return distance


def _spectrum_with(reference: Statistics) -> Callable[[Array], Array]:
    """The eigenvalues of Σ Σ', ascending, as a function of Σ'; Σ is the covariance of `reference`.

    They are those of the symmetric Fᵀ Σ' F for any factor Σ = F Fᵀ, and tr (Σ Σ')^½ is the sum of their square roots.
    F is Cholesky's; where there is none, it is made of the eigenvectors that the samples can span.
    """
    cholesky = _cholesky(reference)
    if cholesky is not None:
        # LAPACK's reduction of Σ Σ' v = λ v takes a quarter of the operations of two products
        return lambda other: linalg.eigvalsh(linalg.lapack.dsygst(other, cholesky, itype=2, lower=1)[0])
    values, vectors = (part[..., -(reference.count - 1) :] for part in linalg.eigh(reference.covariance))
    root = vectors * np.sqrt(values.clip(0))
    return lambda other: linalg.eigvalsh(root.T @ other @ root)


def _cholesky(statistics: Statistics) -> Array | None:
    """L with Σ = L Lᵀ; None where Σ is singular, also to working precision."""
    if statistics.singular:
        return None
    try:
        factor: Array = linalg.cholesky(statistics.covariance, lower=True)
    except linalg.LinAlgError:
        return None
    pivots = np.square(np.diagonal(factor))
    return factor if pivots.min() > len(pivots) * np.finfo(np.float64).eps * pivots.max() else None


def infinity_smallest(count: int, dimensions: int) -> int:
    """The size of the smallest subset from which `frechet_infinity` extrapolates: a tenth, at least 3 d samples.

    Raises:
        FeatureError: All `count` samples are too near to it for a line.
    """
    smallest, needed = max(count // 10, PER_DIMENSION * dimensions), math.ceil(LEVER * PER_DIMENSION * dimensions)
    if count < needed:
        raise FeatureError(
            f"cannot extrapolate in {dimensions:,} dimensions from {count:,} generated samples: expected at least "
            f"{needed:,}, since with fewer than {PER_DIMENSION} samples a dimension the line misses the limit"
        )
    return smallest


def frechet_infinity(
    features: NDArray[np.floating], reference: Statistics, *, points: int = 15, smallest: int | None = None, seed: int
) -> float:
    """The Fréchet distance extrapolated to infinitely many generated samples (Chong & Forsyth 2020, section 3.2).

    The distance of N samples is linear in 1/N where N is large beside the dimensions d: a line through the distances of
    `points` random subsets of `smallest` to all N samples meets 1/N = 0 at the value returned. From 3 d samples on the
    curve that is left makes it low by about 5 % of what the distance of all N has too much, which is less than it moves
    by chance. It is unbiased in the limit alone, and may be below zero.

    Args:
        features: generated features [N, d], N >= 4.5 d.
        reference: the statistics of the real features; their number stays as it is, and so does its bias.
        points: the number of subsets, evenly spaced in size.
        smallest: the size of the smallest subset, at least 2; a tenth of the samples, as in the paper, but no fewer
            than 3 d, unless given. What a smaller one is worth is for the caller to know.
        seed: draws the subsets.

    Raises:
        FeatureError: There are too few samples to extrapolate.
    """
    count = len(features)
    if smallest is None:
        smallest = infinity_smallest(count, features.shape[1])
    sizes = np.unique(np.linspace(smallest, count, points).astype(int))
    if smallest < 2 or len(sizes) < 2:
        raise FeatureError(f"cannot extrapolate from subsets of {smallest} to all {count} samples")
    generator = np.random.default_rng(seed)
    distance = distance_to(reference)
    subsets = (features[generator.permutation(count)[:size]] for size in sizes)
    distances = list(side_by_side(lambda subset: distance(Statistics.of(subset)), subsets))
    return float(np.polyfit(1 / sizes, distances, 1)[1])
