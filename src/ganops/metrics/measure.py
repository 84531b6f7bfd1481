"""What a generator is worth: every metric under a name that says what it is, and the protocol it was taken by."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganops.errors import FeatureError
from ganops.metrics.extractors.extractor import Features
from ganops.metrics.frechet import Statistics, distance_to, frechet_distance, frechet_infinity
from ganops.metrics.inception_score import class_divergence, class_histogram, inception_score
from ganops.metrics.intervals import REPETITIONS, Interval, replicates
from ganops.metrics.kernel import kernel_distance, subset_size
from ganops.metrics.memorisation import CELLS, CLOSEST, FEWEST, SAMPLES, memorisation
from ganops.metrics.neighbours import precision_recall_density_coverage
from ganops.metrics.protocol import Protocol
from ganops.metrics.reference import Reference

MANY = 512
"""Dimensions beyond which a Fréchet distance takes seconds."""


def names(extractor: str, published: bool) -> tuple[str, str]:
    """The names of the Fréchet and of the kernel distance: FID and KID are those of the published weights alone."""
    return ("fid", "kid") if published else (f"fd_{extractor}", f"kd_{extractor}")


def distance(fake: Features, reference: Reference, split: str) -> float:
    """The Fréchet distance of generated features [N, d] to a split: the cheap figure for each tick of a training."""
    _check(fake, reference)
    return frechet_distance(reference.statistics(split), Statistics.of(fake))


@dataclass(frozen=True)
class Generated:
    """What an extractor makes of generated samples."""

    features: Features
    """[N, d]."""
    probabilities: Features | None = None
    """[N, K] of a classifier: without them there is no inception score and no class_kl."""
    first_seed: int | None = None
    """Their seeds are consecutive from here on; None: they came as pictures."""

    def __getitem__(self, rows: NDArray[np.int64]) -> "Generated":
        return Generated(self.features[rows], None if self.probabilities is None else self.probabilities[rows])


def measure(
    fake: Generated,
    reference: Reference,
    split: str,
    *,
    seed: int,
    neighbours: int = 5,
    subsets: int = 100,
    size: int = 1000,
    repetitions: int = REPETITIONS,
) -> dict[str, Any]:
    """All metrics of generated samples against a split of the real ones.

    Args:
        fake: at least 40 generated samples, by the reference's extractor.
        reference: the real features.
        split: the split to compare with: `validation` to select, `test` to report.
        seed: draws all subsets.
        neighbours: k of precision, recall, density and coverage, which use equal counts of both sides.
        subsets: the number of subsets of the kernel distance.
        size: the size of these subsets, at most the samples there are.
        repetitions: halves behind each interval; a fifth of them where features have over 512 dimensions.

    Returns:
        Figures by name, all finite floats; `intervals`: name -> [low, high], 95 %; and `protocol`: only figures under
        equal protocols can be compared. Those of `memorisation` compare with the split `train`; with fewer than 50
        samples a side there are none.
    """
    _check(fake.features, reference)
    real, statistics = reference.features(split), reference.statistics(split)
    frechet, kernel = names(reference.card["extractor"], reference.card["published"])
    ruler = Ruler.of(reference, split, len(fake.features), seed=seed, neighbours=neighbours, repetitions=repetitions)
    mean, deviation = kernel_distance(real, fake.features, subsets=subsets, size=size, seed=seed)
    figures = ruler.figures(fake)
    copying, searched = _copying(fake.features, reference, split, seed)
    result: dict[str, Any] = {
        frechet: figures.pop(frechet),
        f"{frechet}_infinity": frechet_infinity(fake.features, statistics, seed=seed),
        kernel: mean,
        f"{kernel}_std": deviation,
        **figures,
        **copying,
    }
    if fake.probabilities is not None and f"is_{reference.card['extractor']}" in result:
        result[f"is_{reference.card['extractor']}_std"] = inception_score(fake.probabilities)[1]
    spread = ruler.replicates(fake)
    result["intervals"] = {name: Interval.about(result[name], values).ends for name, values in spread.items()}
    result["protocol"] = Protocol(
        extractor=reference.card["extractor"],
        weights=reference.card["hash"],
        published=reference.card["published"],
        split=split,
        real=len(real),
        generated=len(fake.features),
        resize=reference.card["protocol"]["resize"],
        quantisation=reference.card["protocol"]["quantisation"],
        seed=seed,
        first_seed=fake.first_seed,
        neighbours=neighbours,
        neighbour_samples=len(ruler.near),
        kernel_subsets=subsets,
        kernel_subset_size=subset_size(real, fake.features, size),
        repetitions=ruler.repetitions,
        memorisation=searched,
        singular=statistics.singular or len(fake.features) <= reference.card["dimensions"],
    ).content()
    return result


@dataclass(frozen=True)
class Ruler:
    """The figures that have an interval, against one split and for one number of generated samples."""

    reference: Reference
    split: str
    distance: Callable[[Statistics], float]
    near: Features
    """Real features [n, d] of precision, recall, density and coverage."""
    rows: NDArray[np.int64]
    """The n generated samples that stand against them."""
    neighbours: int
    seed: int
    repetitions: int

    @classmethod
    def of(
        cls, reference: Reference, split: str, generated: int, *, seed: int, neighbours: int = 5,
        repetitions: int = REPETITIONS,
    ) -> "Ruler":  # fmt: skip
        """A ruler for `generated` samples."""
        real, generator = reference.features(split), np.random.default_rng(seed)
        count = min(len(real), generated)
        near, rows = (np.sort(generator.permutation(size)[:count]) for size in (len(real), generated))
        if reference.card["dimensions"] > MANY:
            repetitions = max(2, repetitions // 5)
        distance = distance_to(reference.statistics(split))
        return cls(reference, split, distance, real[near], rows, neighbours, seed, repetitions)

    def figures(self, fake: Generated) -> dict[str, float]:
        """Each figure of the samples."""
        return self._of_all(fake) | self._of_neighbours(fake.features[self.rows])

    def replicates(self, fake: Generated) -> dict[str, NDArray[np.float64]]:
        """Each figure of random halves of the samples: name -> [repetitions]."""
        near = fake.features[self.rows]
        options = {"repetitions": self.repetitions, "seed": self.seed}
        return replicates(lambda half: self._of_all(fake[half]), len(fake.features), **options) | replicates(
            lambda half: self._of_neighbours(near[half]), len(near), **options
        )

    def _of_all(self, fake: Generated) -> dict[str, float]:
        frechet, _ = names(self.reference.card["extractor"], self.reference.card["published"])
        return {
            frechet: self.distance(Statistics.of(fake.features)),
            **_classes(fake.probabilities, self.reference, self.split),
        }

    def _of_neighbours(self, features: Features) -> dict[str, float]:
        return precision_recall_density_coverage(self.near, features, self.neighbours)


@dataclass(frozen=True)
class Difference:
    """A figure of two generators, and by how much the other's is larger."""

    one: float
    other: float
    by: Interval


