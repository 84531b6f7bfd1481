"""From a source to decoded samples on the disk, by as many processes as are asked for."""

import os
import tempfile
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple, Self

from ganops.data.decode import Decoded, Recipe, decode_all
from ganops.data.item import Item, ItemError, Pixels, Source
from ganops.errors import DataError
from ganops.terminal import progress

_CHUNK_ITEMS = 64
_CHUNK_BYTES = 32 * 2**20
_ITEMS_PER_PROCESS = 1000  # fewer are decoded sooner than a process starts


class Spool:
    """Samples of one size, one after the other in a nameless temporary file.

    Whether the set is gray or coloured is known only after the last image, so each keeps its own number of channels
    until it is read.
    """

    def __init__(self, folder: Path, resolution: int) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__
        self._plane = resolution * resolution
        self._offsets: list[int] = []
        self.channels: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, pixels: Pixels) -> None:
        """Adds one sample [C, H, W] at the end."""
        self._offsets.append(self._file.tell())
        self.channels.append(len(pixels))
        self._file.write(pixels.tobytes())

    def read(self, index: int, channels: int) -> bytes:
        """The bytes of a sample [channels, H, W]; gray is repeated to fill three channels."""
        self._file.seek(self._offsets[index])
        return self._file.read(self.channels[index] * self._plane) * (channels // self.channels[index])


class Rejection(NamedTuple):
    """A file that gives no sample."""

    name: str
    reason: str


@dataclass
class Intake:
    """What became of the items of a source; `names` and `labels` are those of the samples in the spool."""

    names: list[str] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    conversions: Counter[str] = field(default_factory=Counter)


def take_in(source: Source, spool: Spool, recipe: Recipe, workers: int | None) -> Intake:
    """Decodes every item of the source into the spool, in the order of the source.

    `workers` processes do it: 1 is this process, None takes what the machine has and the items are worth.
    """
    taken = Intake()
    worth = 1 if source.raw else source.count // _ITEMS_PER_PROCESS
    processes = workers or max(1, min(os.cpu_count() or 1, worth))
    with progress("prepare", source.count, "images") as advance:
        for chunk, results in _decoded(source.items, recipe, processes):
            for item, result in zip(chunk, results, strict=True):
                _sort(item, result, spool, taken)
            advance(len(chunk))
    return taken


def _sort(item: Item, result: Decoded, spool: Spool, taken: Intake) -> None:
    if isinstance(result, ItemError):
        taken.rejected.append(Rejection(_printable(item.name), _printable(str(result))))
        return
    pixels, conversions = result
    spool.append(pixels)
    taken.names.append(_printable(item.name))
    taken.labels.append(None if item.label is None else _printable(item.label))
    taken.conversions.update(conversions)


def _decoded(items: Iterator[Item], recipe: Recipe, processes: int) -> Iterator[tuple[list[Item], list[Decoded]]]:
    """Chunks of items with their results, in order; no more chunks are in flight than keep the processes busy."""
    if processes == 1:
        for chunk in _chunks(items):
            yield chunk, decode_all([item.content for item in chunk], recipe)
        return
    # not forked from here: the caller may hold threads (Ray, torch), and a fork copies their locks
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        flying: deque[tuple[list[Item], Future[list[Decoded]]]] = deque()
        try:
            for chunk in _chunks(items):
                flying.append((chunk, pool.submit(decode_all, [item.content for item in chunk], recipe)))
                if len(flying) > 2 * processes:
                    done, result = flying.popleft()
                    yield done, result.result()
            for done, result in flying:
                yield done, result.result()
        except BrokenProcessPool as error:
            problem = "a process that decodes images was ended from outside, perhaps for want of memory"
            raise DataError(f"data: {problem}; run again with fewer of them") from error


def _chunks(items: Iterator[Item]) -> Iterator[list[Item]]:
    """Some items at a time, fewer where they hold much."""
    chunk: list[Item] = []
    size = 0
    for item in items:
        chunk.append(item)
        size += len(item.content) if isinstance(item.content, bytes) else 0
        if len(chunk) == _CHUNK_ITEMS or size > _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _printable(text: str) -> str:
    """File names are bytes; those that are no UTF-8 are escaped, for they could not be written as JSON."""
    return text.encode("utf-8", "backslashreplace").decode()
