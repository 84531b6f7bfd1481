"""The rules that folders and archives share: which files are passed over, and which class a sample belongs to."""

from collections.abc import Sequence
from pathlib import PurePosixPath


def is_hidden(name: str) -> bool:
    """Return True where a part of the path begins with a dot, or was put there by macOS."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def labels(names: Sequence[str]) -> list[str | None]:
    """The class of each sample: its top-level folder; None for samples beside the folders.

    A folder that wraps everything says nothing about the samples, so it is no class: in `faces/a/1.png, faces/b/2.png`
    the classes are a and b, and `faces/1.png` alone is unlabelled.
    """
    paths = [PurePosixPath(name).parts for name in names]
    depth = 0
    while paths and all(len(path) > depth + 1 for path in paths) and len({path[depth] for path in paths}) == 1:
        depth += 1
    return [path[depth] if len(path) > depth + 1 else None for path in paths]
