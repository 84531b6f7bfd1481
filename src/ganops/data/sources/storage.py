"""Images on storage that pyarrow knows (s3://, gs://, file://): listed here, read where they are decoded."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from ganops.core import storage
from ganops.core.errors import DataError
from ganops.core.storage import scheme
from ganops.data.sources import tree
from ganops.data.sources.item import Deferred, check_size, reading


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

    def files(self, below: str = "") -> Iterator[tuple[str, int, int]]:
        """Yield every file of a folder that is not hidden, in the order of a walk: path in it, bytes, time of change.

        The time is in nanoseconds; 0: unknown. One folder after the other is listed, so that no more names are in
        memory than those of one folder and of the folders above it.

        Args:
            below: Path in the folder at which the walk begins; empty: all of it.
        """
        with reading(self):
            found = (self / below if below else self).listed()
        entries = [(info.base_name, info.type.name, info.size, info.mtime_ns or 0) for info in found]
        del found
        for name, kind, size, changed in sorted(entries, key=lambda entry: (entry[0], entry[1] != "File")):
            path = f"{below}/{name}" if below else name
            if kind == "File" and not tree.is_hidden(name):
                yield path, size, changed
            elif kind == "Directory" and not tree.is_hidden(name):
                yield from self.files(path)


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
