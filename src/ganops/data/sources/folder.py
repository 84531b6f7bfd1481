"""A folder of samples; its sub-folders are the classes."""

import os
import weakref
from collections.abc import Iterator
from pathlib import Path

from ganops.data.sources import tree
from ganops.data.sources.item import IMAGES, Item, Source, Wanted, check_count
from ganops.data.sources.listing import File, Listing, Sample, scratch

ACCEPTS = "a folder of images, sounds, texts or films (its sub-folders are the classes)"


def recognises(path: Path) -> bool:
    """Every folder that no other source claims."""
    return path.is_dir()


def read(path: Path, wanted: Wanted = IMAGES) -> Source:
    """The samples below `path`; other files are ignored and named, hidden ones are passed over."""
    listing = Listing(wanted)
    for number, (file, objection, is_folder) in enumerate(_walk(path, (), _Entered(), False), 1):
        check_count(number, path)
        name = file.relative_to(path).as_posix()
        if is_folder:  # there may be samples in it, so it counts as rejected
            listing.refuse(name, objection)
        else:
            listing.add(File(name, objection=objection))

    def items(samples: Iterator[Sample]) -> Iterator[Item]:
        for sample in samples:
            yield sample.item(sample.content(lambda file: path / file.name))

    return listing.source("folder", items)


class _Entered:
    """The folders that were entered, on the disk."""

    def __init__(self) -> None:
        self._table = scratch("CREATE TEMP TABLE entered (place BLOB PRIMARY KEY) WITHOUT ROWID;")
        weakref.finalize(self, self._table.close)

    def add(self, place: str) -> None:
        self._table.execute("INSERT OR IGNORE INTO entered VALUES (?)", (os.fsencode(place),))

    def __contains__(self, place: str) -> bool:
        return bool(self._table.execute("SELECT 1 FROM entered WHERE place = ?", (os.fsencode(place),)).fetchone())


def _walk(folder: Path, above: tuple[str, ...], entered: _Entered, linked: bool) -> Iterator[tuple[Path, str, bool]]:
    """All files below `folder` in the order of their names; links are followed, circles are not.

    In a folder that a link led to (`linked`), another link leads to folders that were not `entered` yet only: else n
    folders with two links each, to the next one, hold 2^n files.

    Yields:
        The path, the reason why it cannot be read, if any, and whether that is a folder that cannot be entered.
    """
    above = (*above, os.path.realpath(folder))
    entered.add(above[-1])
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        yield folder, f"a folder that cannot be read: {error.strerror}", True
        return
    for path in (folder / name for name in names if not tree.is_hidden(name)):
        if path.is_file():
            yield path, "", False
        elif not path.is_dir():
            yield path, "neither a file nor a link to one", False
        elif (place := os.path.realpath(path)) in above:
            yield path, "a link to a folder that contains it", True
        elif linked and path.is_symlink() and place in entered:
            yield path, "a link, below another one, to a folder that is read already", True
        else:
            yield from _walk(path, above, entered, linked or path.is_symlink())
