"""The rules that folders and archives share: what is passed over, what is a film, and what the classes are.

Names are paths below the source, with slashes, as `PurePosixPath` writes them.
"""

import re
from collections.abc import Mapping
from itertools import takewhile
from pathlib import PurePosixPath
from typing import NamedTuple

Parts = tuple[str, ...]
"""Parts of a path."""
_NUMBERED = re.compile(r"(.*?)([0-9]{1,18})([^0-9]*)")
"""Pattern of a name by its last number: the text before it, the number, the text behind it."""
_ANIMATED = ".png"
"""Ending that a film in one file and a still share."""


def is_hidden(name: str) -> bool:
    """Return True where a part of the path begins with a dot, or was put there by macOS."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


class Film(NamedTuple):
    """The images of a folder as one sample."""

    name: str
    files: tuple[int, ...]
    """Numbers of its files, in their order."""
    objection: str = ""
    """The reason why they are no sample."""


def film(folder: str, names: Mapping[int, str]) -> Film | None:
    """Return the film that the images of a folder are, in the order of their numbers; None: there is none.

    A lone image is a file of its own, and a cover or a thumbnail where it can be no film.

    Args:
        folder: Path of the folder.
        names: Number of a file -> its path.
    """
    if len(names) == 1:
        ((i, name),) = names.items()
        return Film(name, (i,)) if name.lower().endswith(_ANIMATED) else None
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
    return Film(folder, order, objection)


def wraps(before: Parts | None, name: str) -> Parts:
    """Return the folders that wrap a sample and all before it; `before`: those of these, None: there are none."""
    if before == ():
        return before
    above = name.split("/")[:-1]
    same = takewhile(lambda pair: pair[0] == pair[1], zip(above if before is None else before, above, strict=False))
    return tuple(part for part, _ in same)


def label(name: str, wrapped: Parts) -> str | None:
    """Return the class of a sample: its top-level folder; None for samples beside the folders.

    A folder that wraps everything says nothing about the samples, so it is no class: in `faces/a/1.png, faces/b/2.png`
    the classes are a and b, and `faces/1.png` alone is unlabelled.

    Args:
        name: Path of the sample.
        wrapped: The folders that wrap all samples, as of `wraps`.
    """
    parts, depth = name.split("/"), len(wrapped)
    return parts[depth] if len(parts) > depth + 1 else None
