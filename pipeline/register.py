"""Stage `register`: artifacts/generator, metrics/evaluation.json -> a version in MLflow, metrics/registration.json."""

from pathlib import Path
from typing import Any

from ganops.core import layout
from ganops.core.errors import RegistryError
from ganops.core.files import write_json
from ganops.core.terminal import say, stage
from ganops.distributed.placement import placed
from ganops.evaluation.comparison import Comparison
from ganops.experiment import checks
from ganops.registry.registration import summary
from ganops.registry.stage import enter
from ganops.registry.versus_champion import compared


def main() -> None:
    """Runs the stage.

    Raises:
        RegistryError: The generator did not pass the gate, and `register.fail_on_reject` is set.
    """
    with stage(__file__) as name:
        experiment = checks.load()

        def compare(champion: Path, **how: Any) -> Comparison:
            return placed(experiment.compute, name, compared, champion, layout.GENERATOR, layout.FEATURES, **how)

        registration = enter(experiment, Path(), compare)
        write_json(layout.REGISTRATION, registration)
        write_json(layout.DECISION, {key: registration[key] for key in ("passed", "version")})
        say(name, f"{summary(registration)}   {layout.REGISTRATION_REPORT}/report.html")
        if experiment.register_.fail_on_reject and not registration["passed"]:
            raise RegistryError("register.fail_on_reject: the generator did not pass the gate")


if __name__ == "__main__":
    main()
