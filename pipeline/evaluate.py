"""Stage `evaluate`: artifacts/generator, artifacts/features -> metrics/evaluation.json, reports/evaluation."""

from ganops import assemble, evaluation, layout
from ganops.data import Prepared
from ganops.files import atomic_folder, write_json
from ganops.generator import Generator
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
        outputs = evaluation.outputs(experiment, generator, reference)
        results = evaluation.evaluate(experiment, outputs, reference)
        with atomic_folder(layout.EVALUATION_REPORT) as folder:
            pictures = evaluation.draw(generator, prepared, reference, outputs[0], folder)
            write(evaluation.report(experiment, results, prepared, reference, pictures), folder / "report.html")
        write_json(layout.EVALUATION, results)
        numbers = "  ".join(f"{key} {value:.3g}" for key, value in evaluation.headline(results).items())
        say(name, f"{numbers}   {layout.EVALUATION_REPORT}/report.html")


if __name__ == "__main__":
    main()
