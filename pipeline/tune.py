"""Stage `tune`: data/prepared, artifacts/features -> artifacts/best_params.yaml, reports/tune."""

from functools import partial
from pathlib import Path

from ganops.core import layout
from ganops.core.terminal import say, stage
from ganops.experiment import checks
from ganops.metrics.reference import Reference
from ganops.registry.ancestor import fetched
from ganops.reports import search_page
from ganops.search import trials
from ganops.search.table import search_table


def main() -> None:
    """Runs the stage."""
    with stage(__file__) as name:
        experiment = checks.load()
        checks.check_sight(experiment, Reference.open(layout.FEATURES).blind)
        if experiment.tune.trials and experiment.tune.space:
            from ganops.distributed.tune import search

            watch = partial(search_table, name, experiment.tune.trials)
            with fetched(experiment) as start:
                found = search(experiment, layout.PREPARED, layout.FEATURES, watch, start)
            search_page.publish(found, best_params=layout.BEST_PARAMS, report=layout.TUNE_REPORT)
            from ganops.registry.searches import try_to_record  # mlflow takes seconds to import

            if trouble := try_to_record(found, Path(), name=experiment.register_.name):
                say(name, f"the trials are not in MLflow yet, the stage register tries again: {trouble}")
            best = trials.summary(trials.best(found.trials))
            say(name, f"{len(found.trials)} trials, best {best}   {layout.TUNE_REPORT}/report.html")
        else:
            search_page.publish(None, best_params=layout.BEST_PARAMS, report=layout.TUNE_REPORT)
            say(name, "no search: the parameters are handed on as they are")


if __name__ == "__main__":
    main()
