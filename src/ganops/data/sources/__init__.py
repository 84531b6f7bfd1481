"""Where images come from: one file for each kind of source, which recognises it and reads it."""

from difflib import get_close_matches
from pathlib import Path
from typing import Protocol

from ganops.data.item import Source
from ganops.data.sources import archive, download, folder, idx, parquet
from ganops.errors import DataError


class Reader(Protocol):
    """A module of this package."""

    ACCEPTS: str

    def recognises(self, path: Path) -> bool:
        """Whether an existing path is such a source."""

    def read(self, path: Path) -> Source:
        """Opens it; DataError where it cannot be used."""


SOURCES: dict[str, Reader] = {
    "download": download,
    "idx": idx,
    "parquet": parquet,
    "archive": archive,
    "folder": folder,  # last: it takes every folder
}
"""Tried in this order; the first that recognises a path reads it."""


def locate(source: Path) -> Path:
    """The path itself, or a set of this name in the project's folder `data`.

    Raises:
        DataError: there is neither; the message lists what is accepted.
    """
    for path in (source, Path("data") / source):
        if path.exists():
            return path
    near = get_close_matches(
        source.name, [path.name for path in (*source.parent.glob("*"), *Path("data").glob("*"))], 1
    )
    hint = f"; did you mean {near[0]}?" if near else ""
    raise DataError(f"data.source: {source} does not exist{hint}\n{_accepted()}")


def read_source(path: Path) -> Source:
    """Opens whatever is at `path`; DataError where it cannot be used."""
    for reader in SOURCES.values():
        if reader.recognises(path):
            return reader.read(path)
    raise DataError(f"data.source: {path} is not a known kind of source\n{_accepted()}")


def _accepted() -> str:
    return "\n".join(["Accepted are:", *(f"  {reader.ACCEPTS}" for reader in SOURCES.values())])
