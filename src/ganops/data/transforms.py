"""The augmentations: the numbers that each draws, and the matrices and rectangles that it makes of them."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Shape = tuple[int, int, int]
"""Channels, height and width of a sample, or of each frame of a film; a wave is one row."""

Strength = float | Tensor
"""p of ADA: the chance of each transform. A tensor [] stays on the device."""


@dataclass(frozen=True)
class Transform:
    """The numbers that a transform draws for a sample, and the part of `Drawn` that it makes of them.

    Each function takes the shape of a sample, the uniform numbers in [0, 1) and the normal ones, each [N].
    """

    name: str
    uniform: int = 0
    normal: int = 0
    geometry: Callable[..., Tensor] | None = None
    """-> [N, 3, 3]: from the pixels of the output to those of the input, so the inverse of what is seen."""
    whole: bool = False
    """The geometry moves whole pixels."""
    colour: Callable[..., Tensor] | None = None
    """-> [N, C + 1, C + 1]."""
    spread: Callable[..., Tensor] | None = None
    """-> [N, C + 1, C + 1] for what differs from the sample's mean colour, where `colour` is for the mean alone."""
    of_wave: Callable[..., Tensor] | None = None
    """`colour` of waves, where it is another one: a spectrogram of one band is a row as well."""
    hole: Callable[..., Tensor] | None = None
    """-> [N, holes, 4]."""
    holes: int = 1
    chance: Callable[[Strength], Strength] = lambda p: p
    """Function from the strength to the chance of this entry."""
    kinds: tuple[str, ...] = ("image", "video")
    """Kinds of samples that remain such samples under it: names in `kinds.KINDS`."""


def _homogeneous(linear: Tensor, offset: Tensor | None = None) -> Tensor:
    """[N, k, k] and [N, 1 or k] -> [N, k + 1, k + 1]."""
    matrix = F.pad(linear, (0, 1, 0, 1))
    matrix[:, -1, -1].fill_(1)
    if offset is not None:
        matrix[:, :-1, -1].copy_(offset)
    return matrix


def _eye(like: Tensor, size: int) -> Tensor:
    """The identity for each of N numbers: [N, size, size]."""
    return torch.eye(size, device=like.device).expand(len(like), size, size)


