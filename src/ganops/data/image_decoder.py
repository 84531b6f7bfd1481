"""One image, whatever its form, to uint8 [C, H, W] of one size."""

import io
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

from ganops.core.errors import ConfigError
from ganops.core.redaction import reason
from ganops.data.depth import DEEP, as_stated, eight_bits, in_srgb
from ganops.data.sources.item import IMAGES, ItemError, Pixels, Wanted

PIXEL_LIMIT = 89_478_485
"""Pixels of the largest image that is decoded: Pillow's own bound, a quarter of a gibibyte of RGB."""

SIDE_LIMIT = 65_535
"""Pixels of the longest side that is decoded, the most that JPEG can state: Pillow resizes no longer ones."""

# Named, because Pillow would also try formats that start other programs (EPS) or have no signature (TGA).
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
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
class ImageDecoder:
    """A decoder that makes a sample of an image.

    `resolution`: height and width in pixels. `channels`: 1, where colour becomes gray (ITU-R 601), 3, or `auto`: 1 if
    every image of the set is stored as gray, else 3. `background`: a colour name or #rrggbb that shows through
    transparency and fills the border of `pad`. `fit`, how a sample becomes square:

    * `crop`: the centre square is cut out, then resized.
    * `pad`: what is larger than the resolution is reduced to fit in it, nothing is enlarged; the rest is background.
    * `stretch`: height and width are resized each by its own factor.

    `resize`: Pillow's antialiased filter of that name. `mirror`: adds the mirror image of every training sample.

    Raises:
        ConfigError: a value that is not possible.
    """

    kind: ClassVar[str] = "image"
    wanted: ClassVar[Wanted] = IMAGES

    resolution: int
    channels: Literal["auto", 1, 3] = "auto"
    background: str = "white"
    fit: Fit = "crop"
    resize: Filter = "lanczos"
    mirror: bool = False

    def __post_init__(self) -> None:
        if self.resolution < 1:
            raise ConfigError(f"data.resolution: expected at least 1 pixel, got {self.resolution}")
        if self.channels not in ("auto", 1, 3):
            raise ConfigError(f"data.channels: expected auto, 1 or 3, got {self.channels!r}")
        for key, value, known in (("fit", self.fit, get_args(Fit)), ("resize", self.resize, get_args(Filter))):
            if value not in known:
                raise ConfigError(f"data.{key}: expected one of {', '.join(known)}, got {value!r}")
        try:
            ImageColor.getrgb(self.background)
        except (ValueError, AttributeError, TypeError):
            expected = "expected a colour name or #rrggbb, such as white or '#808080'"
            raise ConfigError(f"data.background: {expected}, got {self.background!r}") from None

    @property
    def luma(self) -> bool:
        """True where colour becomes gray."""
        return self.channels == 1

    def decode(self, data: bytes | Pixels | Image.Image) -> tuple[Pixels, tuple[str, ...]]:
        """The sample [C, resolution, resolution], and the conversions worth a note.

        C is 1 where the mode of the file is gray (1, 8 or 16 bits, with or without alpha) and nothing coloured shows
        behind it, else 3.

        Raises:
            ItemError: the content is no intact image.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return _sample(data, self)
        except ItemError:
            raise
        except UnidentifiedImageError:
            assert not isinstance(data, Image.Image)  # it has been read
            begin = f"{len(data):,} bytes that start with {bytes(data[:8])!r}"
            raise ItemError(f"not a readable image: {begin}") from None
        except Exception as error:  # Pillow's readers raise whatever the bytes lead them to
            if "truncated" in str(error).lower() and not isinstance(data, Image.Image):
                raise ItemError(f"truncated after {len(data):,} bytes") from error
            raise ItemError(f"damaged: {reason(error, named=False)}") from error

    def common(self, shapes: Iterable[tuple[int, ...]]) -> tuple[tuple[int, ...], dict[str, int]]:
        """Return the shape that all samples of a set get, and the number of conversions that this takes."""
        depths = Counter(shape[0] for shape in shapes)
        depth = max(depths) if self.channels == "auto" else self.channels
        converted = {"gray to RGB": depths[1]} if depth == 3 else {}
        return (depth, self.resolution, self.resolution), converted

    def finish(
        self, train: Iterable[Pixels], shape: tuple[int, ...], conversions: Mapping[str, int]
    ) -> tuple[tuple[int, ...], dict[str, Any], Callable[[Pixels], Pixels], dict[str, int]]:
        """Images are stored as they were decoded."""
        return shape, {}, lambda sample: sample, {}

    def shown(self) -> dict[str, Any]:
        """The parameters as a user gives them."""
        return asdict(self)


def _sample(data: bytes | Pixels | Image.Image, decoder: ImageDecoder) -> tuple[Pixels, tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    if isinstance(data, np.ndarray):
        image = Image.fromarray(data)
    elif isinstance(data, Image.Image):
        image, turned = upright(data)
        image, colours = in_srgb(image)
        notes = (*turned, *colours)
    else:
        image, notes = parse(data)
    check_area(*image.size)
    image, more = plain(image, decoder)
    pixels = np.asarray(square(image, decoder))
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)), (*notes, *more)


def check_area(width: int, height: int) -> None:
    """ItemError where an image has no pixels or too many; its size is known before it takes memory."""
    if not 0 < width * height <= PIXEL_LIMIT:
        raise ItemError(f"{width} x {height} pixels: from 1 to {PIXEL_LIMIT:,} are decoded")
    if max(width, height) > SIDE_LIMIT:
        raise ItemError(f"{width} x {height} pixels: sides of at most {SIDE_LIMIT:,} are decoded")


def parse(data: bytes) -> tuple[Image.Image, tuple[str, ...]]:
    """Return the first image of a file, upright, in the file's own mode and in sRGB, and the notes of that.

    Raises:
        ItemError: It has no pixels or too many. What else Pillow raises is as it raises it.
    """
    try:
        opened: Image.Image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError:
        raise ItemError(f"too large: at most {PIXEL_LIMIT:,} pixels are decoded") from None
    check_area(*opened.size)
    opened.load()
    notes = []
    if getattr(opened, "is_animated", False):
        opened.seek(0)
        notes.append("several frames: the first taken")
    image, turned = upright(opened)
    image, more = as_stated(image, opened, data)
    image, colours = in_srgb(image)
    return image, (*notes, *turned, *more, *colours)


def upright(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Return an image as it is meant to be looked at, by its EXIF, and the note of that."""
    if image.getexif().get(_ORIENTATION) not in range(2, 9):
        return image, ()
    return ImageOps.exif_transpose(image), ("turned upright by EXIF",)


