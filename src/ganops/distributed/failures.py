"""Failures of a training on Ray's workers: a lost worker begins it again, an error of its own ends it at once."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray.train
import torch.distributed as dist
from ray.exceptions import RayActorError, RayError, RayTaskError

from ganops.core.errors import TrainingError
from ganops.core.signals import aside
from ganops.core.storage import away

MAX_WORKER_FAILURES = 20
"""Times that one training goes on after workers were lost with their process or their node."""
MAX_WAITS = 30
"""Times that Ray waits for room, 20 s each: in ten minutes a lost machine is replaced, or it is not."""
POLICY = ray.train.FailureConfig(max_failures=MAX_WORKER_FAILURES, controller_failure_limit=MAX_WAITS)
"""The failures after which Ray begins again by itself; nodes that are announced to go it does not count."""


class OwnError(Exception):
    """An error that the training itself raised, on its way to the driver: (the error, its traceback as text)."""


@contextmanager
def own() -> Iterator[None]:
    """Makes what a worker raises in the block an `OwnError`, unless a lost worker or Ray itself made it fail."""
    try:
        yield
    except (RayError, dist.DistError):
        raise
    except Exception as error:
        if "gloo" in str(error):  # a sum without the lost partner: a plain RuntimeError, told by its text alone
            raise
        raise OwnError(error, traceback.format_exc()) from None


class EndAtOwnError(ray.train.UserCallback):  # type: ignore[misc]  # ray is untyped
    """Ends a training as soon as one worker raised an `OwnError`; without it Ray would begin again, to the same end.

    A worker's return value would not do: Ray waits for all of them, and the others wait for their partner.
    """

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Hands the error to Ray's controller, for which it is none that can be retried."""
        for error in worker_exceptions.values():
            if isinstance(error, OwnError):
                raise error


def fit(trainer: Callable[[], Any], storage: str) -> Any:
    """Return the result of a Ray trainer, made anew where Ray's controller was lost or could not reach the storage.

    Args:
        trainer: Makes it; waits for the storage if it is away.
        storage: Address of the storage, for people.

    Raises:
        TrainingError: What ended it, if its user can mend that; other errors of the training come as they are.
    """
    for left in reversed(range(MAX_WORKER_FAILURES + 1)):
        try:
            return aside(lambda: trainer().fit())  # on the main thread Ray Train would take SIGINT for itself
        except (RayActorError, ray.train.ControllerError) as error:
            failure = getattr(error, "controller_failure", error)
            lost = isinstance(failure, RayError) and not isinstance(failure, RayTaskError)
            if not left or not (lost or away(failure)):
                raise _told(failure, storage) from None
        except ray.train.WorkerGroupError as error:
            raise _told(error, storage) from None
    raise AssertionError


def _told(failure: Exception, storage: str) -> Exception:
    """Return what the driver raises: the training's own error with its traceback, or a sentence for its user."""
    goes_on = "the same command continues from the last whole checkpoint"
    if isinstance(failure, OwnError):
        cause: Exception = failure.args[0]
        if isinstance(cause, OSError):
            return TrainingError(
                f"a worker could not read or write a file: {cause}. Make room in {storage}, or name another folder in "
                f"compute.storage; {goes_on}."
            )
        cause.add_note(f"On the worker:\n{failure.args[1]}")
        return cause
    if isinstance(failure, ray.train.WorkerGroupError):
        last = str(next(iter(failure.worker_failures.values()), failure)).strip().splitlines()[-1]
        times = MAX_WORKER_FAILURES + 1
        return TrainingError(f"workers were lost {times} times, at last: {last}. Their nodes may say more; {goes_on}.")
    # Ray names no class for it in public: the name tells it, and the number it brings
    if type(failure).__name__ == "WorkerGroupStartupTimeoutError":
        return TrainingError(
            f"the cluster had no room for {getattr(failure, 'num_workers', 'the')} workers any more, and none came "
            f"back. The checkpoints are in {storage}: the same command continues when there is room, or with fewer "
            "compute.workers."
        )
    return failure
