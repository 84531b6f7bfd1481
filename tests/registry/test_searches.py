"""The trials of a search as MLflow shows them."""

import dataclasses

import pytest

from ganops.registry import searches, tracking
from ganops.registry.searches import record, try_to_record
from ganops.search.trials import Search, Trial


def rows(*distances):
    return tuple({"kimg": i + 1.0, "loss_g": 0.5, "rung": i + 1, "distance": d} for i, d in enumerate(distances))


TRIALS = (
    Trial(1, {"loss.r1": 0.5}, "finished", "", 2, 3.0, 2.0, 9.0, rows(5.0, 3.0)),
    Trial(2, {"loss.r1": 0.1, "model.options.width": 8}, "stopped", "ASHA", 1, 7.0, 1.0, 4.0, rows(7.0)),
    Trial(3, {"loss.r1": 0.9}, "diverged", "loss_g stopped being finite"),
)
SEARCH = Search(
    "0123456789abcdef", "fd_domain_validation", {"name": "fd_domain_200_validation"}, {"trials": 3}, 2, TRIALS, 20.0
)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tracking.connect(tmp_path)


def children(store, parent):
    experiment = store.get_run(parent).info.experiment_id
    found = store.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'")
    return {int(run.data.tags[searches.TRIAL]): run for run in found}


def test_each_trial_is_a_child_run_of_the_search(store, tmp_path):
    parent = record(SEARCH, tmp_path, name="faces")
    search = store.get_run(parent)
    assert search.data.metrics["validation/fd_domain"] == 3.0
    told = "smallest fd_domain_validation of the 1 of 3 trials that count and came furthest: 3 after 2 kimg"
    assert search.data.tags[searches.REASON].startswith(told)
    found = children(store, parent)
    assert {number: run.info.status for number, run in found.items()} == {1: "FINISHED", 2: "FINISHED", 3: "FAILED"}
    assert found[2].data.params == {"loss.r1": "0.1", "model.options.width": "8"}
    assert found[3].data.tags[searches.REASON] == "loss_g stopped being finite"
    curve = [(point.step, point.value) for point in store.get_metric_history(found[1].info.run_id, "train/distance")]
    assert curve == [(1000, 5.0), (2000, 3.0)]


def test_again_adds_nothing_and_one_more_trial_adds_one(store, tmp_path):
    parent = record(SEARCH, tmp_path, name="faces")
    before = {number: run.info.run_id for number, run in children(store, parent).items()}
    assert record(SEARCH, tmp_path, name="faces") == parent
    assert {number: run.info.run_id for number, run in children(store, parent).items()} == before
    more = (*TRIALS, dataclasses.replace(TRIALS[0], number=4, score=1.0))
    assert record(dataclasses.replace(SEARCH, trials=more), tmp_path, name="faces") == parent
    after = {number: run.info.run_id for number, run in children(store, parent).items()}
    assert {number: after[number] for number in before} == before
    assert set(after) == {1, 2, 3, 4}
    assert store.get_run(parent).data.metrics["validation/fd_domain"] == 1.0


def test_a_trial_that_went_on_or_was_tried_again_is_told_as_it_ended(store, tmp_path):
    parent = record(SEARCH, tmp_path, name="faces")
    before = {number: run.info.run_id for number, run in children(store, parent).items()}
    on = dataclasses.replace(TRIALS[1], status="finished", reason="", rung=2, score=2.0, history=rows(7.0, 2.0))
    again = dataclasses.replace(TRIALS[2], status="finished", reason="", rung=2, score=4.0, history=rows(6.0, 4.0))
    search = dataclasses.replace(SEARCH, trials=(TRIALS[0], on, again))
    assert record(search, tmp_path, name="faces") == parent
    found = children(store, parent)
    assert {number: run.info.run_id for number, run in found.items()} == before
    assert [found[number].data.metrics["validation/fd_domain"] for number in (1, 2, 3)] == [3.0, 2.0, 4.0]
    ends = [
        (found[n].info.status, found[n].data.tags[searches.STATUS], found[n].data.tags[searches.REASON]) for n in (2, 3)
    ]
    assert ends == [("FINISHED", "finished", "")] * 2
    curve = [(point.step, point.value) for point in store.get_metric_history(found[2].info.run_id, "train/distance")]
    assert curve == [(1000, 7.0), (2000, 2.0)]


def test_a_call_that_ended_half_way_is_finished_by_the_next(store, tmp_path, monkeypatch):
    original = searches._record_trial
    with monkeypatch.context() as broken:
        calls = iter(range(2))
        broken.setattr(searches, "_record_trial", lambda *arguments: (next(calls), original(*arguments)))
        with pytest.raises(StopIteration):
            record(SEARCH, tmp_path, name="faces")
    found = children(store, record(SEARCH, tmp_path, name="faces"))
    assert len(found) == 3


def test_a_job_without_a_server_leaves_it_to_its_home(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert searches.is_recorded_here()
    monkeypatch.setenv("GANOPS_JOB", "job-1")
    assert not searches.is_recorded_here()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert searches.is_recorded_here()


def test_the_stage_tune_waits_for_no_server(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert "no MLflow server answers at http://127.0.0.1:9" in try_to_record(SEARCH, tmp_path, name="faces")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert try_to_record(SEARCH, tmp_path, name="faces") == ""
    monkeypatch.setenv("GANOPS_JOB", "job-1")
    assert try_to_record(SEARCH, tmp_path / "elsewhere", name="faces") == ""
    assert not (tmp_path / "elsewhere").exists()
