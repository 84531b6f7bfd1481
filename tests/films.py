"""Films of known motion: a sprite that moves at a constant velocity and stays inside."""

import numpy as np
from numpy.typing import NDArray

DIRECTIONS = 8
SLOWEST, FASTEST = 0.5, 3.0
"""Pixels a frame."""


def sprites(
    count: int, *, seed: int = 0, frames: int = 8, size: int = 32, sprite: int = 14, channels: int = 1
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Films uint8 [count, channels, frames, size, size], and their labels int64 [count]: the form of the sprite.

    It is a disc, a square or a ring of `sprite` pixels, and moves in one of eight directions by `SLOWEST` to `FASTEST`
    pixels a frame, as far as that keeps it inside.
    """
    films, labels, _ = moving(count, seed=seed, frames=frames, size=size, sprite=sprite, channels=channels)
    return films, labels


def moving(
    count: int, *, seed: int = 0, frames: int = 8, size: int = 32, sprite: int = 14, channels: int = 1
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.float64]]:
    """The same films and labels, and the velocities (down, right) in pixels a frame, float64 [count, 2]."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=count)
    angle = rng.integers(DIRECTIONS, size=count) * (2 * np.pi / DIRECTIONS)
    most = min(FASTEST, (size - sprite - 1) / (frames - 1))
    speed = rng.uniform(min(SLOWEST, most), most, count)
    velocity = speed[:, None] * np.stack([np.sin(angle), np.cos(angle)], 1)
    way = velocity * (frames - 1)
    low, high = sprite / 2 + np.maximum(0, -way), size - sprite / 2 - np.maximum(0, way)
    centre = low + rng.random((count, 2)) * (high - low)
    at = centre[:, None] + velocity[:, None] * np.arange(frames)[:, None]
    place = np.arange(size) + 0.5
    down = place[:, None] - at[..., :1, None]  # [count, frames, size, 1]
    right = place - at[..., 1:, None]  # [count, frames, 1, size]
    round_, square = np.hypot(down, right), np.maximum(np.abs(down), np.abs(right))
    inside = np.where(labels[:, None, None, None] == 1, square, round_)
    cover = np.clip(sprite / 2 + 0.5 - inside, 0, 1)
    hole = np.clip(sprite / 4 + 0.5 - inside, 0, 1) * (labels == 2)[:, None, None, None]
    light = rng.integers(140, 256, (count, 1, channels, 1, 1))
    films = np.rint((cover - hole)[:, :, None] * light).astype(np.uint8)
    return np.ascontiguousarray(films.transpose(0, 2, 1, 3, 4)), labels, velocity
