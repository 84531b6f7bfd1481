"""Stage `evaluate`: artifacts/generator, artifacts/features -> metrics/evaluation.json, reports/evaluation."""

from pathlib import Path

from ganops import assemble, evaluation, layout
from ganops.adaptors.evaluation import observe
from ganops.data import Prepared
from ganops.files import atomic_folder, write_json
from ganops.generator import Generator
from ganops.lineage import revision
from ganops.metrics.measure import measure
from ganops.metrics.reference import Reference
from ganops.report import write
from ganops.terminal import say, stage


def main() -> None:
    """Runs the stage."""
    with stage(__file__) as name:
        experiment = assemble.load()
        device = assemble.choose_device(experiment.compute.device)
        generator = Generator.load(layout.GENERATOR, device)
        prepared, reference = Prepared.open(layout.PREPARED), Reference.open(layout.FEATURES, str(device))
        trained = evaluation.trained(experiment, generator.description)
        fake = observe(experiment.compute, layout.GENERATOR, layout.FEATURES, experiment.evaluate.samples)
        samples, split, seed = experiment.evaluate.samples, experiment.evaluate.split, experiment.seed
        results = measure(fake, reference, split, seed=seed)
        results |= evaluation.beside(reference, split, len(fake.features), seed=seed)
        results = evaluation.judge(results, generator, prepared, samples=samples, seed=seed)
        with atomic_folder(layout.EVALUATION_REPORT) as folder:
            pictures, known = evaluation.draw(generator, prepared, reference, fake.features, folder), revision(Path())
            if known:
                known.save(folder)
            page = evaluation.report(trained, results, prepared, reference, pictures, stage=name, known=known)
            write(page, folder / "report.html")
        write_json(layout.EVALUATION, results)
        say(name, f"{evaluation.in_words(results)}   {layout.EVALUATION_REPORT}/report.html")


if __name__ == "__main__":
    main()
