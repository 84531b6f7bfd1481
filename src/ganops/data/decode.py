"""Items of a source, wherever they lie, to raw samples."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganops.data.decoders import Decoder
from ganops.data.sources.item import Content, Deferred, ItemError, Pixels, Single, check_size

_REQUESTS = 16  # files that one process asks object storage for at a time

Decoded = tuple[NDArray[Any], tuple[str, ...]] | ItemError
"""A raw sample with the conversions it went through, or why there is none."""


def decode(content: Content, decoder: Decoder) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The raw sample, and the conversions worth a note.

    Raises:
        ItemError: The content is no intact sample.
    """
    return decoder.decode(_encoded(content))


def decode_all(contents: Sequence[Content], decoder: Decoder) -> list[Decoded]:
    """`decode` of each, with the failure itself in the place of a sample that failed."""
    results: list[Decoded] = []
    for content in _fetched(contents):
        try:
            results.append(decode(content, decoder))
        except ItemError as failure:
            results.append(ItemError(str(failure)))  # the same words, without the frames that hold the content
    return results


def _fetched(contents: Sequence[Content]) -> Iterable[Content]:
    """Files that lie elsewhere are asked for at once: a request waits for most of its time."""
    if not any(map(_waits, contents)):
        return contents
    with ThreadPoolExecutor(_REQUESTS) as threads:
        return list(threads.map(_fetch, contents))


def _waits(content: Content) -> bool:
    parts = content if isinstance(content, tuple) else (content,)
    return any(isinstance(part, Deferred) and part.group is None for part in parts)


def _fetch(content: Content) -> Content:
    return tuple(map(_fetched_one, content)) if isinstance(content, tuple) else _fetched_one(content)


def _fetched_one(content: Single) -> Single:
    try:
        return content.read() if isinstance(content, Deferred) else content
    except ItemError as failure:
        return failure


def _encoded(content: Content) -> bytes | str | Pixels | Iterator[bytes]:
    """Return the bytes, text or pixels to be decoded; of frames that are files those of each, when asked for."""
    return (_bytes(part) for part in content) if isinstance(content, tuple) else _bytes(content)


def _bytes(content: Single) -> Any:
    if isinstance(content, ItemError):
        raise content
    if isinstance(content, np.ndarray | str):
        return content
    data = content.read() if isinstance(content, Deferred) else content
    data = read_file(data) if isinstance(data, Path) else data
    if not data:
        raise ItemError("empty, 0 bytes")
    return data


def read_file(path: Path) -> bytes:
    """The bytes of an image file.

    Raises:
        ItemError: it is too large, or cannot be read.
    """
    try:
        check_size(size := path.stat().st_size)
        with open(path, "rb") as file:
            return file.read(size)
    except OSError as error:
        raise ItemError(f"cannot be read: {error.strerror}") from error
