"""Figures of a generator against real samples in memory, with intervals, as a small table."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ganops.config import Features
from ganops.experiment.samples import Arrays
from ganops.generator import Generator
from ganops.metrics import catalogue
from ganops.metrics.extractors import options_of
from ganops.metrics.measure import look, measure
from ganops.metrics.reference import Reference, build

FIRST_SEED = 10**6
"""First seed of the samples that are measured, as in the pipeline's evaluation."""


@dataclass(frozen=True)
class Scores:
    """Figures by name, each with its 95 % interval over latents and real samples."""

    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    protocol: dict[str, Any]
    """The conditions: only figures under equal protocols can be compared."""

    def __getitem__(self, name: str) -> float:
        return self.figures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.figures)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return name, figure, interval and the better direction of each."""
        better = {name: row.better if (row := catalogue.of(name)) else "" for name in self.figures}
        return [
            (name, f"{value:.3g}", "[{:.3g}, {:.3g}]".format(*self.intervals[name]), better[name])
            for name, value in self.figures.items()
        ]

    def __repr__(self) -> str:
        rows = [("metric", "figure", "95 %", "better"), *self.rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in ("metric", "figure", "95 %", "better"))
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in self.rows())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def scores(
    generator: Generator, learnt: Arrays, real: Arrays, features: Features, *, count: int, seed: int, device: str
) -> Scores:
    """Measure a generator against real samples that it has not learnt from.

    Args:
        generator: It draws the samples, from `FIRST_SEED` on.
        learnt: What it has learnt from: the extractor learns from it as well, and copies of it are looked for.
        real: Other samples.
        features: The extractor.
        count: Samples that are drawn.
        seed: Of the extractor and of all subsets.
        device: Where the extractor runs.

    Raises:
        FeatureError: There are too few samples, or the extractor does not deserve trust.
    """
    spec = generator.spec
    with TemporaryDirectory() as folder:
        out = Path(folder) / "features"
        build(
            {"train": learnt.stored, "test": real.stored}, {"train": learnt.y, "test": real.y}, out,
            extractor=features.extractor, options=options_of(features.model_dump(mode="json")), seed=seed,
            device=device, kind=spec.kind, facts=spec.facts,
        )  # fmt: skip
        reference = Reference.open(out, device)
        fake = look(generator, reference, np.arange(FIRST_SEED, FIRST_SEED + count))
        found = measure(fake, reference, "test", seed=seed)
    intervals = {name: (low, high) for name, (low, high) in found["intervals"].items()}
    return Scores({name: found[name] for name in intervals}, intervals, found["protocol"])
