"""Files on storage that pyarrow knows (s3://, gs://, file://): listed here, read where they are decoded."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ganops.core.errors import DataError
from ganops.data.sources.item import Deferred, check_size, reading

_URI = re.compile(r"([a-z][a-z0-9+.-]*)://")


def scheme(source: object) -> str | None:
    """The part of a URI before `://`; None for a path."""
    found = _URI.match(str(source))
    return found and found[1]


@dataclass(frozen=True)
class Store:
    """A file or a folder: `uri` names the storage ("" is this machine), `path` the place in it.

    It travels to other processes as these two words; each of them opens its own connection.
    """

    uri: str
    path: str

    @classmethod
    def at(cls, uri: str) -> "Store":
        """Return the file or folder that a URI names.

        Raises:
            DataError: there is nothing, or pyarrow cannot reach it.
        """
        from pyarrow.fs import FileType

        store = cls(uri, _connected(uri)[1].rstrip("/"))
        with reading(store):
            if store.system.get_file_info(store.path).type == FileType.NotFound:
                raise DataError(f"data.source: {store} does not exist")
        return store

    def __str__(self) -> str:
        return f"{scheme(self.uri)}://{self.path}" if self.uri else self.path

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def system(self) -> Any:
        """The file system, with one connection for each process.

        Raises:
            DataError: pyarrow cannot use the address.
        """
        return _connected(self.uri)[0]

    @property
    def local(self) -> Path | None:
        """Path on this machine; None: it is elsewhere."""
        return None if scheme(self.uri) not in (None, "file") else Path(self.path)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return int(self.system.get_file_info(self.path).size)

    def opened(self) -> Any:
        """A file, to be read anywhere."""
        return self.system.open_input_file(self.path)

    def beside(self, path: str) -> "Store":
        """Another place on this storage."""
        return Store(self.uri, path)

    def files(self) -> list[tuple[str, int]]:
        """Every file below a folder with its bytes; by its path below it, in the order in which a folder is walked."""
        from pyarrow.fs import FileSelector, FileType

        with reading(self):
            found = self.system.get_file_info(FileSelector(self.path, recursive=True))
        start = len(self.path) + 1
        files = [(info.path[start:], info.size) for info in found if info.type == FileType.File]
        return sorted(files, key=lambda file: file[0].split("/"))


@dataclass(frozen=True)
class Stored(Deferred):
    """A file on such storage, of so many bytes."""

    store: Store
    size: int

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


@cache
def _connected(uri: str) -> tuple[Any, str]:
    """The file system of a URI, and the path in it."""
    import pyarrow as pa  # half a second, which only those who need it wait
    from pyarrow.fs import FileSystem, LocalFileSystem

    if not uri:
        return LocalFileSystem(), ""
    try:
        system, path = FileSystem.from_uri(uri)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"data.source: {scheme(uri)}:// cannot be used: {error}") from error
    return system, path
