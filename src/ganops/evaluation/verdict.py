"""The verdict on a generator: metrics on images it never saw with their protocol, pictures, and a report."""

import csv
import json
import shlex
from collections.abc import Iterable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ganops.config import Experiment
from ganops.core import layout
from ganops.core.cores import side_by_side
from ganops.core.errors import LineageError
from ganops.core.files import read_json
from ganops.core.git import Revision, git, proven, revision
from ganops.core.labels import Labelling
from ganops.core.latents import latents, normal_table
from ganops.core.pictures import save_grid
from ganops.core.terminal import progress
from ganops.data import Prepared
from ganops.data.about import UNSTATED, About
from ganops.data.sources import below
from ganops.experiment import identity
from ganops.generator import Description, Generator
from ganops.generator.walks import slerp
from ganops.metrics import classifiers
from ganops.metrics.classifiers import Counts, Side
from ganops.metrics.extractors.extractor import Features
from ganops.metrics.intervals import Interval
from ganops.metrics.measure import Generated, floors
from ganops.metrics.memorisation import CONTROLS, FEWEST, NAMES, SIGNS, VERDICTS, examine
from ganops.metrics.neighbours import nearest, realism
from ganops.metrics.reference import Reference
from ganops.metrics.sight import in_words as blind_words
from ganops.reports.plots import distances, sheet
from ganops.reports.report import Report
from ganops.search import trials

HELD_OUT = "test"
"""Real images that neither the training nor the selection has seen."""
FIRST_SEED = 10**6
"""Of the evaluation; validation draws from 0 on, so that selection never saw these pictures."""
PIECE = 500
STEPS = 9
"""Pictures of a walk from one latent to another."""
SHOWN = 2000
"""Generated images whose distances are drawn."""
ELSEWHERE = ("register", "compute")
"""Sections that did not make a generator: what is asked of it, and where it ran."""
CLASSES = 20
"""The most classes that a picture has a row for."""


def pieces(count: int, first: int = FIRST_SEED) -> list[NDArray[np.int64]]:
    """The seeds of `count` samples, in pieces that are looked at as one: the same for any number of workers."""
    return [np.arange(start, min(start + PIECE, first + count)) for start in range(first, first + count, PIECE)]


class Sampler(Protocol):
    """What an evaluation needs of a generator."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a picture: height, width, channels."""

    def sample(self, seeds: NDArray[np.int64], labels: Any = ..., /) -> NDArray[np.uint8]:
        """One picture for each seed: uint8 [N, C, H, W]; labels are given where it has `classes`, int64 [N]."""


def look(
    generator: Sampler, reference: Reference, seeds: NDArray[np.int64], labelling: Labelling | None = None
) -> Generated:
    """What the extractor makes of the samples with these consecutive seeds; without `labelling`, under their own."""
    labelling = labelling or Labelling.of(generator)
    features, probabilities = reference.extractor.features(labelling.draw(generator, seeds))
    return Generated(features, probabilities, int(seeds[0]), labelling(seeds), labelling.name)


def looks(
    generator: Sampler, reference: Reference, pieces: Iterable[NDArray[np.int64]], labelling: Labelling | None = None
) -> Iterator[Generated]:
    """What it makes of each piece, in their order, as many at once as there are cores."""
    device = torch.device(reference.extractor.device).type
    return side_by_side(partial(look, generator, reference, labelling=labelling), pieces, device)


def gather(stage: str, looks: Iterable[Generated], count: int) -> Generated:
    """Puts pieces together in the order of their seeds, under a bar."""
    parts = []
    with progress(stage, count, "images") as advance:
        for part in looks:
            parts.append(part)
            advance(len(part.features))
    probabilities = [part.probabilities for part in parts if part.probabilities is not None]
    labels = [part.labels for part in parts if part.labels is not None]
    return Generated(
        np.concatenate([part.features for part in parts]),
        np.concatenate(probabilities) if probabilities else None,
        parts[0].first_seed,
        np.concatenate(labels) if labels else None,
        parts[0].drawn,
    )


