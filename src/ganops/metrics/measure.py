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
from ganops.metrics.intervals import REPETITIONS, Interval, halves, replicates
from ganops.metrics.kernel import kernel_distance, kernel_replicates, subset_size
from ganops.metrics.memorisation import CELLS, CLOSEST, FEWEST, SAMPLES, memorisation
from ganops.metrics.neighbours import precision_recall_density_coverage
from ganops.metrics.protocol import Protocol
from ganops.metrics.reference import Reference

MANY = 512
"""Dimensions beyond which a Fréchet distance takes seconds."""
MANY_SAMPLES = 10_000
"""Generated samples beyond which a kernel matrix takes minutes."""


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
        equal protocols can be compared. Those of `memorisation` compare with the split `train`, and hold the split (the
        test split where it is train itself) for honest; with fewer than 50 samples a side there are none.
    """
    _check(fake.features, reference)
    real, statistics = reference.features(split), reference.statistics(split)
    ruler = Ruler.of(
        reference, split, len(fake.features), seed=seed, neighbours=neighbours, subsets=subsets, size=size,
        repetitions=repetitions,
    )  # fmt: skip
    copying, searched = _copying(fake.features, reference, split, seed)
    result: dict[str, Any] = ruler.figures(fake) | copying
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
    subsets: int
    size: int
    """Of the subsets of the kernel distance."""
    seed: int
    repetitions: int

    @classmethod
    def of(
        cls, reference: Reference, split: str, generated: int, *, seed: int, neighbours: int = 5, subsets: int = 100,
        size: int = 1000, repetitions: int = REPETITIONS,
    ) -> "Ruler":  # fmt: skip
        """A ruler for `generated` samples."""
        real, generator = reference.features(split), np.random.default_rng(seed)
        count = min(len(real), generated)
        near, rows = (np.sort(generator.permutation(size)[:count]) for size in (len(real), generated))
        if reference.card["dimensions"] > MANY:
            repetitions = max(2, repetitions // 5)
        distance = distance_to(reference.statistics(split))
        return cls(reference, split, distance, real[near], rows, neighbours, subsets, size, seed, repetitions)

    @property
    def names(self) -> tuple[str, str]:
        """Of the Fréchet and of the kernel distance."""
        return names(self.reference.card["extractor"], self.reference.card["published"])

    def figures(self, fake: Generated) -> dict[str, float]:
        """Each figure of the samples."""
        frechet, kernel = self.names
        subsets = self._kernel_distances(fake)
        return {
            frechet: self.distance(Statistics.of(fake.features)),
            **self._infinity(fake.features),
            kernel: float(subsets.mean()),
            f"{kernel}_std": float(subsets.std()),
            **_classes(fake.probabilities, self.reference, self.split),
            **_class_details(fake.probabilities, self.reference),
            **self._of_neighbours(fake.features[self.rows]),
        }

    def replicates(self, fake: Generated) -> dict[str, NDArray[np.float64]]:
        """Each figure of random halves of the samples: name -> [repetitions].

        FD∞, which is 15 distances, has a quarter of the halves, and none beyond 512 dimensions.
        """
        count, near = len(fake.features), fake.features[self.rows]
        options = {"repetitions": self.repetitions, "seed": self.seed}
        found = replicates(lambda half: self._of_all(fake[half]), count, **options)
        if self.reference.card["dimensions"] <= MANY:
            some = options | {"repetitions": max(2, self.repetitions // 4)}
            found |= replicates(lambda half: self._infinity(fake.features[half]), count, **some)
        found[self.names[1]] = self._of_kernel(fake)
        return found | replicates(lambda half: self._of_neighbours(near[half]), len(near), **options)

    def _infinity(self, features: Features) -> dict[str, float]:
        statistics = self.reference.statistics(self.split)
        return {f"{self.names[0]}_infinity": frechet_infinity(features, statistics, seed=self.seed)}

    def _kernel_distances(self, fake: Generated) -> NDArray[np.float64]:
        """Of each subset."""
        real = self.reference.features(self.split)
        return kernel_distance(real, fake.features, subsets=self.subsets, size=self.size, seed=self.seed)

    def _of_kernel(self, fake: Generated) -> NDArray[np.float64]:
        """Of the kernel distance: what halves do to that of all pairs, and what the draw of subsets adds."""
        y, real = fake.features[:MANY_SAMPLES], self.reference.features(self.split)
        spread: NDArray[np.float64] = kernel_replicates(
            real, y, halves(len(y), repetitions=self.repetitions, seed=self.seed)
        )
        # the variance falls as 1 / N, so that of more samples follows from that of the first ones
        spread -= spread.mean()
        spread *= np.sqrt(len(y) / len(fake.features))
        subsets = self._kernel_distances(fake)
        spread += np.resize(subsets - subsets.mean(), len(spread)) / np.sqrt(len(subsets))
        return spread

    def _of_all(self, fake: Generated) -> dict[str, float]:
        return {
            self.names[0]: self.distance(Statistics.of(fake.features)),
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
        if name in spread_a
    }


def _copying(
    features: Features, reference: Reference, split: str, seed: int
) -> tuple[dict[str, float], dict[str, float] | None]:
    """The signs of memorisation and how they were looked for; nothing where samples are few."""
    train, real = reference.features("train"), reference.features("test" if split == "train" else split)
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


def _class_details(probabilities: Features | None, reference: Reference) -> dict[str, float]:
    """What has no interval: the score's deviation over its parts, and how many classes are there at all."""
    if probabilities is None:
        return {}
    return {
        f"is_{reference.card['extractor']}_std": inception_score(probabilities)[1],
        "modes": float(np.count_nonzero(class_histogram(probabilities))),
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
