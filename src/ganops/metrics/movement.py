"""Known motion: how fast, how straight and where to what a film shows moves, without a network.

The centre of mass of each frame, its background taken away, makes a track. That is a measure of films of one thing in
front of a plain ground; of others it is one of what changes most. What is right is not told but measured: the bounds
are those of nearly all real films, so that films that jump, jitter or stand still lie outside.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganops.core.errors import FeatureError
from ganops.metrics.extractors.corruptions import Images

Tracks = NDArray[np.float32]
"""[N, 4]: the length of a step in pixels a frame, the straightness of the way, and the mean step (down, right)."""

GROUND = 0.25
"""Share of a film's largest deviation from its background up to which a pixel belongs to that."""
OUTSIDE = 0.005
"""Share of the real films that lies beyond each bound."""
STILL = 0.1
"""Pixels a frame below which a film goes nowhere."""
SECTORS = 8
"""Directions that are told apart."""
PIECE = 64
"""Films that are followed at once."""
PROTOCOL: dict[str, Any] = {
    "background": f"the median of each colour of a film, and what is within {GROUND:g} of the largest deviation",
    "range": f"speed within the quantiles {OUTSIDE:g} and {1 - OUTSIDE:g} of the training films",
    "straight": f"straightness from the quantile {OUTSIDE:g} of the training films on",
    "directions": f"{SECTORS} sectors of the mean step, and films of less than {STILL:g} pixels a frame",
}
"""Words of what was computed."""


def tracks(films: Images) -> Tracks:
    """Follow the centre of mass through films uint8 [N, C, T, H, W]; NaN where a frame shows nothing.

    Straightness is the distance of the ends over the length of the way: 1 of a straight one, 1 of a film that stands
    still.

    Raises:
        FeatureError: They are no films.
    """
    if films.ndim != 5 or films.dtype != np.uint8:
        raise FeatureError(f"expected films uint8 [N, C, T, H, W]; got {films.dtype} {list(films.shape)}")
    pieces = [_followed(films[start : start + PIECE]) for start in range(0, len(films), PIECE)]
    return np.concatenate([np.zeros((0, 4), np.float32), *pieces])


def _followed(films: Images) -> Tracks:
    """The tracks of a few films."""
    ground = np.median(films, axis=(2, 3, 4), keepdims=True)
    deviation = np.abs(films - ground).sum(axis=1)  # [N, T, H, W]
    least = GROUND * deviation.max(axis=(1, 2, 3), keepdims=True)
    mass = np.maximum(deviation - least, 0)
    height, width = mass.shape[2:]
    total = mass.sum(axis=(2, 3))
    moments = [(mass.sum(axis=3 - axis) @ np.arange(size)) for axis, size in enumerate((height, width))]
    with np.errstate(invalid="ignore"):
        centre = np.stack(moments, 2) / total[:, :, None]  # [N, T, 2]
    steps = np.diff(centre, axis=1)
    lengths, net = np.hypot(*np.moveaxis(steps, 2, 0)), steps.mean(axis=1)
    speed, reached = lengths.mean(axis=1), np.hypot(*net.T)
    straight = np.where(speed > 0, reached / np.where(speed > 0, speed, 1), 1)
    found = np.stack([speed, np.where(np.isnan(speed), np.nan, straight), *net.T], axis=1)
    return found.astype(np.float32)


def figures(train: Tracks, real: Tracks, fake: Tracks) -> dict[str, float]:
    """The figures of films: their speed and straightness by the bounds of `train`, their directions by `real` ones."""
    return {
        "motion_in_range": in_range(train, fake),
        "motion_straight": as_straight(train, fake),
        "motion_directions": directions_apart(real, fake),
    }


def in_range(train: Tracks, fake: Tracks) -> float:
    """The share of films that move as fast as nearly all of `train` do; 0 where these show nothing."""
    speed = train[:, 0][~np.isnan(train[:, 0])]
    if not len(speed):
        return 0.0
    low, high = np.quantile(speed, (OUTSIDE, 1 - OUTSIDE))
    return float(((fake[:, 0] >= low) & (fake[:, 0] <= high)).mean())


def as_straight(train: Tracks, fake: Tracks) -> float:
    """The share of films that move as straight as nearly all of `train` do, or more; 0 where these show nothing."""
    straight = train[:, 1][~np.isnan(train[:, 1])]
    return float((fake[:, 1] >= np.quantile(straight, OUTSIDE)).mean()) if len(straight) else 0.0


def directions_apart(real: Tracks, fake: Tracks) -> float:
    """The share of films whose direction would have to be another: total variation of the two histograms, in [0, 1]."""
    return float(np.abs(_directions(real) - _directions(fake)).sum() / 2)


def _directions(of: Tracks) -> NDArray[np.float64]:
    """The shares of the sectors, of films that go nowhere, and of those that show nothing: [10]."""
    down, right = of[:, 2], of[:, 3]
    sector = np.round(np.arctan2(down, right) / (2 * np.pi / SECTORS)) % SECTORS
    sector = np.where(np.hypot(down, right) < STILL, SECTORS, sector)
    sector = np.where(np.isnan(down), SECTORS + 1, sector).astype(np.int64)
    return np.bincount(sector, minlength=SECTORS + 2) / max(1, len(of))
