"""Optuna's tree-structured Parzen estimator suggests the parameters of the next trial from those that are known."""

import json
import warnings
from collections.abc import Sequence
from typing import Any

import optuna

from ganops.config import Space, Tune
from ganops.core.randomness import seed_of
from ganops.search.space import Values, fill, is_active, ordered
from ganops.search.trials import Trial

STARTERS = 5
"""Trials that are drawn at random before the estimator begins."""

STATES = {
    "finished": optuna.trial.TrialState.COMPLETE,
    **dict.fromkeys(("stopped", "pruned", "diverged"), optuna.trial.TrialState.PRUNED),
    "failed": optuna.trial.TrialState.FAIL,
    "running": optuna.trial.TrialState.RUNNING,
}
"""Pruned trials count as worse than finished ones: by how far they came, then by their last distance."""


def suggest(tune: Tune, trials: Sequence[Trial]) -> Values:
    """The parameters of the trial after these: the study is built anew, so nothing but the trials has to be kept."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # groups are what conditions need
        sampler = optuna.samplers.TPESampler(
            seed=seed_of(tune.seed, "suggestion", len(trials)) % 2**32, n_startup_trials=STARTERS, multivariate=True,
            group=True, constant_liar=True,
        )  # fmt: skip
    study = optuna.create_study(sampler=sampler)
    order = ordered(tune.space)
    for trial in trials:
        study.add_trial(_known(trial, order))
    asked = study.ask()
    return fill(order, lambda path, i, kind: _asked(asked, f"{path}#{i}", kind))


def _asked(trial: Any, name: str, kind: Space) -> Any:
    if kind.choice:
        return json.loads(trial.suggest_categorical(name, [json.dumps(each) for each in kind.choice]))
    if kind.integer:
        return trial.suggest_int(name, *kind.integer)
    low, high = kind.bounds or (0.0, 1.0)
    return trial.suggest_float(name, low, high, log=kind.log_uniform is not None)


def _known(trial: Trial, order: Sequence[tuple[str, int, Space]]) -> Any:
    """A trial as Optuna wants it."""
    values: Values = {}
    given, distributions = {}, {}
    for path, i, kind in order:
        if is_active(kind, values) and path in trial.parameters:
            values[path] = trial.parameters[path]
            given[f"{path}#{i}"] = json.dumps(values[path]) if kind.choice else values[path]
            distributions[f"{path}#{i}"] = _distribution(kind)
    counts = trial.status in ("finished", "stopped", "running")
    steps = {int(row["rung"]): row["distance"] for row in trial.history if "rung" in row} if counts else {}
    return optuna.trial.create_trial(
        state=STATES[trial.status],
        params=given,
        distributions=distributions,
        intermediate_values=steps,
        value=trial.score if trial.status == "finished" else None,
    )


def _distribution(kind: Space) -> Any:
    if kind.choice:
        return optuna.distributions.CategoricalDistribution([json.dumps(each) for each in kind.choice])
    if kind.integer:
        return optuna.distributions.IntDistribution(*kind.integer)
    low, high = kind.bounds or (0.0, 1.0)
    return optuna.distributions.FloatDistribution(low, high, log=kind.log_uniform is not None)
