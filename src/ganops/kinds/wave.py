"""Kind wave: clips of one length at one rate, stored as their samples: int16 [1, T], shown as int16 [T].

A network draws the samples themselves, so that there is no vocoder between it and what is heard (kind sound has one).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor

UNIT = "clip"
STORED = "int16"
LAST = False
FULL = 32768
"""Full scale of 16 bits."""
TOLERANCE = 2**7
"""Levels by which two runtimes may differ, 1/256 of full scale: each rounds sums of its own order."""
WINDOW, FRAMES = 256, 128
"""Samples of the window of a still's Fourier transform, and columns of a still of a long clip."""
DECIBELS = 80
"""Loudness that the 256 grey levels of a still cover, below that of a sine of full scale."""


def inputs(shape: tuple[int, ...], facts: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the shape of a clip as networks see it: its own."""
    return shape


def floats(stored: "Tensor", facts: Mapping[str, Any], dtype: "torch.dtype") -> "Tensor":
    """int16 of any shape -> [-1, 1)."""
    return stored.to(dtype) / FULL


def stored(x: "Tensor", facts: Mapping[str, Any]) -> "Tensor":
    """Samples of nominal range [-1, 1) -> int16 of the same shape, what is beyond is clipped."""
    import torch

    return (x.float() * FULL).round().clamp(-FULL, FULL - 1).to(torch.int16)


def shown(stored: Any, facts: Mapping[str, Any]) -> Any:
    """int16 [N, 1, T] -> int16 [N, T]."""
    return np.ascontiguousarray(stored[:, 0])


def look(stored: Any, facts: Mapping[str, Any]) -> Any:
    """Return spectrograms as grey stills, low tones below: int16 [N, 1, T] -> uint8 [N, 1, 128, frames].

    A row is a frequency, from 0 to half the rate. A clip of T samples has T / 128 of them a column, rounded up.
    """
    hop, rows = max(1, -(-stored.shape[2] // FRAMES)), WINDOW // 2
    window = np.hanning(WINDOW + 1)[:-1] / (FULL * WINDOW / 4)  # a sine of full scale has 1 in its bin
    stills = np.empty((len(stored), 1, rows, -(-stored.shape[2] // hop)), np.uint8)
    for still, (clip,) in zip(stills, stored, strict=True):
        around = np.pad(clip.astype(np.float32), (rows, WINDOW))
        frames = np.lib.stride_tricks.sliding_window_view(around, WINDOW)[: len(clip) : hop]
        loudness = 20 * np.log10(np.maximum(np.abs(np.fft.rfft(frames * window)), 1e-9))
        still[0] = np.rint((loudness / DECIBELS + 1) * 255).clip(0, 255).T[-2::-1]
    return stills


def file(shown: Any, facts: Mapping[str, Any]) -> tuple[str, str, bytes]:
    """Return one clip, int16 [T], as a WAV of 16-bit PCM with one channel."""
    from ganops.kinds import sound  # not above: the copy of this file in a registered model stands alone

    return sound.file(shown, facts)


def joined(shown: Any, facts: Mapping[str, Any]) -> tuple[str, str, bytes] | None:
    """Return clips, int16 [N, T], one after the other as one WAV, with a gap between them."""
    from ganops.kinds import sound

    return sound.joined(shown, facts)


def words(shape: tuple[int, ...], facts: Mapping[str, Any]) -> str:
    """Return the clips of a shape in words: 1.02 s clips at 8,000 Hz (waveforms)."""
    rate = facts["rate"]
    return f"{shape[1] / rate:.3g} s clips at {rate:,} Hz (waveforms)"


def agree(one: Any, other: Any) -> str | None:
    """Return how int16 clips differ by more than `TOLERANCE`, or None."""
    difference = int(np.abs(one.astype(int) - other).max(initial=0))
    if difference <= TOLERANCE:
        return None
    return f"{difference} of {FULL:,} levels of a clip, more than the {TOLERANCE} of rounding"
