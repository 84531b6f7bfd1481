"""A folder of samples; its sub-folders are the classes."""

import os
from collections.abc import Iterator
from pathlib import Path

from ganops.data.sources import tree
from ganops.data.sources.item import IMAGES, Item, ItemError, Single, Source, Wanted, check_count

ACCEPTS = "a folder of images, sounds, texts or films (its sub-folders are the classes)"


def recognises(path: Path) -> bool:
    """Every folder that no other source claims."""
    return path.is_dir()


def read(path: Path, wanted: Wanted = IMAGES) -> Source:
    """The samples below `path`; other files are ignored and named, hidden ones are passed over."""
    return _films(path, wanted) if wanted.stills else _files(path, wanted)


def _files(path: Path, wanted: Wanted) -> Source:
    """The source whose samples are files."""
    listing, ignored = tree.Listing(), []
    for number, (file, content) in enumerate(_walk(path, (), set(), False)):
        check_count(number + 1, path, streamed=True)
        name = file.relative_to(path).as_posix()
        if wanted.named(name) or isinstance(content, _FolderError):
            listing.add(name, number, "" if isinstance(content, Path) else str(content))
        else:
            ignored.append(name)
            check_count(len(ignored), path)
    items = (Item(sample.name, label, sample.content([path / sample.name])) for sample, label in listing)
    return Source("folder", len(listing), items, tuple(ignored), streamed=True)


def _films(path: Path, wanted: Wanted) -> Source:
    """The source of which folders may be samples."""
    found = []
    for file, content in _walk(path, (), set(), False):
        found.append((file.relative_to(path).as_posix(), content))
        check_count(len(found), path)
    broken = [tree.Found(name, (i,)) for i, (name, content) in enumerate(found) if isinstance(content, _FolderError)]
    files = {i: name for i, (name, content) in enumerate(found) if not isinstance(content, _FolderError)}
    taken = sorted([*tree.samples(files, wanted), *broken], key=lambda sample: sample.files[0])
    used = {i for sample in taken for i in sample.files}
    ignored = tuple(name for i, (name, _) in enumerate(found) if i not in used)
    classes = tree.labels([sample.name for sample in taken])
    items = (
        Item(sample.name, label, sample.content([found[i][1] for i in sample.picked(wanted)]))
        for sample, label in zip(taken, classes, strict=True)
    )
    return Source("folder", len(taken), items, ignored)


class _FolderError(ItemError):
    """A folder that cannot be entered: there may be samples in it, so it counts as rejected."""


def _walk(folder: Path, above: tuple[str, ...], entered: set[str], linked: bool) -> Iterator[tuple[Path, Single]]:
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
