"""The judge of validations in an actor of its own, beside the training."""

import copy
import time
from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import ray
import torch
from numpy.typing import NDArray

from ganops.core.errors import TrainingError
from ganops.distributed.node_copy import NodeCopy
from ganops.evaluation.validation import ValidationJudge
from ganops.generator import Generator
from ganops.metrics.reference import Reference

MAX_RESTARTS = 3
"""Most times that a validator apart is started again."""
PLACEMENT_SECONDS = 60.0
"""Seconds that are waited, once, for the judge's core on a cluster that others use as well."""
ANSWER_SECONDS = 600.0
"""Seconds without an answer after which nothing more is asked, until it comes: its node may have gone."""


def judge_of(features: NodeCopy, device: torch.device, *, apart: bool) -> ValidationJudge:
    """Return the judge of a training on a device: in its own process, or apart."""
    return JudgeApart(features, device) if apart else ValidationJudge(Reference.open(features.open(), str(device)))


class JudgeApart(ValidationJudge):
    """Has an actor beside the training do the work, on one core, and on a GPU where the training has them.

    The same code, weights and seeds give the distance of judging in line: the same number, bit for bit.
    """

    def __init__(self, features: NodeCopy, device: torch.device) -> None:
        super().__init__(Reference.open(features.open(), str(device)))
        bench = ray.remote(Bench).options(
            num_cpus=1, num_gpus=int(device.type == "cuda"), max_restarts=MAX_RESTARTS, max_task_retries=MAX_RESTARTS
        )
        self.bench = bench.remote(features, device.type)
        self.placed, self.patience = self.bench.__ray_ready__.remote(), PLACEMENT_SECONDS
        self.asked: list[tuple[float, Future[float]]] = []

    def submit(self, generator: Generator, seeds: NDArray[np.int64]) -> Future[float]:
        """The distance as a future, which fails where the actor has died too often or has found no place."""
        placed, _ = ray.wait([self.placed], timeout=self.patience)
        self.patience = 0.0
        if not placed:
            return _failed("the cluster has no core or GPU free for it")
        self.asked = [each for each in self.asked if not each[1].done()]
        if self.asked and time.monotonic() - self.asked[0][0] > ANSWER_SECONDS:
            return _failed(f"it has not answered for {ANSWER_SECONDS:.0f} s")
        there = replace(generator, network=copy.deepcopy(generator.network).cpu())
        future: Future[float] = self.bench.distance.remote(there, seeds).future()
        self.asked.append((time.monotonic(), future))
        return future


def _failed(reason: str) -> Future[float]:
    future: Future[float] = Future()
    future.set_exception(TrainingError(reason))
    return future


class Bench:
    """The actor in which the validator works apart; holds the extractor between judgements."""

    def __init__(self, features: NodeCopy, device: str) -> None:
        self.judge, self.device = ValidationJudge(Reference.open(features.open(), device)), device

    def distance(self, generator: Generator, seeds: NDArray[np.int64]) -> float:
        """The distance of a generator that lies on the CPU, see `ValidationJudge`."""
        here = replace(generator, network=generator.network.to(self.device))
        return self.judge.distance(here, seeds)

    def figures(self, generator: Generator, seeds: NDArray[np.int64]) -> dict[str, float]:
        """The figures of its pictures, likewise."""
        self.distance(generator, seeds)
        return self.judge.figures()
