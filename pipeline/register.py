"""Stage `register`: artifacts/generator, metrics/evaluation.json -> a version in MLflow, metrics/registration.json."""

from pathlib import Path

from ganops import assemble, layout
from ganops.adaptors.outputs import package
from ganops.adaptors.registry import in_words, register
from ganops.files import write_json
from ganops.terminal import say, stage


def main() -> None:
    """Runs the stage."""
    with stage(__file__) as name:
        experiment = assemble.load()
        entry = experiment.register_
        gate = {metric: bound.model_dump(exclude_none=True) for metric, bound in entry.gate.items()}
        registration = register(package(experiment), name=entry.name, gate=gate, root=Path())
        write_json(layout.REGISTRATION, registration)
        say(name, in_words(registration))


if __name__ == "__main__":
    main()
