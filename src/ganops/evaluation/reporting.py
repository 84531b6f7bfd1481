"""The content of the report page, from the outputs of the stages of a project."""

import csv
import json
import shlex
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ganops.config import Experiment
from ganops.core import layout
from ganops.core.files import read_json
from ganops.core.git import Revision, git, proven, revision
from ganops.data import Prepared
from ganops.data.about import UNSTATED, About
from ganops.data.sources import below
from ganops.evaluation.verdict import headline, memorisation, with_intervals
from ganops.generator import Generator
from ganops.generator.encoder import parameters
from ganops.kinds import KINDS
from ganops.losses import LOSSES, OF_GAMES
from ganops.metrics.reference import Reference
from ganops.reports.content import Report
from ganops.search import trials

ELSEWHERE = ("register", "compute")
"""Sections that did not make a generator: what is asked of it, and where it ran."""


def report(
    project: Path, experiment: Experiment, results: dict[str, Any], prepared: Prepared, reference: Reference,
    pictures: dict[str, Path], champion: dict[str, Any] | None = None, decision: dict[str, Any] | None = None, *,
    played: Sequence[Path] = (), sentences: Mapping[str, Any] | None = None, again: Sequence[tuple[str, str]] = (),
    stage: str = "evaluate", known: Revision | None = None, version: int | None = None,
) -> Report:  # fmt: skip
    """All that the report page shows, from the outputs of the stages.

    Args:
        project: The folder in which the stages ran.
        experiment: What was trained (`trained`).
        results: The content of `metrics/evaluation.json`.
        prepared: The data.
        reference: The extractor.
        pictures: Name -> file.
        champion: As the report wants it.
        decision: Likewise.
        played: Files of samples that are heard or watched, as `pictures.play` names them.
        sentences: Texts to read, as `pictures.sentences` gives them.
        again: Texts and their reconstructions, as `pictures.again_in_words` gives them.
        stage: That which writes the report.
        known: The code, whose patch lies beside the report; None: as git says it.
        version: Of the registered model; None: it is not registered yet.
    """
    strip = [(float(path.stem), path) for path in sorted((project / layout.FILMSTRIP).glob("*.png"))]
    training = read_json(project / layout.TRAIN_METRICS)
    generator = Generator.load(project / layout.GENERATOR).description
    return Report(
        title=experiment.register_.name,
        version=version,
        date=training.get("finished", "")[:10],
        summary=_summary(results, experiment.register_.improve if decision else ""),
        manifest=_manifest(prepared, About.read(project / layout.ABOUT)),
        history=history(project),
        metrics=with_intervals(results, prepared.spec.unit),
        champion=champion or {},
        decision=decision or {},
        memorisation=memorisation(results),
        protocol=results["protocol"],
        card=reference.card,
        trials=read_json(project / layout.TUNE_REPORT / trials.TRIALS),
        params=effective(experiment),
        provenance={
            **_provenance(project, experiment, stage, known or revision(project)),
            "hardware": training["hardware"],
            "precision": training["precision"],
        },
        pictures={**pictures, "preview": _preview(project)},
        played=_played(played, generator.class_names),
        filmstrip=strip,
        parameters=parameters(generator),
        seconds=training.get("seconds"),
        sentences=sentences or {},
        again=again,
        curve=results.get("curve", {}),
        improved=training.get("improved_on_warm_up"),
        reconstruction=results.get("reconstruction", {}),
        bound=results.get("bound", {}),
    )


def _summary(results: dict[str, Any], improve: str) -> dict[str, float]:
    """Return the headline, the metric first in which the champion must be beaten."""
    return {**{name: results[name] for name in [improve] if name in results}, **headline(results)}


def _preview(project: Path) -> Path:
    """Return the picture of the prepared samples, of films that in which they move."""
    still = project / layout.PREVIEW
    moving = still.with_suffix(".webp")
    return moving if moving.is_file() else still


