"""One process of a search."""

from concurrent.futures import Future

import pytest
import torch
from phrases import Phrases, experiment

from ganops.config import load
from ganops.core import cores
from ganops.distributed.node_copy import NodeCopy
from ganops.distributed.runtime import Plan
from ganops.distributed.storage import Storage
from ganops.distributed.trial_runner import Assignment, TrialRunner
from ganops.distributed.trial_store import TrialStore
from ganops.experiment import run


@pytest.mark.parametrize(("cpus", "asked", "threads"), [(2, "auto", 1), (1, "auto", 1), (2, 2, 2)])
def test_a_trial_computes_with_the_threads_of_the_rule_whatever_torch_would_take(
    featured, tmp_path, monkeypatch, cpus, asked, threads
):
    seen, whole = set(), run.train

    def train(*args, **kwargs):
        for tick in whole(*args, **kwargs):
            seen.add(torch.get_num_threads())
            yield tick

    monkeypatch.setattr(run, "train", train)
    changes = {"compute.threads": asked, "compute.storage": str(tmp_path), "tune.kimg": 1}
    experiment = load(featured.folder / "params.yaml").override(changes)
    runner = TrialRunner.__new__(TrialRunner)
    runner.base, runner.plan, runner.edits, runner.ancestor = experiment, Plan(1, cpus, 0), None, None
    runner.prepared = NodeCopy(str(featured.folder / "data/prepared"))
    runner.features = NodeCopy(str(featured.folder / "artifacts/features"))
    runner.store = TrialStore(Storage.of(experiment.compute), "tune")
    runner.assignment = Assignment(1, {}, 0, experiment.tune.rungs, 1)
    with cores.threads(2):
        results = runner._results()
        assert next(results)["rows"]
        assert torch.get_num_threads() == 2
        results.close()
    assert seen == {threads}


class Judge:
    """A judge that counts."""

    name, hash = "fd_fake_validation", "judge"

    def __init__(self):
        self.judged = []

    def distance(self, generator, seeds):
        self.judged.append(generator.description.kimg)
        return float(len(self.judged))

    def submit(self, generator, seeds):
        future = Future()
        future.set_result(self.distance(generator, seeds))
        return future

    def figures(self):
        return {}


def test_a_trial_of_a_game_behind_a_warm_up_is_judged_after_equal_parts_of_both(tmp_path):
    """The end of the warm-up is judged as well, but is no end of a part."""
    changes = {"tune.trials": 1, "tune.kimg": 0.2, "tune.rungs": 2, "compute.storage": str(tmp_path)}
    runner = TrialRunner.__new__(TrialRunner)
    runner.base, runner.plan, runner.edits, runner.ancestor = experiment(**changes), Plan(1, 1, 0), None, None
    runner.store = TrialStore(Storage.of(runner.base.compute), "tune")
    runner.assignment = Assignment(1, {}, 0, 2, 1)
    runner.__dict__ |= {"judge": Judge(), "data": Phrases(), "device": torch.device("cpu")}
    results = list(runner._results())
    rows = [row for result in results for row in result["rows"]]
    assert runner.judge.judged == [0.1, 0.12, 0.2]
    assert [(row["kimg"], row["rung"], row["distance"]) for row in rows if "rung" in row] == [
        (0.1, 1, 1.0),
        (0.2, 2, 3.0),
    ]
    assert ["nll" in row for row in rows] == [row["kimg"] <= 0.12 for row in rows]
    assert results[-1]["ended"] == ["finished", ""]


def runner_of(store, assignment, **changes):
    """A process of a search, without Ray."""
    runner = TrialRunner.__new__(TrialRunner)
    runner.base, runner.plan, runner.edits, runner.ancestor = experiment(**changes), Plan(1, 1, 0), None, None
    runner.store, runner.assignment, runner.notes = store, assignment, []
    runner.__dict__ |= {"judge": Judge(), "data": Phrases(), "device": torch.device("cpu")}
    return runner


def rows_of(runner):
    kept = ("images_per_second", "distance")
    return [{k: v for k, v in row.items() if k not in kept} for result in runner._results() for row in result["rows"]]


@pytest.mark.parametrize("source", [1, 2])
def test_who_goes_on_from_a_state_has_the_rows_before_it_whoever_they_are_of(tmp_path, source):
    """A state has all rows with it: a member of a population takes another's past over, and they go when it goes."""
    changes = {"tune.trials": 2, "tune.kimg": 0.2, "tune.rungs": 2, "compute.storage": str(tmp_path)}
    changes |= {"tune.scheduler": "pbt", "loss.warm_up": None}
    store = TrialStore(Storage.of(experiment(**changes).compute), "tune")
    whole = rows_of(runner_of(store, Assignment(3, {}, 0, 2, 3), **changes))
    for number in (1, 2):
        rows_of(runner_of(store, Assignment(number, {}, 0, 1, number), **changes))
    again = rows_of(runner_of(store, Assignment(1, {}, 1, 2, source), **changes))
    assert again == whole
    assert store.pictures().keys() == {1, 2, 3}
    assert {path.name for path in (tmp_path / "tune").iterdir()} == {"checkpoints", "pictures"}
    logs = {path.parents[1].name for path in (tmp_path / "tune").rglob("log/*")}
    assert {"0001-2", "0003-2"} <= logs <= {path.name for path in (tmp_path / "tune/checkpoints").iterdir()}
