"""Grids of images, the picture people look at first."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganops.core.files import atomic

Images = NDArray[np.uint8]
"""uint8 [N, C, H, W] with 1 or 3 channels."""


def grid(images: Images, columns: int | None = None, gap: int = 1) -> Image.Image:
    """One picture of N images, row by row, with `gap` pixels between them; small images are magnified to be seen.

    There are 8 columns unless so many are asked for, or 2 of images that are far wider than high, which are set texts.
    """
    count, channels, height, width = images.shape
    columns = max(1, min(columns or (8 if width < 2 * height else 2), count))
    rows = -(-count // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, channels), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    picture = Image.fromarray(sheet[..., 0] if channels == 1 else sheet)
    factor = max(1, 64 // max(height, width))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def picture(image: NDArray[np.uint8]) -> Image.Image:
    """One image [C, H, W], as large as it is."""
    return Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))


def to_bytes(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return the bytes of a picture as a file of that kind; `options` are Pillow's."""
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)
    return buffer.getvalue()


FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}), ".jpg": ("JPEG", {"quality": 95}), ".jpeg": ("JPEG", {"quality": 95}),
}  # fmt: skip
"""Ending of a picture's name -> Pillow's format and options."""


def save_grid(path: Path, images: Images, columns: int | None = None) -> None:
    """Write the grid of `images`, atomically: a JPEG where the name says so, else a PNG."""
    kind, options = FORMATS.get(path.suffix.lower(), FORMATS[".png"])
    with atomic(path) as draft:
        draft.write_bytes(to_bytes(grid(images, columns), kind, **options))
