"""What a source hands over: light items, which any process can turn into samples."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganops.errors import DataError

FILE_LIMIT = 100 * 2**20
"""Bytes of the largest file that is read as one image; it bounds what an archive can unpack into memory."""

Pixels = NDArray[np.uint8]
"""uint8 [C, H, W] with 1 or 3 channels; in an item of a source, gray [H, W]."""


class ItemError(Exception):
    """An item that gives no sample. Its text is the reason: the same on every machine, so it names no folder."""


Content = Path | bytes | Pixels | ItemError
"""A file, an encoded image, gray pixels [H, W], or the reason why there is none of these."""


class Item(NamedTuple):
    """One image of a source: its name in there, the name of its class if it has one, and its content."""

    name: str
    label: str | None
    content: Content


@dataclass(frozen=True)
class Source:
    """An opened source: `count` items that can be walked once, and the names of the files that are no images.

    `class_names` is the order of the classes where the source states one. `raw` items are pixels already: to resize
    them costs less than to send them to another process.
    """

    kind: str
    count: int
    items: Iterator[Item]
    ignored: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    raw: bool = False


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns a failure to read `path` as a whole into a DataError that names it."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"data.source: {path} cannot be read: {reason}. Replace it by an undamaged copy.") from error
