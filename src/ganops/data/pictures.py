"""Pictures that a person names, as the samples that `prepare` would make of them."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganops.core.arrays import load_array
from ganops.core.errors import DataError
from ganops.data.decode import decode
from ganops.data.image_decoder import ImageDecoder
from ganops.data.sources import SOURCES, lines, read_source
from ganops.data.sources.item import Content, ItemError, printable, reading


def read(paths: Sequence[Path], decoder: ImageDecoder) -> tuple[tuple[str, ...], NDArray[np.uint8]]:
    """Read pictures.

    Args:
        paths: Files of images, what `prepare` takes as a source, and .npy files of uint8 [N, H, W] or [N, H, W, C].
        decoder: The way in which an image becomes a sample; where it makes no luma, grey is repeated to three channels.

    Returns:
        Their names, and the samples, uint8 [N, 1 or 3, resolution, resolution].

    Raises:
        DataError: A path does not exist or holds no images, or one of them cannot be read.
    """
    names: list[str] = []
    samples: list[NDArray[np.uint8]] = []
    for path in paths:
        count = len(samples)
        for name, content in _contents(path):
            try:
                sample, _ = decode(content, decoder)
            except ItemError as error:
                raise DataError(f"{name}: {error}") from error
            names.append(name)
            samples.append(np.broadcast_to(sample, (1 if decoder.luma else 3, *sample.shape[1:])))
        if len(samples) == count:
            raise DataError(f"{path} holds no images: expected files of them, or uint8 [N, H, W, C] as .npy")
    return tuple(names), np.stack(samples)


def _contents(path: Path) -> Iterable[tuple[str, Content]]:
    """The names and the contents of the images at a path."""
    if not path.exists():
        raise DataError(f"{path} does not exist: expected a picture, a folder of pictures, or an .npy file")
    if path.suffix == ".npy":
        return _array(path)
    if any(reader.recognises(path) for reader in SOURCES.values() if reader is not lines):  # a .txt may be a picture
        return (((Path(path.name) / printable(each.name)).as_posix(), each.content) for each in read_source(path).items)
    return [(printable(path.name), path)]


def _array(path: Path) -> Iterator[tuple[str, Content]]:
    with reading(path, "file of an array"):
        images = load_array(path, mapped=True)
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        raise DataError(f"{path}: expected uint8 [N, H, W] or [N, H, W, 1 or 3], got {images.dtype} {images.shape}")
    for i, image in enumerate(images):
        yield f"{printable(path.name)}[{i}]", np.array(image[..., 0] if image.shape[2:] == (1,) else image)
