"""How certain a figure is: 95 % intervals by half-sampling, paired for the difference of two generators.

A random half of N generated samples, drawn without replacement, has a figure whose deviation from that of all N is as
wide as the deviation of N samples from endlessly many: σ²(1/(N/2) - 1/N) = σ²/N (the delete-half jackknife; Shao & Wu
1989, "A general theory for jackknife variance estimation"). The bootstrap would repeat samples, and a Fréchet distance
grows with repetition. Halves repeat none; what a distance gains from being measured on fewer samples is the same for
every half, so that it moves their mean and not their spread. Hence an interval is centred on the figure of all N.

Recall and coverage near 1 are a little lower on fewer samples and move more there: their intervals are too wide rather
than too narrow. The real samples stay as they are: an interval says what other latents would do to the figure, not
other real images.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganops.errors import FeatureError

REPETITIONS = 100
Z = 1.959964
"""Of a normal distribution, 95 % lie within so many standard deviations."""
FEWEST = 40
"""Generated samples below which a half says nothing."""


@dataclass(frozen=True)
class Interval:
    """A figure and the 95 % interval about it."""

    value: float
    low: float
    high: float

    @classmethod
    def about(cls, value: float, replicates: Sequence[float] | NDArray[np.float64]) -> "Interval":
        """From the figure of all samples, and those of random halves of them."""
        margin = Z * float(np.std(replicates, ddof=1))
        return cls(value, value - margin, value + margin)

    @property
    def ends(self) -> list[float]:
        """[low, high]."""
        return [self.low, self.high]

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference is more than chance."""
        return self.low > 0 or self.high < 0


def halves(count: int, *, repetitions: int = REPETITIONS, seed: int) -> Iterator[NDArray[np.int64]]:
    """Indices of random halves of `count` samples.

    Equal counts and seeds give equal halves: samples of two generators from the same latents stay paired, and what they
    have in common leaves the spread of their difference.
    """
    if count < FEWEST:
        raise FeatureError(f"an interval needs at least {FEWEST} samples, got {count}")
    generator = np.random.default_rng([seed, count])
    for _ in range(repetitions):
        yield np.sort(generator.permutation(count)[: count // 2])


def replicates(
    figures: Callable[[NDArray[np.int64]], dict[str, float]], count: int, *, repetitions: int = REPETITIONS, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Figures by name of each half: `figures` computes them of the samples with the given indices."""
    found = [figures(half) for half in halves(count, repetitions=repetitions, seed=seed)]
    return {name: np.array([each[name] for each in found]) for name in found[0]}
