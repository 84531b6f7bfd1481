"""The moments at which a training is saved: by the clock, on which no result depends."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from ganops.experiment.run import Progress

SHARE = 0.02
"""Share of the time that saving may take at validations."""
MAX_SECONDS = 300.0
"""Seconds after which it is saved at any tick."""
MAX_WAITING = 2
"""Checkpoints on their way to the storage, at most: where it is slower than the training, some are left out."""


class Cadence:
    """Says at each tick whether it is saved; at the end, and where it is stopped, it always is."""

    def __init__(self, minutes: Literal["auto"] | float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begins to count.

        Args:
            minutes: `compute.checkpoint_minutes`.
            clock: Seconds from any moment on.
        """
        self.minutes, self.clock = minutes, clock
        self.saved, self.cost = clock(), 0.0

    def is_due(self, progress: Progress, waiting: int = 0) -> bool:
        """Return True where a tick should be saved; `waiting`: checkpoints that are still on their way."""
        if progress.stopped or progress.step == progress.steps:
            return True
        if waiting >= MAX_WAITING:
            return False
        waited = self.clock() - self.saved
        if self.minutes != "auto":
            return waited >= 60 * self.minutes
        return waited >= MAX_SECONDS or (progress.checkpoint and waited >= self.cost / SHARE)

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Takes the block's time for what saving costs."""
        started = self.clock()
        yield
        self.saved = self.clock()
        self.cost = self.saved - started
