"""A search goes on where it was, whenever its driver ends; trials train here, without Ray."""

import dataclasses
import json
import math
import random

import pytest

from ganops import config
from ganops.core.errors import DivergenceError, TrainingError
from ganops.core.files import read_json
from ganops.distributed import search_driver, trial_runner
from ganops.distributed.node_copy import NodeCopy
from ganops.distributed.runtime import Plan
from ganops.distributed.search_driver import SearchDriver
from ganops.distributed.storage import Storage
from ganops.distributed.trial_runner import Assignment, TrialRunner
from ganops.distributed.trial_store import TrialStore
from ganops.experiment.run import Run
from ganops.search.trials import best

SPACE = {"train.learning_rate.generator": {"log_uniform": [1e-5, 2e-3]}, "loss.r1": {"uniform": [0, 1]}}
RULES = {"trials": 3, "kimg": 0.6, "rungs": 3, "scheduler": "none", "space": SPACE}


class Killed(BaseException):
    """The driver's end."""


def assignment(**changes) -> Assignment:
    return Assignment(**{"number": 1, "parameters": {}, "after": 0, "until": 3, "source": 1, **changes})


@pytest.fixture
def arena(featured, tmp_path):
    return Arena(featured.folder, tmp_path)


class Arena:
    """What Ray Tune does, in one process: one trial after another, tick by tick."""

    def __init__(self, project, folder):
        self.project, self.folder = project, folder
        self.heard = []
        self.events = 0

    def experiment(self, **rules):
        content = config.load(self.project / "params.yaml").content()
        content["tune"] = {**content["tune"], **RULES, **rules}
        content["train"]["tick_kimg"] = 0.1
        return config.parse(content)

    def store(self, name="search"):
        return TrialStore(Storage(str(self.folder)), name)

    def runner(self, experiment, assignment, store=None):
        made = TrialRunner.__new__(TrialRunner)
        made.setup(
            dataclasses.asdict(assignment),
            content=experiment.content(),
            prepared=NodeCopy(str(self.project / "data" / "prepared")),
            features=NodeCopy(str(self.project / "artifacts" / "features")),
            store=store or self.store(),
            plan=Plan(1, 1, 0),
        )
        return made

    def search(self, experiment, store, kill=lambda event: False):
        """To its end, or until `kill` says so of the number of a moment."""
        driver = SearchDriver(experiment, store)
        driver.listen = self.heard.append
        while True:
            try:
                given = driver.next()
            except StopIteration:
                break
            trains = self.runner(experiment, given, store)
            done = False
            while not done:
                self._moment(kill)
                result = trains.step()
                self._moment(kill)
                driver.hear(given.number, result)
                done = result["done"] or ("distance" in result and driver.is_late)
            self._moment(kill)
            driver.leave(given.number)
        driver.close()
        return [driver.trials[number] for number in sorted(driver.trials)]

    def _moment(self, kill):
        self.events += 1
        if kill(self.events):
            raise Killed


def lasting(trials):
    """What does not depend on how often a search was interrupted: all but the speed."""
    kept = []
    for trial in trials:
        history = [{key: value for key, value in row.items() if key != "images_per_second"} for row in trial.history]
        kept.append(dataclasses.replace(trial, seconds=0.0, history=tuple(history)))
    return kept


@pytest.mark.parametrize("scheduler", ["none", "pbt"])
def test_a_search_that_is_killed_again_and_again_ends_as_one_that_was_not(arena, scheduler):
    experiment = arena.experiment(scheduler=scheduler, trials=3)
    whole = arena.search(experiment, arena.store("whole"))
    assert [(trial.status, trial.rung) for trial in whole] == [("finished", 3)] * 3
    assert any(trial.takeovers for trial in whole) == (scheduler == "pbt")
    written = arena.store("whole").about()
    assert arena.search(experiment, arena.store("whole")) == whole
    assert arena.store("whole").about() == written, "the day is that of the last result, not of the last look"
    chance, kills = random.Random(scheduler), 0
    while True:
        at = arena.events + chance.randint(1, 14)
        try:
            again = arena.search(experiment, arena.store("killed"), lambda event, at=at: event == at)
            break
        except Killed:
            kills += 1
    assert kills > 2
    assert lasting(again) == lasting(whole)


def test_a_trial_whose_state_is_damaged_is_judged_again_to_the_same_figures_and_says_so(arena, capsys):
    whole = arena.search(arena.experiment(trials=1), arena.store("whole"))
    store, events = arena.store("damaged"), iter(range(1000))
    with pytest.raises(Killed):
        arena.search(arena.experiment(trials=1), store, lambda _: bool(store.checkpoints()) and next(events) > 2)
    ((number, rung),) = store.checkpoints()
    path = store.storage.folder(store.checkpoint(number, rung)) / "run" / "state.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    capsys.readouterr()
    assert lasting(arena.search(arena.experiment(trials=1), store)) == lasting(whole)
    assert f"trial {number}: the checkpoint" in (said := " ".join(capsys.readouterr().out.split()))
    assert "is damaged" in said
    assert "trained again from the state before" in said


