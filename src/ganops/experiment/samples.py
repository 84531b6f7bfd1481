"""Samples in memory, in whatever form a person has them, as a training wants them."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from ganops import config
from ganops.core.errors import InputError
from ganops.core.redaction import reason
from ganops.data import decoders
from ganops.data.decode import decode_all
from ganops.data.naming import Naming
from ganops.data.sources import locate, read_source
from ganops.data.sources.item import ItemError
from ganops.data.survey import sizes
from ganops.kinds import KINDS, Spec

SIDES = (16, 32, 64, 128, 256)
"""Resolutions of images."""
REDUCED = 64
"""Pixels of a side to which images of other sizes come at most, where nobody states a resolution."""
EXPECTED = {
    "image": "arrays [N, H, W] or [N, H, W, C], a list of pictures",
    "sound": "int16 [N, T]",
    "text": "a list of str",
    "video": "uint8 [N, T, H, W] or [N, T, H, W, C]",
    "wave": "int16 [N, T]",
}
"""Samples of each kind, in words."""
RANGES = {(0, 1): (255.0, 0.0), (-1, 1): (127.5, 127.5), (0, 255): (1.0, 0.0)}
"""Ends of floats -> the factor and the summand that make 8-bit values of them."""
ROUNDING = 1e-3
"""Share of a range by which floats may lie beyond its ends, as arithmetic leaves them; they are clipped."""
Ends = tuple[int, int]
Tell = Callable[[str], None]
"""Listener to lines for people."""


@dataclass(frozen=True)
class Arrays:
    """Samples in memory, as a run wants them: all of them are for training."""

    stored: NDArray[Any]
    y: NDArray[np.int64] | None
    spec: Spec
    class_names: tuple[str, ...] = ()
    hash: str = "in memory"

    def samples(self, split: str) -> NDArray[Any]:
        """Return the stored samples [N, *shape]."""
        return self.stored

    def labels(self, split: str) -> NDArray[np.int64] | None:
        """Labels int64 [N], or None."""
        return self.y


def numbered(labels: ArrayLike, count: int, known: Sequence[str] = ()) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return numbers of labels, and the names of the classes: those that occur, in order.

    Args:
        labels: Whole numbers, or strings.
        count: The samples.
        known: Names that labels are numbers of, as a data set states them: those that occur become the classes, in
            their order.

    Raises:
        InputError: They are neither, or not as many as the samples, or numbers of no name.
    """
    given = as_array(labels, "labels")
    if given.dtype == object and all(isinstance(each, str) for each in given.ravel()):
        given = given.astype(str)
    if given.shape == (count,) and given.dtype.kind == "U":
        names, numbers = np.unique(given, return_inverse=True)
        return numbers.astype(np.int64), tuple(names.tolist())
    if given.shape != (count,) or given.dtype.kind not in "iu" or given.min() < 0:
        least = f" from {given.min()} on" if given.size and given.dtype.kind == "i" else ""
        raise InputError(f"labels: expected {count} integers from 0 on, or strings, "
                         f"got {given.dtype} {given.shape}{least}")  # fmt: skip
    if not known:
        present, numbers = np.unique(given, return_inverse=True)
        return numbers.astype(np.int64), tuple(map(str, present.tolist()))
    if given.max() >= len(known):
        raise InputError(f"labels: expected numbers of the {len(known)} classes {', '.join(known)}, got {given.max()}")
    present, numbers = np.unique(given, return_inverse=True)
    return numbers.astype(np.int64), tuple(known[each] for each in present)


