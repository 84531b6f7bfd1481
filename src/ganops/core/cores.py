"""The cores of this machine: what computes with several threads, and what is computed side by side with one each.

Threads of one operation wait for each other at its end, thousands of times in a step of a small network. That gains
little, and where another process has one of the cores it loses nearly all: each time the others wait until the system
gives that thread its turn again. Batches that do not depend on each other are therefore computed side by side, each
with one thread: they wait for nobody, and their bits do not depend on the number of cores.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor, nn

from ganops.core.errors import UserError

T = TypeVar("T")
F = TypeVar("F")
R = TypeVar("R")

TOO_SMALL = (
    "the memory of the GPU does not hold what is computed of one sample: end what else runs on it (nvidia-smi names "
    "it), or take another GPU or compute.device: cpu"
)
"""The words of an error."""
_here = threading.local()


def count() -> int:
    """The cores that this process may use: those it may run on, at most OMP_NUM_THREADS.

    That variable is how a user, and Ray in the processes it starts, says what a process may take.
    """
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    told = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(there, int(told))) if told.isdigit() else there


OPERATIONS = 4 * 10**9
"""Multiplications of a forward pass of all that a training step computes, for each thread: with fewer, threads wait
for each other at the end of each operation longer than they compute (`benchmarks/busy.py`)."""


def threads_for(operations: float, most: int) -> int:
    """The threads that a training keeps busy whose steps have so many `operations` in a forward pass."""
    return max(1, int(min(most, operations / OPERATIONS)))


def operations(networks: "Iterable[nn.Module]", forward: Callable[[], object], samples: int = 1) -> int:
    """Multiplications of one sample's way through networks, by a forward pass that leaves them as they were.

    A layer with a matrix of weights uses each at every place of its output; where it is transposed, of its input. It
    does so for each frame of a film, if it sees these one by one. `samples` is how many `forward` takes.
    """
    import torch
    from torch import nn

    counts: list[int] = []

    def add(layer: Any, given: "tuple[Tensor, ...]", made: "Tensor") -> None:
        rows = max(1, len(given[0]) // samples)
        counts.append(rows * layer.weight.numel() * min(given[0][0, 0].numel(), made[0, 0].numel()))

    modules = [module for network in networks for module in network.modules()]
    modes = [module.training for module in modules]

    def is_matrix(layer: Any) -> bool:
        return not isinstance(layer, nn.Embedding) and getattr(getattr(layer, "weight", None), "ndim", 0) > 1

    hooks = []
    try:
        for module in modules:
            module.training = False  # statistics, and the vectors behind a spectral norm, stay as they are
        hooks += [module.register_forward_hook(add) for module in modules if is_matrix(module)]
        with torch.no_grad():
            forward()
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
    return sum(counts)


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Lets torch, and the linear algebra of numpy and scipy, compute with `n` threads while the block runs."""
    import torch  # takes seconds, and not all who know the cores compute
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        with threadpool_limits(n, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


def within(settings: Callable[[], AbstractContextManager[None]], items: Iterable[T]) -> Iterator[T]:
    """Yield the items, each made under the settings; who takes them, or leaves off halfway, has those it had."""
    there = iter(items)
    while True:
        with settings():
            try:
                item = next(there)
            except StopIteration:
                return
        yield item


def side_by_side(work: Callable[[T], R], items: Iterable[T], device: str = "cpu") -> Iterator[R]:
    """Yields `work(item)` in the order of the items, as many at once as there are cores, each with one thread.

    Within such work, what would be side by side again is done in turn: the cores are taken.

    Args:
        work: Called from several threads of this process; numpy and torch let each other compute.
        items: Taken as they are needed: at most two for each core are under way or wait for their turn.
        device: Where they are computed: a GPU takes them one after another.
    """
    if getattr(_here, "taken", False):
        yield from map(work, items)
        return
    places = count() if device == "cpu" else 1
    with threads(1):
        if places == 1:
            yield from map(work, items)
            return
        with ThreadPoolExecutor(places, initializer=_take) as pool:
            try:
                yield from in_order(lambda item: pool.submit(work, item), Future.result, items, 2 * places)
            finally:
                pool.shutdown(cancel_futures=True)


def in_pieces(work: Callable[[slice], R], count: int, size: int, device: str = "cpu") -> Iterator[R]:
    """Yields `work(rows)` for consecutive rows of `count`, `size` of them at once, as `side_by_side` has it.

    Where they are too many for the memory of a GPU they are halved, and so are all that follow.

    Raises:
        UserError: The memory does not hold the work on one row.
    """
    from ganops.core.devices import is_full  # torch takes seconds to import

    fits = size

    def done(start: int) -> list[R]:
        nonlocal fits
        found, end = list[R](), min(start + size, count)
        while start < end:
            rows = slice(start, min(start + fits, end))
            try:
                found.append(work(rows))
                start = rows.stop
            except RuntimeError as error:
                if not is_full(error):
                    raise
                if rows.stop - rows.start == 1:
                    raise UserError(f"{TOO_SMALL} ({str(error).partition('. ')[0]})") from error
                fits = (rows.stop - rows.start) // 2  # tried outside: the error keeps what was computed so far
        return found

    for found in side_by_side(done, range(0, count, size), device):
        yield from found


def in_order(begin: Callable[[T], F], end: Callable[[F], R], items: Iterable[T], most: int) -> Iterator[R]:
    """Yield the results in the order of the items, each of which has a beginning and an end; `most` are under way."""
    under_way: deque[F] = deque()
    for item in items:
        under_way.append(begin(item))
        if len(under_way) == most:
            yield end(under_way.popleft())
    while under_way:
        yield end(under_way.popleft())


def _take() -> None:
    """Begins a thread that has one core: its operations have no threads of their own."""
    import torch

    _here.taken = True
    torch.set_num_threads(1)
