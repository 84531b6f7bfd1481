"""The stage register: results are packed, held against the champion, decided on, and registered."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ganops.config import Experiment
from ganops.core import layout
from ganops.core.files import atomic_folder, read_json
from ganops.core.git import Revision, proven, revision
from ganops.data import Prepared
from ganops.data.about import About
from ganops.evaluation import pictures, reporting, verdict
from ganops.evaluation.gate import Decision, Rival, decide
from ganops.experiment import checks
from ganops.generator import WEIGHTS, Description, Generator
from ganops.generator.encoder import WEIGHTS as ENCODER
from ganops.generator.encoder import Encoder, parameters
from ganops.metrics.reference import Reference
from ganops.registry import champions, tracking
from ganops.registry.champions import ChampionMovedError
from ganops.registry.model import Model
from ganops.registry.moves import relist
from ganops.registry.package import Package
from ganops.registry.registration import register
from ganops.registry.searches import record
from ganops.registry.versus_champion import Compare, challenge, standing
from ganops.reports.report import write
from ganops.search import trials

STAGE = "register"
"""Name of the stage in dvc.yaml."""
MAX_MOVES = 5
"""Times that a candidate is measured again because another became the champion meanwhile."""


def enter(experiment: Experiment, project: Path, compare: Compare) -> dict[str, Any]:
    """Register what the stages wrote in a project, measured beside the champion, and write the report with both.

    Args:
        experiment: The parameters.
        project: Folder of the project.
        compare: Measures the champion and what is registered, see `versus_champion`.

    Returns:
        The content of `metrics/registration.json`.

    Raises:
        ConfigError: The gate or the improvement is by a metric that is blind on these images.
        RegistryError: See `registration.register`, `versus_champion.challenge` and `gate.decide`.
        ChampionMovedError: Others became the champion while this one was measured, again and again.
    """
    entry, judged = experiment.register_, experiment.evaluate
    reference = Reference.open(project / layout.FEATURES)
    checks.check_sight(experiment, reference.blind)
    if (search := trials.read(project / layout.TUNE_REPORT)) is not None:
        record(search, project, name=entry.name)  # the stage tune did, unless it ran elsewhere or long ago
    known, made = revision(project), package(experiment, project)
    gate = {metric: bound.model_dump(exclude_none=True) for metric, bound in entry.gate.items()}
    left_out = made.evaluation["protocol"].get("left_out")
    decide(gate, made.metrics, left_out=left_out)  # what the gate cannot mean is told before anything is drawn
    report = project / layout.REGISTRATION_REPORT / "report.html"
    for move in range(MAX_MOVES):
        rival = challenge(
            made, Description.of(made.description).spec, compare,
            name=entry.name, root=project, samples=judged.samples, split=judged.split, seed=experiment.seed,
        )  # fmt: skip
        decision = decide(gate, made.metrics, improve=entry.improve, rival=rival)
        if rival is None:
            decision = replace(decision, standing=standing(made, name=entry.name, root=project))
        changes = _write_report(experiment, project, reference, rival, decision, known)
        try:
            made = replace(made, report=report, changes=changes)
            registration = register(made, name=entry.name, decision=decision, root=project)
        except ChampionMovedError:
            if move == MAX_MOVES - 1:
                raise
            continue
        _write_report(experiment, project, reference, rival, decision, known, registration["version"])
        relist(project, entry.name, lambda: champions.history(Model(tracking.connect(project), entry.name)))
        return registration | {"beside_champion": rival.content() if rival else {}}
    raise AssertionError


def _write_report(
    experiment: Experiment, project: Path, reference: Reference, rival: Rival | None, decision: Decision,
    known: Revision | None, version: int | None = None,
) -> Path | None:  # fmt: skip
    """Write the report, and the patch of the code beside it, whose path is returned.

    It is written before the registration, which keeps a copy, and again when the version has its number.
    """
    description = Generator.load(project / layout.GENERATOR).description
    trained = verdict.trained(experiment, description, project / layout.BEST_PARAMS)
    with atomic_folder(project / layout.REGISTRATION_REPORT) as folder:
        shown, played = pictures.found(project / layout.EVALUATION_REPORT)
        page = reporting.report(
            project, trained, read_json(project / layout.EVALUATION), Prepared.open(project / layout.PREPARED),
            reference, shown, rival.content() if rival else {}, decision.content(),
            played=played, stage=STAGE, known=known, version=version,
        )  # fmt: skip
        write(page, folder / "report.html")
        patch = known.save(folder) if known else None
    return patch and project / layout.REGISTRATION_REPORT / patch.name


def package(experiment: Experiment, project: Path) -> Package:
    """Pack the generator with its evaluation, its parameters, curves, pictures and lineage.

    Raises:
        LineageError: Something of it is not what the stages made, or not of these parameters.
        UserError: The files of the generator or of its encoder are damaged.
    """
    generator, lock = Generator.load(project / layout.GENERATOR), project / "dvc.lock"
    about, best_params = About.read(project / layout.ABOUT), project / layout.BEST_PARAMS
    trained, origin = verdict.trained(experiment, generator.description, best_params), trials.origin(best_params)
    report, history = project / layout.EVALUATION_REPORT, reporting.history(project)
    strip = {_step(float(path.stem)): path for path in sorted((project / layout.FILMSTRIP).glob("*.png"))}
    validated = {_step(row["kimg"]) for row in history if "fd_validation" in row}
    shown, played = pictures.found(report)
    moving = [path for path in shown.values() if path.suffix == ".webp"]
    encoder = Encoder.beside(project / layout.GENERATOR, generator)
    return Package(
        generator=generator.network,
        description=asdict(generator.description),
        weights=project / layout.GENERATOR / WEIGHTS,
        evaluation=read_json(project / layout.EVALUATION),
        params=reporting.effective(trained),
        history=[{"step": _step(row["kimg"]), **row} for row in history],
        pictures=[*sorted(report.glob("*.png")), *moving, *list(strip.values())[-1:]],
        strip={step: path for step, path in strip.items() if step in validated},
        played=played,
        report=report / "report.html",
        lock=lock if lock.is_file() else None,
        fingerprint=generator.description.fingerprint,
        data_licence=about.licence,
        data_name=about.name,
        data_hash=Prepared.open(project / layout.PREPARED).hash,
        hashes=proven(lock, STAGE),
        origin=origin if origin["parameters"] else {},
        commands=reporting.commands(project, trained, origin["parameters"], revision(project)),
        encoder=project / layout.GENERATOR / ENCODER if encoder else None,
        parameters=parameters(generator.description),
        training=read_json(project / layout.TRAIN_METRICS),
    )


def _step(kimg: float) -> int:
    """Samples shown to D."""
    return round(kimg * 1000)
