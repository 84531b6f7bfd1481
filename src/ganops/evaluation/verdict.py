"""The verdict on a generator: metrics on images that it never saw, with their protocol."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ganops.config import Experiment
from ganops.core import layout
from ganops.core.cores import side_by_side
from ganops.core.errors import LineageError
from ganops.core.labels import Labelling
from ganops.core.terminal import progress
from ganops.data import Prepared
from ganops.experiment import identity
from ganops.generator import Description, Generator
from ganops.kinds import KINDS
from ganops.metrics import catalogue, classifiers
from ganops.metrics.classifiers import Counts, Side
from ganops.metrics.intervals import Interval
from ganops.metrics.measure import Generated, Sampler, floors, look
from ganops.metrics.memorisation import CONTROLS, SIGNS, VERDICTS
from ganops.metrics.reference import Reference
from ganops.metrics.sight import blindness
from ganops.search import trials

HELD_OUT = "test"
"""Real images that neither the training nor the selection has seen."""
FIRST_SEED = 10**6
"""First seed of the evaluation; validation draws from 0 on, so that selection never saw these pictures."""
COPIES = ("exact_copies", "copied_ngrams")
"""Figures of texts that stand among the signs of memorisation."""
UNREAD = "the networks that learn to judge look at pixels, and texts have none"
"""The reason why there are no figures of `metrics.classifiers` for texts."""
BRIEF = 3
"""Most numbers of the headline in what DVC shows: with interval, floor and decision they fit in 120 columns."""
PIECE_SAMPLES = 500
"""Samples that are drawn and looked at as one."""


def pieces(count: int, first: int = FIRST_SEED) -> list[NDArray[np.int64]]:
    """The seeds of `count` samples, in pieces that are looked at as one: the same for any number of workers."""
    return [
        np.arange(start, min(start + PIECE_SAMPLES, first + count))
        for start in range(first, first + count, PIECE_SAMPLES)
    ]


def looks(
    generator: Sampler, reference: Reference, pieces: Iterable[NDArray[np.int64]], labelling: Labelling | None = None
) -> Iterator[Generated]:
    """Yield the features of each piece, in their order, as many at once as there are cores."""
    device = torch.device(reference.extractor.device).type
    return side_by_side(partial(look, generator, reference, labelling=labelling), pieces, device)


def gather(stage: str, looks: Iterable[Generated], count: int, unit: str) -> Generated:
    """Puts pieces together in the order of their seeds, under a bar that counts in units, such as images."""
    parts = []
    with progress(stage, count, unit) as advance:
        for part in looks:
            parts.append(part)
            advance(len(part.features))

    def joined(name: str) -> Any:
        known = [array for part in parts if (array := getattr(part, name)) is not None]
        return np.concatenate(known) if known else None

    return Generated(
        joined("features"),
        joined("probabilities"),
        parts[0].first_seed,
        joined("labels"),
        parts[0].drawn,
        joined("texts"),
        joined("nll"),
        joined("motion"),
        joined("tracks"),
    )


def judge(
    results: dict[str, Any], generator: Generator, prepared: Prepared, *, samples: int, seed: int
) -> dict[str, Any]:
    """`results` of `measure` and the figures of `metrics.classifiers`, or the reason why there are none.

    The networks run where the generator is, and look at planes: of texts, which have none, they are left out. Held-out
    samples judge whatever split the other figures compare with: those of `train` have been seen.

    Args:
        results: As `measure` returns them.
        generator: It draws the samples, from the first seed of the evaluation on.
        prepared: The real samples.
        samples: Drawn at most.
        seed: Draws the real samples, the first weights of the networks, and the order in which they learn.
    """
    if prepared.spec.kind == "text":
        protocol = {**results["protocol"], "classifiers": {"left_out": UNREAD}}
        return {**results, "protocol": {**protocol, "left_out": {**(protocol["left_out"] or {}), "c2st_auc": UNREAD}}}
    stored = np.dtype(KINDS[prepared.spec.kind].STORED)
    size = int(np.prod(prepared.manifest["sample"]["shape"])) * stored.itemsize
    train, held_out = (len(prepared.measured(split)[0]) for split in ("train", HELD_OUT))
    counts = Counts.of(train, held_out, samples, size)
    how = classifiers.protocol(counts) | {"split": HELD_OUT, "seed": seed, "first_seed": FIRST_SEED}
    found: dict[str, Interval] = {}
    absent = dict.fromkeys((row.name for row in catalogue.METRICS if row.panel == "classifiers"), how.get("left_out"))
    if counts.enough:
        fake = _generated(generator, counts)
        device = str(next(generator.network.parameters()).device)
        found = classifiers.judge(_real(prepared, counts, seed), fake, seed=seed, device=device)
        how["cas"] = "measured" if "cas" in found else "left out: the generator takes no labels"
        absent = {}
    return {
        **results,
        **{name: interval.value for name, interval in found.items()},
        "intervals": {**results["intervals"], **{name: interval.ends for name, interval in found.items()}},
        "protocol": {
            **results["protocol"],
            "classifiers": how,
            "left_out": {**(results["protocol"].get("left_out") or {}), **absent} or None,
        },
    }


def _real(prepared: Prepared, counts: Counts, seed: int) -> Side:
    """Training samples to learn from and held-out ones that judge, drawn by the seed."""
    rng = np.random.default_rng(seed)

    def drawn(split: str, count: int) -> tuple[NDArray[Any], NDArray[np.int64] | None]:
        samples, labels = prepared.measured(split)
        rows = np.sort(rng.permutation(len(samples))[:count])
        return samples[rows], None if labels is None else labels[rows]

    (learnt, learnt_labels), (judging, judging_labels) = drawn("train", counts.learnt), drawn(HELD_OUT, counts.judging)
    return Side(learnt, judging, learnt_labels, judging_labels)


def _generated(generator: Generator, counts: Counts) -> Side:
    """The first samples judge, the others are learnt from."""
    labelling, count, m = Labelling.of(generator), counts.learnt + counts.judging, counts.judging
    device = next(generator.network.parameters()).device.type
    samples = []
    with progress("evaluate", count, f"{generator.spec.unit}s") as advance:
        for drawn in side_by_side(partial(labelling.draw, generator), pieces(count), device):
            samples.append(drawn)
            advance(len(drawn))
    x, y = np.concatenate(samples), labelling(FIRST_SEED + np.arange(count))
    return Side(x[m:], x[:m]) if y is None else Side(x[m:], x[:m], y[m:], y[:m])


def trained(experiment: Experiment, description: Description, best_params: Path) -> Experiment:
    """The experiment that a generator was trained with: what the search handed on, held against its own record.

    Args:
        experiment: The parameters of the project.
        description: The generator's own record.
        best_params: The file by which the search hands on its parameters.

    Raises:
        LineageError: The record is of other parameters, or there is none.
    """
    handed = trials.handed_on(experiment, best_params)
    expected, found = identity.flatten(identity.decisive(handed)), identity.flatten(description.params)
    differing = [key for key in {**expected, **found} if expected.get(key) != found.get(key)]
    if differing:
        first = differing[0]
        raise LineageError(
            f"{layout.GENERATOR} was trained with other parameters than {layout.BEST_PARAMS} and params.yaml give: "
            f"{', '.join(differing[:5])} differ ({first}: it has {found.get(first)}, now {expected.get(first)}). "
            "`dvc repro` trains with these."
        )
    return handed


def beside(reference: Reference, split: str, generated: int, *, seed: int) -> dict[str, Any]:
    """Return the figures beside those of `measure` by which these can be read.

    Returns:
        `floors`: name -> the distance that other real images have, and `blind`: name -> the harms of the ladder that a
        metric does not tell from real images.
    """
    return {"floors": floors(reference, split, generated, seed=seed), "blind": reference.blind}


def with_intervals(results: dict[str, Any], unit: str = "image") -> dict[str, Any]:
    """Figures as the report wants them: a number, or {`value`, `interval`, `floor`, `blind`} as far as known."""
    copying = {name for name in results if (row := catalogue.of(name)) and row.panel == "memorisation"}
    shown = {name: value for name, value in results.items() if isinstance(value, int | float) and name not in copying}
    known = {
        "interval": results.get("intervals", {}),
        "floor": results.get("floors", {}),
        "blind": {name: blindness(rungs, unit) for name, rungs in results.get("blind", {}).items()},
    }
    found = {name: {key: by[name] for key, by in known.items() if name in by} for name in shown}
    return {name: {"value": value, **found[name]} if found[name] else value for name, value in shown.items()}


def memorisation(results: dict[str, Any]) -> dict[str, Any]:
    """The verdict in words, and each sign beside its controls; of texts what of them stands in the training texts."""
    exact = {
        sign: {"generated": results[sign], "held_out": results[f"{sign}_held_out"], "copied": 1.0}
        for sign in COPIES
        if sign in results
    }
    if "memorisation_verdict" not in results:
        return {"signs": exact} if exact else {}
    return {
        "verdict": VERDICTS[int(results["memorisation_verdict"])],
        "copied_share": results["copied_share"],
        "signs": exact
        | {
            sign: {"generated": results[sign], **{control: results[f"{sign}_{control}"] for control in CONTROLS}}
            for sign in SIGNS
        },
    }


def headline(results: dict[str, Any]) -> dict[str, float]:
    """The numbers that people ask for first, but for those that are blind to a harm on these images.

    One that never decides alone is among them where the one beside it sees.
    """
    blind = results.get("blind", {})
    return {name: results[name] for name in catalogue.headline(results) if catalogue.decides(name, results, blind)}


def brief(results: dict[str, Any]) -> dict[str, float]:
    """Return the numbers that DVC shows: the first of the headline, of four digits, with interval and floor."""
    found = dict(list(headline(results).items())[:BRIEF])
    first = next(iter(found), "")
    found |= dict(zip(("low", "high"), results.get("intervals", {}).get(first, ()), strict=False))
    if first in results.get("floors", {}):
        found["floor"] = results["floors"][first]
    return {name: float(f"{value:.4g}") for name, value in found.items()}


def summary(results: dict[str, Any], unit: str = "image") -> str:
    """The headline in one line, the distance with its interval and its floor, and what is not in it."""
    names, blind, floors = catalogue.headline(results), results.get("blind", {}), results.get("floors", {})
    intervals, said = results.get("intervals", {}), []
    for name, value in headline(results).items():
        interval = " [{:.3g}, {:.3g}]".format(*intervals[name]) if name == names[0] and name in intervals else ""
        floor = f" (floor {floors[name]:.3g})" if name in floors else ""
        said.append(f"{name} {value:.3g}{interval}{floor}")
    return "  ".join([*said, *(f"{name} is {blindness(blind[name], unit)}" for name in names if name in blind)])
