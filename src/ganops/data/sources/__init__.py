"""Sources of samples: one file for each kind, which recognises it and reads it."""

from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from ganops.core.errors import DataError
from ganops.core.storage import scheme
from ganops.data.sources import archive, download, folder, idx, lines, objects, parquet
from ganops.data.sources.item import IMAGES, Item, Source, Wanted, about, check_count, reading
from ganops.data.sources.storage import Store


class Reader(Protocol):
    """A module of this package."""

    ACCEPTS: str

    def recognises(self, path: Path) -> bool:
        """Return True where an existing path is such a source."""

    def read(self, path: Path, wanted: Wanted = IMAGES) -> Source:
        """Opens the samples of a kind; DataError where it cannot be used."""


SOURCES: dict[str, Reader] = {
    "download": download,
    "idx": idx,
    "parquet": parquet,
    "lines": lines,
    "archive": archive,
    "folder": folder,  # last: it takes every folder
}
"""Tried in this order; the first that recognises a path reads it."""


NUMBERED = ("idx", "download")
"""Kinds of sources that may have classes by number, which a file of their own names."""
_PLUGINS = {"s3": "dvc-s3", "gs": "dvc-gs"}
"""DVC's plugin for each scheme, needed to watch a source: names and ETags of a listing, no downloads."""


def below(folder: Path, source: str) -> Path | str:
    """Return the path that `data.source` means in a project whose data lie in `folder`; a URI stays as it is."""
    return source if scheme(source) else folder / source


def locate(source: Path | str) -> Path | Store:
    """The path itself, or a set of this name in the project's folder `data`; or what a URI names.

    Raises:
        DataError: there is neither; the message lists what is accepted.
    """
    if isinstance(source, str) and scheme(source):
        return Store.at(source)
    source = Path(source)
    for path in (source, Path("data") / source):
        if path.exists():
            return path
    there = [path.name for path in (*source.parent.glob("*"), *Path("data").glob("*"))]
    near = get_close_matches(source.name, there, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise DataError(f"data.source: {source} does not exist{hint}\n{_accepted()}")


def watched(folder: Path, source: str) -> Path | Store:
    """Return the source that `data.source` names, as `locate` finds it, if DVC notices when it changes.

    Raises:
        DataError: it does not exist, it holds `folder`, or DVC would not know it.
    """
    kind = scheme(source)
    if kind == "file":
        problem = f"data.source: {source} is on this machine: expected its path, as DVC takes no file:// for a dep"
        raise DataError(problem)
    if kind and kind not in _PLUGINS:
        raise DataError(f"data.source: DVC watches {', '.join(_PLUGINS)} in a pipeline, not {kind}://\n{_accepted()}")
    if kind and not find_spec(_PLUGINS[kind].replace("-", "_")):
        raise DataError(f"data.source: DVC watches {kind}:// by its plugin: pip install {_PLUGINS[kind]}")
    found = locate(below(folder, source))
    if isinstance(found, Path) and folder.resolve().is_relative_to(found.resolve()):
        raise DataError(
            f"data.source: {source} holds this project, whose outputs would be its samples: move one of them"
        )
    return found


def read_source(path: Path | Store, wanted: Wanted = IMAGES) -> Source:
    """Opens whatever is at `path`, and finds the samples that are wanted.

    Raises:
        DataError: It cannot be used; also later, when the items are walked.
    """
    with reading(path):
        source = _called(_read(path, wanted), path)
    if source.count is not None:
        check_count(source.count, path)
    return replace(source, items=_walked(source.items, path))


def _read(path: Path | Store, wanted: Wanted) -> Source:
    if isinstance(path, Store):
        return _divided(objects.read(path, wanted), wanted)
    for reader in SOURCES.values():
        if reader.recognises(path):
            return _divided(reader.read(path, wanted), wanted)
    raise DataError(f"data.source: {path} is not a known kind of source\n{_accepted()}")


def _called(source: Source, path: Path | Store) -> Source:
    """Return a source whose labels are numbers, with the names that the set's own file has for them.

    Raises:
        DataError: Its `classes` are no list of names, or too few.
    """
    own = about(path) if source.kind in NUMBERED and isinstance(path, Path) else {}
    if (names := own.get("classes")) is None:
        return source
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise DataError(f"data.source: {path}: classes: expected a list of names, got {names!r:.100}")

    def called() -> Iterator[Item]:
        for item in source.items:
            if item.label is not None and int(item.label) >= len(names):
                raise DataError(f"data.source: {path}: expected a name for each class, got none for {item.label}")
            yield item if item.label is None else item._replace(label=names[int(item.label)])

    return replace(source, items=called(), class_names=tuple(names))


def _divided(source: Source, wanted: Wanted) -> Source:
    """Return the lines of a source's files where these are wanted; a table has a row for each already."""
    return lines.split(source) if wanted.lines and source.kind != "parquet" else source


def _walked(items: Iterator[Item], path: Path | Store) -> Iterator[Item]:
    with reading(path):
        yield from items


def _accepted() -> str:
    accepted = [*(reader.ACCEPTS for reader in SOURCES.values()), objects.ACCEPTS]
    return "\n  ".join(["Accepted are:", *accepted])