def plain(image: Image.Image, decoder: ImageDecoder) -> tuple[Image.Image, tuple[str, ...]]:
    """Convert an image to mode L or RGB: 8 bits, no palette, no alpha; with the notes of that."""
    notes = [_CONVERSIONS[image.mode]] if image.mode in _CONVERSIONS else []
    if image.mode.startswith("I") or image.mode == "F":
        image = eight_bits(image)
        notes.append(DEEP)
    gray = image.mode in _GRAY
    if image.has_transparency_data:
        notes.append("transparency laid on the background")
        image = image.convert("LA" if gray else "RGBA")
        canvas = _canvas(gray, image.size, decoder)
        canvas.paste(image.convert(canvas.mode), mask=image.getchannel("A"))
        image = canvas
    elif image.mode not in ("L", "RGB"):
        image = image.convert("L" if gray else "RGB")
    if decoder.luma and image.mode == "RGB":
        image = image.convert("L")
        notes.append("colour to luma")
    return image, tuple(notes)


def _canvas(gray: bool, size: tuple[int, int], decoder: ImageDecoder) -> Image.Image:
    """The background; RGB where its colour asks for it, even under a gray image, unless all becomes luma anyway."""
    red, green, blue = ImageColor.getrgb(decoder.background)[:3]
    if gray and (decoder.luma or red == green == blue):
        return Image.new("L", size, ImageColor.getcolor(decoder.background, "L"))
    return Image.new("RGB", size, (red, green, blue))


def square(image: Image.Image, decoder: ImageDecoder) -> Image.Image:
    """Bring an image to resolution x resolution; see `ImageDecoder` for the three ways."""
    size = decoder.resolution
    if decoder.fit == "pad":
        return _pad(image, decoder)
    if decoder.fit == "crop":
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    return image if image.size == (size, size) else image.resize((size, size), _FILTERS[decoder.resize])


def _pad(image: Image.Image, decoder: ImageDecoder) -> Image.Image:
    size, largest = decoder.resolution, max(image.size)
    if largest > size:  # reduced before it is padded: the canvas stays small, and no border bleeds into the image
        width, height = (max(1, round(side * size / largest)) for side in image.size)
        image = image.resize((width, height), _FILTERS[decoder.resize])
    if image.size == (size, size):
        return image
    canvas = _canvas(image.mode == "L", (size, size), decoder)
    canvas.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
    return canvas
