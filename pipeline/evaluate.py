"""Stage `evaluate`: artifacts/generator, artifacts/features -> metrics/evaluation.json and summary.json, report."""

from pathlib import Path

from ganops.core import layout
from ganops.core.files import atomic_folder, write_json
from ganops.core.git import revision
from ganops.core.terminal import say, stage
from ganops.data import Prepared
from ganops.distributed import finished
from ganops.distributed.evaluate import observe
from ganops.distributed.placement import placed
from ganops.evaluation import pictures, reporting, verdict
from ganops.evaluation.examination import examine
from ganops.experiment import checks
from ganops.generator import Generator
from ganops.metrics.reference import Reference
from ganops.reports.report import write


def main() -> None:
    """Runs the stage."""
    with stage(__file__) as name:
        experiment, project = checks.load(), Path()
        description = Generator.load(layout.GENERATOR).description
        trained = verdict.trained(experiment, description, layout.BEST_PARAMS)
        finished.forget(experiment.compute, description.fingerprint)  # DVC has what the stage before this one wrote
        fake = observe(experiment.compute, layout.GENERATOR, layout.FEATURES, experiment.evaluate.samples)
        found = placed(
            experiment.compute, name, examine, layout.GENERATOR, layout.PREPARED, layout.FEATURES,
            fake=fake, experiment=experiment,
        )  # fmt: skip
        prepared = Prepared.open(layout.PREPARED, experiment.compute.cache)
        with atomic_folder(layout.EVALUATION_REPORT) as folder:
            for file, content in found.files.items():
                (folder / file).write_bytes(content)
            known = revision(project)
            if known:
                known.save(folder)
            shown, played = pictures.found(folder)
            page = reporting.report(
                project, trained, found.results, prepared, Reference.open(layout.FEATURES), shown,
                played=played, stage=name, known=known, sentences=found.sentences, again=found.again,
            )  # fmt: skip
            write(page, folder / "report.html")
        write_json(layout.EVALUATION, found.results)
        write_json(layout.SUMMARY, verdict.brief(found.results))
        say(name, f"{verdict.summary(found.results, prepared.spec.unit)}   {layout.EVALUATION_REPORT}/report.html")


if __name__ == "__main__":
    main()
