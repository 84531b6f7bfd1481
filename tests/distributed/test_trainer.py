"""Which numbers of workers train, which failures are made good how often, and what starts beside the workers."""

import errno
import subprocess
import sys

import pytest
from ray.exceptions import ActorDiedError
from ray.train import ControllerError, FailureConfig, ScalingConfig, WorkerGroupError
from ray.train.v2._internal.callbacks import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError, WorkerHealthCheckFailedError

from ganops.distributed import runtime
from ganops.distributed.trainer import LOSSES, Counts, Failures, LeavingError, Trainer


@pytest.mark.parametrize(("room", "workers"), [(0, 0), (1, 0), (2, 2), (3, 2), (5, 4), (9, 8), (20, 8)])
@pytest.mark.parametrize("leaving", [set(), {"1000", "1001"}])
def test_only_numbers_that_share_the_batch_are_taken(room, workers, leaving, monkeypatch):
    """And only nodes that stay count."""
    monkeypatch.setattr(runtime, "leaving", lambda: leaving)
    policy = Counts(ScalingConfig(num_workers=(2, 8), resources_per_worker={"CPU": 1}), (2, 4, 8))
    nodes = {**{str(number): {"CPU": 1.0} for number in range(room)}, **{node: {"CPU": 4.0} for node in leaving}}
    assert policy._count_possible_workers(nodes) == workers


LOST = WorkerHealthCheckFailedError("silent", ActorDiedError())
FAILURES = {
    "lost": (WorkerGroupError("", {0: LOST, 1: RuntimeError("Connection reset by peer")}), LOSSES),
    "lost at the start": (ControllerError(ActorDiedError()), LOSSES),
    "storage away from the controller": (ControllerError(OSError("AWS Error NETWORK_CONNECTION")), LOSSES),
    "raised": (WorkerGroupError("", {0: ValueError("a defect")}), 3),
    "no room": (ControllerError(WorkerGroupStartupTimeoutError(2)), 7),
}


@pytest.mark.parametrize("name", FAILURES)
def test_each_kind_of_failure_has_its_own_limit(name):
    policy = Failures(FailureConfig(max_failures=3, controller_failure_limit=7))
    error, limit = FAILURES[name]
    decisions = [policy.make_decision(error).value for _ in range(limit + 1)]
    assert decisions == ["RETRY"] * limit + ["RAISE"]
    for other, (error, _) in FAILURES.items():
        same = FAILURES[other][1] == limit == LOSSES
        assert policy.make_decision(error).value == ("RAISE" if other == name or same else "RETRY")


def test_workers_that_leave_in_time_are_not_counted():
    policy = Failures(FailureConfig(max_failures=0))
    left = WorkerGroupError("", {0: LeavingError(), 1: LeavingError()})
    assert {policy.make_decision(left).value for _ in range(LOSSES + 2)} == {"RETRY"}


@pytest.mark.parametrize("full", [OSError(errno.ENOSPC, "No space left on device"), ValueError("a defect")])
def test_what_does_not_pass_ends_the_training(full):
    assert Failures(FailureConfig(max_failures=3)).make_decision(ControllerError(full)).value == "RAISE"


@pytest.mark.parametrize(
    ("alone", "idle"), [(True, {DatasetsCallback, PlacementGroupCleanerCallback}), (False, {DatasetsCallback})]
)
def test_no_process_starts_that_has_nothing_to_do(alone, idle, monkeypatch):
    trainer = Trainer(print, counts=(1,), alone=alone, scaling_config=ScalingConfig(num_workers=1))
    of_ray = {type(callback) for callback in super(Trainer, trainer)._create_default_callbacks()}
    ours = {type(callback) for callback in trainer._create_default_callbacks()}
    assert of_ray - ours == idle


def test_the_board_imports_nothing_that_is_slow():
    heavy = "import sys, ganops.distributed.progress; assert not {'torch', 'numpy', 'ray.train'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", heavy], check=True)
