"""Which failures of a training begin it again and which end it, and what its user is told."""

import errno
import pickle
import threading
import time
from types import SimpleNamespace

import pytest
import ray
import ray.train.torch
import torch.distributed as dist
from ray.exceptions import ActorDiedError, ObjectLostError
from ray.train import ControllerError, ScalingConfig, WorkerGroupError

from ganops.core.errors import DivergenceError, TrainingError
from ganops.distributed import failures
from ganops.distributed.failures import MAX_WORKER_FAILURES, EndAtOwnError, OwnError

RESET = "[/gloo/transport/tcp/pair.cc:545] Read error [127.0.0.1]:53481: Connection reset by peer."
"""The RuntimeError of torch 2.14 for a sum whose partner is gone."""
LOST = [
    RuntimeError(RESET),
    dist.DistNetworkError("The client socket has failed to connect"),
    ObjectLostError("ff", "", ""),
]
OWN = [ValueError("a defect"), RuntimeError("shapes"), TrainingError("full"), OSError(errno.ENOSPC, "No space left")]


def trained(*outcomes):
    """Trains with trainers whose `fit` comes to one outcome after the other, the last one for ever; and how many."""
    made = []

    def fit():
        outcome = outcomes[min(len(made), len(outcomes)) - 1]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def trainer():
        made.append(1)
        return SimpleNamespace(fit=fit)

    try:
        return failures.fit(trainer, "the storage"), len(made)
    except Exception as error:
        return error, len(made)


@pytest.mark.parametrize("error", LOST + OWN, ids=repr)
def test_an_error_is_the_trainings_own_unless_a_worker_was_lost(error):
    with pytest.raises(type(error) if error in LOST else OwnError), failures.own():
        raise error


@pytest.mark.parametrize("error", OWN, ids=repr)
def test_an_own_error_of_any_worker_ends_the_training_and_comes_home_with_its_traceback(error):
    with pytest.raises(OwnError) as caught, failures.own():
        raise error
    arrived = pickle.loads(pickle.dumps(caught.value))
    EndAtOwnError().after_exception(None, dict(enumerate(LOST)))
    with pytest.raises(OwnError) as told:
        EndAtOwnError().after_exception(None, {0: LOST[0], 1: arrived})
    found, times = trained(ControllerError(told.value))
    assert times == 1
    if isinstance(error, OSError):
        assert isinstance(found, TrainingError)
        assert "a worker could not read or write a file: [Errno 28] No space left. Make room in the storage" in str(
            found
        )
    else:
        assert (type(found), str(found)) == (type(error), str(error))
        assert "test_failures.py" in found.__notes__[0]


@pytest.mark.parametrize("lost", [ActorDiedError(), OSError("AWS Error NETWORK_CONNECTION")], ids=repr)
def test_a_lost_controller_and_one_that_cannot_reach_the_storage_begin_again(lost):
    assert trained(ControllerError(lost), ActorDiedError(), "done") == ("done", 3)
    found, times = trained(ControllerError(lost))
    assert (found, times) == (lost, MAX_WORKER_FAILURES + 1)


def test_what_does_not_pass_is_not_tried_again():
    full = OSError(errno.ENOSPC, "No space left on device")
    assert trained(ControllerError(full)) == (full, 1)


def test_ray_counts_lost_workers_and_waits_for_room_only_so_often():
    assert failures.POLICY.max_failures == MAX_WORKER_FAILURES == 20
    assert 0 < failures.POLICY.controller_failure_limit <= 30
    found, times = trained(WorkerGroupError("", {1: ActorDiedError()}))
    assert times == 1
    assert "workers were lost 21 times, at last: " in str(found)
    assert "the same command continues" in str(found)


def test_rays_own_handler_of_ctrl_c_has_no_place():
    """It would end the process with 0, as if it had succeeded; Ray sets it on the main thread alone."""
    seen = []
    trainer = SimpleNamespace(fit=lambda: seen.append(threading.current_thread()))
    failures.fit(lambda: trainer, "")
    assert seen[0] is not threading.main_thread()


@pytest.fixture(scope="module")
def two_cores():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "1")
        patch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


def on_ray(work, folder, workers, policy=failures.POLICY):
    """Trains with Ray's own trainer."""
    run = ray.train.RunConfig(name="run", storage_path=str(folder), failure_config=policy, callbacks=[EndAtOwnError()])
    scaling = ScalingConfig(num_workers=workers, resources_per_worker={"CPU": 1})
    return failures.fit(lambda: ray.train.torch.TorchTrainer(work, scaling_config=scaling, run_config=run), str(folder))


@pytest.mark.ray
def test_on_ray_one_worker_that_fails_ends_them_all_at_once(two_cores, tmp_path):
    def work():
        rank = ray.train.get_context().get_world_rank()
        with failures.own():
            if rank == 1:
                (tmp_path / f"try-{time.time()}").touch()
                raise DivergenceError("the loss is not finite")
            time.sleep(300)

    start = time.monotonic()
    with pytest.raises(DivergenceError, match="not finite") as caught:
        on_ray(work, tmp_path, 2)
    assert time.monotonic() - start < 200
    assert len(list(tmp_path.glob("try-*"))) == 1
    assert "in work" in caught.value.__notes__[0]


@pytest.mark.ray
def test_on_ray_missing_room_is_told_with_the_number_of_workers(two_cores, tmp_path):
    policy = ray.train.FailureConfig(controller_failure_limit=1)
    with pytest.raises(TrainingError, match="the cluster had no room for 3 workers any more, and none came back"):
        on_ray(lambda: None, tmp_path, 3, policy)