def test_one_more_trial_is_one_more(arena):
    three = arena.search(arena.experiment(), arena.store())
    arena.heard.clear()
    four = arena.search(arena.experiment(trials=4), arena.store())
    assert four[:3] == three
    assert {trial.number for trial in arena.heard} == {4}


def test_fewer_trials_are_those_of_a_search_of_so_many(arena):
    arena.search(arena.experiment(trials=4), arena.store())
    assert lasting(arena.search(arena.experiment(trials=2), arena.store())) == lasting(
        arena.search(arena.experiment(trials=2), arena.store("anew"))
    )
    assert len(arena.search(arena.experiment(trials=4), arena.store())) == 4, "none is lost"


def test_a_member_takes_over_weights_and_parameters(arena):
    """And trains on with its own: the learning rates are those of the new parameters, whatever Adam's state held."""
    experiment, store = arena.experiment(scheduler="pbt"), arena.store()
    good, bad, mixed = (
        {"train.learning_rate.generator": rate, "loss.r1": r1} for rate, r1 in ((1e-3, 0.1), (1e-5, 0.9), (8e-4, 0.2))
    )
    for number, values in ((1, good), (2, bad)):
        trains = arena.runner(experiment, assignment(number=number, parameters=values, until=1, source=number), store)
        while not trains.step()["done"]:
            pass
    trains = arena.runner(experiment, assignment(number=2, parameters=mixed, after=1, until=2), store)
    course = trial_runner.Course.of(experiment, mixed)
    runs = {}
    for number, source in ((1, 1), (2, 1)):
        run = Run(course.experiment, trains.data, trains.judge, trains.device)
        assert trains._begin(run, assignment(number=number, parameters=mixed, after=1, until=2, source=source)) == 1
        runs[number] = run.state
    own = store.storage.folder(store.checkpoint(2, 1)) / "run" / "state.safetensors"
    assert all(tensor.equal(runs[1].tensors()[name]) for name, tensor in runs[2].tensors().items())
    runs[1].load(own)
    assert not all(tensor.equal(runs[1].tensors()[name]) for name, tensor in runs[2].tensors().items())
    assert runs[2].step == course.step(1)
    run = Run(course.experiment, trains.data, trains.judge, trains.device)
    trains._begin(run, assignment(number=2, parameters=mixed, after=1, until=2))
    next(run.play(until=course.step(2)))
    assert {group["lr"] for group in run.state.adam_G.param_groups} == {8e-4}


def test_a_trial_that_diverges_is_recorded_and_the_others_go_on(arena, monkeypatch):
    play = Run.play

    def diverging(run, until=None):
        if run.experiment.loss.r1 == 0.5:
            raise DivergenceError("loss_g stopped being finite at step 3")
        yield from play(run, until)

    monkeypatch.setattr(Run, "play", diverging)
    rules = {"space": {"loss.r1": {"choice": [0.1, 0.5]}}, "trials": 2}
    found = {trial.parameters["loss.r1"]: trial for trial in arena.search(arena.experiment(**rules), arena.store())}
    assert (found[0.5].status, found[0.5].reason) == ("diverged", "loss_g stopped being finite at step 3")
    assert found[0.1].status == "finished"
    assert best(list(found.values())) == found[0.1]


def test_a_distance_that_is_no_number_ends_the_trial(arena, monkeypatch):
    monkeypatch.setattr("ganops.evaluation.validation.distance", lambda *arguments: math.nan)
    found = arena.search(arena.experiment(trials=2), arena.store())
    assert [(trial.status, trial.reason) for trial in found] == [("diverged", "the distance is nan")] * 2
    with pytest.raises(TrainingError, match=r"no trial of 2 ended with a distance that counts:\n  trial 1: diverged"):
        best(found)


def test_a_limit_ends_a_trial_and_says_which(arena):
    found = arena.search(arena.experiment(trials=1, limits={"coverage": {"at_least": 1}}), arena.store())
    assert (found[0].status, found[0].rung) == ("pruned", 1)
    assert found[0].reason.startswith("coverage 0")
    assert found[0].reason.endswith("is below 1 (tune.limits)")


