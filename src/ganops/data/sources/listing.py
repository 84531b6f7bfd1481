"""The list of a source's files, on the disk: memory does not grow with them, but with the largest folder of images."""

import json
import sqlite3
import weakref
from collections.abc import Callable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import PurePosixPath
from typing import NamedTuple

from ganops.data.sources import tree
from ganops.data.sources.item import Content, Item, ItemError, Single, Source, Wanted, printable

IGNORED = 10_000
"""Names of files that are no samples which a source states, at most."""

ALONE = "one frame (data.every leaves others out): expected a film, got a still"
"""Reason why a film in files is none of which one frame is taken."""

_TABLES = """
CREATE TEMP TABLE samples (number INTEGER PRIMARY KEY, sample TEXT);
CREATE TEMP TABLE stills (number INTEGER PRIMARY KEY, folder TEXT, file TEXT);
CREATE TEMP TABLE covered (folder TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP TABLE ignored (name TEXT);
"""


def scratch(tables: str) -> sqlite3.Connection:
    """Return a database with such temporary tables: files of the machine's folder for them that have no name."""
    # whoever collects what is no longer used may be another thread
    file = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    file.executescript(f"PRAGMA temp_store = FILE; PRAGMA temp.journal_mode = OFF; {tables} BEGIN;")
    return file


class File(NamedTuple):
    """A file of a source."""

    name: str
    size: int = 0
    """Bytes, as far as they are known."""
    note: int = 0
    """Number by which its source finds it: a place in an archive, a time of change."""
    objection: str = ""
    """The reason why it is not read."""


class Sample(NamedTuple):
    """A sample that a source holds."""

    name: str
    label: str | None
    files: tuple[File, ...]
    """The files that are read, in their order."""
    objection: str
    """The reason why they are no sample."""
    film: bool
    """True where a film has a file for each frame."""

    def item(self, content: Content) -> Item:
        """Return the sample with its content; the path of a folder ends with a slash."""
        return Item(self.name, self.label, content, path=f"{self.name}/" if self.film else "")

    def content(self, read: Callable[[File], Single]) -> Content:
        """Return the content of the sample, whose files are read by `read`."""
        if self.objection:
            return ItemError(self.objection)
        parts = tuple(ItemError(file.objection) if file.objection else read(file) for file in self.files)
        return parts if self.film else parts[0]


class Listing:
    """The samples among the files of a source: each file of an ending that is wanted, and folders of numbered images.

    An image beside a film, or a lone one that can be no film, is passed over as files of other kinds are.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._table = scratch(_TABLES)
        weakref.finalize(self, self._table.close)
        self._wanted = wanted
        self._wraps: tree.Parts | None = None
        self._added = self._count = 0

    def add(self, file: File) -> None:
        """Add a file that is not hidden."""
        self._added += 1
        stills = self._wanted.stills
        if named := self._wanted.named(file.name):
            self._keep(self._added, file.name, (file,))
        elif not stills or PurePosixPath(file.name).suffix.lower() not in stills.suffixes:
            self._ignore(file.name)
            return
        if stills:
            folder = json.dumps(PurePosixPath(file.name).parent.as_posix())
            if named:
                self._table.execute("INSERT OR IGNORE INTO covered VALUES (?)", (folder,))
            else:
                self._table.execute("INSERT INTO stills VALUES (?, ?, ?)", (self._added, folder, json.dumps(file)))

    def refuse(self, name: str, objection: str, *, labelled: bool = True) -> None:
        """Add a name that is rejected, whatever its ending; one that is not `labelled` says nothing about classes."""
        self._added += 1
        self._keep(self._added, name, (), objection, labelled=labelled)

    def source(self, kind: str, items: Callable[[Iterator[Sample]], Iterator[Item]]) -> Source:
        """Return the source of all that was added; `items` makes its items of the samples, which come as they lie."""
        self._film()
        (others,) = self._table.execute("SELECT count(*) FROM ignored").fetchone()
        names = self._table.execute("SELECT name FROM ignored ORDER BY name LIMIT ?", (IGNORED,))
        ignored = tuple(name for (name,) in names)
        return Source(kind, self._count, items(self._samples()), ignored, more=others - len(ignored))

    def _keep(
        self, number: int, name: str, files: tuple[File, ...], objection: str = "", *, film: bool = False,
        labelled: bool = True,
    ) -> None:  # fmt: skip
        if labelled:
            self._wraps = tree.wraps(self._wraps, name)
        row = json.dumps([name, labelled, files, objection, film])
        self._table.execute("INSERT INTO samples VALUES (?, ?)", (number, row))
        self._count += 1

    def _ignore(self, name: str) -> None:
        self._table.execute("INSERT INTO ignored VALUES (?)", (printable(name),))

    def _film(self) -> None:
        """Make films of the images, one folder after the other."""
        rows = self._table.execute("SELECT folder, folder IN covered, number, file FROM stills ORDER BY folder, number")
        for (folder, covered), group in groupby(rows, key=itemgetter(0, 1)):
            files = {number: File(*json.loads(file)) for *_, number, file in group}
            film = None if covered else tree.film(json.loads(folder), {i: file.name for i, file in files.items()})
            if film is None:
                for file in files.values():
                    self._ignore(file.name)
                continue
            several, stills = len(files) > 1, self._wanted.stills
            picked = film.files[:: stills.every][: stills.most] if several and stills else film.files
            read = tuple(files[i] for i in picked)
            alone = ALONE if several and len(read) == 1 else ""
            self._keep(film.files[0], film.name, read, film.objection or alone, film=several)

    def _samples(self) -> Iterator[Sample]:
        for (row,) in self._table.execute("SELECT sample FROM samples ORDER BY number"):
            name, labelled, files, objection, film = json.loads(row)
            label = tree.label(name, self._wraps or ()) if labelled else None
            yield Sample(name, label, tuple(File(*file) for file in files), objection, film)
