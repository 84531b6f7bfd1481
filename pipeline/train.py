"""Stage `train`: data/prepared, artifacts/{features,best_params.yaml} -> artifacts/generator and its curves."""

from ganops.core import layout
from ganops.core.terminal import say, stage, training_bar
from ganops.distributed.train import fit
from ganops.experiment import build, checks
from ganops.kinds import KINDS
from ganops.metrics.reference import Reference
from ganops.registry.ancestor import fetched
from ganops.search import trials


def main() -> None:
    """Runs the stage."""
    with stage(__file__) as name:
        asked = checks.load()
        checks.check_sight(asked, Reference.open(layout.FEATURES).blind)
        experiment = trials.handed_on(asked, layout.BEST_PARAMS)
        with (
            fetched(experiment) as start,
            training_bar(
                name, experiment.train.kimg, KINDS[experiment.data.kind].UNIT, build.warm_up_kimg(experiment)
            ) as show,
            fit(
                experiment,
                layout.PREPARED,
                layout.FEATURES,
                lambda p: show(p.row, (*p.notes, *p.alarms), p.judged),
                start,
            ) as run,
        ):
            run.publish(
                generator=layout.GENERATOR,
                metrics=layout.TRAIN_METRICS,
                history=layout.HISTORY,
                validation=layout.VALIDATION,
                speed=layout.SPEED,
                pictures=layout.FILMSTRIP,
            )
        say(name, f"{run.summary()}   {layout.FILMSTRIP}/")


if __name__ == "__main__":
    main()
