"""Ray's trainer with decisions of our own: how many workers train, how often a loss is made good, what starts.

Ray has no public way to make them. It asks its policies inside its controller; these follow ray 2.60, which is pinned.
"""

import asyncio
import os
from typing import Any

import ray.train.torch
from ray.data._internal.cluster_autoscaler.default_autoscaling_coordinator import get_or_create_autoscaling_coordinator
from ray.exceptions import RayActorError
from ray.train.v2._internal.callbacks import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.constants import ENABLE_PREEMPTION_WATCHER_ENV_VAR
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError
from ray.train.v2._internal.execution.controller import TrainController
from ray.train.v2._internal.execution.failure_handling.default import DefaultFailurePolicy
from ray.train.v2._internal.execution.failure_handling.failure_policy import FailureDecision
from ray.train.v2._internal.execution.scaling_policy import ElasticScalingPolicy, FixedScalingPolicy
from ray.train.v2._internal.execution.worker_group import WorkerGroup

from ganops.distributed import runtime
from ganops.distributed.storage import away

LOSSES = 20
"""Times that one training goes on after workers were lost with their process or their node."""


class LeavingError(Exception):
    """A worker's end before its node goes, with everything saved."""


class Trainer(ray.train.torch.TorchTrainer):  # type: ignore[misc]  # ray is untyped
    """Trains with one of `counts` workers, as many as the nodes have room for; one count: exactly so many.

    `alone`: Ray is our own; it is this process, or a trial that this process awaits, that started it.
    """

    def __init__(self, *arguments: Any, counts: tuple[int, ...], alone: bool, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.counts, self.alone = counts, alone

    def _create_default_callbacks(self) -> list[Any]:
        """Without those that have nothing to do, and start a process each, which imports Ray while the workers start.

        There are no Ray data sets, and a Ray that ends with this process leaves no placement groups behind.
        """
        idle = (DatasetsCallback, PlacementGroupCleanerCallback) if self.alone else (DatasetsCallback,)
        return [callback for callback in super()._create_default_callbacks() if not isinstance(callback, idle)]

    def _initialize_and_run_controller(self, **parts: Any) -> Any:
        """Runs Ray's controller: here, where Ray is our own. In a process of its own it would import all of this: 4 s.

        On a cluster it stays Ray's actor: workers that leave a node ask it whether their checkpoint counts.
        """
        parts["failure_policy"] = Failures(self.run_config.failure_config)
        if len(self.counts) > 1:
            parts["scaling_policy"] = Counts(self.scaling_config, self.counts)
        if not self.alone:
            get_or_create_autoscaling_coordinator()  # the controller would start it, and wait until it is there
            return super()._initialize_and_run_controller(**parts)
        if len(self.counts) <= 1:
            parts["scaling_policy"] = Fixed(self.scaling_config)
        os.environ.setdefault(ENABLE_PREEMPTION_WATCHER_ENV_VAR, "0")  # nobody takes this machine away with a warning
        controller = Controller(**parts)
        try:
            asyncio.run(controller.run())
            return controller.get_result()
        finally:  # also when interrupted: whoever keeps Ray running keeps no workers
            group = controller.get_worker_group()
            if group is not None and group.has_started():
                group.abort()


class Workers(WorkerGroup):  # type: ignore[misc]
    """Started by a controller that is no actor."""

    def _init_train_context_on_workers(self, workers: list[Any], sync_actor: Any, train_context_args: Any) -> None:
        """As Ray does it, but without the controller's handle, which workers need to ask which checkpoints count."""
        tasks = [
            worker.actor.init_train_context.remote(
                train_run_context=self._train_run_context,
                distributed_context=worker.distributed_context,
                synchronization_actor=sync_actor,
                storage_context=self._storage_context,
                worker_callbacks=self._worker_callbacks_to_propagate,
                controller_actor=None,
                **{name: values[rank] for name, values in train_context_args.items()},
            )
            for rank, worker in enumerate(workers)
        ]
        ray.get(tasks)
        self._decorate_worker_log_file_paths(workers)

    @staticmethod
    def _get_worker_runtime_env(custom_runtime_env: Any) -> Any:
        """Without what Ray adds: it has our environment, and workers are then processes that wait already."""
        return custom_runtime_env


class Controller(TrainController):  # type: ignore[misc]
    """Ray's, with such workers."""

    worker_group_cls = Workers


class Fixed(FixedScalingPolicy):  # type: ignore[misc]
    """Asks nobody for machines: there is one. Ray starts a process to ask."""

    def _send_resource_request(self) -> None: ...

    def _maybe_send_resource_request(self) -> None: ...

    def _cancel_resource_request(self) -> None: ...


class Counts(ElasticScalingPolicy):  # type: ignore[misc]
    """Takes the largest of `counts` that has room, where Ray would take any number between the first and the last.

    Nodes that are announced to go count no more, though they are there: nothing is placed on them.
    """

    def __init__(self, scaling_config: Any, counts: tuple[int, ...]) -> None:
        super().__init__(scaling_config)
        self.counts = counts

    def _count_possible_workers(self, reserved_resources: Any) -> int:
        leaving = runtime.leaving()
        staying = {node: have for node, have in reserved_resources.items() if node not in leaving}
        room = super()._count_possible_workers(staying)
        return max((count for count in self.counts if count <= room), default=0)


class Failures(DefaultFailurePolicy):  # type: ignore[misc]
    """Counts workers that were lost apart from errors that the training raised: those come back, these stay away.

    The survivors of a loss fail too, since their sums have lost a partner: one lost worker makes it a loss. Workers
    that leave since a node is announced to go are not counted: nothing failed.
    """

    def __init__(self, failure_config: Any) -> None:
        super().__init__(failure_config)
        self.losses = 0

    def make_decision(self, training_failed_error: Any) -> Any:
        """Whether the training goes on from its last checkpoint."""
        errors = getattr(training_failed_error, "worker_failures", {}).values()
        if any(isinstance(error, LeavingError) for error in errors):
            return FailureDecision.RETRY
        # while workers start, it is the controller that cannot reach them; and it keeps a list in the storage
        of_controller = getattr(training_failed_error, "controller_failure", None)
        if not any(map(_lost, [*errors, of_controller])) and not away(of_controller):
            return super().make_decision(training_failed_error)
        self.losses += 1
        return FailureDecision.RETRY if self.losses <= LOSSES else FailureDecision.RAISE


def _lost(error: Any) -> bool:
    """Whether a worker failed because its process is gone, and not by a preemption: those Ray does not limit."""
    cause = error.health_check_failure if isinstance(error, WorkerHealthCheckFailedError) else error
    return isinstance(cause, RayActorError) and not cause.preempted
