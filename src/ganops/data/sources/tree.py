"""The rules that folders and archives share: what is passed over, what is a sample, and which class it belongs to."""

import json
import re
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import PurePosixPath
from typing import NamedTuple

from ganops.data.sources.item import Content, ItemError, Single, Wanted

Parts = tuple[str, ...]
"""Parts of a path."""
_NUMBERED = re.compile(r"(.*?)([0-9]{1,18})([^0-9]*)")
"""Pattern of a name by its last number: the text before it, the number, the text behind it."""
_ANIMATED = ".png"
"""Ending that a film in one file and a still share."""


def is_hidden(name: str) -> bool:
    """Return True where a part of the path begins with a dot, or was put there by macOS."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


class Found(NamedTuple):
    """A sample that a source holds."""

    name: str
    files: tuple[int, ...]
    """Numbers of its files, in their order."""
    objection: str = ""
    """The reason why they are no sample."""

    def picked(self, wanted: Wanted) -> tuple[int, ...]:
        """Return the numbers of the files that are read."""
        stills = wanted.stills
        return self.files[:: stills.every][: stills.most] if stills and len(self.files) > 1 else self.files

    def content(self, parts: Sequence[Single]) -> Content:
        """Return the content of a sample whose files that are read hold `parts`."""
        if self.objection:
            return ItemError(self.objection)
        return parts[0] if len(self.files) == 1 else tuple(parts)


def samples(names: Mapping[int, str], wanted: Wanted) -> list[Found]:
    """The samples among the files of a source: each file of an ending that is wanted, and folders of numbered images.

    An image beside a film, or a lone one that can be no film, is a cover or a thumbnail: it is passed over.

    Args:
        names: number of a file -> its path.
        wanted: the samples.
    """
    found = [Found(name, (i,)) for i, name in names.items() if wanted.named(name)]
    if wanted.stills is None:
        return found
    covered = {PurePosixPath(each.name).parent for each in found}
    folders: dict[PurePosixPath, list[int]] = {}
    for i, name in names.items():
        path = PurePosixPath(name)
        if path.suffix.lower() in wanted.stills.suffixes and path.parent not in covered:
            folders.setdefault(path.parent, []).append(i)
    found += [_film(folder, {i: names[i] for i in files}) for folder, files in folders.items() if _may(files, names)]
    return sorted(found, key=lambda each: each.files[0])


def _may(files: Sequence[int], names: Mapping[int, str]) -> bool:
    return len(files) > 1 or names[files[0]].lower().endswith(_ANIMATED)


def _film(folder: PurePosixPath, names: Mapping[int, str]) -> Found:
    """The images of a folder in the order of their numbers; a lone one is a file of its own."""
    if len(names) == 1:
        ((i, name),) = names.items()
        return Found(name, (i,))
    parts = {i: _NUMBERED.fullmatch(PurePosixPath(name).stem) for i, name in names.items()}
    numbers = {i: int(part[2]) for i, part in parts.items() if part}
    order = tuple(sorted(names, key=lambda i: (numbers.get(i, -1), names[i])))
    without = sorted(PurePosixPath(names[i]).name for i, part in parts.items() if not part)
    forms = {(part[1], part[3]) for part in parts.values() if part}
    objection = ""
    if without or len(forms) > 1:
        why = f"{without[0]!r} has no number" if without else "what stands beside the numbers differs"
        objection = (
            f"{len(names):,} images of which nothing says the order: {why}. Expected a film's frames in a folder of "
            "their own, numbered as 0001.png, 0002.png; animated PNG files end in .apng"
        )
    elif len({*numbers.values()}) < len(numbers):
        objection = "images of which two have the same number: expected one for each frame, as 0001.png, 0002.png"
    return Found(folder.as_posix(), order, objection)


def labels(names: Sequence[str]) -> list[str | None]:
    """The class of each sample: its top-level folder; None for samples beside the folders.

    A folder that wraps everything says nothing about the samples, so it is no class: in `faces/a/1.png, faces/b/2.png`
    the classes are a and b, and `faces/1.png` alone is unlabelled.
    """
    wraps: Parts | None = None
    for name in names:
        wraps = _wraps(wraps, name)
    return [_label(name, wraps) for name in names]


def _wraps(before: Parts | None, name: str) -> Parts:
    """Return the folders that wrap a sample and all before it; `before`: those of these, None: there are none."""
    above = PurePosixPath(name).parts[:-1]
    same = takewhile(lambda pair: pair[0] == pair[1], zip(above if before is None else before, above, strict=False))
    return tuple(part for part, _ in same)


def _label(name: str, wraps: Parts | None) -> str | None:
    parts, depth = PurePosixPath(name).parts, len(wraps or ())
    return parts[depth] if len(parts) > depth + 1 else None


class Listing:
    """Samples of a source that are a file each, with the numbers of the files or the reasons why they are none.

    They lie on the disk: memory does not grow with them.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+", encoding="ascii")  # noqa: SIM115 - closed with the listing
        weakref.finalize(self, self._file.close)
        self._wraps: Parts | None = None
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, name: str, number: int, objection: str = "", *, labelled: bool = True) -> None:
        """Add a sample at the end; one that is not `labelled` says nothing about classes."""
        if labelled:
            self._wraps = _wraps(self._wraps, name)
        self._file.write(json.dumps([name, number, objection, labelled]) + "\n")
        self._count += 1

    def __iter__(self) -> Iterator[tuple[Found, str | None]]:
        """Yield the samples with their classes, as of `labels`."""
        self._file.seek(0)
        for line in self._file:
            name, number, objection, labelled = json.loads(line)
            yield Found(name, (number,), objection), _label(name, self._wraps) if labelled else None
