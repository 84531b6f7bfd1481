"""The rules that folders and archives share: what an image is, and which class it belongs to."""

from collections.abc import Sequence
from pathlib import PurePosixPath

_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".avif", ".jp2"),
    *(".bmp", ".dib", ".tif", ".tiff", ".pbm", ".pgm", ".ppm", ".pnm"),
)


def is_image(name: str) -> bool:
    """Return True where the extension is an image's: then the file is one, or it is rejected."""
    return PurePosixPath(name).suffix.lower() in _SUFFIXES


def is_hidden(name: str) -> bool:
    """Return True where a part of the path begins with a dot, or was put there by macOS."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def labels(names: Sequence[str]) -> list[str | None]:
    """The class of each image: its top-level folder; None for images beside the folders.

    A folder that wraps everything says nothing about the images, so it is no class: in `faces/a/1.png, faces/b/2.png`
    the classes are a and b, and `faces/1.png` alone is unlabelled.
    """
    paths = [PurePosixPath(name).parts for name in names]
    depth = 0
    while paths and all(len(path) > depth + 1 for path in paths) and len({path[depth] for path in paths}) == 1:
        depth += 1
    return [path[depth] if len(path) > depth + 1 else None for path in paths]
