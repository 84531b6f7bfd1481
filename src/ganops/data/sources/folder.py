"""A folder of samples; its sub-folders are the classes."""

import os
from collections.abc import Iterator
from pathlib import Path

from ganops.data.sources import tree
from ganops.data.sources.item import IMAGES, Content, Item, ItemError, Source, Wanted, check_count

ACCEPTS = "a folder of images, sounds or texts (its sub-folders are the classes)"


def recognises(path: Path) -> bool:
    """Every folder that no other source claims."""
    return path.is_dir()


def read(path: Path, wanted: Wanted = IMAGES) -> Source:
    """The samples below `path`; other files are ignored and named, hidden ones are passed over."""
    found = []
    for file, content in _walk(path, (), set(), False):
        found.append((file.relative_to(path).as_posix(), content))
        check_count(len(found), path)
    taken = [(name, content) for name, content in found if wanted.named(name) or isinstance(content, _FolderError)]
    ignored = tuple(name for name, content in found if not (wanted.named(name) or isinstance(content, _FolderError)))
    classes = tree.labels([name for name, _ in taken])
    items = (Item(name, label, content) for (name, content), label in zip(taken, classes, strict=True))
    return Source("folder", len(taken), items, ignored)


class _FolderError(ItemError):
    """A folder that cannot be entered: there may be samples in it, so it counts as rejected."""


def _walk(folder: Path, above: tuple[str, ...], entered: set[str], linked: bool) -> Iterator[tuple[Path, Content]]:
    """All files below `folder` in the order of their names; links are followed, circles are not.

    In a folder that a link led to (`linked`), another link leads to folders that were not `entered` yet only: else n
    folders with two links each, to the next one, hold 2^n files.
    """
    above = (*above, os.path.realpath(folder))
    entered.add(above[-1])
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        yield folder, _FolderError(f"a folder that cannot be read: {error.strerror}")
        return
    for path in (folder / name for name in names if not tree.is_hidden(name)):
        if path.is_file():
            yield path, path
        elif not path.is_dir():
            yield path, ItemError("neither a file nor a link to one")
        elif (place := os.path.realpath(path)) in above:
            yield path, _FolderError("a link to a folder that contains it")
        elif linked and path.is_symlink() and place in entered:
            yield path, _FolderError("a link, below another one, to a folder that is read already")
        else:
            yield from _walk(path, above, entered, linked or path.is_symlink())
