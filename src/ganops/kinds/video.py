"""Kind video: films of one length and size, uint8 [C, T, H, W] with 1 or 3 channels, shown as uint8 [T, H, W, C]."""

import io
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor

UNIT = "film"
STORED = "uint8"
LAST = True
TOLERANCE = 1
"""Grey levels by which two runtimes may differ: each rounds its own sums to the nearest level."""
COLUMNS = 8
"""Films beside one another, where there are not very many."""
LONGEST = 2**24 - 1
"""Milliseconds of a frame of a WebP, at most."""
EXACT = 2**23
"""Bytes of the pixels of films that play beside one another, up to which their file is without loss."""


def inputs(shape: tuple[int, ...], facts: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the shape of a film as networks see it: its own."""
    return shape


def floats(stored: "Tensor", facts: Mapping[str, Any], dtype: "torch.dtype") -> "Tensor":
    """uint8 of any shape -> [-1, 1]: 0 is -1, 255 is 1; in place, as films are large, and one copy is enough."""
    return stored.to(dtype).div_(127.5).sub_(1)


def stored(x: "Tensor", facts: Mapping[str, Any]) -> "Tensor":
    """Samples of nominal range [-1, 1] -> uint8 of the same shape: -1 is 0, 1 is 255, what is beyond is clipped."""
    import torch

    return ((x.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def shown(stored: Any, facts: Mapping[str, Any]) -> Any:
    """uint8 [N, C, T, H, W] -> uint8 [N, T, H, W, C]."""
    return np.ascontiguousarray(np.moveaxis(stored, 1, -1))


def look(stored: Any, facts: Mapping[str, Any]) -> Any:
    """Return film strips, the frames of a film side by side, a gray line between them: uint8 [N, C, H, T W + T - 1]."""
    count, channels, frames, height, width = stored.shape
    strips = np.full((count, channels, height, frames, width + 1), 128, np.uint8)
    strips[..., :width] = stored.transpose(0, 1, 3, 2, 4)
    return np.ascontiguousarray(strips.reshape(count, channels, height, -1)[..., :-1])


def file(shown: Any, facts: Mapping[str, Any]) -> tuple[str, str, bytes]:
    """Return one film, uint8 [T, H, W, C] of any T, as an animated WebP without loss that begins again at its end."""
    return ".webp", "image/webp", _webp(shown, facts["fps"], lossless=True)


def joined(shown: Any, facts: Mapping[str, Any]) -> tuple[str, str, bytes] | None:
    """Return films, uint8 [N, T, H, W, C], as one animated WebP in which they play beside one another (`beside`).

    It is without loss up to `EXACT` bytes of pixels.
    """
    if not len(shown):
        return ".webp", "image/webp", b""
    pixels = beside(shown)
    return ".webp", "image/webp", _webp(pixels, facts["fps"], lossless=pixels.nbytes <= EXACT)


def beside(shown: Any) -> Any:
    """Return films as one film, in rows of `COLUMNS` or more: uint8 [N, T, H, W, C] -> [T, height, width, C].

    A white line is between them; small ones are magnified by a whole factor.
    """
    count, frames, height, width, channels = shown.shape
    columns = max(min(COLUMNS, count), int(np.ceil(np.sqrt(count))))  # a WebP has 16,383 pixels a side, at most
    rows = -(-count // columns)
    sheet = np.full((frames, rows * (height + 1) - 1, columns * (width + 1) - 1, channels), 255, np.uint8)
    for i, film in enumerate(shown):
        top, left = i // columns * (height + 1), i % columns * (width + 1)
        sheet[:, top : top + height, left : left + width] = film
    factor = max(1, 64 // max(height, width))
    return sheet.repeat(factor, axis=1).repeat(factor, axis=2)


def _webp(film: Any, fps: float, *, lossless: bool) -> bytes:
    """Frames uint8 [T, H, W, C] as an animated WebP."""
    from PIL import Image

    frames = [Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame) for frame in film]
    ends = [round(1000 * number / fps) for number in range(len(frames) + 1)]  # whole milliseconds, which do not add up
    shown = [min(max(1, after - before), LONGEST) for before, after in pairwise(ends)]
    buffer = io.BytesIO()
    frames[0].save(
        buffer, format="WEBP", save_all=True, append_images=frames[1:], duration=shown, loop=0, lossless=lossless,
        method=2,
    )  # fmt: skip
    return buffer.getvalue()


def words(shape: tuple[int, ...], facts: Mapping[str, Any]) -> str:
    """Return the films of a shape [C, T, H, W] in words: films of 8 32x32 grey frames, 8 a second."""
    channels, frames, height, width = shape
    return (
        f"films of {frames} {height}x{width} {'grey' if channels == 1 else 'colour'} frames, {facts['fps']:g} a second"
    )


def agree(one: Any, other: Any) -> str | None:
    """Return how uint8 films differ by more than `TOLERANCE` grey levels, or None."""
    difference = int(np.abs(one.astype(int) - other).max(initial=0))
    if difference <= TOLERANCE:
        return None
    return f"{difference} grey levels, more than the {TOLERANCE} of rounding"
