"""Ray Tune searches parameters. A trial trains in its own process: a nested trainer would cost it 20 s."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler
from ray.tune.search import BasicVariantGenerator, ConcurrencyLimiter, SearchAlgorithm, Searcher
from ray.tune.search.optuna import OptunaSearch

from ganops import assemble, config
from ganops.adaptors import parcel, runtime
from ganops.adaptors.parcel import Parcel
from ganops.adaptors.patience import patience
from ganops.adaptors.storage import Storage
from ganops.config import Experiment, Space
from ganops.data import Prepared
from ganops.errors import TrainingError
from ganops.metrics.reference import Reference
from ganops.run import Run
from ganops.trials import Trial
from ganops.validation import ValidationJudge

NAME = "tune"
"""Of the search's folder in the storage."""
SCORE = "distance"
VALIDATIONS = 3
"""Times that a trial is judged: at thirds of its length."""


def search(experiment: Experiment, prepared: Path, features: Path, listen: Callable[[Trial], None]) -> list[Trial]:
    """Runs the trials; a failed one is recorded and does not stop the others.

    Raises:
        TrainingError: No trial has a score, or a node does not see the storage.
    """
    with runtime.cluster():
        storage = Storage.of(experiment.compute)
        storage.check()
        storage.remove(NAME)
        parcels = {"prepared": parcel.send(prepared), "features": parcel.send(features)}
        gpus = ray.cluster_resources().get("GPU", 0) if experiment.compute.device != "cpu" else 0
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(_trial, content=experiment.content(), **parcels),
                {"CPU": 1, **({"GPU": 1} if gpus else {})},
            ),
            param_space={} if experiment.tune.search == "optuna" else _space(experiment.tune.space),
            tune_config=tune.TuneConfig(
                metric=SCORE,
                mode="min",
                num_samples=experiment.tune.trials,
                search_alg=_algorithm(experiment),
                scheduler=_scheduler(experiment),
            ),
            run_config=tune.RunConfig(name=NAME, storage_path=storage.address, verbose=0, callbacks=[_Telling(listen)]),
        )
        trials = [_trial_of(number, result) for number, result in enumerate(tuner.fit(), 1)]
        storage.remove(NAME, patience())
    if all(trial.score is None for trial in trials):
        raise TrainingError("no trial reached a score:\n" + "\n".join(f"  {t.number}: {t.status}" for t in trials))
    return trials


def _trial(values: dict[str, Any], content: dict[str, Any], prepared: Parcel, features: Parcel) -> None:
    """One trial: the first `tune.kimg` of the training with these values, judged at its thirds."""
    experiment = config.parse(content)
    piece = experiment.tune.kimg / VALIDATIONS
    experiment = experiment.override(
        {"train.tick_kimg": piece, "train.checkpoint_kimg": piece, "train.kimg": max(experiment.train.kimg, piece)}
    ).override(values)
    device = assemble.choose_device(experiment.compute.device)
    torch.set_num_threads(1)
    judge = ValidationJudge(Reference.open(features.open(), str(device)))
    run = Run(experiment, Prepared.open(prepared.open()), judge, device)
    for progress in run.play(until=VALIDATIONS * run.recipe.tick_steps):
        assert run.judge is not None
        tune.report({SCORE: progress.row[run.judge.name], "kimg": progress.row["kimg"]})


def _space(space: dict[str, Space]) -> dict[str, Any]:
    def domain(values: Space) -> Any:
        if values.choice is not None:
            return tune.choice(list(values.choice))
        if values.log_uniform is not None:
            return tune.loguniform(*values.log_uniform)
        assert values.uniform is not None
        return tune.uniform(*values.uniform)

    return {path: domain(values) for path, values in space.items()}


def _algorithm(experiment: Experiment) -> Searcher | SearchAlgorithm:
    concurrent = max(1, int(ray.cluster_resources().get("CPU", 1)))
    if experiment.tune.search == "random":
        return BasicVariantGenerator(random_state=experiment.seed, max_concurrent=concurrent)
    optuna = OptunaSearch(space=_space(experiment.tune.space), metric=SCORE, mode="min", seed=experiment.seed)
    return ConcurrencyLimiter(optuna, max_concurrent=concurrent)


def _scheduler(experiment: Experiment) -> Any:
    if experiment.tune.scheduler == "none":
        return FIFOScheduler()
    return ASHAScheduler(time_attr="training_iteration", max_t=VALIDATIONS, grace_period=1, reduction_factor=2)


class _Telling(tune.Callback):  # type: ignore[misc]  # ray is untyped
    """Tells the listener of each trial at each of its rungs."""

    def __init__(self, listen: Callable[[Trial], None]) -> None:
        self.listen = listen

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: Any, **info: Any) -> None:
        number = 1 + [other.trial_id for other in trials].index(trial.trial_id)
        status = f"rung {result['training_iteration']} of {VALIDATIONS}"
        self.listen(Trial(number, dict(trial.config), result[SCORE], result["kimg"], status))


def _trial_of(number: int, result: Any) -> Trial:
    metrics = result.metrics or {}
    done = metrics.get("training_iteration", 0)
    if result.error is not None:
        status = f"failed: {str(result.error).strip().splitlines()[-1]}"
    else:
        status = "finished" if done >= VALIDATIONS else f"stopped after {done} of {VALIDATIONS} rungs"
    return Trial(
        number=number,
        parameters=dict(metrics.get("config", {})),
        score=metrics.get(SCORE),
        kimg=metrics.get("kimg", 0.0),
        status=status,
    )