def of_folder(path: Path | str, data: Any, side: int | None, tell: Tell) -> tuple[list[NDArray[Any]], list[str] | None]:
    """Return the raw samples of a source, as the pipeline decodes them, and their labels where all have one.

    Args:
        path: A folder, zip, tar, Parquet or file of texts; or an address on object storage.
        data: A section `data` of params.yaml, whose `labels` and `max_rejected` count.
        side: Pixels of images; None: those that most have, or the nearest of `SIDES`, up to `REDUCED`.
        tell: Hears what was changed and left out.

    Raises:
        DataError: It cannot be read.
        InputError: Too many samples cannot be used.
    """
    naming = Naming.of(data.labels, "none")
    source = naming.applied(read_source(locate(path), replace(decoders.of(data).wanted, paths=bool(naming))))
    items = [item for item in source.items if not isinstance(item.content, str) or item.content.strip()]
    if data.kind == "image":
        found = [max(size) for size in sizes([item.content for item in items[:: -(-len(items) // 256) or 1]])]
        data = data.model_copy(update={"resolution": side or nearest(float(np.median(found or [REDUCED])))})
    kept: list[tuple[str | None, NDArray[Any]]] = []
    bad, notes = [], Counter[str]()
    for item, each in zip(items, decode_all([item.content for item in items], decoders.of(data)), strict=True):
        if isinstance(each, ItemError):
            bad.append(f"{item.name}: {each}")
        else:
            kept.append((item.label, each[0]))
            notes.update(each[1])
    if bad:
        first = f"{len(bad):,} of {len(items):,} cannot be used, the first of which is {bad[0]}"
        if len(bad) > data.max_rejected * len(items):
            raise InputError(f"{path}: {first}; at most {100 * data.max_rejected:g} % may be (data.max_rejected)")
        tell(first)
    for note, count in notes.items():
        tell(f"{count:,} of {len(kept):,} {KINDS[data.kind].UNIT}s: {note}")
    labels = [label for label, _ in kept if label is not None]
    whole = data.labels != "none" and len(labels) == len(kept) and len({*labels}) > 1
    return [raw for _, raw in kept], labels if whole else None


def images(
    samples: Any, data: config.ImageData, side: int | None, tell: Tell, fewest: int = 2, like: Ends | None = None
) -> NDArray[np.uint8]:
    """Return images of any form as uint8 [N, C, S, S].

    Squares of one of `SIDES` that have `data.channels` stay as they are; others come to such a side as `prepare`
    brings them, by `data.fit`, `data.background` and `data.resize`.

    Args:
        samples: uint8 or floats [N, H, W], [N, H, W, C] or [N, C, H, W], a tensor, or a list of pictures or arrays.
        data: How images become squares.
        side: S; None: that of the images where it is one of `SIDES`, else the nearest, up to `REDUCED`.
        tell: Hears what was changed.
        fewest: Images that there must be.
        like: Range of floats that goes before others, as `ends_of` gives it.

    Raises:
        InputError: They are no images, or too few.
    """
    given = apart(samples)
    ends = ends_of(given, like)
    if ends and ends != like:
        tell(f"images: floats, taken as {ends[0]} ... {ends[1]}")
    if isinstance(given, np.ndarray):
        given = _last(_bytes(given, ends))
    if len(given) < fewest:
        raise InputError(f"images: expected at least {fewest}, got {len(given)}")
    if isinstance(given, np.ndarray) and given.shape[-1] != 4:
        height, width, depth = given.shape[1:]
        same = height == width and (side == height or (side is None and height in SIDES))
        if same and data.channels in ("auto", depth):
            return np.ascontiguousarray(given.transpose(0, 3, 1, 2))
    return _decoded(given, data, side, ends, tell)


def apart(samples: Any) -> list[Any] | NDArray[Any]:
    """Return pictures, or arrays of several shapes, one by one, and others as one array."""
    if not isinstance(samples, list | tuple):
        return as_array(samples, "images")
    given: list[Any] = [each if isinstance(each, Image.Image) else as_array(each, "images") for each in samples]
    same = not any(isinstance(each, Image.Image) for each in given) and len({each.shape for each in given}) <= 1
    return as_array(given, "images") if same else given


def ends_of(images: list[Any] | NDArray[Any], like: Ends | None = None) -> Ends | None:
    """Return the range of the floats among images, one for all of them; None: there are none.

    Args:
        images: As `apart` gives them.
        like: The range that is taken where they lie in it; None: the narrowest one.

    Raises:
        InputError: They lie in none.
    """
    arrays = [images] if isinstance(images, np.ndarray) else [each for each in images if isinstance(each, np.ndarray)]
    floats = [each for each in arrays if each.dtype.kind == "f" and each.size]
    if not floats:
        return None
    low, high = float(min(each.min() for each in floats)), float(max(each.max() for each in floats))
    # what resizing leaves beyond 0 ... 1 makes no set of nearly black images, and none of bright ones
    likely = {(0, 1): True, (-1, 1): low <= -0.5, (0, 255): high >= 2}
    for ends in [like, *RANGES] if like else RANGES:
        room = ROUNDING * (ends[1] - ends[0])
        if ends[0] - room <= low and high <= ends[1] + room and (likely[ends] or ends == like):
            return ends
    raise InputError(f"images: expected uint8 from 0 to 255, or floats from 0 to 1, -1 to 1 or 0 to 255, "
                     f"got {floats[0].dtype} from {low:g} to {high:g}; np.clip brings overshoot back")  # fmt: skip


def _decoded(
    given: Iterable[Any], data: config.ImageData, side: int | None, ends: Ends | None, tell: Tell
) -> NDArray[np.uint8]:
    """Bring images of any size to squares of one."""
    pictures = [each if isinstance(each, Image.Image) else _picture(each, ends) for each in given]
    measured = [max(each.size) for each in pictures]
    side = side or nearest(float(np.median(measured)))
    decoder = decoders.of(data.model_copy(update={"resolution": side}))
    found, notes = [], Counter[str]()
    for i, each in enumerate(pictures):
        try:
            sample, changed = decoder.decode(each)
        except ItemError as error:
            raise InputError(f"images[{i}]: {error}") from error
        found.append(sample)
        notes.update(changed)
    shape, more = decoder.common(sample.shape for sample in found)
    others = Counter("{} x {}".format(*each.size) for each in pictures if each.size != (side, side))
    if others:
        notes[f"to {side} x {side} pixels ({data.fit}), most from {others.most_common(1)[0][0]}"] = others.total()
    for note, count in (notes + Counter(more)).items():
        tell(f"{count:,} of {len(found):,} images: {note}")
    return np.stack([np.broadcast_to(sample, shape) for sample in found])


def nearest(side: float) -> int:
    """Return the side of `SIDES`, up to `REDUCED`, that is nearest by its ratio."""
    return min((each for each in SIDES if each <= REDUCED), key=lambda each: abs(np.log(each / side)))


def _picture(array: NDArray[Any], ends: Ends | None) -> Image.Image:
    """Return an array [H, W], [H, W, C] or [C, H, W] as a picture."""
    pixels = _last(_bytes(array, ends)[None])[0]
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def as_array(samples: Any, what: str = "samples") -> NDArray[Any]:
    """Return the numbers of an array, a tensor of any kind, or a list of such.

    Raises:
        InputError: They are of several shapes, or none; `what` they are meant to be.
    """
    try:
        if isinstance(samples, torch.Tensor):
            dense = samples.detach().to_dense() if samples.layout != torch.strided else samples.detach()
            known = dense.dtype in (torch.float16, torch.float64) or not dense.dtype.is_floating_point
            return np.asarray((dense if known else dense.float()).cpu().numpy())
        if isinstance(samples, list | tuple) and any(isinstance(each, torch.Tensor) for each in samples):
            samples = [as_array(each, what) for each in samples]
        return np.asarray(samples)
    except (TypeError, ValueError, RuntimeError, OSError) as error:
        raise InputError(f"{what}: expected an array, got {type(samples).__name__}: {reason(error)}") from error


def _bytes(images: NDArray[Any], ends: Ends | None) -> NDArray[np.uint8]:
    """Return 8-bit values of whole numbers, or of floats of such a range.

    Raises:
        InputError: They are not numbers of that range.
    """
    if images.dtype == np.uint8 or not images.size:
        return images
    if images.dtype.kind not in "fiu":
        raise InputError(f"images: expected uint8 from 0 to 255, or floats, got {images.dtype}")
    if images.dtype.kind != "f":
        low, high = int(images.min()), int(images.max())
        if low < 0 or high > 255:
            raise InputError(f"images: expected uint8 from 0 to 255, or floats from 0 to 1, -1 to 1 or 0 to 255, "
                             f"got {images.dtype} from {low} to {high}")  # fmt: skip
        return images.astype(np.uint8)
    assert ends
    scale, shift = RANGES[ends]
    return np.rint(images * scale + shift).clip(0, 255).astype(np.uint8)


def _last(images: NDArray[Any]) -> NDArray[Any]:
    """Return images [N, H, W], [N, H, W, C] or [N, C, H, W] with their channels last.

    Raises:
        InputError: They are none of these.
    """
    if images.ndim == 3 and images.shape[2] in (3, 4):
        raise InputError(f"images: expected [N, H, W], [N, H, W, C] or [N, C, H, W], got one image {images.shape}; "
                         "image[None] is a set of one")  # fmt: skip
    if images.ndim == 3:
        images = images[..., None]
    elif images.ndim == 4 and images.shape[1] in (1, 3):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim != 4 or images.shape[3] not in (1, 3, 4) or not all(images.shape[1:3]):
        raise InputError(f"images: expected [N, H, W], [N, H, W, C] or [N, C, H, W], got {images.shape}")
    return images
