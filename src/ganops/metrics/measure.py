"""What a generator is worth: every metric under a name that says what it is, and the protocol it was taken by."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganops.errors import FeatureError
from ganops.metrics.extractors.extractor import Features
from ganops.metrics.frechet import Statistics, frechet_distance, frechet_infinity
from ganops.metrics.inception_score import class_divergence, class_histogram, inception_score
from ganops.metrics.kernel import kernel_distance, subset_size
from ganops.metrics.memorisation import CELLS, CLOSEST, FEWEST, SAMPLES, memorisation
from ganops.metrics.neighbours import precision_recall_density_coverage
from ganops.metrics.reference import Reference

VERSION = 2
"""Goes up when any figure below is computed in another way: then older figures cannot be compared."""


def names(reference: Reference) -> tuple[str, str]:
    """The names of the Fréchet and of the kernel distance: FID and KID are those of the published weights alone."""
    extractor = reference.card["extractor"]
    return ("fid", "kid") if reference.card["published"] else (f"fd_{extractor}", f"kd_{extractor}")


def distance(fake: Features, reference: Reference, split: str) -> float:
    """The Fréchet distance of generated features [N, d] to a split: the cheap figure for each tick of a training."""
    _check(fake, reference)
    return frechet_distance(reference.statistics(split), Statistics.of(fake))


def measure(
    fake: Features,
    probabilities: Features | None,
    reference: Reference,
    split: str,
    *,
    seed: int,
    neighbours: int = 5,
    subsets: int = 100,
    size: int = 1000,
) -> dict[str, Any]:
    """All metrics of generated images against a split of the real ones.

    Args:
        fake: features [N, d] of generated images, N >= 20, by the reference's extractor.
        probabilities: [N, K] by the same extractor, or None: then there is no inception score and no class_kl.
        reference: the real features.
        split: the split to compare with: `validation` to select, `test` to report.
        seed: draws all subsets.
        neighbours: k of precision, recall, density and coverage, which use equal counts of both sides.
        subsets: the number of subsets of the kernel distance.
        size: the size of these subsets, at most the samples there are.

    Returns:
        Figures by name, all finite floats, and `protocol`: only figures under equal protocols can be compared. Those of
        `memorisation` compare with the split `train`; with fewer than 50 samples a side there are none.
    """
    _check(fake, reference)
    real, statistics, train = reference.features(split), reference.statistics(split), reference.features("train")
    copying = min(len(train), len(real), len(fake)) >= FEWEST
    frechet, kernel = names(reference)
    mean, deviation = kernel_distance(real, fake, subsets=subsets, size=size, seed=seed)
    generator = np.random.default_rng(seed)
    count = min(len(real), len(fake))
    even_real, even_fake = (x[np.sort(generator.permutation(len(x))[:count])] for x in (real, fake))
    result: dict[str, Any] = {
        frechet: frechet_distance(statistics, Statistics.of(fake)),
        f"{frechet}_infinity": frechet_infinity(fake, statistics, seed=seed),
        kernel: mean,
        f"{kernel}_std": deviation,
        **precision_recall_density_coverage(even_real, even_fake, neighbours),
        **_classes(probabilities, reference, split),
        **(memorisation(train, real, fake, seed=seed) if copying else {}),
    }
    searched = {"train": len(train), "samples_at_most": SAMPLES, "cells": CELLS, "closest_percent": CLOSEST}
    result["protocol"] = {
        "version": VERSION,
        "extractor": reference.card["extractor"],
        "weights": reference.card["hash"],
        "split": split,
        "real": len(real),
        "generated": len(fake),
        "quantisation": reference.card["protocol"]["quantisation"],
        "resize": reference.card["protocol"]["resize"],
        "seed": seed,
        "neighbours": neighbours,
        "neighbour_samples": count,
        "kernel_subsets": subsets,
        "kernel_subset_size": subset_size(real, fake, size),
        "memorisation": searched if copying else None,
    }
    return result


def _classes(probabilities: Features | None, reference: Reference, split: str) -> dict[str, float]:
    """The inception score of the extractor's classes, and how far their histogram is from the real one."""
    real = reference.classes(split)
    if probabilities is None or real is None:
        return {}
    name = f"is_{reference.card['extractor']}"
    mean, deviation = inception_score(probabilities)
    divergence = class_divergence(class_histogram(probabilities), real)
    return {name: mean, f"{name}_std": deviation, "class_kl": divergence}


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
