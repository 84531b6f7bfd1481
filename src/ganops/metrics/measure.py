"""Measurement of a generator: every metric under a name that says what it is, and the protocol it was taken by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from ganops.core.cores import threads
from ganops.core.errors import FeatureError
from ganops.core.labels import Labelling
from ganops.kinds import Spec
from ganops.metrics import catalogue, movement, texts
from ganops.metrics.extractors.extractor import Features
from ganops.metrics.frechet import (
    MANY_DIMENSIONS,
    Statistics,
    distance_to,
    frechet_between,
    frechet_infinity,
    infinity_smallest,
)
from ganops.metrics.inception_score import class_divergence, class_histogram, inception_score
from ganops.metrics.intervals import REPETITIONS, Interval, collected, halves, replicates, subset
from ganops.metrics.kernel import kernel_distance, kernel_replicates, subset_size
from ganops.metrics.memorisation import CELLS, CLOSEST, MIN_SAMPLES, SAMPLES, memorisation
from ganops.metrics.neighbours import precision_recall_density_coverage
from ganops.metrics.protocol import Protocol, names
from ganops.metrics.reference import Reference, check
from ganops.metrics.reference import distance as distance  # its former place

MANY_SAMPLES = 10_000
"""Generated samples beyond which a kernel matrix takes minutes."""


@dataclass(frozen=True)
class Generated:
    """Generated samples as an extractor sees them."""

    features: Features
    """[N, d]."""
    probabilities: Features | None = None
    """[N, K] of a classifier: without them there is no inception score and no class_kl."""
    first_seed: int | None = None
    """First of the seeds, which are consecutive; None: they came as pictures."""
    labels: NDArray[np.int64] | None = None
    """Labels of a conditional generator, int64 [N]: halves keep their shares. None: there are none, or not known."""
    drawn: str | None = None
    """Way in which the labels were drawn, of those in `core.labels`; None: there are none, or not known."""
    texts: NDArray[np.uint16] | None = None
    """Generated texts, uint16 [N, L]; None: samples are none."""
    nll: NDArray[np.float64] | None = None
    """-log p of each text in nats by the extractor, [N]; None: likewise."""
    motion: Features | None = None
    """Features of generated films by the extractor of motion, [N, d']; None: samples are none, or it is the judge."""
    tracks: movement.Tracks | None = None
    """Motion of generated films, [N, 4]; None: samples are none."""

    def __getitem__(self, rows: NDArray[np.int64]) -> "Generated":
        parts: tuple[Any, ...] = (self.probabilities, self.labels, self.texts, self.nll, self.motion, self.tracks)
        probabilities, labels, *rest = (None if part is None else part[rows] for part in parts)
        return Generated(self.features[rows], probabilities, None, labels, self.drawn, *rest)


class Sampler(Interface):
    """A generator as an evaluation needs it."""

    @property
    def spec(self) -> Spec:
        """Specification of its samples."""

    def sample(self, seeds: NDArray[np.int64], labels: Any = ..., /) -> NDArray[Any]:
        """One stored sample for each seed: [N, *shape]; labels are given where it has `classes`, int64 [N]."""


def look(
    generator: Sampler, reference: Reference, seeds: NDArray[np.int64], labelling: Labelling | None = None
) -> Generated:
    """Return the features of the samples with these consecutive seeds; without `labelling`, under their own.

    Texts, which are small, come with them, and with their likelihood by the extractor; films with their motion.
    """
    labelling = labelling or Labelling.of(generator)
    drawn = labelling.draw(generator, seeds)
    features, probabilities = reference.extractor.features(drawn)
    found = Generated(features, probabilities, int(seeds[0]), labelling(seeds), labelling.name)
    if generator.spec.kind == "video":
        motion = reference.companion.extractor.features(drawn)[0] if reference.companion else None
        return replace(found, motion=motion, tracks=movement.tracks(drawn))
    return replace(found, texts=drawn, nll=reference.extractor.nll(drawn)) if generator.spec.kind == "text" else found


@threads(1)  # its matrices are small; what there is many times of is computed side by side
def measure(
    fake: Generated, reference: Reference, split: str, *, seed: int, neighbours: int = 5, subsets: int = 100,
    size: int = 1000, repetitions: int = REPETITIONS,
) -> dict[str, Any]:  # fmt: skip
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
        Figures by name, all finite floats; `intervals`: name -> [low, high], 95 % over latents and real samples; and
        `protocol`: only figures under equal protocols can be compared. Those of `memorisation` compare with the split
        `train`, and hold the split (the test split where it is train itself) for honest; with fewer than 50 samples a
        side there are none. A figure that so few samples cannot give is absent; `left_out` of the protocol says why.
    """
    check(fake.features, reference)
    real, statistics = reference.features(split), reference.statistics(split)
    ruler = Ruler.of(
        reference, split, len(fake.features), seed=seed, neighbours=neighbours, subsets=subsets, size=size,
        repetitions=repetitions, strata=fake.labels,
    )  # fmt: skip
    copying, searched = _copying(fake.features, reference, split, seed)
    result: dict[str, Any] = ruler.figures(fake) | copying | _of_texts(fake, reference, split)
    result |= _held_out_motion(fake, reference, split)
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
        labels=fake.drawn,
        neighbours=neighbours,
        neighbour_samples=len(ruler.near),
        kernel_subsets=subsets,
        kernel_subset_size=subset_size(real, fake.features, size),
        repetitions=ruler.repetitions,
        left_out=ruler.left_out,
        memorisation=searched,
        singular=statistics.singular or len(fake.features) <= reference.card["dimensions"],
        texts=None if fake.texts is None else texts.PROTOCOL,
        films=None if fake.tracks is None else _of_films(reference),
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
    """Samples of each subset of the kernel distance."""
    seed: int
    repetitions: int
    strata: NDArray[np.int64] | None = None
    """A number for each generated sample, int64 [N], whose shares each half keeps; None: plain halves."""
    smallest: int | None = None
    """Samples of the smallest subset behind the extrapolation of FD∞; None: there are too few for it."""
    left_out: Mapping[str, str] | None = None
    """Figures that there are not, by name, and why."""

    @classmethod
    def of(
        cls, reference: Reference, split: str, generated: int, *, seed: int, neighbours: int = 5, subsets: int = 100,
        size: int = 1000, repetitions: int = REPETITIONS, strata: NDArray[np.int64] | None = None,
    ) -> "Ruler":  # fmt: skip
        """A ruler for `generated` samples."""
        real, generator = reference.features(split), np.random.default_rng(seed)
        count = min(len(real), generated)
        near, rows = subset(len(real), count, generator), subset(generated, count, generator, strata)
        if reference.card["dimensions"] > MANY_DIMENSIONS:
            repetitions = max(2, repetitions // 5)
        smallest, left_out = _extrapolation(reference, generated)
        return cls(
            reference, split, distance_to(reference.statistics(split)), real[near], rows, neighbours, subsets, size,
            seed, repetitions, strata, smallest, left_out,
        )  # fmt: skip

    @property
    def names(self) -> tuple[str, str]:
        """Names of the Fréchet and of the kernel distance."""
        return names(self.reference.card["extractor"], self.reference.card["published"])

    def figures(self, fake: Generated) -> dict[str, float]:
        """Each figure of the samples."""
        frechet, kernel = self.names
        subsets = self._kernel_distances(fake)
        return {
            frechet: self.distance(Statistics.of(fake.features)),
            **self._infinity(fake.features, self.reference.statistics(self.split), self.smallest),
            kernel: float(subsets.mean()),
            f"{kernel}_std": float(subsets.std()),
            **_likelihood(fake, self.reference),
            **self._motion(fake),
            **_classes(fake.probabilities, self.reference, self.reference.classes(self.split)),
            **_class_details(fake.probabilities, self.reference),
            **self._of_neighbours(fake.features[self.rows], self.near),
            **catalogue.added(self.reference.features(self.split), fake.features),
        }

    def replicates(self, fake: Generated) -> dict[str, NDArray[np.float64]]:
        """Each figure of random halves of the samples, generated and real: name -> [repetitions].

        FD∞, which is 15 distances, has a quarter of the halves, and none beyond 512 dimensions.
        """
        real, near = self.reference.features(self.split), fake.features[self.rows]
        counts, options = (len(fake.features), len(real)), {"repetitions": self.repetitions, "seed": self.seed}

        def distances(half: NDArray[np.int64], beside: NDArray[np.int64]) -> dict[str, float]:
            mine, others = fake.features[half], real[beside]
            nats = {} if fake.nll is None else _likelihood(fake[half], self.reference)
            moving = {} if fake.tracks is None else self._motion(fake[half], beside)
            return {self.names[0]: frechet_between(mine, others), **nats, **moving, **catalogue.added(others, mine)}

        def infinity(half: NDArray[np.int64], beside: NDArray[np.int64]) -> dict[str, float]:
            smallest = None if self.smallest is None else self.smallest // 2
            return self._infinity(fake.features[half], Statistics.of(real[beside]), smallest)

        def of_neighbours(half: NDArray[np.int64], beside: NDArray[np.int64]) -> dict[str, float]:
            return self._of_neighbours(near[half], self.near[beside])

        found = replicates(distances, *counts, **options, strata=self.strata)
        if self.reference.card["dimensions"] <= MANY_DIMENSIONS:
            some = options | {"repetitions": max(2, self.repetitions // 4)}
            found |= replicates(infinity, *counts, **some, strata=self.strata)
        found[self.names[1]] = self._of_kernel(fake)
        found |= self._of_classes(fake)
        strata = None if self.strata is None else self.strata[self.rows]
        return found | replicates(of_neighbours, len(near), len(near), **options, strata=strata)

    def _infinity(self, features: Features, real: Statistics, smallest: int | None) -> dict[str, float]:
        if smallest is None:
            return {}
        return {f"{self.names[0]}_infinity": frechet_infinity(features, real, smallest=smallest, seed=self.seed)}

    def _motion(self, fake: Generated, beside: NDArray[np.int64] | None = None) -> dict[str, float]:
        """Return the figures of films' motion, against some of the real ones or all; nothing of other samples."""
        found: dict[str, float] = {}
        if fake.motion is not None and (companion := self.reference.companion):
            real = companion.features(self.split)
            found["fd_motion"] = frechet_between(fake.motion, real if beside is None else real[beside])
        if fake.tracks is not None:
            real = self.reference.tracks(self.split)
            train = self.reference.tracks("train")
            found |= movement.figures(train, real if beside is None else real[beside], fake.tracks)
        return found

    def _kernel_distances(self, fake: Generated) -> NDArray[np.float64]:
        """Return the kernel distance of each subset."""
        real = self.reference.features(self.split)
        return kernel_distance(real, fake.features, subsets=self.subsets, size=self.size, seed=self.seed)

    def _of_kernel(self, fake: Generated) -> NDArray[np.float64]:
        """Return replicates of the kernel distance: the effect of halves on all pairs, and of drawing subsets."""
        sides = [fake.features, self.reference.features(self.split)]
        few = [side[:MANY_SAMPLES] for side in sides]
        subsets = self._kernel_distances(fake)
        spread: NDArray[np.float64] = np.resize(subsets - subsets.mean(), self.repetitions) / np.sqrt(len(subsets))
        for side, strata in enumerate((self.strata, None)):
            mine, others = few[side], few[1 - side]
            strata = None if strata is None else strata[:MANY_SAMPLES]
            chosen = halves(len(mine), repetitions=self.repetitions, seed=self.seed, strata=strata, side=side)
            found = kernel_replicates(others, mine, chosen)
            # the variance falls as 1 / N, so that of more samples follows from that of the first ones
            spread += (found - found.mean()) * np.sqrt(len(mine) / len(sides[side]))
        return spread

    def _of_classes(self, fake: Generated) -> dict[str, NDArray[np.float64]]:
        """Return replicates of the class figures: a random half of the real ones has a hypergeometric histogram."""
        probabilities, real = fake.probabilities, self.reference.classes(self.split)
        if probabilities is None or real is None:
            return {}
        rng, count = np.random.default_rng([self.seed, *real]), self.repetitions
        beside = rng.multivariate_hypergeometric(real, int(real.sum()) // 2, count)
        half = halves(len(probabilities), repetitions=count, seed=self.seed, strata=self.strata)
        chosen = zip(half, beside, strict=True)
        return collected(lambda rows, classes: _classes(probabilities[rows], self.reference, classes), chosen)

    def _of_neighbours(self, features: Features, near: Features) -> dict[str, float]:
        return precision_recall_density_coverage(near, features, self.neighbours)


def _extrapolation(reference: Reference, generated: int) -> tuple[int | None, dict[str, str] | None]:
    """The smallest subset behind FD∞; or None, and the figure that is left out with the reason."""
    try:
        return infinity_smallest(generated, reference.card["dimensions"]), None
    except FeatureError as error:
        return None, {f"{names(reference.card['extractor'], reference.card['published'])[0]}_infinity": str(error)}


@dataclass(frozen=True)
class Difference:
    """A figure of two generators, and by how much the other's is larger."""

    one: float
    other: float
    by: Interval


@threads(1)
def compare(one: Generated, other: Generated, reference: Reference, split: str, *, seed: int) -> dict[str, Difference]:
    """The figures of two generators and their differences, each with its 95 % interval.

    The samples of both should come from the same seeds and labels, and are held against the same halves of the real
    ones: what they have in common does not blur the difference then.

    Raises:
        FeatureError: There are not as many samples of the one as of the other.
    """
    if len(one.features) != len(other.features):
        counts = f"{len(one.features)} and {len(other.features)}"
        raise FeatureError(f"expected as many samples of the one as of the other, got {counts}")
    check(one.features, reference)
    check(other.features, reference)
    ruler = Ruler.of(reference, split, len(one.features), seed=seed, strata=_strata(one.labels, other.labels))
    a, b, spread_a, spread_b = ruler.figures(one), ruler.figures(other), ruler.replicates(one), ruler.replicates(other)
    return {
        name: Difference(a[name], b[name], Interval.about(b[name] - a[name], spread_b[name] - spread_a[name]))
        for name in a
        if name in spread_a
    }


def _strata(one: NDArray[np.int64] | None, other: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
    """A number for each pair of labels that samples of one seed have."""
    known = [labels for labels in (one, other) if labels is not None]
    return np.unique(np.stack(known), axis=1, return_inverse=True)[1].reshape(-1) if known else None


def floors(reference: Reference, split: str, generated: int, *, seed: int) -> dict[str, float]:
    """The distances of other real images from the split, the floor of a generator's: by name, as in `measure`.

    They stand in the place of the generated samples and in their number, or all where they are fewer: training images,
    or test images where the split is train itself. So chance and the bias of few samples raise the floor as they raise
    the figure beside it. Nothing where there are no other images. The floor of the nats of texts is that of held-out
    texts: the language model has learnt the training ones.
    """
    other = "test" if split == "train" else "train"
    if other not in reference.card["counts"]:
        return {}
    real = reference.features(other)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(real))[:generated])
    ruler = Ruler.of(reference, split, len(chosen), seed=seed)
    motion = reference.companion.features(other)[chosen] if reference.companion else None
    figures = ruler.figures(Generated(real[chosen], motion=motion))
    frechet, kernel = ruler.names
    found = {name: figures[name] for name in (frechet, f"{frechet}_infinity", kernel, "fd_motion") if name in figures}
    if reference.card.get("kind") == "text":
        found[f"nll_{reference.card['extractor']}"] = float(reference.nll(_held_out(split)).mean())
    return found


def _held_out(split: str) -> str:
    """The split of honest samples: the one that is compared with, or test where that is train itself."""
    return "test" if split == "train" else split


def _likelihood(fake: Generated, reference: Reference) -> dict[str, float]:
    """Mean nats of a text; nothing where samples are no texts."""
    return {} if fake.nll is None else {f"nll_{reference.card['extractor']}": float(fake.nll.mean())}


def _of_texts(fake: Generated, reference: Reference, split: str) -> dict[str, float]:
    """The figures of texts that need no extractor, each beside that of held-out texts."""
    if fake.texts is None:
        return {}
    train, real, ends = reference.texts("train"), reference.texts(_held_out(split)), reference.card["ends"]
    found = {}
    for ending, lines in (("", fake.texts), ("_held_out", real[: len(fake.texts)])):
        found[f"self_bleu{ending}"] = texts.self_bleu(lines, ends)
        found[f"exact_copies{ending}"] = texts.exact_copies(lines, train, ends)
        found[f"copied_ngrams{ending}"] = texts.copied_ngrams(lines, train, ends)
    return found


def _held_out_motion(fake: Generated, reference: Reference, split: str) -> dict[str, float]:
    """The figures of motion of held-out films; nothing where samples are none."""
    if fake.tracks is None:
        return {}
    train, real = reference.tracks("train"), reference.tracks(_held_out(split))[: len(fake.tracks)]
    return {f"{name}_held_out": figure for name, figure in movement.figures(train, train, real).items()}


def _of_films(reference: Reference) -> dict[str, Any]:
    """Return the conditions of the figures of motion."""
    companion = reference.companion
    return movement.PROTOCOL | ({"weights": companion.card["hash"]} if companion else {})


def _copying(
    features: Features, reference: Reference, split: str, seed: int
) -> tuple[dict[str, float], dict[str, float] | None]:
    """The signs of memorisation and how they were looked for; nothing where samples are few."""
    train, real = reference.features("train"), reference.features(_held_out(split))
    if min(len(train), len(real), len(features)) < MIN_SAMPLES:
        return {}, None
    searched = {"train": len(train), "samples_at_most": SAMPLES, "cells": CELLS, "closest_percent": CLOSEST}
    return memorisation(train, real, features, seed=seed), searched


def _classes(probabilities: Features | None, reference: Reference, real: NDArray[np.int64] | None) -> dict[str, float]:
    """The inception score of the extractor's classes, and how far their histogram is from the real one [K]."""
    if probabilities is None or real is None:
        return {}
    mean, _ = inception_score(probabilities)
    return {
        f"is_{reference.card['extractor']}": mean,
        "class_kl": class_divergence(class_histogram(probabilities), real),
    }


def _class_details(probabilities: Features | None, reference: Reference) -> dict[str, float]:
    """Return the figures without an interval: the score's deviation over its parts, and the number of classes seen."""
    if probabilities is None:
        return {}
    return {
        f"is_{reference.card['extractor']}_std": inception_score(probabilities)[1],
        "modes": float(np.count_nonzero(class_histogram(probabilities))),
    }
