"""The table of samples while a set is prepared: an SQLite file, so that no list grows with the set.

Labels, groups and shapes are in memory, each once. SQLite sorts by runs on the disk, in the machine's folder for
temporary files (`TMPDIR`).
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

from ganops.data.prepared import SPLITS

CACHE_KB = 8192
"""Memory of the file, and of a sort."""

TABLES = f"""
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -{CACHE_KB};
CREATE TABLE taken (place INTEGER PRIMARY KEY, shape INTEGER, label INTEGER, grouped INTEGER, name TEXT);
CREATE TABLE hashed (digest BLOB, mirror BLOB, label INTEGER, place INTEGER, shape INTEGER, grouped INTEGER);
CREATE TABLE dealt (split INTEGER, digest BLOB, label INTEGER, place INTEGER, shape INTEGER, grouped INTEGER);
BEGIN;
"""
"""One transaction without a journal: the file goes with the draft that it lies in."""

DEALT = """
INSERT INTO dealt
SELECT split(iif(paired, first, digest), paired, grouped) AS split, digest, label, place, shape, grouped
FROM (
    SELECT *, min(digest) OVER twins < max(digest) OVER twins AS paired
    FROM (SELECT *, min(digest, mirror) AS first FROM hashed) WINDOW twins AS (PARTITION BY first)
)
ORDER BY split, digest, label, place
"""
"""`paired`: both a sample and its mirror image are there; `first`: the smaller of their digests."""

GROUPS = "SELECT min(digest, mirror), grouped FROM hashed WHERE grouped IS NOT NULL ORDER BY 1"
DUPLICATES = """
SELECT count(*) FROM dealt AS one JOIN dealt AS other ON other.rowid = one.rowid + 1 WHERE one.digest = other.digest
"""

Shape = tuple[int, ...]


class Row(NamedTuple):
    """A sample of a split."""

    digest: bytes
    label: int
    """Number of its class; 0 where there are none."""
    place: int
    """Byte of the spool at which it begins."""
    shape: Shape
    """Own shape."""
    group: str | None
    mirrored: bool = False
    """True where it is the mirror image."""


@dataclass(frozen=True)
class Split:
    """The rows of a split, read from the disk whenever they are walked: by digest, label and place."""

    walk: Callable[[], Iterator[Row]]
    count: int
    """Number of rows of a walk."""
    mirrored: bool = False
    """True where the mirror images of all follow."""

    def __len__(self) -> int:
        return self.count * (2 if self.mirrored else 1)

    def __iter__(self) -> Iterator[Row]:
        yield from self.walk()
        if self.mirrored:
            yield from (row._replace(mirrored=True) for row in self.walk())

    def with_mirror_images(self) -> "Split":
        """Return the split with the mirror images of its samples behind them."""
        return replace(self, mirrored=True)


class Table:
    """The table of a set's samples, in a folder that nobody else uses."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".samples.sqlite"
        # nobody else opens it, and not every shared folder has locks
        self._file = sqlite3.connect(f"{self._path.absolute().as_uri()}?nolock=1", uri=True, isolation_level=None)
        self._file.executescript(TABLES)
        self._shapes: dict[Shape, int] = {}
        self._labels: dict[str, int] = {}
        self._groups: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def __len__(self) -> int:
        """Number of samples that are kept."""
        return int(self._file.execute("SELECT count(*) FROM taken").fetchone()[0])

    @property
    def labels(self) -> list[str]:
        """Labels, in the order in which they came."""
        return list(self._labels)

    @property
    def groups(self) -> list[str]:
        """Groups, in the order in which they came."""
        return list(self._groups)

    def add(self, place: int, shape: Shape, name: str, label: str | None, group: str | None) -> None:
        """Take a sample, whose place is behind those of all before it."""
        row = (place, _number(self._shapes, shape), _number(self._labels, label), _number(self._groups, group), name)
        self._file.execute("INSERT INTO taken VALUES (?, ?, ?, ?, ?)", row)

    def drop_unlabelled(self) -> list[str]:
        """Forget the samples that have no label, and return their names."""
        names = [name for (name,) in self._file.execute("SELECT name FROM taken WHERE label IS NULL ORDER BY place")]
        self._file.execute("DELETE FROM taken WHERE label IS NULL")
        return names

    def shapes(self) -> Iterator[Shape]:
        """Yield the shape of each sample."""
        known = list(self._shapes)
        yield from (known[shape] for (shape,) in self._file.execute("SELECT shape FROM taken"))

    def hash(self, hashes: Callable[[int, Shape], tuple[bytes, bytes]], class_names: Sequence[str]) -> None:
        """Note the digests of all samples, which are read one after the other.

        Args:
            hashes: Makes, of a sample's place and own shape, the SHA-256 of its content, and that of its mirror image
                where that one must not lie in another split, else the same once more.
            class_names: Labels in the order of their numbers; empty: all have number 0.
        """
        shapes, number = list(self._shapes), {name: i for i, name in enumerate(class_names)}
        classes = [number.get(name, 0) for name in self._labels]
        rows = self._file.execute("SELECT place, shape, label, grouped FROM taken ORDER BY place")
        samples = (
            (*hashes(place, shapes[shape]), 0 if label is None else classes[label], place, shape, group)
            for place, shape, label, group in rows
        )
        self._file.executemany("INSERT INTO hashed VALUES (?, ?, ?, ?, ?, ?)", samples)

    def grouped(self) -> Iterator[tuple[bytes, str]]:
        """Yield the smaller digest of each sample that has a group and its mirror image, ascending, and the group."""
        names = self.groups
        return ((first, names[group]) for first, group in self._file.execute(GROUPS))

    def deal(self, split: Callable[[bytes, bool, str | None], str]) -> dict[str, Split]:
        """Put each sample into a split, and return the splits.

        Args:
            split: Names the split of a sample by its digest, or the smaller one of it and its mirror image where both
                are there; by whether they are; and by its group.
        """
        names = self.groups

        def number(digest: bytes, paired: int, group: int | None) -> int:
            return SPLITS.index(split(digest, bool(paired), None if group is None else names[group]))

        self._file.create_function("split", 3, number, deterministic=True)
        self._file.execute(DEALT)
        sums = ", ".join(f"total(split = {i})" for i in range(len(SPLITS)))
        counts = [int(count) for count in self._file.execute(f"SELECT {sums} FROM dealt").fetchone()]
        starts = [sum(counts[:i]) for i in range(len(SPLITS))]
        return {
            name: Split(partial(self._walk, start, count), count)
            for name, start, count in zip(SPLITS, starts, counts, strict=True)
        }

    def duplicates(self) -> int:
        """Return the number of samples that are copies of others, whatever their labels; they lie in the same split."""
        return int(self._file.execute(DUPLICATES).fetchone()[0])

    def _walk(self, start: int, count: int) -> Iterator[Row]:
        shapes, groups = list(self._shapes), self.groups
        found = self._file.execute(
            "SELECT digest, label, place, shape, grouped FROM dealt WHERE rowid > ? AND rowid <= ? ORDER BY rowid",
            (start, start + count),
        )
        for digest, label, place, shape, group in found:
            yield Row(digest, label, place, shapes[shape], None if group is None else groups[group])


def _number(known: dict[Any, int], value: Shape | str | None) -> int | None:
    """Return the number of a value, a new one for a new value; None has none."""
    return None if value is None else known.setdefault(value, len(known))