def judge(
    results: dict[str, Any], generator: Generator, prepared: Prepared, *, samples: int, seed: int
) -> dict[str, Any]:
    """`results` of `measure` and the figures of `metrics.classifiers`, or the reason why there are none.

    The networks run where the generator is. Held-out samples judge whatever split the other figures compare with: those
    of `train` have been seen.

    Args:
        results: As `measure` returns them.
        generator: It draws the samples, from the first seed of the evaluation on.
        prepared: The real samples.
        samples: Drawn at most.
        seed: Draws the real samples, the first weights of the networks, and the order in which they learn.
    """
    size = int(np.prod(prepared.manifest["sample"]["shape"]))
    train, held_out = (prepared.manifest["splits"][split]["samples"] for split in ("train", HELD_OUT))
    counts = Counts.of(train, held_out, samples, size)
    how = classifiers.protocol(counts) | {"split": HELD_OUT, "seed": seed, "first_seed": FIRST_SEED}
    found: dict[str, Interval] = {}
    if counts.enough:
        fake = _generated(generator, counts)
        device = str(next(generator.network.parameters()).device)
        found = classifiers.judge(_real(prepared, counts, seed), fake, seed=seed, device=device)
        how["cas"] = "measured" if "cas" in found else "left out: the generator takes no labels"
    return {
        **results,
        **{name: interval.value for name, interval in found.items()},
        "intervals": {**results["intervals"], **{name: interval.ends for name, interval in found.items()}},
        "protocol": {**results["protocol"], "classifiers": how},
    }


