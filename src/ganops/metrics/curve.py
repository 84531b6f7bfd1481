"""The quality-diversity curve: one generator at several truncations, and whether another's curve dominates it.

One number can be bought with the other: at a low temperature texts are likely, and alike. So a generator is a curve,
and a point of it is dominated where another generator has a point that is better in both (Caccia et al. 2020, "Language
GANs falling short", section 3): in quality, the nats of its texts, and in variety, the distance of the crowds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganops.core.cores import threads
from ganops.metrics.frechet import frechet_between
from ganops.metrics.intervals import REPETITIONS, Interval, replicates
from ganops.metrics.measure import Generated
from ganops.metrics.protocol import names
from ganops.metrics.reference import Reference, check
from ganops.metrics.texts import self_bleu


@dataclass(frozen=True)
class Point:
    """A generator at one truncation."""

    truncation: float
    figures: Mapping[str, float]
    replicates: Mapping[str, NDArray[np.float64]]
    """Figures that have an interval, of random halves: name -> [repetitions]; halves of all points are the same."""

    @property
    def intervals(self) -> dict[str, list[float]]:
        """95 % intervals of the figures that have one."""
        return {name: Interval.about(self.figures[name], found).ends for name, found in self.replicates.items()}

    def content(self) -> dict[str, Any]:
        """Return the point as plain values."""
        return {"truncation": self.truncation, **self.figures, "intervals": self.intervals}


@threads(1)
def point(fake: Generated, reference: Reference, split: str, truncation: float, *, seed: int) -> Point:
    """The point of samples that were drawn at a truncation: the distance, and of texts their nats and self-BLEU.

    Raises:
        FeatureError: The samples are not by the reference's extractor, or fewer than 40.
    """
    check(fake.features, reference)
    real, (distance, nll) = reference.features(split), axes(reference)

    def figures(mine: Generated, others: NDArray[np.float32]) -> dict[str, float]:
        nats = {} if mine.nll is None else {nll: float(mine.nll.mean())}
        return {distance: frechet_between(mine.features, others), **nats}

    counts = len(fake.features), len(real)
    spread = replicates(
        lambda half, beside: figures(fake[half], real[beside]), *counts, repetitions=REPETITIONS, seed=seed,
        strata=fake.labels,
    )  # fmt: skip
    alike = {} if fake.texts is None else {"self_bleu": self_bleu(fake.texts, reference.card["ends"])}
    return Point(truncation, {**figures(fake, real), **alike}, spread)


def axes(reference: Reference) -> tuple[str, str]:
    """Return the names of the distance, and of the nats of a text."""
    extractor = reference.card["extractor"]
    return names(extractor, reference.card["published"])[0], f"nll_{extractor}"


@dataclass(frozen=True)
class Domination:
    """A point of a curve, and the point of another that is better in both numbers, if there is one."""

    truncation: float
    by: float | None
    """Truncation of the other's point; None: the point is not dominated."""
    differences: Mapping[str, Interval]
    """The other's point less this one in each number; of an undominated point, those of its closest call."""

    def content(self) -> dict[str, Any]:
        """Return it as plain values."""
        differences = {name: {"difference": x.value, "interval": x.ends} for name, x in self.differences.items()}
        return {"truncation": self.truncation, "by": self.by, "differences": differences}


def domination(curve: Sequence[Point], other: Sequence[Point], axes: Iterable[str]) -> list[Domination]:
    """Hold each point of a curve against all of another one.

    A point is dominated where some point of the other is lower in each of the `axes`, beyond chance: the 95 % intervals
    of the differences lie below zero. Of several, the one counts whose larger upper end is the lowest.
    """
    axes, found = tuple(axes), []
    for mine in curve:
        pairs = [(each.truncation, _differences(mine, each, axes)) for each in other]
        by, differences = min(pairs, key=lambda pair: max(_certainty(by) for by in pair[1].values()))
        beaten = all(by.high < 0 for by in differences.values())
        found.append(Domination(mine.truncation, by if beaten else None, differences))
    return found


def _differences(mine: Point, other: Point, axes: Sequence[str]) -> dict[str, Interval]:
    return {
        name: Interval.about(other.figures[name] - mine.figures[name], other.replicates[name] - mine.replicates[name])
        for name in axes
    }


def _certainty(by: Interval) -> float:
    """The upper end of a difference in halves of its interval's width: numbers of two units can be compared by it."""
    margin = by.high - by.value
    if margin:
        return by.high / margin
    return float(np.copysign(np.inf, by.high)) if by.high else 0.0  # equal points: neither is ahead
