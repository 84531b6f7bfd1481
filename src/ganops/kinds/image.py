"""Images: uint8 [C, H, W] with 1 or 3 channels, shown as uint8 [H, W, C]."""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor

UNIT = "image"
STORED = "uint8"
LAST = True
TOLERANCE = 1
"""Grey levels by which two runtimes may differ: each rounds its own sums to the nearest level."""


def inputs(shape: tuple[int, ...], facts: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the shape of an image as networks see it: its own."""
    return shape


def floats(stored: "Tensor", facts: Mapping[str, Any], dtype: "torch.dtype") -> "Tensor":
    """uint8 of any shape -> [-1, 1]: 0 is -1, 255 is 1."""
    return stored.to(dtype) / 127.5 - 1


def stored(x: "Tensor", facts: Mapping[str, Any]) -> "Tensor":
    """Samples of nominal range [-1, 1] -> uint8 of the same shape: -1 is 0, 1 is 255, what is beyond is clipped."""
    import torch

    return ((x.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def shown(stored: Any, facts: Mapping[str, Any]) -> Any:
    """uint8 [N, C, H, W] -> uint8 [N, H, W, C]."""
    return np.ascontiguousarray(np.moveaxis(stored, 1, -1))


def look(stored: Any, facts: Mapping[str, Any]) -> Any:
    """Return the images themselves, uint8 [N, C, H, W]."""
    return stored


def file(shown: Any, facts: Mapping[str, Any]) -> tuple[str, str, bytes]:
    """Return one image, uint8 [H, W, C], as a PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(shown[..., 0] if shown.shape[-1] == 1 else shown).save(buffer, format="PNG")
    return ".png", "image/png", buffer.getvalue()


def joined(shown: Any, facts: Mapping[str, Any]) -> tuple[str, str, bytes] | None:
    """Return None: images stand still."""
    return None


def words(shape: tuple[int, ...], facts: Mapping[str, Any]) -> str:
    """Return the images of a shape [C, H, W] in words: 32x32 grey images."""
    channels, height, width = shape
    return f"{height}x{width} {'grey' if channels == 1 else 'colour'} images"


def agree(one: Any, other: Any) -> str | None:
    """Return how uint8 images differ by more than `TOLERANCE` grey levels, or None."""
    difference = int(np.abs(one.astype(int) - other).max(initial=0))
    if difference <= TOLERANCE:
        return None
    return f"{difference} grey levels, more than the {TOLERANCE} of rounding"
