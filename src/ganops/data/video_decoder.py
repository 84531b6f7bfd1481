"""One film, whatever its form, to uint8 [C, T, H, W]: so many frames of one size, gray or coloured."""

import io
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import count, islice
from statistics import median
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganops.core.errors import ConfigError
from ganops.core.redaction import reason
from ganops.data.image_decoder import PIXEL_LIMIT, Filter, Fit, ImageDecoder, check_area, parse, plain, square
from ganops.data.sources.item import ItemError, Stills, Wanted
from ganops.kinds import video

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

RATE = 8.0
"""Frames a second of a set none of whose films states a rate, such as one of numbered images."""

SLOW = 100.0
"""Milliseconds that a frame of a GIF, WebP or APNG is shown which states none, as browsers take it."""

STILLS = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif")
"""Endings of images that may be frames of a film."""

# Named, because FFmpeg would also open playlists and scripts, which name other files and addresses.
_FORMATS = "mov,mp4,m4a,3gp,matroska,webm,avi"
_READ = "MP4, MOV, WebM, Matroska, AVI, GIF, WebP or APNG"
_SIGNATURES = {"MP4": (4, b"ftyp"), "WebM": (0, b"\x1aE\xdf\xa3"), "AVI": (8, b"AVI ")}
_BY_PILLOW = {"GIF": (0, b"GIF8"), "WEBP": (8, b"WEBP"), "PNG": (0, b"\x89PNG\r\n\x1a\n")}
_TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
_STREAMS = 8  # of a file, whose probing is bounded
_EARLY = 1e-4  # seconds by which a frame may come after its time: times are rounded to the clock of a file
_RATE = re.compile(r"([0-9.e+-]+) frames a second")

Film = NDArray[np.uint8]
"""uint8 [C, T, H, W]."""


class Shown(NamedTuple):
    """A frame of a film."""

    image: Image.Image
    """The whole picture, upright."""
    time: float | None
    """Seconds from the film's beginning at which it is shown first; None: the film has no times."""
    lasts: float = 0.0
    """Seconds for which it is shown; 0: the film does not state them."""
    notes: tuple[str, ...] = ()
    """Conversions that are worth a note."""


class Reel(NamedTuple):
    """A film that is opened: nothing of it is decoded before it is asked for."""

    frames: Iterator[Shown]
    """Frames of the film, in the order of their times."""
    rate: float | None
    """Frames a second on average, as the film states it; None: its frames do, or nothing does."""


