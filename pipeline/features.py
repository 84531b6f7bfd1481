"""Stage `features`: data/prepared -> artifacts/features."""

from ganops.core import layout
from ganops.core.terminal import say, stage
from ganops.distributed.placement import placed
from ganops.experiment import checks, features
from ganops.kinds import KINDS
from ganops.metrics.reference import Reference


def main() -> None:
    """Runs the stage."""
    with stage(__file__) as name:
        experiment = checks.load()
        placed(
            experiment.compute, name, features.make, layout.PREPARED, *features.weights(experiment),
            out=layout.FEATURES, experiment=experiment,
        )  # fmt: skip
        say(name, Reference.open(layout.FEATURES).summary(KINDS[experiment.data.kind].UNIT))


if __name__ == "__main__":
    main()
