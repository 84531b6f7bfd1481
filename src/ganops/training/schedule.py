"""Values that change while a training runs."""

import math
from collections.abc import Callable

Schedule = Callable[[float], float]
"""Progress in [0, 1] -> value."""


def constant(value: float) -> Schedule:
    """The same value throughout."""
    return lambda progress: value


ZERO = constant(0.0)


def linear(start: float, end: float) -> Schedule:
    """A straight line from `start` to `end`."""
    return lambda progress: start + (end - start) * min(progress, 1.0)


def cosine(start: float, end: float) -> Schedule:
    """Half a cosine from `start` to `end` (Loshchilov & Hutter 2017, eq. 5, without restarts)."""
    return lambda progress: end + (start - end) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
