"""Sampling and features on Ray's workers, or in this process: the figures are the same."""

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import ray
import torch
from ray.exceptions import RayTaskError

from ganops.config import Compute
from ganops.core.files import read_json
from ganops.distributed import node_copy, runtime
from ganops.distributed.node_copy import NodeCopy
from ganops.evaluation import verdict
from ganops.experiment import machine
from ganops.generator import DESCRIPTION, Generator
from ganops.kinds import Spec
from ganops.metrics.measure import Generated
from ganops.metrics.reference import Reference

Seeds = Any
"""int64 [N], consecutive."""
MAX_RESTARTS = 3
"""Most times that one worker is started again."""


def observe(compute: Compute, generator: Path, features: Path, count: int) -> Generated:
    """Return what the extractor makes of `count` samples.

    The pieces are the same wherever they are looked at, so that on equal hardware so are the features, bit by bit. Each
    piece travels home as its features: 4 MB for 500 samples of 2,048 dimensions, never the pictures.
    """
    pieces, unit = verdict.pieces(count), f"{Spec.of(read_json(generator / DESCRIPTION)).unit}s"
    if not _spreads(compute):
        device = machine.choose_device(compute.device)
        made, reference = Generator.load(generator, device), Reference.open(features, str(device))
        return verdict.gather("evaluate", verdict.looks(made, reference, pieces), count, unit)
    with runtime.cluster():
        return verdict.gather("evaluate", _on_workers(compute, generator, features, pieces), count, unit)


def _spreads(compute: Compute) -> bool:
    """Return True where there is more than one process to gain: starting Ray costs more than one worker saves."""
    most = compute.workers[1] if isinstance(compute.workers, tuple) else compute.workers
    several = most > 1 if most != "auto" else torch.cuda.device_count() > 1
    return compute.launcher == "ray" and ("RAY_ADDRESS" in os.environ or several)


def _on_workers(compute: Compute, generator: Path, features: Path, pieces: list[Seeds]) -> Iterator[Generated]:
    """Each worker takes the next pieces when it is ready; they come back in the order of their seeds.

    A worker that dies is started again, and its piece is looked at again: it follows from its seeds.
    """
    plan = runtime.plan(compute)
    worker = ray.remote(_Worker).options(
        num_cpus=plan.cpus, num_gpus=plan.gpus, max_restarts=MAX_RESTARTS, max_task_retries=MAX_RESTARTS
    )
    # the copies are held here until the last piece is looked at: a worker that is started again opens them again
    copies = node_copy.send(generator), node_copy.send(features)
    team = [worker.remote(*copies, compute.device) for _ in range(plan.workers)]
    # each takes as many pieces as it has cores, but no more than its share
    most = min(plan.cpus, -(-len(pieces) // plan.workers))
    hands = [pieces[start : start + most] for start in range(0, len(pieces), most)]
    try:
        for looks in ray.util.ActorPool(team).map(lambda each, hand: each.looks.remote(hand), hands):
            yield from looks
    except RayTaskError as error:
        raise error.cause from error


class _Worker:
    """Holds the generator and the extractor between pieces."""

    def __init__(self, generator: NodeCopy, features: NodeCopy, device: str) -> None:
        self.copies, self.device = (generator, features), device

    @cached_property
    def opened(self) -> tuple[Generator, Reference]:
        """The generator and the extractor; of what fails here Ray tells the cause, of the making of an actor not."""
        generator, features = (copy.open() for copy in self.copies)
        device = machine.choose_device(self.device)
        return Generator.load(generator, device), Reference.open(features, str(device))

    def looks(self, pieces: list[Seeds]) -> list[Generated]:
        return list(verdict.looks(*self.opened, pieces))
