"""Items of a source: light handles, which any process can turn into samples."""

import sqlite3
import zlib
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganops.core.errors import DataError, UserError
from ganops.core.files import read_json
from ganops.core.redaction import reason

FILE_LIMIT = 100 * 2**20
"""Bytes of the largest file that is read as one image; it bounds what an archive can unpack into memory."""

ROW_LIMIT = 1_000_000_000
"""Files or samples in a source, at most: they take no memory, but time and disk."""

ABOUT = ("about.json", "source.json")
"""Files in a source's folder that may hold `name`, `licence` and `classes`: the embedded set, pinned downloads."""

DESCRIPTION_LIMIT = 2**20
"""Bytes of the largest JSON file in which a source describes itself."""

Pixels = NDArray[np.uint8]
"""uint8 [C, H, W] with 1 or 3 channels; in an item of a source, gray [H, W]."""


class ItemError(Exception):
    """An item that gives no sample. Its text is the reason: the same on every machine, so it names no folder."""


class Deferred(ABC):
    """An encoded image that is not here: whoever decodes it reads it, so that it travels once."""

    size: int
    """Bytes, as far as they are known."""

    @property
    def group(self) -> Hashable:
        """Neighbours of one group are read at once, so they are handed out together; None: each is read by itself."""
        return None

    @property
    def version(self) -> str:
        """Name that these very bytes have, and others in their place would not; empty: unknown."""
        return ""

    @property
    @abstractmethod
    def local(self) -> bool:
        """True where only this machine can read the item."""

    @abstractmethod
    def read(self) -> bytes:
        """Return the bytes; ItemError where there are none, DataError where the source as a whole cannot be read."""


Single = Path | bytes | str | Pixels | Deferred | ItemError
"""A file, an encoded image, a text, gray pixels [H, W], an image elsewhere, or the reason why there is none."""

Content = Single | tuple[Single, ...]
"""The content of an item; of a film whose frames are files, one for each frame, in their order."""


def check_size(size: int) -> None:
    """ItemError where a file is too large to be read as one image."""
    if size > FILE_LIMIT:
        raise ItemError(f"too large: {size:,} bytes, at most {FILE_LIMIT:,} are read")


def check_count(count: int, source: object) -> None:
    """Refuses a source that holds, or says that it holds, more files or samples than a set can have.

    Raises:
        DataError: There are more than `ROW_LIMIT`.
    """
    if count > ROW_LIMIT:
        raise DataError(f"data.source: {source} holds {count:,} samples or more; at most {ROW_LIMIT:,} are read")


def printable(text: str) -> str:
    """Names of files are bytes; those that are no UTF-8 are escaped, for they could not be written as JSON."""
    return text.encode("utf-8", "backslashreplace").decode()


class Item(NamedTuple):
    """One sample of a source: its name in there, the name of its class if it has one, and its content."""

    name: str
    label: str | None
    content: Content
    group: str | None = None
    """Samples of one group lie in one split; None: it has no group."""
    path: str = ""
    """Path that the source states for it, where that is not its name; that of a folder ends with a slash."""


@dataclass(frozen=True)
class Stills:
    """Numbered images, of which a folder is one sample: a film."""

    suffixes: tuple[str, ...]
    """Endings of their files, in small letters and with their dots."""
    most: int
    """Number of them that are read, at most."""
    every: int = 1
    """Takes one of so many."""


@dataclass(frozen=True)
class Wanted:
    """Samples of a kind, as sources hold them."""

    unit: str
    """Noun for one of them."""
    suffixes: tuple[str, ...]
    """Endings of their files, in small letters and with their dots."""
    columns: tuple[str, ...]
    """Names of the columns that a table may keep them in, the first of which wins."""
    paths: bool = False
    """True where the paths that a table states beside them are asked for."""
    lines: bool = False
    """True where each line of a file is one."""
    stills: Stills | None = None
    """Images whose folder is one, where they are numbered; None: there are no such."""

    def named(self, name: str) -> bool:
        """Return True where the extension is that of a sample: then the file is one, or it is rejected."""
        return PurePosixPath(name).suffix.lower() in self.suffixes


IMAGES = Wanted(
    "image",
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".avif", ".jp2"),
        *(".bmp", ".dib", ".tif", ".tiff", ".pbm", ".pgm", ".ppm", ".pnm"),
    ),
    ("image", "img"),
)
"""Images, which sources look for where nothing else is asked of them."""


@dataclass(frozen=True)
class Source:
    """An opened source: `count` items that can be walked once, and names of the files that are no samples.

    `count` is None where it is known only in the end. `class_names` is the order of the classes where the source states
    one. `raw` items are pixels or texts already: to decode them costs less than to send them to another process.
    `stated` are parameters of the decoder that the source decides. No list of the items is in memory.
    """

    kind: str
    count: int | None
    items: Iterator[Item]
    ignored: tuple[str, ...] = ()
    """Names of files that are no samples; where there are many, the first by name."""
    more: int = 0
    """Number of such files beyond those."""
    class_names: tuple[str, ...] = ()
    raw: bool = False
    stated: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def reading(path: object, kind: str = "") -> Iterator[None]:
    """Turns a failure to read `path` as a whole, a file of such a kind, into a DataError that names it.

    Raises:
        DataError: Reading failed by anything but one of the project's own errors.
    """
    try:
        yield
    except (UserError, ItemError, ModuleNotFoundError):  # what is not installed is no damage of a file
        raise
    except sqlite3.Error as error:  # a listing of its files
        problem = f"data.source: no list of the files of {path} can be written where temporary files lie (TMPDIR)"
        raise DataError(f"{problem}: {error}. Make room there, or set TMPDIR.") from error
    except Exception as error:  # zipfile, tarfile, gzip and pyarrow raise whatever the bytes lead them to
        access = not kind or isinstance(error, (OSError, EOFError, zlib.error))
        problem = f"{'cannot be read' if access else f'is no intact {kind}'}: {reason(error, named=False)}"
        mend = "Replace it by an undamaged copy" + ("" if isinstance(path, Path) else ", or see to the way there")
        raise DataError(f"data.source: {path} {problem}. {mend}.") from error


def described(path: Path) -> dict[str, Any]:
    """The JSON object in a file with which a source describes itself.

    Raises:
        DataError: it holds something else, or cannot be read.
    """
    try:
        if (size := path.stat().st_size) > DESCRIPTION_LIMIT:
            raise ValueError(f"{size:,} bytes, at most {DESCRIPTION_LIMIT:,} are read")
        if not isinstance(content := read_json(path), dict):
            raise ValueError("it holds no keys")
    except (OSError, ValueError) as error:
        expected = "expected JSON with name and licence"
        raise DataError(f"data.source: {path} cannot be read: {reason(error, named=False)}; {expected}") from error
    return content


def about(folder: Path) -> dict[str, Any]:
    """Return what the folder's own file says of it.

    Raises:
        DataError: It cannot be read.
    """
    path = next((folder / file for file in ABOUT if (folder / file).is_file()), None)
    return {} if path is None else described(path)
