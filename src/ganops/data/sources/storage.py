"""Images on storage that pyarrow knows (s3://, gs://, file://): listed here, read where they are decoded."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import Self

from ganops.core import storage
from ganops.core.cores import in_order
from ganops.core.errors import DataError
from ganops.core.storage import scheme
from ganops.data.sources import tree
from ganops.data.sources.item import Deferred, check_size, reading

AHEAD = 16
"""Folders that are listed at once, where they are small: each is a request, whose answer takes its time."""
SMALL = 1000
"""Files of a small folder, at most: an answer of S3 names so many."""
_Entry = tuple[str, str, int, int]  # name, kind, bytes, time of change


@dataclass(frozen=True)
class Store(storage.Store):
    """A file or a folder of a source: what cannot be read is a DataError."""

    @classmethod
    def at(cls, uri: str) -> Self:
        """Return the place that a URI names.

        Raises:
            DataError: there is nothing, or pyarrow cannot reach it.
        """
        import pyarrow as pa

        try:
            store = cls.of(uri)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"data.source: {scheme(uri)}:// cannot be used: {error}") from error
        with reading(store):
            if store.kind == "NotFound":
                raise DataError(f"data.source: {store} does not exist")
        return store

    def files(self) -> Iterator[tuple[str, int, int]]:
        """Yield every file of a folder that is not hidden, in the order of a walk: path in it, bytes, time of change.

        The time is in nanoseconds; 0: unknown. Memory grows with the largest folder, for there is no listing in parts.

        Raises:
            DataError: The storage does not answer, or a folder in it has no name, so that nothing in there can be read.
        """
        with ThreadPoolExecutor(AHEAD) as pool:
            yield from self._walk("", self._entries(""), pool)

    def _walk(self, above: str, entries: list[_Entry], pool: ThreadPoolExecutor) -> Iterator[tuple[str, int, int]]:
        """Yield the files of a folder, whose path ends with a slash: small sub-folders are listed ahead."""
        folders = iter([f"{above}{name}/" for name, kind, *_ in entries if kind == "Directory"])
        first = [self._entries(folder) for folder in islice(folders, 1)]
        most = AHEAD if first and len(first[0]) <= SMALL else 1
        listings = chain(
            first, in_order(lambda folder: pool.submit(self._entries, folder), Future.result, folders, most)
        )
        for name, kind, size, changed in entries:
            if kind == "File":
                yield above + name, size, changed
            else:
                yield from self._walk(f"{above}{name}/", next(listings), pool)

    def _entries(self, below: str) -> list[_Entry]:
        """Return what a folder holds that is not hidden, by name."""
        with reading(self):
            folder = self / below.rstrip("/") if below else self
            found = folder.listed()
        if any(info.path == folder.path for info in found):
            raise DataError(f"data.source: {folder} holds a folder without a name (//): expected a name for each")
        entries = ((info.base_name, info.type.name, info.size, info.mtime_ns or 0) for info in found)
        kept = (entry for entry in entries if entry[1] in ("File", "Directory") and not tree.is_hidden(entry[0]))
        return sorted(kept, key=lambda entry: (entry[0], entry[1] != "File"))


@dataclass(frozen=True)
class Stored(Deferred):
    """A file on such storage, of so many bytes."""

    store: Store
    size: int
    changed: int = 0
    """Time of its last change in nanoseconds; 0: unknown."""

    @property
    def version(self) -> str:
        """Place, size and time of change."""
        return f"{self.store}|{self.size}|{self.changed}" if self.changed else ""

    @property
    def local(self) -> bool:
        """True where it is a file of this machine."""
        return self.store.local is not None

    def read(self) -> bytes:
        """Return the file's content.

        Raises:
            ItemError: It is too large.
            DataError: The storage does not answer. That says nothing about the image, so it is no reason to reject it:
                the set must not depend on the weather.
        """
        check_size(self.size)
        with reading(self.store), self.store.opened() as file:
            return bytes(file.read(self.size))
