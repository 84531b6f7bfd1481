"""Ray's runtime: a cluster if RAY_ADDRESS names one, else this machine; and what a training asks of it."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ganops.config import Compute, TrialCompute
from ganops.core.errors import TrainingError
from ganops.core.redaction import reason

ENVIRONMENT = {
    # Train looks after its workers this often; a checkpoint counts once it has looked (Ray: 2)
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # how long it waits for room before it counts the nodes again (Ray: 60); not how long a worker may take to start
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "20",
    # how often it asks whether a node is announced to go (Ray: 5)
    "RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S": "1",
}
"""Variables that Ray Train reads when a training begins, unless the environment has another value."""
LEAST_SAMPLES = 16
"""Samples of a step that a GPU gets at least where `compute.workers` is auto: with fewer it waits for its host."""
PROBE_SECONDS = 60.0
"""Seconds that are waited for a GPU that others use before it is taken to be sound."""


@contextmanager
def cluster() -> Iterator[bool]:
    """Connects to Ray for the block, and yields whether it is a Ray of our own, which ends with the block.

    A runtime that is already there is used and left alone.

    Raises:
        TrainingError: There is no cluster at that address, or Ray does not start here.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if ray.is_initialized():
        yield False
        return
    # "local" and not None: otherwise whatever cluster happens to run on this machine would be taken
    address = os.environ.get("RAY_ADDRESS", "local")
    if address == "local":  # nobody takes this machine away with a warning
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    try:
        ray.init(address=address, include_dashboard=False, log_to_driver=debugging(), logging_level=logging.ERROR)
    except Exception as error:  # of many classes, that of a machine too busy to start it in time among them
        why = reason(error, named=False)
        if address != "local":
            raise TrainingError(f"there is no cluster of Ray at {address} ({why}); see to RAY_ADDRESS") from error
        mend = "where other work keeps the machine busy, run the same command again"
        raise TrainingError(f"Ray does not start here ({why}); {mend}") from error
    try:
        yield address == "local"
    finally:
        ray.shutdown()


def check_room(compute: Compute, *, trial: bool = False) -> None:
    """Refuses what a Ray of our own would have no core for, before it starts: that takes seconds.

    Args:
        compute: What was asked for.
        trial: Whether trials are to train, and not the workers of a training that is judged.

    Raises:
        TrainingError: This machine is too small; `plan` and `places` see what else is wrong.
    """
    cores = os.cpu_count() or 1  # the most that Ray counts
    if ray.is_initialized() or os.environ.get("RAY_ADDRESS", "local") != "local":
        return
    if trial:
        places(compute.trial, "cpu", [{"CPU": cores}])
        return
    workers, _ = _workers(compute, 0, 0, 0)
    kept = int(compute.validation == "apart")
    if not _cores_for_each([cores], [cores], workers, kept):
        raise _too_few(workers, kept, "core", cores)


def debugging() -> bool:
    """Return True where what Ray and its workers say is shown."""
    return "GANOPS_DEBUG" in os.environ


def nodes() -> list[dict[str, Any]]:
    """The nodes of the cluster that are alive, as Ray describes them."""
    return [node for node in ray.nodes() if node["Alive"]]


def here() -> NodeAffinitySchedulingStrategy:
    """Places what belongs to this process on its node."""
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


@dataclass(frozen=True)
class Plan:
    """A number of workers, and what each of them gets."""

    workers: int
    cpus: int
    """Cores of a worker, and at most so many threads."""
    gpus: float
    """GPUs of a worker: 0 or 1, or a fraction where it trains a trial of its own."""
    apart: bool = False
    """True where a core, and a GPU where the workers have one, is left for the validator."""
    counts: tuple[int, ...] = ()
    """The least and the most workers that may train, `workers` being the present number; empty: that one alone."""

    def bounds(self) -> int | tuple[int, int]:
        """Return the number of workers, or its range, as Ray's ScalingConfig takes it."""
        return (self.counts[0], self.counts[-1]) if self.counts else self.workers

    def resources(self) -> dict[str, float]:
        """Return the resources that one worker needs, as Ray's ScalingConfig takes them."""
        return {"CPU": self.cpus, **({"GPU": self.gpus} if self.gpus else {})}


