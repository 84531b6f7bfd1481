"""Pairs of idx files, the format of MNIST: `*-images-idx3-ubyte` and `*-labels-idx1-ubyte`, compressed or not.

A file is two zero bytes, 8 for uint8, the number of dimensions, each dimension as a big-endian uint32, then the values.
"""

import gzip
import math
import re
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from ganops.core.errors import DataError
from ganops.data.sources.item import FILE_LIMIT, IMAGES, Item, Source, Wanted, check_count, reading

ACCEPTS = "an idx pair such as train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz, or a folder of them"

_DEFLATE = 1032  # bytes that one byte of a compressed file can become, at most (the format of deflate)
_IMAGES = re.compile(r"(.*)images([-.])idx3-ubyte(\.gz)?")


def recognises(path: Path) -> bool:
    """An images file by its name, or a folder that holds one."""
    return bool(_images([path] if path.is_file() else path.glob("*idx3-ubyte*")))


def read(path: Path, wanted: Wanted = IMAGES) -> Source:
    """All pairs in a folder, or the one that an images file belongs to; without a labels file, unlabelled.

    Raises:
        DataError: As of `from_files`; or other samples than images are wanted.
    """
    if wanted.unit != IMAGES.unit:
        raise DataError(f"data.source: {path} holds images, not {wanted.unit}s: idx files are of data.kind: image")
    return from_files([path] if path.is_file() else path.iterdir())


def from_files(paths: Iterable[Path]) -> Source:
    """The pairs among `paths`; the labels of an images file lie beside it.

    Raises:
        DataError: a file is damaged, or a pair has not as many labels as images.
    """
    files = _images(paths)
    count = 0
    for file in files:
        with _opened(file, 3) as (_, shape):
            if not 0 < shape[1] * shape[2] <= FILE_LIMIT:
                raise DataError(f"data.source: {file} says that its images are {shape[1]} x {shape[2]} pixels")
            count += shape[0]
            check_count(count, file)
    return Source("idx", count, chain.from_iterable(map(_items, files)), raw=True)


def _images(paths: Iterable[Path]) -> list[Path]:
    """The images files in the order of their names; of a file that is there twice, the one that is not compressed."""
    named = (path for path in sorted(paths, reverse=True) if _IMAGES.fullmatch(path.name))
    found = {path.name.removesuffix(".gz"): path for path in named}
    return [found[name] for name in sorted(found)]


def _labels_file(images: Path) -> Path | None:
    name = _IMAGES.sub(r"\1labels\2idx1-ubyte", images.name)
    return next((images.with_name(name + end) for end in ("", ".gz") if images.with_name(name + end).exists()), None)


def _labels(images: Path, count: int) -> Iterator[str | None]:
    """The labels of an images file as decimal numbers."""
    if (path := _labels_file(images)) is None:
        yield from repeat(None, count)
        return
    with _opened(path, 1) as (file, (size,)):
        if size != count:
            raise DataError(f"data.source: {path} holds {size:,} labels for the {count:,} images of {images.name}")
        yield from map(str, _take(file, size, path))


def _items(images: Path) -> Iterator[Item]:
    with _opened(images, 3) as (file, (count, height, width)):
        for i, label in enumerate(_labels(images, count)):
            pixels = np.frombuffer(_take(file, height * width, images), np.uint8).reshape(height, width)
            yield Item(f"{images.name}[{i}]", label, pixels)


@contextmanager
def _opened(path: Path, dimensions: int) -> Iterator[tuple[BinaryIO, tuple[int, ...]]]:
    """The file, decompressed, at its first value; and the sizes in its header, which it is long enough to hold."""
    expected = bytes([0, 0, 8, dimensions])
    with reading(path), gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        header = file.read(4 + 4 * dimensions)
        if len(header) < 4 + 4 * dimensions or header[:4] != expected:
            problem = f"data.source: {path} is no idx{dimensions} file: starts with {header[:4]!r}, not {expected!r}"
            raise DataError(problem)
        shape = struct.unpack(f">{dimensions}I", header[4:])
        if math.prod(shape) > path.stat().st_size * (_DEFLATE if path.suffix == ".gz" else 1):
            values = " x ".join(f"{size:,}" for size in shape)
            raise DataError(f"data.source: {path} is truncated: it cannot hold the {values} values of its header")
        yield cast(BinaryIO, file), shape


def _take(file: BinaryIO, size: int, path: Path) -> bytes:
    if len(data := file.read(size)) < size:
        raise DataError(f"data.source: {path} is truncated: it holds fewer values than its header says")
    return data
