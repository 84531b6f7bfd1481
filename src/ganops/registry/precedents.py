"""Earlier runs of the same name: limits that were set for other data, a champion that draws other samples.

What is written here costs seconds before a run, and tells of a run whose verdict would mean nothing. A limit of the
gate says not for which data it was set. So it is held against those of earlier runs: one that was used with other data
and never with these is a limit of other data. The versions in the registry remember both; the embedded run, whose
limits stand in params.yaml as it comes, is known here.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ganops import config
from ganops.config import Experiment
from ganops.core import layout
from ganops.core.errors import DataError, RegistryError
from ganops.data import Prepared
from ganops.data.about import About
from ganops.data.sources import below
from ganops.kinds import Spec
from ganops.registry.relocation import DATABASE

DATA, DATA_HASH, DATA_LICENCE = "ganops.data", "ganops.data_sha256", "ganops.data_licence"
DRAWS, GATE = "ganops.draws", "ganops.gate"
"""Tags of a version: name, hash and licence of the training images; the samples it draws; the limits it was held to."""

Gate = Mapping[str, Mapping[str, float]]
"""Limits by metric: {"fd_domain": {"at_most": 5.0}}."""
LIMITS = TypeAdapter(dict[str, dict[str, float]])


@dataclass(frozen=True)
class Precedent:
    """An earlier run."""

    who: str
    """Name for people: version 3."""
    data: str
    """Name of its data set."""
    gate: Gate
    """The limits that it was held to."""
    data_hash: str | None = None
    draws: str | None = None
    """The samples, as `draws` has them."""


@dataclass(frozen=True)
class _Run:
    """The run that is about to begin."""

    name: str
    """Name of its data set."""
    names: frozenset[str]
    """Names of the data set: those that people and the source itself give it."""
    spec: Spec | None = None
    """The samples that it will draw; None: the present source has not been prepared yet."""
    data_hash: str | None = None

    def has_data_of(self, other: Precedent) -> bool:
        """Return True where its data are an earlier run's, as far as is known; another name alone is no other set."""
        return other.data in self.names or (self.data_hash is not None and self.data_hash == other.data_hash)


EMBEDDED = Precedent(
    "the embedded run",
    "Fashion-MNIST (10,000 test images)",
    {"fd_domain": {"at_most": 5}, "coverage": {"at_least": 0.5}},
)
"""The run of params.yaml as it comes."""


def concerns(experiment: Experiment, root: Path) -> list[str]:
    """Return reasons why the verdict on this run would be meaningless, a line for each; none of them is an error.

    The registry is asked where there is one; that it is away is a line as well. Nothing is said of a source that is not
    here: a job may find it where it runs.
    """
    name = experiment.register_.name
    try:
        run = _planned(experiment, root)
    except DataError:
        return []
    try:
        known, champion = _known(name, root)
        away = []
    except RegistryError as error:
        known, champion, away = [], None, [f"the registry cannot be asked for the champion of {name}: {error}"]
    return [
        *_limits(experiment, run, [EMBEDDED, *known]),
        *(_succession(experiment, run, champion) if champion else _first(name, run)),
        *away,
    ]


def _known(name: str, root: Path) -> tuple[list[Precedent], Precedent | None]:
    """The versions of a model that remember their data, and the champion, if it is one of them."""
    if not os.environ.get("MLFLOW_TRACKING_URI") and not (root / DATABASE).is_file():
        return [], None
    from ganops.registry import champions, tracking  # mlflow takes seconds to import
    from ganops.registry.model import Model

    try:
        with tracking.refusals():
            model = Model(tracking.connect(root), name)
            versions = model.versions()
            champion = champions.current(model) if versions else None
    except tracking.mlflow.MlflowException as error:
        raise RegistryError(str(error)) from error
    known = {str(each.version): _precedent(each) for each in versions if DATA in each.tags}
    return list(known.values()), known.get(champion or "")


def _precedent(version: Any) -> Precedent:
    tags = version.tags
    try:
        gate = LIMITS.validate_json(tags.get(GATE, "{}"))
    except ValidationError:  # others may write tags; one that is no gate's has no limits to compare with
        gate = {}
    return Precedent(f"version {version.version}", tags[DATA], gate, tags.get(DATA_HASH), tags.get(DRAWS))


def _limits(experiment: Experiment, run: _Run, known: list[Precedent]) -> list[str]:
    """Limits of the gate that were used with other data and never with these."""
    found: dict[tuple[str, str], list[str]] = {}
    for metric, limit in experiment.register_.gate.items():
        bound = limit.model_dump(exclude_none=True)
        users = [each for each in known if each.gate.get(metric) == bound]
        if users and not any(map(run.has_data_of, users)):
            words = " and ".join(f"{kind} {value:g}" for kind, value in bound.items())
            found.setdefault((users[-1].who, users[-1].data), []).append(f"{metric} {words}")
    return [
        f"register.gate: {', '.join(limits)}: limits of {who}, on {data}, that were never used with {run.name}: "
        "leave them out of a first run, and set them by its metrics/evaluation.json"
        for (who, data), limits in found.items()
    ]


def _succession(experiment: Experiment, run: _Run, champion: Precedent) -> list[str]:
    """Return the differences between the champion of this name, which others load, and this run."""
    who = f"register.name: the champion of {experiment.register_.name}, {champion.who},"
    other = "name a model of its own in register.name, unless that is what you want"
    if champion.draws and (ours := _other_samples(champion.draws, run.spec, experiment)):
        return [f"{who} draws {champion.draws}, this run {ours}: the gate does not compare the two; {other}"]
    if not run.has_data_of(champion):
        return [f"{who} was trained on {champion.data}, this run on {run.name} would replace it; {other}"]
    if champion.data_hash and run.data_hash and champion.data_hash != run.data_hash:
        return [f"{who} was trained on another state of {run.name}: both will be measured on the present one"]
    return []


def _other_samples(theirs: str, spec: Spec | None, experiment: Experiment) -> str | None:
    """The samples of this run, if they are known to differ from those of a champion."""
    if spec:
        ours = spec.summary()
        return ours if ours != theirs else None
    size = "x".join(map(str, experiment.data.spec.shape[1:]))  # without the channels, which may be those of the source
    return None if f"x{size}," in theirs else size


def _first(name: str, run: _Run) -> list[str]:
    if name != config.Register().name or run.has_data_of(EMBEDDED):
        return []
    return [f"register.name: {name} is the name of {EMBEDDED.who}: name the model of {run.name}"]


def _planned(experiment: Experiment, root: Path) -> _Run:
    """Return the facts known of the run before it begins: more, once the present source has been prepared."""
    data = experiment.data
    source = below(root / layout.DATA, data.source)
    name = About.of_source(source, data.name).name
    names = frozenset((name, About.of_source(source).name))
    try:
        prepared = Prepared.open(root / layout.PREPARED)
    except DataError:
        return _Run(name, names)
    asked = data.model_dump(mode="json") | {"source": Path(data.source).name}
    made = {"source": prepared.manifest["source"]["name"], "group": "none", **prepared.manifest["parameters"]}
    if made != {key: asked.get(key) for key in made}:
        return _Run(name, names)
    spec = prepared.spec if experiment.model.conditional else replace(prepared.spec, classes=0)
    return _Run(name, names, spec, prepared.hash)
