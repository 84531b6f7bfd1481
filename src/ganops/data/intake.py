"""Decoding of a source to samples on the disk, by whatever maps blocks of items to samples."""

import math
import os
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ganops.core.cores import in_order
from ganops.core.errors import DataError
from ganops.core.terminal import progress
from ganops.data.decode import Decoded, decode_all
from ganops.data.decoders import Decoder
from ganops.data.sample_table import Shape, Table
from ganops.data.sources.item import Content, Deferred, Item, ItemError, Source, printable

_CHUNK_ITEMS = 64
_CHUNK_BYTES = 32 * 2**20
"""Most items that are handed out together, and most bytes of them."""
_ITEMS_PER_PROCESS = 1000  # fewer are decoded sooner than a process starts

ENDED = "data: a process that decodes samples was ended from outside, perhaps for want of memory; give it more"
"""Told when a process has died for good."""


class Spool:
    """Raw samples of one dtype, one after the other in a nameless temporary file.

    The shape that all have in common, such as gray or coloured, is known only after the last one, so each keeps its own
    until it is read. Texts have none in common.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__
        self._dtype = np.dtype(np.uint8)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, sample: NDArray[Any]) -> int:
        """Add one sample at the end, and return its place: the byte at which it begins."""
        place = self._file.tell()
        self._dtype = sample.dtype
        self._file.write(sample.tobytes())
        return place

    def read(self, place: int, own: Shape, shape: Shape) -> NDArray[Any]:
        """A sample in a shape that its `own` is repeated to: of gray, three equal channels; in its own one for ()."""
        self._file.seek(place)
        content = self._file.read(math.prod(own) * self._dtype.itemsize)
        return np.broadcast_to(np.frombuffer(content, self._dtype).reshape(own), shape or own)


class Rejection(NamedTuple):
    """A file that gives no sample."""

    name: str
    reason: str


@dataclass
class Intake:
    """Rejected items of a source, and what was done to the others."""

    rejected: list[Rejection] = field(default_factory=list)
    conversions: Counter[str] = field(default_factory=Counter)


Block = list[Content]
"""Some items that are decoded together."""

Decode = Callable[[Block], list[Decoded]]


class Mapper(Protocol):
    """Decodes blocks, wherever it likes; the law is `map`'s: a result for each block, in their order.

    It takes a block when it can use one, so that few are in memory. `count` is the number of items in all blocks.
    """

    def __call__(self, decode: Decode, blocks: Iterator[Block], count: int) -> Iterable[list[Decoded]]:
        """The results of `decode` for all blocks."""


def serially(decode: Decode, blocks: Iterator[Block], count: int) -> Iterable[list[Decoded]]:
    """Decode in this process."""
    return map(decode, blocks)


def by_processes(processes: int) -> Mapper:
    """Return a mapper that decodes in so many other processes of this machine."""
    return partial(_by_processes, processes)


def here(decode: Decode, blocks: Iterator[Block], count: int) -> Iterable[list[Decoded]]:
    """Decode in as many processes as this machine has cores and the items are worth."""
    processes = min(os.cpu_count() or 1, count // _ITEMS_PER_PROCESS)
    return (by_processes(processes) if processes > 1 else serially)(decode, blocks, count)


def take_in(source: Source, spool: Spool, table: Table, decoder: Decoder, mapper: Mapper) -> Intake:
    """Decodes every item of the source into the spool, in the order of the source, and notes it in the table."""
    taken = Intake()
    with progress("prepare", source.count, f"{decoder.wanted.unit}s") as advance:
        for chunk, results in _decoded(source, decoder, serially if source.raw else mapper):
            for item, result in zip(chunk, results, strict=True):
                _sort(item, result, spool, table, taken)
            advance(len(chunk))
    return taken


def _sort(item: Item, result: Decoded, spool: Spool, table: Table, taken: Intake) -> None:
    if isinstance(result, ItemError):
        taken.rejected.append(Rejection(printable(item.name), printable(str(result))))
        return
    sample, conversions = result
    taken.conversions.update(conversions)
    if sample.size:
        known = [None if each is None else printable(each) for each in (item.label, item.group)]
        table.add(spool.append(sample), sample.shape, printable(item.name), *known)


def _decoded(source: Source, decoder: Decoder, mapper: Mapper) -> Iterator[tuple[list[Item], list[Decoded]]]:
    """Chunks of items with their results, in order."""
    waiting: deque[list[Item]] = deque()

    def blocks() -> Iterator[Block]:
        for chunk in _chunks(source.items):
            # what was sent away is not kept here as well
            waiting.append([item._replace(content=b"") for item in chunk])
            yield [item.content for item in chunk]

    for results in mapper(partial(decode_all, decoder=decoder), blocks(), source.count or 0):
        yield waiting.popleft(), results


def _by_processes(processes: int, decode: Decode, blocks: Iterator[Block], count: int) -> Iterator[list[Decoded]]:
    """No more blocks are in flight than keep the processes busy."""
    # not forked from here: the caller may hold threads (Ray, torch), and a fork copies their locks
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        try:
            yield from in_order(lambda block: pool.submit(decode, block), Future.result, blocks, 2 * processes + 1)
        except BrokenProcessPool as error:
            raise DataError(ENDED) from error


def _chunks(items: Iterator[Item]) -> Iterator[list[Item]]:
    """Some items at a time, fewer where they hold much; a group is never divided."""
    chunk: list[Item] = []
    size = 0
    for item in items:
        full = len(chunk) >= _CHUNK_ITEMS or size > _CHUNK_BYTES
        if full and (_group(item) is None or _group(item) != _group(chunk[-1])):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += _size(item.content)
    if chunk:
        yield chunk


def _group(item: Item) -> object:
    return item.content.group if isinstance(item.content, Deferred) else None


def _size(content: Content) -> int:
    if isinstance(content, tuple):
        return sum(map(_size, content))
    if isinstance(content, Deferred):
        return content.size
    return len(content) if isinstance(content, bytes | str) else 0