def _played(paths: Sequence[Path], names: Sequence[str]) -> list[tuple[str, dict[str, Path]]]:
    """Return files of `pictures.play` by their numbers: the class in words, and side -> file."""
    found: dict[int, dict[str, Path]] = {}
    for path in paths:
        side, _, number = path.stem.rpartition("-")
        found.setdefault(int(number), {})[side] = path
    return [(names[number % len(names)] if names else "", sides) for number, sides in sorted(found.items())]


def effective(experiment: Experiment) -> dict[str, Any]:
    """The sections that stand beside a result, without the parameters that mean nothing for its objective."""
    content = {key: value for key, value in experiment.content().items() if key not in ELSEWHERE}
    for path in () if experiment.loss.name in LOSSES else OF_GAMES:
        section, key = path.split(".")
        del content[section][key]
    return content


def _manifest(prepared: Prepared, about: About) -> dict[str, Any]:
    """The manifest, with the name and the licence of the source."""
    source = {**prepared.manifest["source"], "name": about.name, "licence": about.licence or UNSTATED}
    return {**prepared.manifest, "source": source}


def history(project: Path) -> list[dict[str, float]]:
    """The curves of the training, the validation distances and speeds beside the losses of the same tick."""
    rows = {row["kimg"]: row for row in _table(project / layout.HISTORY)}
    speed = project / layout.SPEED
    for row in _table(speed) if speed.is_file() else []:
        rows[row["kimg"]] |= row
    for row in _table(project / layout.VALIDATION):
        rows[row["kimg"]]["fd_validation"] = row["distance"]
    return list(rows.values())


def _table(path: Path) -> list[dict[str, float]]:
    with path.open(newline="") as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def _provenance(project: Path, experiment: Experiment, stage: str, known: Revision | None) -> dict[str, Any]:
    """Return the origin of these results, as far as it is known: code, DVC's hashes, versions, commands."""
    handed = trials.origin(project / layout.BEST_PARAMS)
    return {
        "commands": commands(project, experiment, handed["parameters"], known),
        "commit": known and known.commit,
        "changed": known is not None and known.changed,
        "patch": {"name": known.name, "content": known.patch} if known and known.patch else {},
        "search": {key: handed[key] for key in ("search", "trial", "parameters", "reason") if key in handed}
        if handed["parameters"]
        else {},
        "hashes": proven(project / "dvc.lock", stage),
        "versions": {name: version(name) for name in ("ganops", "torch", "ray", "mlflow", "dvc")},
    }


def commands(project: Path, experiment: Experiment, found: Mapping[str, Any], known: Revision | None) -> list[str]:
    """Return commands that make the same generator in a clone, with its parameters: a search may find others."""
    lines = [f"git checkout {known.commit}"] if known else []
    lines += [f"git apply --index {known.name}"] if known and known.patch else []
    made = (project / "Makefile").is_file()
    if not found:
        return [*lines, *_source(project, experiment), "make repro" if made else "dvc repro"]
    # ++: whether params.yaml has the key or leaves it to its default
    values = "".join(f" -S {shlex.quote(f'++{path}={_hydra(value)}')}" for path, value in found.items())
    ready = ["make setup", ". .venv/bin/activate"] if made else []
    return [*lines, *ready, *_source(project, experiment), f"dvc exp run -S tune.trials=0{values}"]


def _source(project: Path, experiment: Experiment) -> list[str]:
    """Return the commands by which a clone gets samples that git does not hold."""
    place = str(below(layout.DATA, experiment.data.source))
    if "://" in place or git(project, "ls-files", "--", place) != "":
        return []
    tracked, unit = Path(f"{place}.dvc"), KINDS[experiment.data.kind].UNIT
    return [
        f"dvc pull {tracked}"
        if (project / tracked).is_file()
        else f"# put the {unit}s at {place}: git does not hold them"
    ]


def _hydra(value: Any) -> str:
    """A value as `dvc exp run -S` takes it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_hydra(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_hydra, value)) + "]"
    return json.dumps(value)
