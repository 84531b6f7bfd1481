"""One image, whatever its form, to uint8 [C, H, W] of one size."""

import io
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

from ganops.core.errors import ConfigError
from ganops.core.redaction import reason
from ganops.data.sources.item import Content, Deferred, ItemError, Pixels, check_size

PIXEL_LIMIT = 89_478_485
"""Pixels of the largest image that is decoded: Pillow's own bound, a quarter of a gibibyte of RGB."""

SIDE_LIMIT = 65_535
"""Pixels of the longest side that is decoded, the most that JPEG can state: Pillow resizes no longer ones."""

# Named, because Pillow would also try formats that start other programs (EPS) or have no signature (TGA).
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
_REQUESTS = 16  # files that one process asks object storage for at a time
_GRAY = ("1", "L", "LA")
_ORIENTATION = 0x0112  # the EXIF tag

_CONVERSIONS = {
    "1": "1-bit to 8-bit gray",
    "P": "palette to RGB",
    "PA": "palette to RGB",
    "CMYK": "CMYK to RGB",
    "YCbCr": "YCbCr to RGB",
    "LAB": "LAB to RGB",
}

Fit = Literal["crop", "pad", "stretch"]
Filter = Literal["lanczos", "bicubic", "bilinear", "box"]
_FILTERS = {name: Image.Resampling[name.upper()] for name in get_args(Filter)}


@dataclass(frozen=True)
class Recipe:
    """A recipe that makes a sample of an image.

    `resolution`: height and width in pixels. `luma`: colour becomes gray (ITU-R 601). `background`: a colour name
    or #rrggbb that shows through transparency and fills the border of `pad`. `fit`, how a sample becomes square:

    * `crop`: the centre square is cut out, then resized.
    * `pad`: what is larger than the resolution is reduced to fit in it, nothing is enlarged; the rest is background.
    * `stretch`: height and width are resized each by its own factor.

    `resize`: Pillow's antialiased filter of that name.

    Raises:
        ConfigError: a value that is not possible.
    """

    resolution: int
    luma: bool = False
    background: str = "white"
    fit: Fit = "crop"
    resize: Filter = "lanczos"

    def __post_init__(self) -> None:
        if self.resolution < 1:
            raise ConfigError(f"data.resolution: expected at least 1 pixel, got {self.resolution}")
        for key, value, known in (("fit", self.fit, get_args(Fit)), ("resize", self.resize, get_args(Filter))):
            if value not in known:
                raise ConfigError(f"data.{key}: expected one of {', '.join(known)}, got {value!r}")
        try:
            ImageColor.getrgb(self.background)
        except (ValueError, AttributeError, TypeError):
            expected = "expected a colour name or #rrggbb, such as white or '#808080'"
            raise ConfigError(f"data.background: {expected}, got {self.background!r}") from None

    def shown(self) -> dict[str, str | int]:
        """The parameters as a user gives them."""
        return {key: value for key, value in asdict(self).items() if key != "luma"}


Decoded = tuple[Pixels, tuple[str, ...]] | ItemError
"""A sample [C, H, W] with the conversions it went through, or why there is none."""


def decode(content: Content, recipe: Recipe) -> tuple[Pixels, tuple[str, ...]]:
    """The sample [C, resolution, resolution], and the conversions worth a note.

    C is 1 where the mode of the file is gray (1, 8 or 16 bits, with or without alpha) and nothing coloured shows
    behind it, else 3.

    Raises:
        ItemError: the content is no intact image.
    """
    data = _encoded(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _sample(data, recipe)
    except ItemError:
        raise
    except UnidentifiedImageError:
        raise ItemError(f"not a readable image: {len(data):,} bytes that start with {bytes(data[:8])!r}") from None
    except Exception as error:  # Pillow's readers raise whatever the bytes lead them to
        if "truncated" in str(error).lower():
            raise ItemError(f"truncated after {len(data):,} bytes") from error
        raise ItemError(f"damaged: {reason(error, named=False)}") from error


def _sample(data: bytes | Pixels, recipe: Recipe) -> tuple[Pixels, tuple[str, ...]]:
    image, notes = (Image.fromarray(data), ()) if isinstance(data, np.ndarray) else _parse(data)
    _check_area(image)
    image, more = _plain(image, recipe)
    pixels = np.asarray(_square(image, recipe))
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)), (*notes, *more)


def decode_all(contents: Sequence[Content], recipe: Recipe) -> list[Decoded]:
    """`decode` of each, with the failure itself in the place of a sample that failed."""
    results: list[Decoded] = []
    for content in _fetched(contents):
        try:
            results.append(decode(content, recipe))
        except ItemError as failure:
            results.append(ItemError(str(failure)))  # the same words, without the frames that hold the image
    return results


