"""The actor between the driver of a training and its workers: lines for people one way, a request to stop the other.

All workers must stop at the same step, since within a step each of them waits for the others. So a worker that hears
the request enters no further step until all have said which one they entered: they stop after the latest of these.
Until there is a request that costs a step nothing but a lock: no message, and no sum over the workers.
"""

import asyncio
import math
import random
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import ray
import torch
from ray.exceptions import RayError

from ganops.core import collective
from ganops.distributed import runtime

MAX_CALLS = 4096
"""Calls that wait at once: one or two of each worker."""


class Board:
    """The actor; see `Desk` for whoever uses it."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[Any] = asyncio.Queue()
        self.request, self.complete = asyncio.Event(), defaultdict[int, asyncio.Event](asyncio.Event)
        self.entered: dict[int, dict[int, int]] = defaultdict(dict)

    async def put(self, line: Any) -> None:
        """Takes a line for the driver."""
        await self.lines.put(line)

    async def get(self) -> Any:
        """Wait for the next line."""
        return await self.lines.get()

    async def ask(self) -> None:
        """Tells all workers that they should stop."""
        self.request.set()

    async def until_asked(self) -> None:
        """Waits until they should."""
        await self.request.wait()

    async def agree(self, attempt: int, rank: int, workers: int, step: int) -> int:
        """Return the latest step that a worker of an attempt has entered, as soon as all of them have said theirs."""
        self.entered[attempt][rank] = step
        if len(self.entered[attempt]) == workers:
            self.complete[attempt].set()
        await self.complete[attempt].wait()
        return max(self.entered[attempt].values())


class Desk:
    """A process's way to the board."""

    def __init__(self) -> None:
        """Starts the actor here, not where there is room: on a worker's node it would be lost with that node."""
        place = {"num_cpus": 0, "max_concurrency": MAX_CALLS, "scheduling_strategy": runtime.here()}
        self.actor = ray.remote(Board).options(**place).remote()

    def put(self, line: Any) -> None:
        """Sends a line to the driver."""
        ray.get(self.actor.put.remote(line))

    def get(self) -> Any:
        """Wait for the next line."""
        return ray.get(self.actor.get.remote())

    def ask(self) -> None:
        """Asks the workers to stop, and waits for nothing."""
        self.actor.ask.remote()

    def stop(self, device: torch.device, step: int) -> Callable[[int], bool]:
        """Return what a worker asks after each step: whether it stops there, the same for all of them.

        Args:
            device: Of the worker.
            step: Number of steps that are done.
        """
        # those of an attempt that was lost have said where they were, too
        drawn = torch.tensor(float(random.SystemRandom().randrange(2**40)), dtype=torch.float64, device=device)
        attempt = int(collective.mean_over_workers(drawn) * collective.workers())
        gate = Gate(step)

        def listen() -> None:
            try:
                ray.get(self.actor.until_asked.remote())
                mine = attempt, collective.rank(), collective.workers(), gate.close()
                gate.open(ray.get(self.actor.agree.remote(*mine)))
            except RayError:  # the driver is gone, and this process soon will be
                gate.open(math.inf)

        threading.Thread(target=listen, daemon=True).start()
        return gate


class Gate:
    """The entrance to the next step."""

    def __init__(self, step: int) -> None:
        self._changed = threading.Condition()
        self._entered, self._closed = step + 1, False
        self._end = math.inf

    def __call__(self, step: int) -> bool:
        """Return True where the worker stops after so many steps; else it enters the next one."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            if step >= self._end:
                return True
            self._entered = step + 1
            return False

    def close(self) -> int:
        """Lets nobody enter for now; return the step that was entered last, counted from 1."""
        with self._changed:
            self._closed = True
            return self._entered

    def open(self, end: float) -> None:
        """Lets the worker enter steps up to `end`."""
        with self._changed:
            self._end, self._closed = end, False
            self._changed.notify_all()
