"""Two generators under one protocol and from the same seeds: by how much they differ, and whether that is chance."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.markup import escape
from rich.table import Table

from ganops import evaluation
from ganops.errors import UserError
from ganops.evaluation import Sampler
from ganops.generator import Generator
from ganops.metrics.measure import Difference, Generated, compare
from ganops.metrics.reference import Reference

LOWER = ("fid", "fd_", "kid", "kd_", "class_kl")
"""Beginnings of the names of metrics that are better when they are lower."""


@dataclass(frozen=True)
class Comparison:
    """Two generators side by side."""

    figures: dict[str, Difference]
    samples: int
    split: str
    singular: bool
    """Fewer samples than dimensions: distances are far from their limits."""

    def verdict(self, name: str) -> str:
        """better, worse or "no difference shown": what the other is beside the one."""
        by = self.figures[name].by
        if not by.excludes_zero:
            return "no difference shown"
        return "better" if (by.value < 0) == name.startswith(LOWER) else "worse"

    def content(self) -> dict[str, Any]:
        """As plain values."""
        metrics = {
            name: {"one": each.one, "other": each.other, "difference": each.by.value, "interval": each.by.ends,
                   "other_is": self.verdict(name)}
            for name, each in self.figures.items()
        }  # fmt: skip
        return {"samples": self.samples, "split": self.split, "singular": self.singular, "metrics": metrics}

    def table(self) -> Table:
        """For a person."""
        title = f"{self.samples:,} samples each, same seeds, against {self.split}"
        table = Table("metric", "one", "other", "difference", "95 % interval", "the other is", title=title)
        for name, each in self.figures.items():
            ends = escape(f"[{each.by.low:+.3g}, {each.by.high:+.3g}]")
            table.add_row(
                name, f"{each.one:.4g}", f"{each.other:.4g}", f"{each.by.value:+.3g}", ends, self.verdict(name)
            )
        return table


def of_folders(one: Path, other: Path, features: Path, *, samples: int, split: str, seed: int) -> Comparison:
    """Compares the generators in two folders by the extractor and the real features in a third.

    Raises:
        UserError: A folder holds no generator, or the two draw pictures of different shapes.
        FeatureError: There are no such features, or no such split.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    reference = Reference.open(features, device)
    reference.statistics(split)
    generators = [Generator.load(folder, device) for folder in (one, other)]
    shapes = [(g.description.channels, g.description.resolution) for g in generators]
    if shapes[0] != shapes[1]:
        raise UserError(
            f"expected pictures of one shape, got {shapes[0][0]} x {shapes[0][1]}² and {shapes[1][0]} x {shapes[1][1]}²"
        )
    return of_samplers(generators[0], generators[1], reference, samples=samples, split=split, seed=seed)


def of_samplers(
    one: Sampler, other: Sampler, reference: Reference, *, samples: int, split: str, seed: int, stage: str = "compare"
) -> Comparison:
    """Compares whatever draws pictures for seeds; the bars of the two carry the name of the stage."""

    def look(sampler: Sampler) -> Generated:
        looks = (evaluation.look(sampler, reference, seeds) for seeds in evaluation.pieces(samples))
        return evaluation.gather(stage, looks, samples)

    figures = compare(look(one), look(other), reference, split, seed=seed)
    return Comparison(figures, samples, split, singular=samples <= reference.card["dimensions"])