def compare(one: Generated, other: Generated, reference: Reference, split: str, *, seed: int) -> dict[str, Difference]:
    """The figures of two generators and their differences, each with its 95 % interval.

    The samples of both should come from the same seeds: what they have in common does not blur the difference then.

    Raises:
        FeatureError: There are not as many samples of the one as of the other.
    """
    if len(one.features) != len(other.features):
        counts = f"{len(one.features)} and {len(other.features)}"
        raise FeatureError(f"expected as many samples of the one as of the other, got {counts}")
    _check(one.features, reference)
    _check(other.features, reference)
    ruler = Ruler.of(reference, split, len(one.features), seed=seed)
    a, b, spread_a, spread_b = ruler.figures(one), ruler.figures(other), ruler.replicates(one), ruler.replicates(other)
    return {
        name: Difference(a[name], b[name], Interval.about(b[name] - a[name], spread_b[name] - spread_a[name]))
        for name in a
    }


def _copying(
    features: Features, reference: Reference, split: str, seed: int
) -> tuple[dict[str, float], dict[str, float] | None]:
    """The signs of memorisation and how they were looked for; nothing where samples are few."""
    train, real = reference.features("train"), reference.features(split)
    if min(len(train), len(real), len(features)) < FEWEST:
        return {}, None
    searched = {"train": len(train), "samples_at_most": SAMPLES, "cells": CELLS, "closest_percent": CLOSEST}
    return memorisation(train, real, features, seed=seed), searched


def _classes(probabilities: Features | None, reference: Reference, split: str) -> dict[str, float]:
    """The inception score of the extractor's classes, and how far their histogram is from the real one."""
    real = reference.classes(split)
    if probabilities is None or real is None:
        return {}
    mean, _ = inception_score(probabilities)
    return {
        f"is_{reference.card['extractor']}": mean,
        "class_kl": class_divergence(class_histogram(probabilities), real),
    }


def _check(fake: NDArray[np.floating[Any]], reference: Reference) -> None:
    expected = reference.card["dimensions"]
    if fake.ndim != 2 or fake.shape[1] != expected:
        raise FeatureError(f"expected features [N, {expected}] by the reference's extractor, got {list(fake.shape)}")
    if not np.isfinite(fake).all():
        broken = int((~np.isfinite(fake)).any(axis=1).sum())
        raise FeatureError(
            f"{broken} of {len(fake)} generated samples have features that are not finite: "
            "the generator has diverged, or its images are not valid"
        )
