"""Intervals of figures: 95 % over latents and real samples, paired for the difference of two generators.

A random half of N samples, drawn without replacement, has a figure whose deviation from that of all N is as wide as
the deviation of N samples from endlessly many: σ²(1/(N/2) - 1/N) = σ²/N (the delete-half jackknife; Shao & Wu 1989, "A
general theory for jackknife variance estimation"). A figure of generated and of real samples deviates by both, and in
first order their variances add. So each replicate takes a half of either side, the two drawn independently, and its
deviation is as wide as that of fresh latents and fresh real samples together. The training stays as it is: an interval
does not say what another seed of it would give.

The bootstrap would repeat samples, and a Fréchet distance grows with repetition. Halves repeat none; what a distance
gains from being measured on fewer samples is the same for every half, so that it moves their mean and not their
spread. Hence an interval is centred on the figure of all samples, and it is one for figures of these numbers of
samples. Where a figure is not smooth (neighbours), or two distributions are all but equal, halves vary more than theory
says: intervals are then too wide rather than too narrow.

Samples of a conditional generator have one label for one seed, in fixed shares, so that the chance of shares is no part
of their figures. Their halves keep the shares too: they are stratified by label.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganops.core.cores import side_by_side
from ganops.core.errors import FeatureError

COVERS = "over latents and real samples, not over training seeds"
"""Coverage of an interval, in words."""
REPETITIONS = 100
"""Halves behind an interval."""
Z = 1.959964
"""Standard deviations within which 95 % of a normal distribution lie."""
MIN_SAMPLES = 40
"""Samples of a side below which a half says nothing."""


@dataclass(frozen=True)
class Interval:
    """A figure and the 95 % interval about it."""

    value: float
    low: float
    high: float

    @classmethod
    def about(cls, value: float, replicates: Sequence[float] | NDArray[np.float64]) -> "Interval":
        """Return an interval from the figure of all samples and those of random halves: by Student's t."""
        from scipy.special import stdtrit  # with all of scipy's functions: workers of a training need it not

        margin = float(stdtrit(len(replicates) - 1, 0.975) * np.std(replicates, ddof=1))
        return cls(value, value - margin, value + margin)

    @property
    def ends(self) -> list[float]:
        """[low, high]."""
        return [self.low, self.high]

    @property
    def excludes_zero(self) -> bool:
        """True where a difference is more than chance."""
        return self.low > 0 or self.high < 0


def subset(
    count: int, size: int, generator: np.random.Generator, strata: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Indices of a random subset of `count` samples, ascending, int64 [size].

    Args:
        count: the number of samples.
        size: the number of those that are drawn, without replacement.
        generator: draws them.
        strata: a number for each sample, int64 [count]: each keeps its share, up to one sample; None: by chance.
    """
    order = generator.permutation(count)
    if strata is None:
        return np.sort(order[:size])
    # systematic sampling: equal steps through the samples sorted by stratum, in random order within each
    order = order[np.argsort(strata[order], kind="stable")]
    return np.sort(order[((np.arange(size) + generator.random()) * (count / size)).astype(np.int64)])


def halves(
    count: int, *, repetitions: int = REPETITIONS, seed: int, strata: NDArray[np.int64] | None = None, side: int = 0
) -> Iterator[NDArray[np.int64]]:
    """Indices of random halves of `count` samples.

    Equal counts, strata and seeds give equal halves: samples of two generators from the same latents stay paired, and
    what they have in common leaves the spread of their difference.

    Args:
        count: the number of samples.
        repetitions: the number of halves.
        seed: draws the halves.
        strata: a number for each sample, int64 [count], whose shares each half keeps; None: plain halves.
        side: halves of different sides are independent.

    Raises:
        FeatureError: There are fewer than `MIN_SAMPLES` samples.
    """
    if count < MIN_SAMPLES:
        raise FeatureError(f"an interval needs at least {MIN_SAMPLES} samples, got {count}")
    generator = np.random.default_rng([seed, count, side] if side else [seed, count])
    for _ in range(repetitions):
        yield subset(count, count // 2, generator, strata)


def replicates(
    figures: Callable[..., dict[str, float]], *counts: int, repetitions: int = REPETITIONS, seed: int,
    strata: NDArray[np.int64] | None = None,
) -> dict[str, NDArray[np.float64]]:  # fmt: skip
    """Figures by name of halves of each side: name -> [repetitions].

    Args:
        figures: computes them of the samples with the given indices, an array for each side.
        counts: the number of samples of each side; the generated ones come first.
        repetitions: the number of halves.
        seed: draws the halves, those of each side independently.
        strata: of the first side, as `halves` takes them.

    Raises:
        FeatureError: A side has fewer than `MIN_SAMPLES` samples.
    """
    sides = [
        halves(count, repetitions=repetitions, seed=seed, strata=None if side else strata, side=side)
        for side, count in enumerate(counts)
    ]
    return collected(figures, zip(*sides, strict=True))


def collected(
    figures: Callable[..., dict[str, float]], chosen: Iterable[tuple[Any, ...]]
) -> dict[str, NDArray[np.float64]]:
    """Figures by name, of one choice after another: `figures` takes the parts of a choice, side by side with others."""
    found = list(side_by_side(lambda parts: figures(*parts), chosen))
    return {name: np.array([each[name] for each in found]) for name in found[0]}
