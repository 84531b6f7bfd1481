"""Ray Tune runs a search: it places the trials, starts lost ones again and ends the worse ones early (ASHA).

What is next and what was found is the driver's, in a trial store of our own: Ray's state of an experiment is a pickle
that lags behind its trials, and leaves out what its schedulers know.
"""

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler
from ray.tune.search import Searcher

from ganops.config import Experiment
from ganops.core.errors import UserError
from ganops.core.files import hash_json
from ganops.core.labels import BY_FREQUENCY
from ganops.core.node_folder import scratched
from ganops.core.retry import retry_timeout
from ganops.core.terminal import say
from ganops.data import Prepared
from ganops.distributed import node_copy, runtime
from ganops.distributed.search_driver import SearchDriver, may_go_on
from ganops.distributed.storage import Storage
from ganops.distributed.trial_runner import DISTANCE, TrialRunner
from ganops.distributed.trial_store import TrialStore
from ganops.evaluation.validation import ValidationJudge
from ganops.experiment import build, identity, machine
from ganops.experiment.start import Start, place_of
from ganops.metrics.reference import Reference
from ganops.search.trials import Search, Trial

ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the trial store has it
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a tick without a judgement has no distance
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # an interrupted search has nothing to save
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "TUNE_WARN_THRESHOLD_S": "30",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}
LOGGERS = ("ray.tune", "ray.air")
"""Loggers whose words are for those who debug: troubles of trials are told by the driver."""
MAX_PROCESS_FAILURES = 3
"""Times that a trial is started again after its process was lost."""
BYTE = {"memory": 1}
"""Resources of a trial whose workers train: Ray wants something, and a part of a core would leave them none."""


Watch = Callable[[str, Sequence[Trial]], AbstractContextManager[Callable[[Trial], None]]]
"""(name of the distance, trials that are known) -> for as long as the search runs, what hears of each trial."""


