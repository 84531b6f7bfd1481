"""Sight: which metric tells which rung of the ladder from real images, and which is blind to it on this data set.

A metric that gives harmed images what it gives real ones is no judge of a generator that makes the same mistake. So
each is measured on the rungs: random halves of the held-out images, unharmed and harmed, against as many other real
images. It tells a rung where every harmed half is worse than every unharmed one, and their mean by a quarter.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganops.metrics import catalogue, movement
from ganops.metrics.frechet import frechet_between
from ganops.metrics.inception_score import class_divergence, class_histogram, inception_score
from ganops.metrics.kernel import kernel_distance
from ganops.metrics.ladder import Rungs, Sample, monotonous
from ganops.metrics.neighbours import precision_recall_density_coverage

SHARE = 0.25
"""Share of the unharmed mean by which the harmed one must be worse."""
HALVES = 10
"""Random halves of the held-out images."""
MIN_IMAGES, MAX_IMAGES = 100, 1000
"""Held-out images: with fewer a half says nothing, more would only cost time."""

NAMES = {
    "half": "half of the variety", "few": "few repeated images", "black": "black images",
    "repeated": "one repeated image", "mixed_words": "words mixed across texts", "frozen": "frozen frames",
}  # fmt: skip
"""Rungs whose name does not say it."""


@dataclass(frozen=True)
class Duty:
    """The rungs that a metric must tell from real images, and why these."""

    rungs: tuple[str, ...]
    because: str
    better: str = "higher"
    least: float = 0
    """The figure that says nothing: an inception score of 1."""
    share: float = SHARE
    """Share of the unharmed mean by which the harmed one must be worse."""


DUTIES = {
    row.name.removesuffix("_*"): Duty(
        row.rungs, row.because, "lower" if row.better == "lower" else "higher", row.least, row.share
    )
    for row in catalogue.METRICS
    if row.rungs
}
"""The duty of each metric: its row of the catalogue, by its name without that of the extractor.

The signs of memorisation have controls of their own, see `memorisation`; the networks of `classifiers` learn anew from
each generator's samples, so that there is nothing frozen to examine beforehand.
"""

Figures = Callable[[Sample, Sample], dict[str, float]]


def distances(real: Sample, fake: Sample) -> dict[str, float]:
    """The Fréchet distance and the kernel distance, of all samples at once."""
    kernel = kernel_distance(real.features, fake.features, subsets=1, size=len(real.features), seed=0)
    return {"fd": frechet_between(real.features, fake.features), "kd": float(kernel[0])}


def neighbours(real: Sample, fake: Sample) -> dict[str, float]:
    """Precision, recall, density and coverage."""
    return precision_recall_density_coverage(real.features, fake.features)


def classes(real: Sample, fake: Sample) -> dict[str, float]:
    """The inception score and the divergence of the classes, where the extractor is a classifier."""
    if real.probabilities is None or fake.probabilities is None:
        return {}
    histograms = (class_histogram(sample.probabilities) for sample in (fake, real) if sample.probabilities is not None)
    return {"is": inception_score(fake.probabilities)[0], "class_kl": class_divergence(*histograms)}


def added(real: Sample, fake: Sample) -> dict[str, float]:
    """Return the figures of the rows of the catalogue that bring their mathematics, as far as they have a duty."""
    found = catalogue.added(real.features, fake.features)
    return {name: figure for name, figure in found.items() if name in DUTIES}


def likelihood(_: Sample, fake: Sample) -> dict[str, float]:
    """The mean nats of a sample, where the extractor has a likelihood."""
    return {} if fake.nll is None else {"nll": float(fake.nll.mean())}


def moving(real: Sample, fake: Sample) -> dict[str, float]:
    """The figures of known motion, of films."""
    if real.tracks is None or fake.tracks is None:
        return {}
    return movement.figures(real.tracks, real.tracks, fake.tracks)


FIGURES: tuple[Figures, ...] = (distances, neighbours, classes, added, likelihood, moving)
"""The figures that are measured on each rung."""


@dataclass(frozen=True)
class Finding:
    """A metric on a rung: means over the halves, and whether it tells the rung from real images."""

    unharmed: float
    harmed: float
    told: bool


def examine(rungs: Rungs, *, seed: int, figures: Sequence[Figures] = FIGURES) -> dict[str, dict[str, Finding]]:
    """Each metric on each rung that it answers for: metric -> rung -> finding.

    Args:
        rungs: what the extractor saw, see `ladder.look`.
        seed: draws the halves.
        figures: functions of real and harmed samples to figures by name, names in DUTIES.

    Returns:
        Nothing where there are fewer than 100 held-out images.
    """
    sides = rungs.real, rungs.harmed["real"]
    count = min(*(len(side.features) for side in sides), MAX_IMAGES)
    if count < MIN_IMAGES:
        return {}
    generator = np.random.default_rng(seed)
    table = []
    for _ in range(HALVES):
        real, held_out = (np.sort(generator.permutation(len(side.features))[: count // 2]) for side in sides)
        table.append(_measured(rungs, real, held_out, figures))
    return {
        metric: {
            rung: _finding(DUTIES[metric], rung, metric, table) for rung in DUTIES[metric].rungs if rung in table[0]
        }
        for metric in table[0]["real"]
    }


def _finding(duty: Duty, rung: str, metric: str, table: list[dict[str, dict[str, float]]]) -> Finding:
    """Return the finding on a rung, from the figures of each half: rung -> metric -> figure."""
    control = "half_control" if rung == "half" else "real"
    unharmed, harmed = (np.array([half[name][metric] for half in table]) for name in (control, rung))
    sign = 1 if duty.better == "lower" else -1
    apart = (sign * harmed).min() > (sign * unharmed).max()
    clear = sign * (harmed.mean() - unharmed.mean()) > duty.share * abs(unharmed.mean() - duty.least)
    return Finding(float(unharmed.mean()), float(harmed.mean()), bool(apart and clear))


def _measured(
    rungs: Rungs, real: NDArray[np.int64], held_out: NDArray[np.int64], figures: Sequence[Figures]
) -> dict[str, dict[str, float]]:
    """All figures by rung of these rows."""
    reference = rungs.real[real]
    measured = ("real", *catalogue.ALL, *catalogue.MOTIONLESS)
    samples = {name: sample[held_out] for name, sample in rungs.harmed.items() if name in measured}
    samples |= monotonous(samples["real"])
    return {
        name: {metric: value for each in figures for metric, value in each(reference, sample).items()}
        for name, sample in samples.items()
    }


def blind(examined: Mapping[str, Mapping[str, Finding]]) -> dict[str, list[str]]:
    """The rungs that each metric does not tell from real images; metrics that tell all of theirs are left out."""
    missed = {metric: [rung for rung, each in rungs.items() if not each.told] for metric, rungs in examined.items()}
    return {metric: rungs for metric, rungs in missed.items() if rungs}


def blindness(rungs: Iterable[str], unit: str = "image") -> str:
    """Return the rungs that a metric is blind to in words: `blind to low rank, black images on these images`."""
    said = f"blind to {', '.join(NAMES.get(rung, rung.replace('_', ' ')) for rung in rungs)} on these images"
    return said.replace("image", unit)
