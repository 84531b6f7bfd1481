"""What the stages wrote, as one package for the registry."""

from dataclasses import asdict
from pathlib import Path

from ganops import layout
from ganops.adaptors.package import Package
from ganops.config import Experiment
from ganops.evaluation import history
from ganops.files import read_json
from ganops.generator import WEIGHTS, Generator


def package(experiment: Experiment) -> Package:
    """The generator, its evaluation, its parameters, curves, pictures and lineage."""
    generator = Generator.load(layout.GENERATOR)
    lock = Path("dvc.lock")
    return Package(
        generator=generator.network,
        description=asdict(generator.description),
        weights=layout.GENERATOR / WEIGHTS,
        evaluation=read_json(layout.EVALUATION),
        params=experiment.content(),
        history=[{"step": round(row["kimg"] * 1000), **row} for row in history()],
        pictures=[*sorted(layout.EVALUATION_REPORT.glob("*.png")), *sorted(layout.FILMSTRIP.glob("*.png"))[-1:]],
        report=layout.EVALUATION_REPORT / "report.html",
        lock=lock if lock.is_file() else None,
        fingerprint=generator.description.fingerprint,
    )
