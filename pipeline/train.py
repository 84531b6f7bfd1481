"""Stage `train`: data/prepared, artifacts/{features,best_params.yaml} -> artifacts/generator and its curves."""

from collections.abc import Callable
from pathlib import Path

from ganops.core import layout
from ganops.core.terminal import say, stage, training_bar
from ganops.distributed.train import fit
from ganops.experiment import build, checks
from ganops.experiment.publication import publish
from ganops.experiment.run import Progress
from ganops.kinds import KINDS
from ganops.metrics.reference import Reference
from ganops.registry.ancestor import fetched
from ganops.registry.live import Live, live
from ganops.search import trials


def main() -> None:
    """Runs the stage."""
    with stage(__file__) as name:
        asked = checks.load()
        checks.check_sight(asked, Reference.open(layout.FEATURES).blind)
        experiment = trials.handed_on(asked, layout.BEST_PARAMS)
        unit, warm_up = KINDS[experiment.data.kind].UNIT, build.warm_up_kimg(experiment)
        with (
            fetched(experiment) as start,
            live(experiment, Path()) as mlflow,
            training_bar(name, experiment.train.kimg, unit, warm_up) as show,
            fit(
                experiment,
                layout.PREPARED,
                layout.FEATURES,
                lambda p: tell(p, show, mlflow),
                start,
                mlflow.begin,
                leave=True,
            ) as run,
        ):
            line = publish(
                run,
                generator=layout.GENERATOR,
                metrics=layout.TRAIN_METRICS,
                history=layout.HISTORY,
                validation=layout.VALIDATION,
                speed=layout.SPEED,
                pictures=layout.FILMSTRIP,
            )
        say(name, f"{line}   {layout.FILMSTRIP}/")


def tell(progress: Progress, show: Callable[..., None], mlflow: Live) -> None:
    """Tells a tick to whoever watches."""
    show(progress.row, progress.alarms, progress.judged, notes=progress.notes)
    mlflow.tick(progress)


if __name__ == "__main__":
    main()