def _real(prepared: Prepared, counts: Counts, seed: int) -> Side:
    """Training samples to learn from and held-out ones that judge, drawn by the seed."""
    rng = np.random.default_rng(seed)

    def drawn(split: str, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
        images, labels = prepared.images(split), prepared.labels(split)
        rows = np.sort(rng.permutation(len(images))[:count])
        return images[rows], None if labels is None else labels[rows]

    (learnt, learnt_labels), (judging, judging_labels) = drawn("train", counts.learnt), drawn(HELD_OUT, counts.judging)
    return Side(learnt, judging, learnt_labels, judging_labels)


def _generated(generator: Generator, counts: Counts) -> Side:
    """The first samples judge, the others are learnt from."""
    labelling, count, m = Labelling.of(generator), counts.learnt + counts.judging, counts.judging
    device = next(generator.network.parameters()).device.type
    images = []
    with progress("evaluate", count, "images") as advance:
        for drawn in side_by_side(partial(labelling.draw, generator), pieces(count), device):
            images.append(drawn)
            advance(len(drawn))
    x, y = np.concatenate(images), labelling(FIRST_SEED + np.arange(count))
    return Side(x[m:], x[:m]) if y is None else Side(x[m:], x[:m], y[m:], y[:m])


def draw(
    generator: Generator, prepared: Prepared, reference: Reference, features: Features, folder: Path
) -> dict[str, Path]:
    """Writes the pictures of a report into `folder`: name -> path. `features` are those of the evaluation."""
    columns = min(generator.description.classes or 8, 10)
    paths = {name: folder / f"{name}.png" for name in ("samples", "interpolation")}
    save_grid(paths["samples"], generator.sample(FIRST_SEED + np.arange(columns * 8)), columns)
    save_grid(paths["interpolation"], _interpolation(generator), STEPS)
    for name, picture in {
        **_by_class(generator),
        "truncation": _truncations(generator, columns),
        "neighbours": _neighbours(generator, prepared, reference),
        "realism": _realism(generator, reference),
        **_distances(features, reference),
    }.items():
        paths[name] = folder / f"{name}.svg"
        paths[name].write_bytes(picture)
    return paths


def _by_class(generator: Generator, columns: int = 8) -> dict[str, bytes]:
    """A row of samples of each class under its name, the same latents in each; nothing where there are no classes."""
    names, seeds = generator.description.class_names[:CLASSES], FIRST_SEED + np.arange(columns)
    rows = [generator.sample(seeds, np.full(columns, label)) for label in range(len(names))]
    return {"by_class": sheet(rows, names)} if names else {}


def _truncations(generator: Generator, columns: int) -> bytes:
    """One row for each truncation, the same seeds in each."""
    seeds, scales = FIRST_SEED + np.arange(columns), (0.2, 0.4, 0.6, 0.8, 1.0)
    return sheet([generator.sample(seeds, truncation=t) for t in scales], [f"truncation {t:g}" for t in scales])


def _interpolation(generator: Generator, rows: int = 6) -> NDArray[np.uint8]:
    """Each row walks from one latent to another on the sphere between them (White 2016), the label fixed."""
    z = latents(FIRST_SEED + np.arange(2 * rows), generator.latent, normal_table())
    walk = [slerp(a, b, t) for a, b in zip(z[:rows], z[rows:], strict=True) for t in np.linspace(0, 1, STEPS)]
    labels = np.repeat(np.arange(rows) % max(1, generator.classes), STEPS)
    return generator.render(np.stack(walk), labels)


def _neighbours(generator: Generator, prepared: Prepared, reference: Reference, rows: int = 8, k: int = 6) -> bytes:
    """Each row: a generated image, then its nearest training images in feature space, nearest first."""
    images, train = generator.sample(FIRST_SEED + np.arange(rows)), prepared.images("train")
    features, _ = reference.extractor.features(images)
    indices, distances = nearest(features, reference.features("train"), min(k, len(train)))
    return sheet(
        [np.concatenate([image[None], train[near]]) for image, near in zip(images, indices, strict=True)],
        [f"distance to the nearest {d[0]:.2f}" for d in distances],
        lead=1,
    )


def _realism(generator: Generator, reference: Reference, count: int = 1000, columns: int = 10) -> bytes:
    """The first samples of the evaluation that lie deepest among real ones, and those that lie farthest from them."""
    images = Labelling.of(generator).draw(generator, FIRST_SEED + np.arange(count))
    values = realism(reference.features(HELD_OUT), reference.extractor.features(images)[0])
    order = np.argsort(values, kind="stable")
    rows = {"most real": order[::-1][:columns], "least real": order[:columns]}
    return sheet([images[row] for row in rows.values()], [f"{name} of {count:,}" for name in rows])


def _distances(features: Features, reference: Reference) -> dict[str, bytes]:
    """How far generated images are from the training images, beside both controls; nothing where images are few."""
    sides = (reference.features("train"), reference.features(HELD_OUT), features[:SHOWN])
    if min(map(len, sides)) < FEWEST:
        return {}
    near = examine(*sides, seed=0)
    names = {"generated": "generated", "held_out": "held-out images", "copied": "copies"}
    return {"memorisation": distances({shown: near[name].distance for name, shown in names.items()})}


def trained(experiment: Experiment, description: Description) -> Experiment:
    """The experiment that a generator was trained with: what the search handed on, held against its own record.

    Raises:
        LineageError: The record is of other parameters, or there is none.
    """
    handed = trials.handed_on(experiment, layout.BEST_PARAMS)
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
    """What stands beside the figures of `measure` so that they can be read.

    Returns:
        `floors`: name -> the distance that other real images have, and `blind`: name -> the harms of the ladder that a
        metric does not tell from real images.
    """
    return {"floors": floors(reference, split, generated, seed=seed), "blind": reference.blind}


def report(
    experiment: Experiment,
    results: dict[str, Any],
    prepared: Prepared,
    reference: Reference,
    pictures: dict[str, Path],
    champion: dict[str, Any] | None = None,
    decision: dict[str, Any] | None = None,
    *,
    stage: str = "evaluate",
    known: Revision | None = None,
) -> Report:
    """All that the report page shows, from the outputs of the stages.

    Args:
        experiment: What was trained (`trained`).
        results: The content of `metrics/evaluation.json`.
        prepared: The data.
        reference: The extractor.
        pictures: Name -> file.
        champion: As the report wants it.
        decision: Likewise.
        stage: That which writes the report.
        known: The code, whose patch lies beside the report; None: as git says it.
    """
    strip = [(float(path.stem), path) for path in sorted(layout.FILMSTRIP.glob("*.png"))]
    training = read_json(layout.TRAIN_METRICS)
    return Report(
        title=experiment.register_.name,
        summary=headline(results),
        manifest=_manifest(prepared, About.read(layout.ABOUT)),
        history=history(),
        metrics=with_intervals(results),
        champion=champion or {},
        decision=decision or {},
        memorisation=_memorisation(results),
        protocol=results["protocol"],
        card=reference.card,
        trials=read_json(layout.TUNE_REPORT / trials.TRIALS),
        params={key: value for key, value in experiment.content().items() if key not in ELSEWHERE},
        provenance={
            **_provenance(experiment, stage, known or revision(Path())),
            "hardware": training["hardware"],
            "precision": training["precision"],
        },
        pictures={**pictures, "preview": layout.PREVIEW},
        filmstrip=strip,
    )


def with_intervals(results: dict[str, Any]) -> dict[str, Any]:
    """Figures as the report wants them: a number, or {`value`, `interval`, `floor`, `blind`} as far as known."""
    shown = {name: value for name, value in results.items() if isinstance(value, int | float) and name not in NAMES}
    known = {
        "interval": results.get("intervals", {}),
        "floor": results.get("floors", {}),
        "blind": {name: blind_words(rungs) for name, rungs in results.get("blind", {}).items()},
    }
    found = {name: {key: by[name] for key, by in known.items() if name in by} for name in shown}
    return {name: {"value": value, **found[name]} if found[name] else value for name, value in shown.items()}


def _memorisation(results: dict[str, Any]) -> dict[str, Any]:
    """The verdict in words, and each sign beside its controls."""
    if "memorisation_verdict" not in results:
        return {}
    return {
        "verdict": VERDICTS[int(results["memorisation_verdict"])],
        "copied_share": results["copied_share"],
        "signs": {
            sign: {"generated": results[sign], **{control: results[f"{sign}_{control}"] for control in CONTROLS}}
            for sign in SIGNS
        },
    }


def headline(results: dict[str, Any]) -> dict[str, float]:
    """The numbers that people ask for first, but for those that are blind to a harm on these images."""
    return {name: results[name] for name in _asked_for(results) if name not in results.get("blind", {})}


def _asked_for(results: dict[str, Any]) -> tuple[str, ...]:
    distance = next(name for name in results if name == "fid" or name.startswith("fd_"))
    names = (distance, "precision", "recall", "coverage", "c2st_auc")
    return tuple(name for name in names if name in results)


def in_words(results: dict[str, Any]) -> str:
    """The headline in one line, the distance with its interval and its floor, and what is not in it."""
    distance, blind, floors = _asked_for(results)[0], results.get("blind", {}), results.get("floors", {})
    said = []
    for name, value in headline(results).items():
        interval = " [{:.3g}, {:.3g}]".format(*results["intervals"][name]) if name == distance else ""
        floor = f" (floor {floors[name]:.3g})" if name in floors else ""
        said.append(f"{name} {value:.3g}{interval}{floor}")
    return "  ".join(
        [*said, *(f"{name} is {blind_words(blind[name])}" for name in _asked_for(results) if name in blind)]
    )


def _manifest(prepared: Prepared, about: About) -> dict[str, Any]:
    """The manifest, with the name and the licence of the source."""
    source = {**prepared.manifest["source"], "name": about.name, "licence": about.licence or UNSTATED}
    return {**prepared.manifest, "source": source}


def history() -> list[dict[str, float]]:
    """The curves of the training, the validation distances and speeds beside the losses of the same tick."""
    rows = {row["kimg"]: row for row in _table(layout.HISTORY)}
    for row in _table(layout.SPEED) if layout.SPEED.is_file() else []:
        rows[row["kimg"]] |= row
    for row in _table(layout.VALIDATION):
        rows[row["kimg"]]["fd_validation"] = row["distance"]
    return list(rows.values())


def _table(path: Path) -> list[dict[str, float]]:
    with path.open(newline="") as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def _provenance(experiment: Experiment, stage: str, known: Revision | None) -> dict[str, Any]:
    """What made these results, as far as it is known here: code, DVC's hashes, versions, commands."""
    handed = trials.origin(layout.BEST_PARAMS)
    return {
        "commands": _commands(experiment, handed["parameters"], known),
        "commit": known and known.commit,
        "changed": known is not None and known.changed,
        "patch": {"name": known.name, "content": known.patch} if known and known.patch else {},
        "search": {key: handed[key] for key in ("search", "trial", "parameters", "reason") if key in handed}
        if handed["parameters"]
        else {},
        "hashes": proven(Path("dvc.lock"), stage),
        "versions": {name: version(name) for name in ("ganops", "torch", "ray", "mlflow", "dvc")},
    }


def _commands(experiment: Experiment, found: dict[str, Any], known: Revision | None) -> list[str]:
    """What gives the same generator in a clone. A search need not find the same again, so its parameters are given."""
    lines = [f"git checkout {known.commit}"] if known else []
    lines += [f"git apply --index {known.name}"] if known and known.patch else []
    made = Path("Makefile").is_file()
    if not found:
        return [*lines, *_source(experiment), "make repro" if made else "dvc repro"]
    # ++: whether params.yaml has the key or leaves it to its default
    values = "".join(f" -S {shlex.quote(f'++{path}={_hydra(value)}')}" for path, value in found.items())
    ready = ["make setup", ". .venv/bin/activate"] if made else []
    return [*lines, *ready, *_source(experiment), f"dvc exp run -S tune.trials=0{values}"]


def _source(experiment: Experiment) -> list[str]:
    """How a clone gets images that git does not hold."""
    place = str(below(layout.DATA, experiment.data.source))
    if "://" in place or git(Path(), "ls-files", "--", place) != "":
        return []
    tracked = Path(f"{place}.dvc")
    return [f"dvc pull {tracked}" if tracked.is_file() else f"# put the images at {place}: git does not hold them"]


def _hydra(value: Any) -> str:
    """A value as `dvc exp run -S` takes it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_hydra(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_hydra, value)) + "]"
    return json.dumps(value)