def test_what_failed_is_tried_again_by_the_next_command(arena, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(Run, "save", raising(OSError(28, "No space left on device")))
        store = arena.store()
        found = arena.search(arena.experiment(trials=2), store)
        assert [trial.status for trial in found] == ["failed"] * 2
        for trial in found:
            where = store.storage.folder(store.checkpoint(trial.number, 1))
            assert trial.reason == f"[Errno 28] No space left on device: '{where}'"
    found = arena.search(arena.experiment(trials=2), arena.store())
    assert [(trial.status, trial.rung) for trial in found] == [("finished", 3)] * 2


def test_of_trials_that_have_ended_no_state_and_no_rows_stay_beside_their_ledger(arena, monkeypatch):
    """A trial that failed may go on: its state is kept, and nothing of the others, however often it is searched."""
    save, (one, two) = Run.save, [arena.experiment(trials=number) for number in (1, 2)]
    arena.search(one, arena.store())
    monkeypatch.setattr(Run, "save", lambda run, folder: save(run, folder) if run.state.step < 8 else 1 / 0)
    found = arena.search(two, arena.store())
    assert [trial.status for trial in found] == ["finished", "failed"]
    folder = arena.folder / "search"
    left = {path.relative_to(folder).parts[:2] for path in folder.rglob("*") if path.is_file()}
    assert left - {("checkpoints", "0002-1")} == {
        ("search.json",), ("trials", "0001.json"), ("trials", "0002.json"), ("pictures", "0001.png"),
        ("pictures", "0002.png"),
    }  # fmt: skip


def test_in_trouble_trials_that_ray_takes_off_have_not_ended(arena):
    store = arena.store()
    driver = SearchDriver(arena.experiment(trials=2), store)
    assignments = [driver.next(), driver.next()]
    driver.trouble = TrainingError("the disk is full")
    for assignment in assignments:
        driver.leave(assignment.number)
    assert [trial.status for trial in store.trials().values()] == ["running", "running"]
    assert [(trial.status, trial.rung) for trial in arena.search(arena.experiment(trials=2), store)] == [
        ("finished", 3)
    ] * 2


def test_two_of_the_same_search_at_once_are_kept_apart(arena):
    with (
        arena.store().held(),
        pytest.raises(TrainingError, match="another process is at this very search"),
        arena.store().held(),
    ):
        pass
    with arena.store().held(), arena.store("another").held():
        pass


def test_a_ledger_that_cannot_be_written_ends_the_search_with_words(arena, monkeypatch):
    monkeypatch.setattr(Storage, "write", raising(OSError(28, "No space left on device")))
    with pytest.raises(TrainingError, match=r"No space left on device\. Make room .* the same command goes on"):
        arena.search(arena.experiment(), arena.store())


def raising(error):
    def act(*arguments, **named):
        raise error

    return act


def test_when_the_time_is_over_trials_end_at_their_next_judgement(arena, monkeypatch):
    experiment = arena.experiment(trials=5, minutes=1.0)
    clock = iter(range(0, 10**6, 7))
    monkeypatch.setattr(search_driver.time, "monotonic", lambda: next(clock))
    found = arena.search(experiment, arena.store())
    assert len(found) < 5
    assert (found[-1].status, found[-1].reason) == ("stopped", search_driver.TIME_IS_UP)
    assert found[-1].rung >= 1
    # a search that has had its time begins nothing; with more time it goes on
    assert arena.search(experiment, arena.store()) == found
    longer = arena.search(arena.experiment(trials=5, minutes=60.0), arena.store())
    assert [(trial.status, trial.rung) for trial in longer] == [("finished", 3)] * 5
    assert longer[: len(found) - 1] == found[:-1]


def test_a_trial_of_a_longer_training_lasts_the_same_share_of_it(arena):
    experiment = arena.experiment()
    same = trial_runner.Course.of(experiment, {})
    longer = trial_runner.Course.of(experiment, {"train.d_steps": 5, "train.kimg": 5 * experiment.train.kimg})
    assert longer.step(3) == same.step(3)
    assert longer.experiment.train.kimg == 5 * same.experiment.train.kimg


def test_turns_of_d_are_none_where_there_is_no_game(arena):
    experiment = arena.experiment().override({"loss.name": "vae", "train.d_steps": 2})
    course = trial_runner.Course.of(experiment, {})
    assert course.rung(course.experiment.train.checkpoint_kimg) == 1


def test_a_trial_is_judged_as_often_as_asked_however_short_it_is(arena):
    found = arena.search(arena.experiment(trials=1, kimg=0.01, rungs=5), arena.store())
    assert [(trial.status, trial.rung, trial.kimg) for trial in found] == [("finished", 5, 0.25)]


def test_the_ledger_is_json_and_pictures(arena):
    arena.search(arena.experiment(trials=1), arena.store())
    folder = arena.folder / "search"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {"search.json", "trials/0001.json", "pictures/0001.png"}
    content = read_json(folder / "trials" / "0001.json")
    assert [row["rung"] for row in content["history"] if "rung" in row] == [1, 2, 3]
    assert {"distance", "coverage", "alarms", "precision"} <= content["history"][-1].keys()
    assert json.dumps(content)


def test_optuna_learns_from_what_is_known(arena):
    """Suggestions depend on the trials alone, and leave the half of the space that was bad."""
    from ganops.search.tpe import suggest
    from ganops.search.trials import Trial

    tune = arena.experiment(search="optuna", space={"loss.r1": {"uniform": [0, 1]}}).tune
    known = [Trial(i, {"loss.r1": i / 40}, "finished", rung=3, score=float(i)) for i in range(1, 40)]
    suggested = [suggest(tune.model_copy(update={"seed": s}), known) for s in range(20)]
    assert suggested[3] == suggest(tune.model_copy(update={"seed": 3}), known)
    assert sum(values["loss.r1"] < 0.5 for values in suggested) >= 17
    bad = [*known, Trial(40, {"loss.r1": 0.01}, "diverged", "a loss"), Trial(41, {"loss.r1": 0.5}, "failed"),
           Trial(42, {"loss.r1": 0.2}, "running")]  # fmt: skip
    assert 0 <= suggest(tune, bad)["loss.r1"] <= 1
