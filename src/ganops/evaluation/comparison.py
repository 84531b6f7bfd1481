"""Two generators under one protocol and from the same seeds: by how much they differ, and whether that is chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ganops.core.errors import UserError
from ganops.core.labels import Labelling
from ganops.core.terminal import Table, working
from ganops.evaluation import curve
from ganops.evaluation import verdict as evaluation
from ganops.evaluation.curve import Curves
from ganops.metrics import catalogue
from ganops.metrics.curve import axes
from ganops.metrics.intervals import COVERS
from ganops.metrics.measure import Difference, Generated, Sampler, compare
from ganops.metrics.reference import Reference


@dataclass(frozen=True)
class Comparison:
    """Two generators side by side."""

    figures: dict[str, Difference]
    samples: int
    split: str
    singular: bool
    """Fewer samples than dimensions: distances are far from their limits."""
    curves: Curves | None = None
    """The two over several truncations; None: none were asked for."""

    def verdict(self, name: str) -> str:
        """better, worse or "no difference shown": what the other is beside the one."""
        by = self.figures[name].by
        if not by.excludes_zero:
            return "no difference shown"
        metric = catalogue.of(name)
        return "better" if (by.value < 0) == (metric is not None and metric.better == "lower") else "worse"

    def content(self) -> dict[str, Any]:
        """Return the comparison as plain values."""
        metrics = {
            name: {"one": each.one, "other": each.other, "difference": each.by.value, "interval": each.by.ends,
                   "other_is": self.verdict(name)}
            for name, each in self.figures.items()
        }  # fmt: skip
        curves = {"curves": self.curves.content()} if self.curves else {}
        return {
            "samples": self.samples, "split": self.split, "singular": self.singular, "intervals": COVERS,
            "metrics": metrics, **curves,
        }  # fmt: skip

    def table(self) -> Table:
        """Return the comparison as a table for people."""
        title = f"{self.samples:,} samples each, same seeds, against {self.split}; 95 % {COVERS}"
        table = Table("metric", "one", "other", "difference", "95 % interval", "the other is", title=title)
        for name, each in self.figures.items():
            ends = f"[{each.by.low:+.3g}, {each.by.high:+.3g}]"
            table.add_row(
                name, f"{each.one:.4g}", f"{each.other:.4g}", f"{each.by.value:+.3g}", ends, self.verdict(name)
            )
        return table


def of_samplers(
    one: Sampler, other: Sampler, reference: Reference, *, samples: int, split: str, seed: int, stage: str = "compare",
    truncations: Sequence[float] = (),
) -> Comparison:  # fmt: skip
    """Compares whatever draws samples for seeds; the bars of the two carry the name of the stage.

    Both draw the same seeds and, where they have as many classes, the same labels: those of `other`, the challenger. At
    `truncations`, of texts alone, it also says which of the two is dominated by the other.

    Raises:
        UserError: The two draw samples of different kinds or shapes, or texts of different vocabularies, or truncations
            are asked for other samples.
        FeatureError: There are no real features of that split.
    """
    if one.spec.words != other.spec.words:
        raise UserError(f"expected samples of one shape, got {one.spec.words} and {other.spec.words}")
    if one.spec.facts.get("words") != other.spec.facts.get("words"):
        raise UserError("expected texts of one vocabulary, got two: features of one are none of the other")
    if truncations and one.spec.kind != "text":
        raise UserError(
            f"truncations: expected none for {one.spec.unit}s, whose likelihood no extractor knows: only texts have "
            "the pair of numbers by which a curve is dominated"
        )
    reference.statistics(split)

    def look(sampler: Sampler, labelling: Labelling) -> Generated:
        looks = evaluation.looks(sampler, reference, evaluation.pieces(samples), labelling)
        return evaluation.gather(stage, looks, samples, f"{sampler.spec.unit}s")

    own, others = Labelling.of(one), Labelling.of(other)
    if own.classes == others.classes:
        own = others = others if others.counts else own
    drawn = look(one, own), look(other, others)
    with working(stage, "measures both, and random halves of them"):
        figures = compare(*drawn, reference, split, seed=seed)
    curves = None
    if truncations:
        how: dict[str, Any] = {"samples": samples, "split": split, "seed": seed, "stage": stage}
        curves = Curves(
            curve.points(one, reference, truncations, labelling=own, **how),
            curve.points(other, reference, truncations, labelling=others, **how),
            axes(reference),
        )
    return Comparison(figures, samples, split, samples <= reference.card["dimensions"], curves)
