"""A generator over its truncations, beside a baseline that learnt by likelihood alone, and beside real samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ganops.core.labels import Labelling
from ganops.core.terminal import Table
from ganops.data import Prepared
from ganops.evaluation import verdict
from ganops.evaluation.verdict import HELD_OUT
from ganops.generator import Generator
from ganops.generator.artefact import WARM_UP, nll
from ganops.kinds import Spec
from ganops.metrics import curve
from ganops.metrics.curve import Domination, Point
from ganops.metrics.intervals import COVERS, replicates
from ganops.metrics.measure import floors
from ganops.metrics.reference import Reference
from ganops.metrics.texts import self_bleu

NO_LIKELIHOOD = (
    "the probability of a text is an integral over all codes, which is not known; of an autoencoder, `bound` in "
    "metrics/evaluation.json is an upper bound of its nats at temperature 1"
)
"""The reason why a generator of texts with a code has no `nll_test`."""


@dataclass(frozen=True)
class Tempered:
    """A sampler at one truncation, as an evaluation needs it."""

    sampler: Any
    truncation: float

    @property
    def spec(self) -> Spec:
        """Specification of its samples."""
        found: Spec = self.sampler.spec
        return found

    def sample(self, seeds: NDArray[np.int64], labels: NDArray[np.int64] | None = None) -> NDArray[Any]:
        """One stored sample for each seed: [N, *shape]."""
        drawn: NDArray[Any] = self.sampler.sample(seeds, labels, self.truncation)
        return drawn


def points(
    sampler: Any, reference: Reference, truncations: Sequence[float], *, samples: int, split: str, seed: int,
    stage: str = "evaluate", labelling: Labelling | None = None,
) -> list[Point]:  # fmt: skip
    """The curve of a sampler, a point for each truncation, all drawn from the same seeds under the same labels."""
    labelling, found = labelling or Labelling.of(sampler), []
    for truncation in truncations:
        looks = verdict.looks(Tempered(sampler, truncation), reference, verdict.pieces(samples), labelling)
        fake = verdict.gather(stage, looks, samples, f"{sampler.spec.unit}s at {truncation:g}")
        found.append(curve.point(fake, reference, split, truncation, seed=seed))
    return found


def look(
    folder: Path, generator: Generator, prepared: Prepared, reference: Reference, truncations: Sequence[float], *,
    samples: int, split: str, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """The quality-diversity curve of the generator in `folder`: nothing where no truncations are asked for.

    Returns:
        `curve`: `model`, a point for each truncation; of texts `baseline`, the same of the weights before the game,
        where there are some, with `domination` of the model by it; and `real`, the figures that other real samples
        have. A point has `truncation`, figures by name and their `intervals`; `nll_test` is -log p of held-out texts
        under the generator at that temperature, or `left_out` has the reason why there is none.
    """
    if not truncations:
        return {}
    how: dict[str, Any] = {"samples": samples, "split": split, "seed": seed}
    model = _with_test(points(generator, reference, truncations, **how), generator, prepared, seed)
    found: dict[str, Any] = {
        "model": [each.content() for each in model],
        "real": _real(reference, split, samples, seed),
    }
    if generator.spec.kind == "text" and not generator.has_likelihood:
        found["left_out"] = {"nll_test": NO_LIKELIHOOD}
    if generator.spec.kind == "text" and (folder / WARM_UP).is_file():
        device = next(generator.network.parameters()).device
        warm, baseline = Generator.load(folder, device, weights_file=WARM_UP), model
        if not _equal(warm, generator):
            baseline = _with_test(points(warm, reference, truncations, **how), warm, prepared, seed)
        found["baseline"] = [each.content() for each in baseline]
        judged = curve.domination(model, baseline, curve.axes(reference))
        found["domination"] = [each.content() for each in judged]
    return {"curve": found}


def _equal(one: Generator, other: Generator) -> bool:
    """Return True where both have the same weights: a game that has not improved on its warm-up ends with those."""
    weights = other.network.state_dict()
    return all(torch.equal(value, weights[name]) for name, value in one.network.state_dict().items())


def _real(reference: Reference, split: str, samples: int, seed: int) -> dict[str, float]:
    """Figures of real samples: the distance of others from the split, and the nats and self-BLEU of held-out ones."""
    distance, nats = curve.axes(reference)
    known = floors(reference, split, samples, seed=seed)
    found = {name: known[name] for name in (distance, nats) if name in known}
    if reference.card.get("kind") == "text":
        held_out = reference.texts(HELD_OUT if split == "train" else split)
        found["self_bleu"] = self_bleu(held_out[:samples], reference.card["ends"])
    return found


def _with_test(found: list[Point], generator: Generator, prepared: Prepared, seed: int) -> list[Point]:
    """The points with the nats of held-out texts under the generator, where it has a likelihood."""
    if generator.spec.kind != "text" or not generator.has_likelihood:
        return found
    texts, labels = prepared.measured(HELD_OUT)
    texts, labels = np.array(texts), labels if generator.classes else None
    added = []
    for each in found:
        nats = nll(generator, texts, labels, temperature=each.truncation)
        spread = replicates(partial(_mean, nats), len(nats), seed=seed)
        figures = {**each.figures, "nll_test": float(nats.mean())}
        added.append(Point(each.truncation, figures, {**each.replicates, **spread}))
    return added


def _mean(nats: NDArray[np.float64], half: NDArray[np.int64]) -> dict[str, float]:
    return {"nll_test": float(nats[half].mean())}


@dataclass(frozen=True)
class Curves:
    """Two generators over the same truncations."""

    one: list[Point]
    other: list[Point]
    axes: tuple[str, str]
    """Names of the distance and of the nats of a text."""

    @property
    def dominations(self) -> dict[str, list[Domination]]:
        """The points of `one`, held against those of `other`, and the reverse."""
        return {
            "one": curve.domination(self.one, self.other, self.axes),
            "other": curve.domination(self.other, self.one, self.axes),
        }

    def content(self) -> dict[str, Any]:
        """Return the curves as plain values."""
        sides = {"one": self.one, "other": self.other}
        return {
            name: {
                "points": [each.content() for each in sides[name]],
                "domination": [each.content() for each in judged],
                "dominated": all(each.by is not None for each in judged),
            }
            for name, judged in self.dominations.items()
        }

    def table(self) -> Table:
        """Return the curves as a table for people."""
        headers = [part for name in self.axes for part in (name, "95 % interval")]
        judged, title = self.dominations, f"{sentence(self.dominations)} 95 % {COVERS}"
        table = Table("", "truncation", *headers, "dominated", title=title)
        for name, side in (("one", self.one), ("other", self.other)):
            for each, domination in zip(side, judged[name], strict=True):
                cells = []
                for axis in self.axes:
                    cells += [f"{each.figures[axis]:.4g}", "[{:.4g}, {:.4g}]".format(*each.intervals[axis])]
                table.add_row(name, f"{each.truncation:g}", *cells, _words(domination))
        return table


def _words(domination: Domination) -> str:
    return "no" if domination.by is None else f"yes, at {domination.by:g}"


def sentence(dominations: dict[str, list[Domination]]) -> str:
    """Return for each of two generators whether the other dominates it, in words."""
    said = []
    for name, by in (("one", "other"), ("other", "one")):
        judged = dominations[name]
        count = sum(each.by is not None for each in judged)
        how = "is dominated" if count == len(judged) else "is not dominated"
        said.append(f"The {name} {how} by the {by} ({count} of {len(judged)} truncations).")
    return " ".join(said)
