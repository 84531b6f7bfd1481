"""A split in shards: files of so many samples each, of which few are open; to its readers like an array."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ganops.core.arrays import load_array
from ganops.core.errors import DataError

if TYPE_CHECKING:
    from ganops.data.order import Order  # torch takes seconds to import, and not all who read samples compute

WINDOW = 16
"""Shards that are shuffled together."""
HERE = "here"
"""Storage of shards that lie in the prepared folder."""
HEADER_BYTES = 1024
"""Bytes of a shard's file before its records, at most."""
SAMPLE, LABEL = "sample", "label"
"""Fields of a record."""
MAPPED = 64
"""Shards of one split that are mapped into memory at a time: a process may have 65,530 maps."""

Records = Mapping[str, NDArray[Any]] | NDArray[Any]
"""Samples, and perhaps labels, of one shard by field: a mapped array of records, or arrays of the fields."""


class Files(Protocol):
    """The shards' files, wherever they lie."""

    def open(self, number: int) -> Records:
        """Return the records of a shard, mapped read-only; DataError where it cannot be read."""

    def expect(self, order: "Order", window: int, part: tuple[float, float]) -> None:
        """Hear that the windows before this one of an order have been read, and that it and those after it come.

        Args:
            order: That of the samples.
            window: Number of the window.
            part: Ends of the share of each window's shards that will be read, from 0 to 1.
        """

    def close(self) -> None:
        """Hear that nothing more will be read."""


def record(sample: NDArray[Any], *, labelled: bool) -> np.dtype[Any]:
    """Return the type of a record of a sample like this one, and of its label."""
    label = [(LABEL, np.dtype(np.int64))] if labelled else []
    return np.dtype([(SAMPLE, sample.dtype, sample.shape), *label])


def load(path: Path) -> NDArray[Any]:
    """Map a shard's file.

    Raises:
        FileNotFoundError: There is none.
        DataError: It is no such file.
    """
    try:
        found = np.asarray(load_array(path, mapped=True))  # parts of a memmap are slow to make
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}. Run the stage prepare again.") from error
    return found


class Here:
    """Files of this machine, or of a mount, opened in place."""

    def __init__(self, path: Callable[[int], Path]) -> None:
        self._path, self.open = path, lru_cache(MAPPED)(self._open)

    def _open(self, number: int) -> NDArray[Any]:
        try:
            return load(self._path(number))
        except FileNotFoundError as error:
            raise DataError(f"{self._path(number)} is missing: run the stage prepare again") from error

    def expect(self, order: "Order", window: int, part: tuple[float, float]) -> None:
        """Do nothing: the system reads ahead."""

    def close(self) -> None:
        """Let go of the files."""
        self.open.cache_clear()


class Pieces:
    """Arrays in memory or mapped, cut into shards: their samples come in the order of a set in such shards."""

    def __init__(self, samples: NDArray[Any], labels: NDArray[np.int64] | None, size: int) -> None:
        self._fields = {SAMPLE: samples} | ({} if labels is None else {LABEL: labels})
        self._size = size

    def open(self, number: int) -> Records:
        """Return a part of the arrays."""
        return {name: each[number * self._size : (number + 1) * self._size] for name, each in self._fields.items()}

    def expect(self, order: "Order", window: int, part: tuple[float, float]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Shards:
    """A split in shards."""

    count: int
    """Samples of the split."""
    size: int
    """Samples of each shard; the last one may have fewer."""
    record: np.dtype[Any]
    """Type of a sample with its label (see `record`)."""
    files: Files
    class_counts: tuple[int, ...] = ()
    """Samples of each class; empty where there are no labels."""

    @property
    def samples(self) -> "Column":
        """The stored samples, [N, ...]."""
        return Column(self, SAMPLE)

    @property
    def labels(self) -> "Column":
        """The labels, int64 [N]."""
        return Column(self, LABEL)

    def take(self, rows: NDArray[np.int64], *fields: str) -> list[NDArray[Any]]:
        """Return the fields of samples, in the order of their numbers; each shard is opened once."""
        kinds = [self.record[field] for field in fields]
        found = [np.empty((len(rows), *kind.shape), kind.base) for kind in kinds]
        numbers, within = np.divmod(rows, self.size)
        for number in dict.fromkeys(numbers.tolist()):
            here, records = np.flatnonzero(numbers == number), self.files.open(number)
            for field, column in zip(fields, found, strict=True):
                column[here] = records[field][within[here]]
        return found

    @classmethod
    def of(cls, samples: NDArray[Any], labels: NDArray[np.int64] | None, size: int, classes: int = 0) -> "Shards":
        """Return arrays as a split in shards, which they are for the order of their samples alone."""
        counts = () if labels is None else class_counts(labels, classes)
        like = record(samples[0], labelled=labels is not None)
        return cls(len(samples), size, like, Pieces(samples, labels, size), counts)


@dataclass(frozen=True)
class Column:
    """The samples or the labels of a split in shards, read like those of an array where they are asked for."""

    shards: Shards
    field: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a number."""
        return self.shards.record[self.field].base

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array that all of them would make."""
        return (self.shards.count, *self.shards.record[self.field].shape)

    @property
    def nbytes(self) -> int:
        """Bytes of that array."""
        return self.shards.count * self.shards.record[self.field].itemsize

    def __len__(self) -> int:
        return self.shards.count

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> NDArray[Any]:
        """Return some, in the order of their numbers, as an array."""
        chosen = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else np.asarray(rows, np.int64)
        return self.shards.take(chosen, self.field)[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all of them, in memory."""
        return np.asarray(self[:], dtype)


def class_counts(labels: NDArray[np.int64] | Column, classes: int) -> tuple[int, ...]:
    """Return the number of samples of each class."""
    if isinstance(labels, Column):
        return labels.shards.class_counts
    return tuple(np.bincount(labels, minlength=classes).tolist())
