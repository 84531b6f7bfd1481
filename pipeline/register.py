"""Stage `register`: artifacts/generator, metrics/evaluation.json -> a version in MLflow, metrics/registration.json."""

from ganops import assemble, layout
from ganops.adaptors.candidate import enter
from ganops.adaptors.registry import in_words
from ganops.errors import RegistryError
from ganops.files import write_json
from ganops.terminal import say, stage


def main() -> None:
    """Runs the stage."""
    with stage(__file__) as name:
        experiment = assemble.load()
        registration = enter(experiment)
        write_json(layout.REGISTRATION, registration)
        say(name, f"{in_words(registration)}   {layout.REGISTRATION_REPORT}/report.html")
        if experiment.register_.fail_on_reject and not registration["passed"]:
            raise RegistryError("register.fail_on_reject: the generator did not pass the gate")


if __name__ == "__main__":
    main()
