"""Files where pyarrow reaches them: s3://, gs://, file://, or this machine. pyarrow is imported when it is needed."""

import errno
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Self

_URI = re.compile(r"([a-z][a-z0-9+.-]*)://")
PASSING = {None, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH}
"""Numbers of errors that may pass: those of a network's file system; errors of object stores have none."""
LASTING = re.compile(
    "ACCESS_DENIED|NO_SUCH|INVALID|SIGNATURE|FORBIDDEN|PERMISSION|UNAUTHENTICATED|BUCKET '.*' NOT FOUND", re.IGNORECASE
)
"""Parts of what object stores say when waiting does not help."""
_NAMES = re.compile("'[^']*'")  # of keys and buckets in what they say, which may be called permission-study


def scheme(place: object) -> str | None:
    """Return the part of an address before `://`; None for a path."""
    found = _URI.match(str(place))
    return found and found[1]


def away(error: BaseException | None) -> bool:
    """Return True where the storage is not there now, False where it is full, forbidden or named wrongly."""
    if not isinstance(error, OSError) or error.errno not in PASSING:
        return False
    return not LASTING.search(_NAMES.sub("''", str(error)))


@dataclass(frozen=True)
class Store:
    """A file or a folder: `uri` names the storage ("" is this machine), `path` the place in it.

    It travels to other processes as these two words; each of them opens its own connection. Errors are pyarrow's:
    OSError for what is not there or cannot be used, ValueError for an address that it cannot read.
    """

    uri: str
    path: str

    @classmethod
    def of(cls, uri: str) -> Self:
        """Return the place that an address names."""
        return cls(uri, connected(uri)[1].rstrip("/"))

    def __str__(self) -> str:
        return f"{scheme(self.uri)}://{self.path}" if self.uri else self.path

    def __truediv__(self, name: str) -> Self:
        """Return a place below this one."""
        return replace(self, path=f"{self.path}/{name}")

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def system(self) -> Any:
        """The file system, with one connection for each process."""
        return connected(self.uri)[0]

    @property
    def local(self) -> Path | None:
        """The path on this machine, where it is there."""
        return None if scheme(self.uri) not in (None, "file") else Path(self.path)

    @property
    def kind(self) -> str:
        """`File`, `Directory` or `NotFound`."""
        return str(self.system.get_file_info(self.path).type.name)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return int(self.system.get_file_info(self.path).size)

    @property
    def version(self) -> str:
        """Place, size and time of change of a file; empty where the last is unknown."""
        info = self.system.get_file_info(self.path)
        return f"{self}|{info.size}|{info.mtime_ns}" if info.mtime_ns else ""

    def opened(self) -> Any:
        """A file, to be read anywhere."""
        return self.system.open_input_file(self.path)

    def read(self) -> bytes:
        """Return the content of a file."""
        with self.system.open_input_stream(self.path) as stream:
            return bytes(stream.read())

    def write(self, content: bytes) -> None:
        """Write a file, and the folders above it."""
        self.system.create_dir(self.path.rpartition("/")[0], recursive=True)
        with self.system.open_output_stream(self.path) as out:
            out.write(content)

    def remove(self) -> None:
        """Remove a file or a folder, if there is one."""
        if (kind := self.kind) == "File":
            self.system.delete_file(self.path)
        elif kind != "NotFound":
            self.system.delete_dir(self.path)

    def fetch(self, folder: Path | str) -> None:
        """Copy what the folder holds into one of this machine."""
        from pyarrow import fs

        fs.copy_files(self.path, str(folder), source_filesystem=self.system)

    def send(self, folder: Path | str) -> None:
        """Copy what a folder of this machine holds into this one."""
        from pyarrow import fs

        self.system.create_dir(self.path, recursive=True)
        fs.copy_files(str(folder), self.path, destination_filesystem=self.system)

    def listed(self) -> list[Any]:
        """Return pyarrow's facts of what a folder holds; none where there is no such folder."""
        from pyarrow.fs import FileSelector

        found: list[Any] = self.system.get_file_info(FileSelector(self.path, allow_not_found=True))
        return found


@cache
def connected(uri: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it."""
    from pyarrow.fs import FileSystem, LocalFileSystem  # half a second, which only those who need it wait

    return FileSystem.from_uri(uri) if uri else (LocalFileSystem(), "")