@dataclass(frozen=True)
class VideoDecoder:
    """A decoder that makes a sample of a film.

    The frames 0, `every`, 2 `every` ... are taken, `frames` of them: of a longer film the beginning, of a shorter one
    the last one that is taken is held. Each becomes a square as an image does, see `ImageDecoder`.

    `fps`: frames a second that are counted; the one that is shown at that time is taken, so that it makes no
    difference whether the rate of a file varies. `auto`: the frames of the file, one after the other. Numbered images
    have no times: their frames are counted in either case.

    `resolution`, `channels`, `fit`, `background`, `resize`: as of `ImageDecoder`; a film is gray if all its frames are.

    Raises:
        ConfigError: a value that is not possible.
    """

    kind: ClassVar[str] = "video"
    mirror: ClassVar[bool] = False

    frames: int = 8
    every: int = 1
    fps: Literal["auto"] | float = "auto"
    resolution: int = 32
    channels: Literal["auto", 1, 3] = "auto"
    fit: Fit = "pad"
    background: str = "black"
    resize: Filter = "lanczos"

    def __post_init__(self) -> None:
        for key, least in (("frames", 2), ("every", 1)):
            if getattr(self, key) < least:
                raise ConfigError(f"data.{key}: expected at least {least}, got {getattr(self, key)}")
        if self.fps != "auto" and not (isinstance(self.fps, int | float) and 0 < self.fps < 1e6):
            raise ConfigError(f"data.fps: expected auto, or frames a second above 0, got {self.fps!r}")
        _ = self.still  # it refuses the values that are its own

    @cached_property
    def still(self) -> ImageDecoder:
        """The decoder of a frame."""
        return ImageDecoder(self.resolution, self.channels, self.background, self.fit, self.resize)

    @property
    def wanted(self) -> Wanted:
        """Films, as sources hold them; of numbered images one more than are taken, which tells that there are more."""
        suffixes = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".gif", ".webp", ".apng")
        return Wanted(video.UNIT, suffixes, ("video",), stills=Stills(STILLS, self.frames + 1, self.every))

    def decode(self, data: bytes | Iterator[bytes] | NDArray[Any]) -> tuple[Film, tuple[str, ...]]:
        """Return the film in a file, in files of a frame each, or in an array, and the conversions worth a note.

        An array is uint8 [T, H, W] or [T, H, W, 1 or 3]. Of files of a frame each, those between are left out already.

        Raises:
            ItemError: it is no intact film, or a still.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self._film(data)
        except ItemError:
            raise
        except Exception as error:  # readers raise whatever the bytes lead them to
            if "truncated" in str(error).lower():
                raise ItemError("truncated") from error
            raise ItemError(f"damaged: {reason(error, named=False)}") from error

    def common(self, shapes: Iterable[tuple[int, ...]]) -> tuple[tuple[int, ...], dict[str, int]]:
        """Return the shape that all films of a set get, and the number of conversions that this takes."""
        (depth, *_), converted = self.still.common(shapes)
        return (depth, self.frames, self.resolution, self.resolution), converted

    def finish(
        self, train: Iterable[Film], shape: tuple[int, ...], conversions: Mapping[str, int]
    ) -> tuple[tuple[int, ...], dict[str, Any], Callable[[Film], Film], dict[str, int]]:
        """Films are stored as they were decoded; their rate is `fps`, or that of most films, divided by `every`."""
        rates = Counter({float(found[1]): count for note, count in conversions.items() if (found := _RATE.match(note))})
        most = min(rates, key=lambda rate: (-rates[rate], rate), default=RATE)
        fps = most if self.fps == "auto" else float(self.fps)
        rate = fps / self.every  # with three digits behind the point, and three that count
        digits = max(3, 2 - math.floor(math.log10(rate)))
        return shape, {"fps": round(rate, digits)}, lambda film: film, {}

    def shown(self) -> dict[str, Any]:
        """The parameters as a user gives them."""
        return asdict(self)

    def _film(self, data: bytes | Iterator[bytes] | NDArray[Any]) -> tuple[Film, tuple[str, ...]]:
        if isinstance(data, bytes) and not any(data[at:].startswith(mark) for at, mark in _BY_PILLOW.values()):
            with _opened(data) as container:
                return self._taken(_played(container, data))
        if isinstance(data, bytes):
            return self._taken(_animated(data))
        every = self.every if isinstance(data, np.ndarray) else 1
        frames = _arrays(data[::every]) if isinstance(data, np.ndarray) else _files(data)
        return self._taken(Reel(frames, None), every=1)

    def _taken(self, reel: Reel, every: int | None = None) -> tuple[Film, tuple[str, ...]]:
        """Return the film of the frames that are taken of a reel."""
        notes: dict[str, None] = {}
        images: list[Image.Image] = []
        lasting: list[float] = []
        size: tuple[int, int] | None = None
        read = count()  # numbers that are taken with each frame: the next one is how many were read
        numbered = (shown for shown, _ in zip(reel.frames, read, strict=False))
        chosen = self._chosen(reel._replace(frames=numbered), every or self.every)
        for shown in islice(chosen, self.frames):
            if size not in (None, shown.image.size):
                raise ItemError(f"changes its size from {_by(size or (0, 0))} to {_by(shown.image.size)} pixels")
            size = shown.image.size
            image, more = plain(shown.image, self.still)
            images.append(square(image, self.still))
            lasting += [shown.lasts] if shown.lasts else []
            notes |= dict.fromkeys((*shown.notes, *more))
        if not images:
            raise ItemError("no frames in it")
        still = next(read) == 1  # which may last for many frames of a rate that is asked for
        if still or len(images) == 1:
            others = "" if still else " (data.every and data.fps leave others out)"
            raise ItemError(f"one frame{others}: expected a film, got a still")
        if _more(chosen):
            notes[f"cut behind its first {self.frames} frames"] = None
        if len(images) < self.frames:
            notes["its last frame is held"] = None
            images += images[-1:] * (self.frames - len(images))
        if rate := reel.rate or (1 / median(lasting) if lasting else None):
            notes[f"{rate:.3g} frames a second"] = None
        return _stacked(images), tuple(notes)

    def _chosen(self, reel: Reel, every: int) -> Iterator[Shown]:
        """Yield the frames that are taken, however many; at a rate that is asked for, a frame may come twice."""
        first = next(reel.frames, None)
        if first is None:
            return
        if self.fps == "auto" or first.time is None:
            yield first
            yield from islice(reel.frames, every - 1, None, every)
            return
        step, wanted, before, gap = every / self.fps, 0, first, first.lasts
        for shown in reel.frames:
            while (shown.time or 0) > wanted * step + _EARLY:
                yield before
                wanted += 1
            gap, before = shown.lasts or (shown.time or 0) - (before.time or 0), shown
        while (before.time or 0) + gap > wanted * step + _EARLY or not wanted:
            yield before
            wanted += 1


def _more(chosen: Iterator[Shown]) -> bool:
    """Return True where a film goes on; what is wrong there does not concern its beginning."""
    try:
        return next(chosen, None) is not None
    except Exception:  # readers raise whatever the bytes lead them to
        return True


def _stacked(images: list[Image.Image]) -> Film:
    """Images of one size as a film, gray if all are."""
    if any(image.mode != "L" for image in images):
        frames = np.stack([np.asarray(image.convert("RGB")) for image in images])
        return np.ascontiguousarray(frames.transpose(3, 0, 1, 2))
    return np.stack([np.asarray(image) for image in images])[None]


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _arrays(frames: NDArray[Any]) -> Iterator[Shown]:
    """Yield the frames of an array."""
    if frames.dtype != np.uint8 or frames.ndim not in (3, 4) or (frames.ndim == 4 and frames.shape[3] not in (1, 3)):
        raise ItemError(f"expected uint8 [T, H, W] or [T, H, W, 1 or 3], got {frames.dtype} {list(frames.shape)}")
    for frame in frames:
        check_area(frame.shape[1], frame.shape[0])
        yield Shown(Image.fromarray(frame[..., 0] if frame.shape[2:] == (1,) else frame), None)


def _files(frames: Iterator[bytes]) -> Iterator[Shown]:
    """Yield frames, each of which is an image file."""
    for number, data in enumerate(frames, 1):
        try:
            image, notes = parse(data)
        except ItemError as error:
            raise ItemError(f"frame {number}: {error}") from error
        except Exception as error:  # Pillow's readers raise whatever the bytes lead them to
            raise ItemError(f"frame {number}: no intact image: {reason(error, named=False)}") from error
        yield Shown(image, None, notes=notes)


def _animated(data: bytes) -> Reel:
    """Return the reel of a GIF, WebP or APNG, whose frames Pillow lays over one another as they ask for."""
    image: Image.Image = Image.open(io.BytesIO(data), formats=tuple(_BY_PILLOW))
    check_area(*image.size)
    start = int(getattr(image, "default_image", False))  # of an APNG: a still for who shows no films

    def frames() -> Iterator[Shown]:
        time, number = 0.0, start
        while True:
            try:
                image.seek(number)
            except EOFError:
                return
            image.load()
            lasts = _milliseconds(image) / 1000
            yield Shown(_opaque(image), time, lasts)
            time += lasts
            number += 1

    return Reel(frames(), None)


def _opaque(image: Image.Image) -> Image.Image:
    """Return the present frame as it is, without its alpha where nothing shows through: Pillow gives any WebP one."""
    through = image.mode == "RGBA" and np.asarray(image.getchannel("A")).min() < 255
    return image.convert("RGB") if image.mode == "RGBA" and not through else image.copy()


def _milliseconds(image: Image.Image) -> float:
    """Return the time for which the present frame is shown."""
    stated = float(image.info.get("duration") or 0)
    return stated if stated > 10 else SLOW


def _opened(data: bytes) -> "InputContainer":
    """Return the file, of which little but its headers is decoded. It can name no other: no protocol is allowed.

    Raises:
        ItemError: it is of none of the formats.
    """
    import av  # with FFmpeg; whoever reads images needs it not

    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "none"}
    probing: Any = [{"max_pixels": str(PIXEL_LIMIT)}] * _STREAMS  # PyAV's stubs have another type than it takes
    try:
        return av.open(io.BytesIO(data), "r", container_options=options, stream_options=probing)
    except (av.FFmpegError, ValueError):  # the latter where it has no tracks
        starts = f"{len(data):,} bytes that start with {data[:8]!r}"
        known = next((name for name, (at, mark) in _SIGNATURES.items() if data[at:].startswith(mark)), None)
        raise ItemError(f"damaged or truncated {known}: {starts}" if known else f"no {_READ}: {starts}") from None


def _played(container: "InputContainer", data: bytes) -> Reel:
    """Return the reel of the first track of pictures.

    Raises:
        ItemError: there is none, or it cannot be decoded.
    """
    if not container.streams.video:
        others = " and ".join(sorted({stream.type for stream in container.streams})) or "headers"
        raise ItemError(f"no pictures in it, only {others}")
    stream = container.streams.video[0]
    context = stream.codec_context
    if context is None:
        raise ItemError("compressed by a codec that is not known")
    check_area(context.width, context.height)
    context.thread_count = 1  # whoever decodes has processes enough
    context.options = {"max_pixels": str(PIXEL_LIMIT)}
    rate = stream.average_rate or stream.guessed_rate
    return Reel(_frames(container, stream, float(rate or 0)), float(rate) if rate else None)


def _frames(container: "InputContainer", stream: "VideoStream", rate: float) -> Iterator[Shown]:
    """Yield the frames of a track.

    Raises:
        ItemError: the file ends before it should, or is damaged.
    """
    from av import FFmpegError

    notes = ("several tracks: the first taken",) * (len(container.streams.video) > 1)
    count, start, time = 0, None, 0.0
    try:
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise ItemError(f"damaged after {count} frames")
            stated = frame.time if frame.time is not None else count / (rate or RATE)
            start = stated if start is None else start
            time = max(time, stated - start)
            yield _shown(frame, stream, time, notes)
            count += 1
    except FFmpegError as error:
        raise ItemError(f"damaged after {count} frames: {reason(error, named=False)}") from error
    if stream.frames and count < stream.frames - 1:  # an AVI may count one that is empty
        raise ItemError(f"truncated after {count} of {stream.frames} frames")
    whole = container.duration / 1e6 if container.duration and not stream.frames else 0
    if rate and time + 2 / rate < whole - 1:  # the sound may be a little longer
        raise ItemError(f"truncated after {time:.2f} of {whole:.2f} s")


def _shown(frame: "VideoFrame", stream: "VideoStream", time: float, notes: tuple[str, ...]) -> Shown:
    """Return a decoded frame as a picture, upright, its pixels square."""
    from av.video.reformatter import Interpolation as Way

    # the same on every processor, and between two colours no steps
    way = Way.BICUBIC | Way.ACCURATE_RND | Way.BITEXACT | Way.FULL_CHR_H_INT
    check_area(frame.width, frame.height)
    components, name = frame.format.components, frame.format.name
    gray, alpha = name.startswith(("gray", "mono", "ya")), any(component.is_alpha for component in components)
    form = "rgba" if alpha else "gray" if gray else "rgb24"
    image = Image.fromarray(frame.to_ndarray(format=form, interpolation=way))
    ratio = float(stream.sample_aspect_ratio or 1)
    if ratio != 1:
        width, height = max(1, round(frame.width * min(ratio, 1))), max(1, round(frame.height * min(1 / ratio, 1)))
        image, notes = image.resize((width, height), Image.Resampling.LANCZOS), (*notes, "made of square pixels")
    turn = _TURNS.get(frame.rotation % 360)
    if turn is not None:
        image, notes = image.transpose(turn), (*notes, "turned upright by its metadata")
    return Shown(image, time, float((frame.duration or 0) * (frame.time_base or 0)), notes)