def search(
    experiment: Experiment, prepared: Path, features: Path, watch: Watch, start: tuple[Path, str] | None = None
) -> Search:
    """Runs the trials that have not ended yet; one that fails is recorded and does not stop the others.

    Args:
        experiment: The parameters.
        prepared: Folder of the prepared data.
        features: Folder of the extractor and its reference statistics.
        watch: Shows what becomes of the trials.
        start: Folder and name of the generator that `train.start` means, where it is no folder of this machine.

    Returns:
        All of them: perhaps none that `trials.best` would take.

    Raises:
        TrainingError: The cluster is too small, or a node does not see the storage.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    runtime.check_room(experiment.compute, trial=True)
    data, judge = Prepared.open(prepared), ValidationJudge(Reference.open(features))
    labels = BY_FREQUENCY if build.shown(experiment, data.spec).classes else None
    start = start or place_of(experiment)
    begun = Start.open(*start).ancestor["weights"] if start else ""
    meaning = identity.meaning(experiment, data=data.hash, extractor=judge.hash, start=begun)
    name = fingerprint(experiment, meaning)
    store = TrialStore(Storage.of(experiment.compute), f"tune-{name}")
    with runtime.cluster():
        plan, concurrent = runtime.places(experiment.compute.trial, experiment.compute.device)
        store.storage.check()
        with store.held():
            if began := store.trials() and identity.continues(store.about().get("commit")):
                say("tune", f"goes on with a search of {began}")
            driver = SearchDriver(experiment, store)
            copies: dict[str, Any] = {"prepared": node_copy.send(prepared), "features": node_copy.send(features)}
            if start:
                copies["ancestor"] = node_copy.send(start[0]), start[1]
            shared = {"content": experiment.content(), "store": store, "plan": plan, "edits": meaning["edits"]}
            runner = tune.with_parameters(TrialRunner, **copies, **shared)
            needs = plan.resources() if plan.workers == 1 else BYTE
            with watch(judge.name, list(driver.trials.values())) as driver.listen:
                _run(tune.with_resources(runner, needs), driver, experiment, concurrent)
                driver.close()
            _tidy(driver)
            about = store.about()
            return Search(
                name=name,
                objective=judge.name,
                protocol=judge.protocol(experiment.train.validation_samples, labels),
                rules=experiment.content()["tune"],
                rungs=experiment.tune.rungs,
                trials=tuple(driver.trials[number] for number in sorted(driver.trials)),
                seconds=driver.seconds,
                hardware=driver.hardware or machine.hardware(torch.device("cpu")),
                finished=about.get("written", ""),
                commit=about.get("commit"),
                pictures=store.pictures(),
            )


def _tidy(driver: SearchDriver) -> None:
    """Removes the states that no trial will go on from."""
    store = driver.store
    if not any(map(may_go_on, driver.trials.values())):
        store.forget_all(lambda number, rung: True)
    store.storage.remove(f"{store.name}/train", retry_timeout())


def fingerprint(experiment: Experiment, meaning: dict[str, Any]) -> str:
    """Return the SHA-256 of all that decides the trials; their number does so in a population alone."""
    rules = experiment.content()["tune"]
    counted = experiment.tune.scheduler == "pbt"
    kept = {key: value for key, value in rules.items() if key != "minutes" and (key != "trials" or counted)}
    return hash_json({**meaning, "tune": kept})[:16]


def _run(trainable: Any, driver: SearchDriver, experiment: Experiment, concurrent: int) -> None:
    with scratched("tune") as scratch:
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                num_samples=-1,
                search_alg=_Assignments(driver),
                scheduler=_scheduler(experiment, driver),
                max_concurrent_trials=concurrent,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(scratch),
                verbose=0,
                stop=_Clock(driver),
                failure_config=tune.FailureConfig(max_failures=MAX_PROCESS_FAILURES),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
                callbacks=[_Results(driver)],
            ),
        )
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING if runtime.debugging() else logging.CRITICAL)
        tuner.fit()
    if driver.trouble:
        raise driver.trouble


def _scheduler(experiment: Experiment, driver: SearchDriver) -> Any:
    """ASHA, which has seen all that is known already; the driver replaces members of a population itself."""
    rules = experiment.tune
    if rules.scheduler != "asha" or rules.rungs == 1:
        return FIFOScheduler()
    asha = ASHAScheduler(
        time_attr="rung", metric=DISTANCE, mode="min", max_t=rules.rungs, grace_period=1,
        reduction_factor=rules.reduction, stop_last_trials=False,
    )  # fmt: skip
    for number, row in driver.judged():
        seen = SimpleNamespace(trial_id=str(number))
        asha.on_trial_add(None, seen)
        asha.on_trial_result(None, seen, row)
    return asha


class _Assignments(Searcher):  # type: ignore[misc]  # ray is untyped
    """Hands the driver's assignments to Ray Tune."""

    def __init__(self, driver: SearchDriver) -> None:
        super().__init__()
        self.driver = driver

    def set_search_properties(self, metric: Any, mode: Any, config: Any, **spec: Any) -> bool:
        return True

    def suggest(self, trial_id: str) -> Any:
        try:
            assignment = self.driver.next()
        except StopIteration:
            return Searcher.FINISHED
        except UserError as trouble:
            self.driver.trouble = trouble
            return Searcher.FINISHED
        return asdict(assignment) if assignment else None

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None: ...

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None: ...


class _Results(tune.Callback):  # type: ignore[misc]
    """Tells the driver what Ray Tune hears."""

    def __init__(self, driver: SearchDriver) -> None:
        self.driver = driver

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: Any, **info: Any) -> None:
        self._tell(self.driver.hear, trial, result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._tell(self.driver.leave, trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        last = str(trial.get_error()).strip().splitlines()[-1]
        why = f"its process was lost {MAX_PROCESS_FAILURES + 1} times, at last: {last}"
        self._tell(self.driver.lose, trial, why)

    def _tell(self, action: Callable[..., None], trial: Any, *arguments: Any) -> None:
        """Ray Tune would take what is raised here for a failure of the trial."""
        try:
            action(trial.config["number"], *arguments)
        except UserError as trouble:
            self.driver.trouble = trouble


class _Clock(tune.Stopper):  # type: ignore[misc]
    """Ends trials at their next judgement when the time is over, and all at once where the search cannot go on."""

    def __init__(self, driver: SearchDriver) -> None:
        self.driver = driver

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return DISTANCE in result and self.driver.is_late

    def stop_all(self) -> bool:
        return self.driver.trouble is not None