def _linear(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    return _homogeneous(torch.stack([a, b, c, d], 1).view(-1, 2, 2))


def _stretched(x: Tensor, y: Tensor) -> Tensor:
    """An image x times as wide and y times as high."""
    zero = torch.zeros_like(x)
    return _linear(1 / x, zero, zero, 1 / y)


def _moved(x: Tensor, y: Tensor) -> Tensor:
    """An image that is moved by x pixels to the right and y down."""
    return _homogeneous(_eye(x, 2), torch.stack([-x, -y], 1))


def _turned(cosine: Tensor, sine: Tensor) -> Tensor:
    return _linear(cosine, sine, -sine, cosine)


def _sign(u: Tensor) -> Tensor:
    """1 for one half of the uniform numbers, -1 for the other."""
    return 1 - 2 * (2 * u).floor()


def _quarters(shape: Shape, u: Tensor) -> Tensor:
    """Exact, as a cosine of pi / 2 is not."""
    quarter = (4 * u).floor()
    return _turned((quarter - 2).abs() - 1, 1 - (quarter - 1).abs())


def _rotated(shape: Shape, u: Tensor) -> Tensor:
    angle = math.pi * (2 * u - 1)
    return _turned(angle.cos(), angle.sin())


def _scaled(shape: Shape, z: Tensor) -> Tensor:
    return _stretched((0.2 * z).exp2(), (0.2 * z).exp2())


def _sheared(shape: Shape, z: Tensor) -> Tensor:
    one = torch.ones_like(z)
    return _linear(one, -0.2 * z, 0 * z, one)


def _whole_eighths(shape: Shape, u: Tensor, v: Tensor) -> Tensor:
    _, height, width = shape
    return _moved((width * (2 * u - 1) / 8).round(), (height * (2 * v - 1) / 8).round())


def _shift(shape: Shape, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return the shift of `translate` in pixels: each whole number up to an eighth of the side is equally likely."""
    _, height, width = shape
    right, down = int(width / 8 + 0.5), int(height / 8 + 0.5)
    return (u * (2 * right + 1)).floor() - right, (v * (2 * down + 1)).floor() - down


def _strips(shape: Shape, u: Tensor, v: Tensor) -> Tensor:
    """Return the strips that `_shift` leaves empty: one beside the image and one above or below."""
    (_, height, width), (x, y) = shape, _shift(shape, u, v)
    zero = torch.zeros_like(x)
    beside = [torch.where(x < 0, width + x, 0), zero, torch.where(x < 0, width, x), zero + height]
    above = [zero, torch.where(y < 0, height + y, 0), zero + width, torch.where(y < 0, height, y)]
    return torch.stack([torch.stack(beside, 1), torch.stack(above, 1)], 1)


def _square(shape: Shape, u: Tensor, v: Tensor) -> Tensor:
    """A hole of half the sides, whose centre is uniform in the image."""
    _, height, width = shape
    x, y = u * width, v * height
    return torch.stack([x - width / 4, y - height / 4, x + width / 4, y + height / 4], 1)[:, None]


def _later(shape: Shape, u: Tensor) -> Tensor:
    """A sound that is moved by whole frames, or a wave by whole samples, up to an eighth of its length."""
    return _moved((shape[2] * (2 * u - 1) / 8).round(), torch.zeros_like(u))


def _gap(shape: Shape, u: Tensor, v: Tensor) -> Tensor:
    """A hole of all bands, up to an eighth of the frames."""
    _, bands, frames = shape
    half = v * frames / 16
    x = u * frames
    return torch.stack([x - half, torch.zeros_like(u), x + half, torch.full_like(u, bands)], 1)[:, None]


def _missing_band(shape: Shape, u: Tensor, v: Tensor) -> Tensor:
    """A hole of all frames, up to an eighth of the bands."""
    _, bands, frames = shape
    half = v * bands / 16
    y = u * bands
    return torch.stack([torch.zeros_like(u), y - half, torch.full_like(u, frames), y + half], 1)[:, None]


def _brightness(shape: Shape, offset: Tensor) -> Tensor:
    return _homogeneous(_eye(offset, shape[0]), offset[:, None])


def _contrast(shape: Shape, factor: Tensor) -> Tensor:
    return _homogeneous(factor[:, None, None] * _eye(factor, shape[0]))


def _luma(shape: Shape, factor: Tensor) -> Tensor:
    """Acts on the part of a colour along the gray axis (1, ..., 1) alone, which is its mean over the channels."""
    return _homogeneous(_eye(factor, shape[0]) + (factor[:, None, None] - 1) / shape[0])


def _saturation(shape: Shape, factor: Tensor) -> Tensor:
    """Acts on what is perpendicular to the gray axis alone; with one channel that is nothing."""
    one = _eye(factor, shape[0])
    return _homogeneous(one + (factor[:, None, None] - 1) * (one - 1 / shape[0]))


def _hue(shape: Shape, u: Tensor) -> Tensor:
    """Rotation about the gray axis (Rodrigues); only three channels have a circle of hues."""
    if shape[0] != 3:
        return _eye(u, shape[0] + 1)
    angle = math.pi * (2 * u - 1)
    matrix, turn = _saturation(shape, angle.cos()), angle.sin() / math.sqrt(3)
    for row, column in ((0, 2), (1, 0), (2, 1)):
        matrix[:, row, column] += turn
        matrix[:, column, row] -= turn
    return matrix


def _one_of_two(p: Strength) -> Strength:
    """The chance of each of two entries, one or the other of which is on with chance p."""
    return 1 - (1 - p) ** 0.5


TRANSFORMS = (
    # Karras et al. 2020, appendix B
    Transform("brightness", normal=1, colour=lambda shape, z: _brightness(shape, 0.2 * z)),
    Transform("contrast", normal=1, colour=lambda shape, z: _contrast(shape, (0.5 * z).exp2())),
    Transform("lumaflip", uniform=1, colour=lambda shape, u: _luma(shape, _sign(u))),
    Transform("hue", uniform=1, colour=_hue),
    Transform("saturation", normal=1, colour=lambda shape, z: _saturation(shape, z.exp2())),
    # Zhao et al. 2020; the contrast is about the mean of the whole sample
    Transform("diff_brightness", uniform=1, colour=lambda shape, u: _brightness(shape, u - 0.5)),
    Transform("diff_saturation", uniform=1, colour=lambda shape, u: _saturation(shape, 2 * u)),
    Transform(
        "diff_contrast",
        uniform=1,
        colour=lambda shape, u: _saturation(shape, u + 0.5),
        spread=lambda shape, u: _contrast(shape, u + 0.5),
    ),
    # Karras et al. 2020, appendix B; yflip, zoom and shear are ours
    Transform("xflip", uniform=1, whole=True, geometry=lambda shape, u: _stretched(_sign(u), torch.ones_like(u))),
    Transform("yflip", uniform=1, whole=True, geometry=lambda shape, u: _stretched(torch.ones_like(u), _sign(u))),
    Transform("rot90", uniform=1, whole=True, geometry=_quarters),
    Transform("xint", uniform=2, whole=True, geometry=_whole_eighths),
    Transform("scale", normal=1, geometry=_scaled),
    # scale that only magnifies: nothing outside the image is ever seen
    Transform("zoom", normal=1, geometry=lambda shape, z: _scaled(shape, z.abs())),
    # twice, so that the axes of aniso are turned, too
    Transform("rotate", uniform=1, geometry=_rotated, chance=_one_of_two),
    Transform("aniso", normal=1, geometry=lambda shape, z: _stretched((0.2 * z).exp2(), (-0.2 * z).exp2())),
    Transform("rotate", uniform=1, geometry=_rotated, chance=_one_of_two),
    Transform("shear", normal=1, geometry=_sheared),
    Transform("xfrac", normal=2, geometry=lambda shape, x, y: _moved(shape[2] * x / 8, shape[1] * y / 8)),
    # Zhao et al. 2020: 0 moves in, not a reflection. Last, because its strips are those of the result
    Transform(
        "translate",
        uniform=2,
        whole=True,
        geometry=lambda shape, u, v: _moved(*_shift(shape, u, v)),
        hole=_strips,
        holes=2,
    ),
    # both papers
    Transform("cutout", uniform=2, hole=_square, kinds=("image", "sound", "video")),
    # of sounds; the masks of spectrograms as in Park et al. 2019, "SpecAugment", section 2
    # a louder or softer sound: a sum in a spectrogram, which is a logarithm; a factor in a wave
    Transform(
        "gain",
        normal=1,
        colour=lambda shape, z: _brightness(shape, 0.1 * z),
        of_wave=lambda shape, z: _contrast(shape, (0.5 * z).exp2()),
        kinds=("sound", "wave"),
    ),
    Transform("time", uniform=1, whole=True, geometry=_later, kinds=("sound", "wave")),
    Transform("gap", uniform=2, hole=_gap, kinds=("sound",)),
    Transform("band", uniform=2, hole=_missing_band, kinds=("sound",)),
)
"""All transforms in the order in which they act: colour, geometry, holes. A new one is an entry here."""

NAMES = tuple(dict.fromkeys(transform.name for transform in TRANSFORMS))


def names_of(kind: str) -> tuple[str, ...]:
    """Return the names of the transforms that fit samples of a kind."""
    return tuple(dict.fromkeys(transform.name for transform in TRANSFORMS if kind in transform.kinds))


_COLOUR = ("brightness", "contrast", "hue", "saturation")
_ADA = dict.fromkeys(("xint", "scale", "rotate", "aniso", "xfrac", *_COLOUR), 1.0)
_FLIPS = dict.fromkeys(("xflip", "rot90", "lumaflip"), 1.0)

PRESETS: dict[str, dict[str, float]] = {
    "none": {},
    "ada": _ADA,
    "bgc": _ADA | _FLIPS,
    "diffaugment": dict.fromkeys(("diff_brightness", "diff_saturation", "diff_contrast", "translate", "cutout"), 1.0),
    "r3gan": _ADA | _FLIPS | dict.fromkeys((*_COLOUR, "lumaflip"), 0.5) | {"cutout": 1.0},
}
"""name -> the factor of p of each transform.

`ada` is `bgc`, the published set of ADA, without what mirrors, turns by quarters or inverts a sample. `r3gan` is that
of Huang et al. 2024, who let p rise from 0 to 0.3 (FFHQ) or 0.55 (CIFAR-10) along half a cosine.

What differs from the publications: ADA resamples at twice the resolution between low-pass filters (appendix B), here it
is plain bilinear; the centre of DiffAugment's hole is uniform in the image, there on whole pixels.
"""

STRENGTHS: dict[str, float] = {"diffaugment": 1.0}
"""name -> p of the presets whose authors use one from the start to the end; the others adapt it."""
