"""Pixels that Pillow opens as something else than the file says: deep ones, what is clear in them, and colours."""

import io
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT

from ganops.data.sources.item import ItemError

DEEP = "16-bit to 8-bit gray"
"""Note of gray that had more than 8 bits."""
UNKNOWN = "32-bit pixels have no known range; expected 8 or 16 bits"
"""Reason why they are not read."""
ROUNDING = 4
"""Levels of 255 by which profiles of sRGB differ from one another."""
_GRAY, _RGB, _GRAY_ALPHA = 0, 2, 4  # colour types of PNG
_SIGNED = 2  # sample format of TIFF


def as_stated(image: Image.Image, opened: Image.Image, data: bytes) -> tuple[Image.Image, tuple[str, ...]]:
    """Return an image as its file says that it is, and the notes of that.

    Args:
        image: Loaded, and perhaps turned.
        opened: The same as Pillow has opened it.
        data: The file.

    Raises:
        ItemError: The file has signed pixels, whose range nothing says.
    """
    if opened.format == "PNG":
        return _png(image, bits=data[24], colour=data[25])
    return (_tiff(image, opened) if opened.format == "TIFF" else image), ()


def in_srgb(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Return an image whose colours are those of sRGB, and the note of that; one that is not RGB as it is."""
    profile = image.info.get("icc_profile")
    way = _to_srgb(profile) if profile and image.mode in ("RGB", "RGBA") else None
    if way is None:
        return image, ()
    image = image.convert("RGBA") if image.has_transparency_data else image
    colours = ImageCms.applyTransform(image.convert("RGB"), way)
    assert colours
    if image.mode == "RGBA":
        colours.putalpha(image.getchannel("A"))
    return colours, ("colour profile to sRGB",)


@lru_cache(maxsize=16)
def _to_srgb(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """Return the way from a colour profile to sRGB; None: it is that up to rounding, or no profile of RGB."""
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        way = ImageCms.buildTransform(given, ImageCms.createProfile("sRGB"), "RGB", "RGB")
    except (ImageCms.PyCMSError, OSError):  # a damaged one is passed over by whatever shows the image
        return None
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    shown = np.asarray(ImageCms.applyTransform(Image.fromarray(colours), way))
    return way if np.abs(shown.astype(int) - colours).max() > ROUNDING else None


def eight_bits(image: Image.Image) -> Image.Image:
    """16-bit gray to mode L by rounding v / 257; Pillow's own conversion would clip everything above 255."""
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise ItemError(UNKNOWN)
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _png(image: Image.Image, bits: int, colour: int) -> tuple[Image.Image, tuple[str, ...]]:
    """The value that is clear has the file's own depth, which Pillow compares with pixels of 8 bits."""
    clear = image.info.get("transparency")
    if colour == _GRAY_ALPHA and bits == 16:  # opened as RGBA
        red, *_, alpha = image.split()
        return Image.merge("LA", (red, alpha)), (DEEP,)
    if colour == _GRAY and bits == 16 and clear is not None:
        alpha = Image.fromarray(np.where(np.asarray(image) == clear, 0, 255).astype(np.uint8))
        return Image.merge("LA", (eight_bits(image), alpha)), (DEEP,)
    if colour == _GRAY and bits in (2, 4) and clear is not None:
        image.info["transparency"] = clear * 255 // (2**bits - 1)
    if colour == _RGB and bits == 16 and clear is not None:  # its pixels have lost their lower 8 bits
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    return image, ()


def _tiff(image: Image.Image, opened: Any) -> Image.Image:
    """Pillow neither scales 12 bits nor inverts 16 bits whose zero is white, and knows no signs."""
    tags = opened.tag_v2
    if _SIGNED in np.atleast_1d(tags.get(SAMPLEFORMAT, 1)):
        raise ItemError("signed pixels have no known range; expected unsigned ones of 8 or 16 bits")
    (bits, *_) = np.atleast_1d(tags.get(BITSPERSAMPLE, 1))
    if bits > 16:
        raise ItemError(UNKNOWN)
    if not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image).astype(np.uint32)
    values = (values * 65535 + (2**bits - 1) // 2) // (2**bits - 1)
    if tags.get(PHOTOMETRIC_INTERPRETATION) == 0:
        values = 65535 - values
    return Image.fromarray(values.astype(np.uint16))
