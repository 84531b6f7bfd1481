"""Stage `register`: artifacts/generator, metrics/evaluation.json -> a version in MLflow, metrics/registration.json."""

from dataclasses import replace
from pathlib import Path

from ganops import assemble, evaluation, layout
from ganops.adaptors.challenge import challenge
from ganops.adaptors.outputs import package
from ganops.adaptors.registry import in_words, register
from ganops.data import Prepared
from ganops.files import atomic_folder, read_json, write_json
from ganops.generator import Generator
from ganops.metrics.reference import Reference
from ganops.report import write
from ganops.terminal import say, stage


def main() -> None:
    """Runs the stage."""
    with stage(__file__) as name:
        experiment = assemble.load()
        entry, judged = experiment.register_, experiment.evaluate
        device = str(assemble.choose_device(experiment.compute.device))
        made, reference = package(experiment), Reference.open(layout.FEATURES, device)
        champion = challenge(
            made, Generator.load(layout.GENERATOR, device), reference,
            name=entry.name, root=Path(), samples=judged.samples, split=judged.split, seed=experiment.seed,
        )  # fmt: skip
        beside = champion.content() if champion else {}
        with atomic_folder(layout.REGISTRATION_REPORT) as folder:
            pictures = {path.stem: path for path in sorted(layout.EVALUATION_REPORT.glob("*.*g"))}
            page = evaluation.report(
                experiment, read_json(layout.EVALUATION), Prepared.open(layout.PREPARED), reference, pictures, beside
            )
            write(page, folder / "report.html")
        made = replace(made, report=layout.REGISTRATION_REPORT / "report.html")
        gate = {metric: bound.model_dump(exclude_none=True) for metric, bound in entry.gate.items()}
        registration = register(made, name=entry.name, gate=gate, root=Path()) | {"beside_champion": beside}
        write_json(layout.REGISTRATION, registration)
        say(name, f"{in_words(registration)}   {layout.REGISTRATION_REPORT}/report.html")


if __name__ == "__main__":
    main()
