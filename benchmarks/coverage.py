"""Whether intervals hold what they say where the truth is known: Gaussian features, all samples fresh each time.

    python benchmarks/coverage.py [--json] [--repetitions R] [--generated N] [--real M] [--dimensions D] [--classes K]

Real features are those of K classes with shares 1 ... 1/K, each a Gaussian; two generators draw the same, moved by
equal lengths in different directions, so that by symmetry every figure of theirs is equal in truth. `plain` generators
draw classes by chance, `conditional` ones by their seeds. All latents and all real samples are fresh each time.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganops.core.labels import class_labels
from ganops.evaluation.comparison import Comparison
from ganops.metrics.frechet import Statistics
from ganops.metrics.intervals import Interval
from ganops.metrics.measure import Difference, Generated, Ruler
from ganops.metrics.reference import Reference

Array = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """Classes in a space of features, and generators that miss them by `shift`."""

    dimensions: int = 8
    classes: int = 5
    apart: float = 3.0
    """Distance of the classes' centres from the origin, in standard deviations of a class."""
    shift: float = 0.5
    """Of generated features: the Fréchet distance is its square."""

    @property
    def counts(self) -> tuple[int, ...]:
        """Shares of the classes: 1, 1/2, ... 1/K."""
        return tuple(round(2520 / (label + 1)) for label in range(self.classes))

    def features(
        self, labels: NDArray[np.int64], generator: np.random.Generator, direction: int | None = None
    ) -> Array:
        """[N, d]: centres lie on the axes from the third on, so that shifts along either of the first two are alike."""
        found: Array = generator.normal(size=(len(labels), self.dimensions))
        found[np.arange(len(labels)), 2 + labels % (self.dimensions - 2)] += self.apart
        if direction is not None:
            found[:, direction] += self.shift
        return found

    def probabilities(self, features: Array) -> Array:
        """What a classifier that knows the centres says: [N, K]."""
        scores = np.exp(self.apart * features[:, 2 + np.arange(self.classes) % (self.dimensions - 2)])
        shares: Array = scores * np.array(self.counts)
        return shares / shares.sum(axis=1, keepdims=True)

    def by_chance(self, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
        """Classes of fresh samples, int64 [N]."""
        return generator.choice(self.classes, count, p=np.array(self.counts) / sum(self.counts))

    def reference(self, count: int, generator: np.random.Generator) -> "Known":
        """Fresh real samples."""
        return Known(self, self.features(self.by_chance(count, generator), generator))

    def generated(
        self, seeds: NDArray[np.int64], direction: int, generator: np.random.Generator, conditional: bool
    ) -> Generated:
        """Fresh generated samples; a conditional generator's labels follow from their seeds."""
        labels = class_labels(seeds, self.counts) if conditional else None
        features = self.features(
            self.by_chance(len(seeds), generator) if labels is None else labels, generator, direction
        )
        return Generated(features.astype(np.float32), self.probabilities(features), labels=labels)


class Known(Reference):
    """Real features that are in memory."""

    def __init__(self, world: World, features: Array) -> None:
        self.known, self.world = features.astype(np.float32), world
        self.card = {"extractor": "known", "published": False, "dimensions": world.dimensions}

    def features(self, split: str) -> Any:
        return self.known

    def statistics(self, split: str) -> Statistics:
        return Statistics.of(self.known)

    def classes(self, split: str) -> NDArray[np.int64]:
        seen = self.world.probabilities(self.known.astype(np.float64)).argmax(axis=1)
        return np.bincount(seen, minlength=self.world.classes)


def figures(
    world: World, generated: int, real: int, repetitions: int, conditional: bool
) -> Iterator[tuple[dict[str, Interval], Comparison]]:
    """The intervals of one generator, and the comparison of two equal ones, in each repetition."""
    for seed in range(repetitions):
        generator = np.random.default_rng([seed, conditional])
        reference = world.reference(real, generator)
        seeds = seed * generated + np.arange(generated)
        sides = [world.generated(seeds, direction, generator, conditional) for direction in (0, 1)]
        ruler = Ruler.of(reference, "test", generated, seed=seed, strata=sides[0].labels)
        (one, other), (a, b) = map(ruler.figures, sides), map(ruler.replicates, sides)
        alone = {name: Interval.about(one[name], a[name]) for name in a}
        apart = {
            name: Difference(one[name], other[name], Interval.about(other[name] - one[name], b[name] - a[name]))
            for name in a
        }
        yield alone, Comparison(apart, generated, "test", singular=False)


def summary(found: list[tuple[dict[str, Interval], Comparison]]) -> dict[str, dict[str, float]]:
    """For each figure what its intervals are worth."""
    rows = {}
    for name in found[0][0]:
        alone = [intervals[name] for intervals, _ in found]
        values, wide = np.array([each.value for each in alone]), np.array([each.high - each.low for each in alone])
        apart = [comparison.figures[name].by for _, comparison in found]
        rows[name] = {
            "mean": float(values.mean()),
            "deviation": float(values.std(ddof=1)),
            "wide": float(wide.mean() / (2 * 1.96 * values.std(ddof=1))),
            "holds": float(np.mean([each.low <= values.mean() <= each.high for each in alone])),
            "difference_wide": float(
                np.mean([by.high - by.low for by in apart]) / (2 * 1.96 * np.std([by.value for by in apart], ddof=1))
            ),
            "better": float(np.mean([comparison.verdict(name) == "better" for _, comparison in found])),
            "worse": float(np.mean([comparison.verdict(name) == "worse" for _, comparison in found])),
        }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--generated", type=int, default=500)
    parser.add_argument("--real", type=int, default=250)
    parser.add_argument("--dimensions", type=int, default=8)
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--shift", type=float, default=0.5, help="of the generators, in standard deviations of a class")
    options = parser.parse_args()
    world = World(options.dimensions, options.classes, shift=options.shift)
    rows = {
        kind: summary([*figures(world, options.generated, options.real, options.repetitions, kind == "conditional")])
        for kind in ("plain", "conditional")
    }
    if options.json:
        print(json.dumps({**vars(options), "rows": rows}))
        return
    print(f"{options.repetitions} repetitions, {options.generated:,} generated and {options.real:,} real samples, "
          f"{options.dimensions} dimensions, {options.classes} classes\n")  # fmt: skip
    print("| | mean ± | interval holds it | width over truth | of a difference | called better | worse |")
    print("|---|---|---|---|---|---|---|")
    for kind, found in rows.items():
        for name, r in found.items():
            print(
                f"| {name}, {kind} | {r['mean']:.3g} ± {r['deviation']:.2g} | {r['holds']:.1%} | {r['wide']:.2f} | "
                f"{r['difference_wide']:.2f} | {r['better']:.1%} | {r['worse']:.1%} |"
            )


if __name__ == "__main__":
    main()
