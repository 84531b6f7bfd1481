"""A walk through latents as a moving picture: from stop to stop on great circles, and back to the first."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganops.core.errors import UserError
from ganops.core.files import atomic
from ganops.core.labels import in_turn
from ganops.core.latents import latents, normal_table
from ganops.core.pictures import picture
from ganops.kinds import video

SUFFIXES = (".gif", ".mp4", ".webp")
PIECE_PICTURES = 64
"""Pictures drawn at once."""
_LONGEST_OF_GIF = 655_350  # milliseconds of a frame
SMALLEST = 256
"""Pixels that a moving picture has at least: smaller images are magnified by a whole factor."""


def slerp(a: NDArray[Any], b: NDArray[Any], share: float) -> NDArray[np.float32]:
    """Spherical interpolation of two latents [D] (Shoemake 1985): `a` at share 0, `b` at 1.

    Normal latents lie near a sphere; a straight line between two of them would leave it, and lead through pictures that
    are more typical than any that G draws. Where the two have one direction, or opposite ones, the line is straight.
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    angle = float(np.arccos(np.clip(a @ b / length, -1, 1))) if length else 0.0
    if np.sin(angle) < 1e-4:
        mixed = (1 - share) * a + share * b
    else:
        mixed = (np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle)
    return np.asarray(mixed, np.float32)


def path(stops: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """`frames` latents for each leg, the last of which leads back: float32 [S, D] -> [S * frames, D]."""
    shares = np.arange(frames) / frames
    ends = np.roll(stops, -1, axis=0)
    return np.stack([slerp(a, b, share) for a, b in zip(stops, ends, strict=True) for share in shares])


def nearest(stops: int, frames: int) -> NDArray[np.int64]:
    """The stop that each latent of `path` is nearest to: int64 [S * frames]."""
    return (2 * np.arange(stops * frames) + frames) // (2 * frames) % stops


class Source(Protocol):
    """A source of the pictures of a walk."""

    @property
    def latent(self) -> int:
        """Dimensions of a latent."""

    @property
    def classes(self) -> int:
        """0: it takes no labels."""

    def render(
        self, z: NDArray[np.float32], labels: NDArray[np.int64] | None, *, truncation: float = ...
    ) -> NDArray[Any]:
        """One stored sample for each latent, at a truncation: [N, *shape]."""


def through(
    source: Source, seeds: NDArray[np.int64], labels: NDArray[np.int64] | None, truncation: float, frames: int
) -> Iterator[NDArray[Any]]:
    """The stored samples of a walk through the latents of `seeds`, in pieces [N, *shape].

    Labels change half way between two stops; without any they are those that the seeds have elsewhere.
    """
    z = path(latents(seeds, source.latent, normal_table()), frames)
    if labels is None and source.classes:
        labels = in_turn(seeds, source.classes)
    at = None if labels is None else labels[nearest(len(seeds), frames)]
    for start in range(0, len(z), PIECE_PICTURES):
        part = slice(start, start + PIECE_PICTURES)
        yield source.render(z[part], None if at is None else at[part], truncation=truncation)


def between(source: Source, ends: tuple[int, int], label: int | None, truncation: float, steps: int) -> NDArray[Any]:
    """Stored samples at equal steps from the latent of one seed to that of another, both included: [steps, *shape].

    Without a label the first half has that of the first seed, the second half that of the other.
    """
    a, b = latents(np.array(ends, np.int64), source.latent, normal_table())
    z = np.stack([slerp(a, b, share) for share in np.linspace(0, 1, steps)])
    if not source.classes:
        return source.render(z, None, truncation=truncation)
    own = in_turn(np.array(ends), source.classes) if label is None else np.full(2, label, np.int64)
    return source.render(z, own[(2 * np.arange(steps) >= steps).astype(np.int64)], truncation=truncation)


def expect(path: Path) -> None:
    """Refuses a name that `save` would refuse, before anything is drawn.

    Raises:
        UserError: The name ends in none of `SUFFIXES`.
    """
    if path.suffix.lower() not in SUFFIXES:
        got = path.suffix or "none"
        raise UserError(f"{path}: expected a name that ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}, got {got}")


def save(path: Path, pieces: Iterable[NDArray[np.uint8]], fps: float) -> None:
    """Writes frames, given in pieces uint8 [N, C, H, W], as a GIF or WebP that repeats or an MP4 (H.264), atomically.

    Raises:
        UserError: The name has another suffix.
    """
    expect(path)
    frames = (_frame(image) for piece in pieces for image in piece)
    with atomic(path) as draft:
        {".gif": _gif, ".mp4": _mp4, ".webp": _webp}[path.suffix.lower()](draft, frames, fps)


def frames(films: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Stored films one after the other: [N, C, T, H, W] -> [N T, C, H, W]."""
    return np.ascontiguousarray(films.swapaxes(1, 2)).reshape(-1, *films.shape[1:2], *films.shape[3:])


def save_films(path: Path, shown: NDArray[np.uint8], fps: float) -> None:
    """Writes films uint8 [N, T, H, W, C] so that they play side by side, as `save` writes frames.

    Raises:
        UserError: The name has none of `SUFFIXES`.
    """
    save(path, [np.moveaxis(video.beside(shown), -1, 1)], fps)


def _frame(image: NDArray[np.uint8]) -> Image.Image:
    """[C, H, W], large enough to be seen and of even sides, which H.264 needs."""
    factor = max(1, -(-SMALLEST // max(image.shape[1:])))
    factor += factor % 2 if any(side % 2 for side in image.shape[1:]) else 0
    return picture(image.repeat(factor, axis=1).repeat(factor, axis=2))


def _gif(path: Path, frames: Iterator[Image.Image], fps: float) -> None:
    first = next(frames)
    # GIF counts in hundredths of a second
    first.save(
        path, save_all=True, append_images=frames, duration=min(max(20, round(100 / fps) * 10), _LONGEST_OF_GIF), loop=0
    )


def _webp(path: Path, frames: Iterator[Image.Image], fps: float) -> None:
    first = next(frames)
    duration = min(max(1, round(1000 / fps)), video.LONGEST)
    first.save(path, "WEBP", save_all=True, append_images=frames, duration=duration, loop=0, quality=90, method=2)


def _mp4(path: Path, frames: Iterator[Image.Image], fps: float) -> None:
    import av  # only who wants a film needs it

    with av.open(str(path), "w") as film:
        stream: Any = film.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options={"crf": "18"})
        stream.pix_fmt = "yuv420p"  # what every player can
        first = next(frames)
        stream.width, stream.height = first.size
        for image in chain([first], frames):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(np.array(image.convert("RGB")), format="rgb24")))
        film.mux(stream.encode())
