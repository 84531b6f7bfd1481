"""Stage `evaluate`: artifacts/generator, artifacts/features -> metrics/evaluation.json and summary.json, report."""

from pathlib import Path

from ganops.core import layout
from ganops.core.files import atomic_folder, write_json
from ganops.core.git import revision
from ganops.core.terminal import say, stage
from ganops.data import Prepared
from ganops.distributed.evaluate import observe
from ganops.evaluation import curve, pictures, reconstruction, reporting, verdict
from ganops.experiment import checks, machine
from ganops.generator import Generator
from ganops.metrics.measure import measure
from ganops.metrics.reference import Reference
from ganops.reports.report import write


def main() -> None:
    """Runs the stage."""
    with stage(__file__) as name:
        experiment, project = checks.load(), Path()
        device = machine.choose_device(experiment.compute.device)
        generator = Generator.load(layout.GENERATOR, device)
        prepared = Prepared.open(layout.PREPARED, experiment.compute.cache)
        reference = Reference.open(layout.FEATURES, str(device))
        trained = verdict.trained(experiment, generator.description, layout.BEST_PARAMS)
        fake = observe(experiment.compute, layout.GENERATOR, layout.FEATURES, experiment.evaluate.samples)
        samples, split, seed = experiment.evaluate.samples, experiment.evaluate.split, experiment.seed
        results = measure(fake, reference, split, seed=seed)
        results |= verdict.beside(reference, split, len(fake.features), seed=seed)
        results = verdict.judge(results, generator, prepared, samples=samples, seed=seed)
        said, again = reconstruction.look(layout.GENERATOR, generator, prepared, seed=seed)
        results |= said
        results |= curve.look(
            layout.GENERATOR, generator, prepared, reference, experiment.evaluate.truncations, samples=samples,
            split=split, seed=seed,
        )  # fmt: skip
        with atomic_folder(layout.EVALUATION_REPORT) as folder:
            shown = pictures.draw(generator, prepared, reference, fake.features, folder, again)
            known = revision(project)
            if known:
                known.save(folder)
            page = reporting.report(
                project, trained, results, prepared, reference, shown,
                played=pictures.play(generator, prepared, folder), stage=name, known=known,
                sentences=pictures.sentences(generator, reference), again=pictures.again_in_words(prepared, again),
            )  # fmt: skip
            write(page, folder / "report.html")
        write_json(layout.EVALUATION, results)
        write_json(layout.SUMMARY, verdict.brief(results))
        say(name, f"{verdict.summary(results, prepared.spec.unit)}   {layout.EVALUATION_REPORT}/report.html")


if __name__ == "__main__":
    main()