def _fetched(contents: Sequence[Content]) -> Iterable[Content]:
    """Files that lie elsewhere are asked for at once: a request waits for most of its time."""
    if not any(isinstance(content, Deferred) and content.group is None for content in contents):
        return contents
    with ThreadPoolExecutor(_REQUESTS) as threads:
        return list(threads.map(_fetch, contents))


def _fetch(content: Content) -> Content:
    try:
        return content.read() if isinstance(content, Deferred) else content
    except ItemError as failure:
        return failure


def _encoded(content: Content) -> bytes | Pixels:
    """Return the bytes or pixels to be decoded."""
    if isinstance(content, ItemError):
        raise content
    if isinstance(content, np.ndarray):
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


def _check_area(image: Image.Image) -> None:
    """ItemError where an image has no pixels or too many; Pillow knows it before it takes memory for them."""
    width, height = image.size
    if not 0 < width * height <= PIXEL_LIMIT:
        raise ItemError(f"{width} x {height} pixels: from 1 to {PIXEL_LIMIT:,} are decoded")
    if max(width, height) > SIDE_LIMIT:
        raise ItemError(f"{width} x {height} pixels: sides of at most {SIDE_LIMIT:,} are decoded")


def _parse(data: bytes) -> tuple[Image.Image, tuple[str, ...]]:
    """The first frame, upright, in the file's own mode."""
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError:
        raise ItemError(f"too large: at most {PIXEL_LIMIT:,} pixels are decoded") from None
    _check_area(image)
    image.load()
    notes = []
    if getattr(image, "is_animated", False):
        image.seek(0)
        notes.append("several frames: the first taken")
    if image.getexif().get(_ORIENTATION) in range(2, 9):
        image = ImageOps.exif_transpose(image)
        notes.append("turned upright by EXIF")
    return image, tuple(notes)


def _plain(image: Image.Image, recipe: Recipe) -> tuple[Image.Image, tuple[str, ...]]:
    """Convert an image to mode L or RGB: 8 bits, no palette, no alpha."""
    notes = [_CONVERSIONS[image.mode]] if image.mode in _CONVERSIONS else []
    if image.mode.startswith("I") or image.mode == "F":
        image = _eight_bits(image)
        notes.append("16-bit to 8-bit gray")
    gray = image.mode in _GRAY
    if image.has_transparency_data:
        notes.append("transparency laid on the background")
        image = image.convert("LA" if gray else "RGBA")
        canvas = _canvas(gray, image.size, recipe)
        canvas.paste(image.convert(canvas.mode), mask=image.getchannel("A"))
        image = canvas
    elif image.mode not in ("L", "RGB"):
        image = image.convert("L" if gray else "RGB")
    if recipe.luma and image.mode == "RGB":
        image = image.convert("L")
        notes.append("colour to luma")
    return image, tuple(notes)


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit gray to mode L by rounding v / 257; Pillow's own conversion would clip everything above 255."""
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise ItemError("32-bit pixels have no known range; expected 8 or 16 bits")
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _canvas(gray: bool, size: tuple[int, int], recipe: Recipe) -> Image.Image:
    """The background; RGB where its colour asks for it, even under a gray image, unless all becomes luma anyway."""
    red, green, blue = ImageColor.getrgb(recipe.background)[:3]
    if gray and (recipe.luma or red == green == blue):
        return Image.new("L", size, ImageColor.getcolor(recipe.background, "L"))
    return Image.new("RGB", size, (red, green, blue))


def _square(image: Image.Image, recipe: Recipe) -> Image.Image:
    """Bring an image to resolution x resolution; see `Recipe` for the three ways."""
    size = recipe.resolution
    if recipe.fit == "pad":
        return _pad(image, recipe)
    if recipe.fit == "crop":
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    return image if image.size == (size, size) else image.resize((size, size), _FILTERS[recipe.resize])


def _pad(image: Image.Image, recipe: Recipe) -> Image.Image:
    size, largest = recipe.resolution, max(image.size)
    if largest > size:  # reduced before it is padded: the canvas stays small, and no border bleeds into the image
        width, height = (max(1, round(side * size / largest)) for side in image.size)
        image = image.resize((width, height), _FILTERS[recipe.resize])
    if image.size == (size, size):
        return image
    canvas = _canvas(image.mode == "L", (size, size), recipe)
    canvas.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
    return canvas