def plan(
    compute: Compute, batch: int = 0, group: int = 1, *, judged: bool = False, operations: float | None = None
) -> Plan:
    """Return what `compute` means on the cluster that is connected.

    Args:
        compute: What was asked for.
        batch: Samples that the workers share; 0: nothing has to be shared.
        group: Samples that D compares with one another: they stay together.
        judged: Whether there is a validation, for which `compute.validation` may keep a core and a GPU.
        operations: Those of all workers in a forward pass (see `build.operations`): without GPUs a worker gets the
            cores that they keep busy; None: all of its share.

    Raises:
        TrainingError: The cluster is too small for what was asked.
        ConfigError: So many workers cannot share the batch.
    """
    # torch takes seconds to import, and not all who need a cluster plan a training
    from ganops.core.collective import most_workers, shares
    from ganops.experiment import machine

    have = [node["Resources"] for node in nodes()]
    if gpus := int(_gpus(compute.device, have)):
        have = [node for node in have if node.get("GPU")]  # workers go there, and so does their judge
    cores = [int(node.get("CPU", 0)) for node in have]
    rooms = [int(node["GPU"]) for node in have] if gpus else cores
    kept = int(judged and compute.validation == "apart")
    limit = most_workers(batch, group) if batch else 0
    most = min(gpus - kept, max(1, batch // LEAST_SAMPLES)) if batch and compute.workers == "auto" else gpus - kept
    workers, counts = _workers(compute, limit, most, sum(cores) - kept)
    if batch:
        shares(batch, workers, group)
    if gpus and workers + kept > gpus:
        raise _too_few(workers, kept, "GPU", gpus)
    cpus = _cores_for_each(cores, rooms, workers, kept)
    if not cpus:
        raise _too_few(workers, kept, "core", sum(cores))
    cpus = max(1, cpus - 1) if gpus and cpus > 2 else cpus
    if operations is not None and not gpus:
        cpus = min(cpus, machine.threads(compute, operations / workers, cpus))
    # where workers come and go, what is free now is theirs soon
    free = sum(cores) > workers * cpus and (not gpus or gpus > workers) and not counts
    apart = judged and (compute.validation == "apart" or (compute.validation == "auto" and free))
    return Plan(workers, cpus, int(gpus > 0), apart, counts)


def check_gpus() -> None:
    """Runs one kernel on a GPU of each node that has any.

    Raises:
        TrainingError: One cannot be used although Ray counts it; with its node and the remedy.
    """
    looks = {}
    for node in (node for node in nodes() if node["Resources"].get("GPU")):
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        look = ray.remote(num_cpus=0, num_gpus=1, scheduling_strategy=there)(_gpu_trouble)
        looks[look.remote()] = node["NodeManagerAddress"]
    ready, busy = ray.wait([*looks], num_returns=len(looks), timeout=PROBE_SECONDS) if looks else ([], [])
    for each in busy:
        ray.cancel(each)
    for each in ready:
        why = ray.get(each)
        if why is None:
            why = "torch finds none there: is its driver installed, or torch one without CUDA?"
        if why:
            raise TrainingError(f"the GPUs that Ray counts on {looks[each]} cannot be used. {why}")


def _gpu_trouble() -> str | None:
    from ganops.experiment import machine

    return machine.gpu_trouble()


def of_a_gpu(device: str) -> dict[str, float]:
    """Return the resources of a task on one GPU of the cluster, as Ray's options have them; empty: there is none.

    Raises:
        TrainingError: There is none, and `device` is cuda.
    """
    have = [node["Resources"] for node in nodes()]
    if not _gpus(device, have):
        return {}
    # with more cores than a node has for each of its GPUs it might find no place
    return {"num_gpus": 1, "num_cpus": min(int(node.get("CPU", 0) / node["GPU"]) for node in have if node.get("GPU"))}


def _gpus(device: str, resources: Sequence[Mapping[str, float]]) -> float:
    """Return the number of GPUs of all nodes that may be used. TrainingError where there is none but has to be."""
    gpus = 0 if device == "cpu" else sum(node.get("GPU", 0) for node in resources)
    if device == "cuda" and not gpus:
        raise TrainingError("compute.device: cuda was asked for, but no node of the cluster has a GPU")
    return gpus


def _workers(compute: Compute, shares: int, gpus: int, cores: int) -> tuple[int, tuple[int, ...]]:
    """Return how many workers train, and the least and the most of a range: `shares` at most, if there is such a limit.

    Without GPUs `auto` is one: processes of one host wait for each other too often.
    """
    asked = compute.workers
    if isinstance(asked, tuple):
        least, most = asked[0], min(asked[1], shares or asked[1])
        return max(least, min(most, gpus if gpus > 0 else cores)), (least, most) if least < most else ()
    return (max(1, min(gpus, shares or gpus)) if asked == "auto" else asked), ()


def places(
    trial: TrialCompute, device: str, resources: Sequence[Mapping[str, float]] | None = None
) -> tuple[Plan, int]:
    """Return what a trial of a search gets, and the number of trials that have room at once.

    Args:
        trial: What was asked for.
        device: `compute.device`.
        resources: Of each node; None: of those of the cluster that is connected.

    Raises:
        TrainingError: There is no room for one.
    """
    have = [node["Resources"] for node in nodes()] if resources is None else resources
    gpus = _gpus(device, have)
    share = trial.gpus if gpus else 0.0
    rooms = [int(node.get("CPU", 0)) // trial.cpus for node in have]
    if gpus:  # a share lies on one of them
        on_gpus = [int(node.get("GPU", 0)) * int(1 / share + 1e-9) for node in have]
        rooms = list(map(min, rooms, on_gpus))
    if sum(rooms) < trial.workers:
        each = _counted(trial.cpus, "core") + (f" and {share:g} of a GPU" if gpus else "")
        total = _counted(sum(int(node.get("CPU", 0)) for node in have), "core")
        total += f" and {_counted(int(gpus), 'GPU')}" if gpus else ""
        raise TrainingError(
            f"compute.trial: a trial has {_counted(trial.workers, 'worker')} of {each}; the cluster has {total}, which "
            f"is room for {sum(rooms)} of them at once"
        )
    return Plan(trial.workers, trial.cpus, share), sum(rooms) // trial.workers


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def _cores_for_each(cores: list[int], rooms: list[int], workers: int, kept: int) -> int:
    """The most cores that each of the workers can have while `kept` are left; a worker does not span nodes.

    Args:
        cores: Of each node.
        rooms: Workers of each node, at most, however few cores they have: one for each GPU.
        workers: Their number.
        kept: Cores for another.
    """
    nodes = list(zip(cores, rooms, strict=True))
    fits = (n for n in range(max(cores), 0, -1) if sum(min(have // n, most) for have, most in nodes) >= workers)
    return next((n for n in fits if sum(cores) >= workers * n + kept), 0)


def _too_few(workers: int, kept: int, unit: str, have: int) -> TrainingError:
    """The error that says what was asked for and what there is."""
    beside = ", the judge another (compute.validation: apart)" if kept else ""
    return TrainingError(f"compute.workers: {workers} workers need a {unit} each{beside}, the cluster has {have}")
