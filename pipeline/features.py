"""Stage `features`: data/prepared -> artifacts/features."""

from ganops.core import layout
from ganops.core.terminal import say, stage
from ganops.data import SPLITS, Prepared
from ganops.experiment import checks, machine
from ganops.metrics.extractors import options_of
from ganops.metrics.reference import Reference, build


def main() -> None:
    """Runs the stage."""
    with stage(__file__) as name:
        experiment = checks.load()
        prepared = Prepared.open(layout.PREPARED, experiment.compute.cache)
        measured = {split: prepared.measured(split) for split in SPLITS}
        build(
            {split: samples for split, (samples, _) in measured.items()},
            {split: labels for split, (_, labels) in measured.items()},
            layout.FEATURES,
            extractor=experiment.features.extractor,
            options=options_of(experiment.features.model_dump(mode="json")),
            seed=experiment.seed,
            device=str(machine.choose_device(experiment.compute.device)),
            kind=prepared.spec.kind,
            facts=prepared.spec.facts,
        )
        say(name, Reference.open(layout.FEATURES).summary(prepared.spec.unit))


if __name__ == "__main__":
    main()
