"""Stage `train`: data/prepared, artifacts/{features,best_params.yaml} -> artifacts/generator and its curves."""

from ganops import assemble, layout
from ganops.adaptors.training import fit
from ganops.metrics.reference import Reference
from ganops.search import trials
from ganops.terminal import say, stage, training_bar


def main() -> None:
    """Runs the stage."""
    with stage(__file__) as name:
        asked = assemble.load()
        assemble.check_sight(asked, Reference.open(layout.FEATURES).blind)
        experiment = trials.handed_on(asked, layout.BEST_PARAMS)
        with (
            training_bar(name, experiment.train.kimg) as show,
            fit(
                experiment, layout.PREPARED, layout.FEATURES, lambda p: show(p.row, (*p.notes, *p.alarms), p.judged)
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
        say(name, f"{run.in_words()}   {layout.FILMSTRIP}/")


if __name__ == "__main__":
    main()
