"""Kind sound: clips of one length at one rate, stored as log mel spectrograms of 8 bits, shown as 16-bit samples.

A spectrogram has no phases; `shown` finds some that fit by Griffin-Lim. It takes one clip after the other and sums in a
fixed order, so that a clip is the same int16 in any batch, under any number of threads and any version of numpy.
"""

import io
import wave
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor

UNIT = "clip"
STORED = "uint8"
LAST = False
TOLERANCE = 1
"""Levels by which two runtimes may differ: each rounds its own sums to the nearest level."""
DEVIATIONS = 3
"""Standard deviations of a band on either side of its mean that the 256 levels cover."""
NARROWEST = 0.01
"""Least standard deviation of a band, in nepers: a band in which nothing ever sounds has none."""
TINY = 1e-12
"""Least divisor, far below an amplitude that is heard."""
PASSES = 8
"""Passes in which the bins of a spectrum are fitted to its bands."""
GAP = 0.1
"""Seconds of silence between clips that follow one another."""
ITERATIONS = 32
"""Iterations of Griffin-Lim."""
MOMENTUM = 0.99
"""Momentum of Griffin-Lim, the best of Perraudin, Balazs & Sondergaard 2013."""


def inputs(shape: tuple[int, ...], facts: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the shape of a spectrogram as networks see it: its own."""
    return shape


def floats(stored: "Tensor", facts: Mapping[str, Any], dtype: "torch.dtype") -> "Tensor":
    """uint8 of any shape -> [-1, 1]: 0 is -1, 255 is 1."""
    return stored.to(dtype) / 127.5 - 1


def stored(x: "Tensor", facts: Mapping[str, Any]) -> "Tensor":
    """Samples of nominal range [-1, 1] -> uint8 of the same shape: -1 is 0, 1 is 255, what is beyond is clipped."""
    import torch

    return ((x.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def shown(stored: Any, facts: Mapping[str, Any]) -> Any:
    """Return clips that sound like spectrograms: uint8 [N, 1, bands, frames] -> int16 [N, samples]."""
    bank, transform = _Bank.of(facts), _Transform.of(facts)
    silence = quantised(np.zeros((1, facts["bands"], 1), np.float32), facts)[0, 0]
    mean, deviation = _statistics(facts)
    clips = np.zeros((len(stored), facts["samples"]), np.int16)
    for clip, (levels,) in zip(clips, stored, strict=True):
        nepers = mean + deviation * (DEVIATIONS * (levels / 127.5 - 1))
        bands = np.where(levels > silence, np.expm1(np.maximum(nepers, 0)), 0)
        x = _griffin_lim(bank.spectrum(_steady(bands)).T, transform)
        clip[: len(x)] = np.rint(x).clip(-32768, 32767)
    return clips


def look(stored: Any, facts: Mapping[str, Any]) -> Any:
    """Return spectrograms as grey stills, low tones below: uint8 [N, 1, bands, frames]."""
    return np.ascontiguousarray(stored[:, :, ::-1])


def file(shown: Any, facts: Mapping[str, Any]) -> tuple[str, str, bytes]:
    """Return one clip, int16 [T], as a WAV of 16-bit PCM with one channel."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(facts["rate"])
        written.writeframes(np.asarray(shown, "<i2").tobytes())
    return ".wav", "audio/wav", buffer.getvalue()


def joined(shown: Any, facts: Mapping[str, Any]) -> tuple[str, str, bytes] | None:
    """Return clips, int16 [N, T], one after the other as one WAV, `GAP` apart."""
    gap = np.zeros(round(GAP * facts["rate"]), np.int16)
    parts = [part for clip in shown for part in (gap, clip)]
    return file(np.concatenate(parts[1:]) if parts else gap[:0], facts)


def words(shape: tuple[int, ...], facts: Mapping[str, Any]) -> str:
    """Return the clips of a shape in words: 1.02 s clips at 8,000 Hz (64 mel bands, Griffin-Lim)."""
    rate, seconds = facts["rate"], facts["samples"] / facts["rate"]
    return f"{seconds:.3g} s clips at {rate:,} Hz ({facts['bands']} mel bands, Griffin-Lim)"


def agree(one: Any, other: Any) -> str | None:
    """Return how uint8 spectrograms differ by more than `TOLERANCE` levels, or None."""
    difference = int(np.abs(one.astype(int) - other).max(initial=0))
    if difference <= TOLERANCE:
        return None
    return f"{difference} levels of a spectrogram, more than the {TOLERANCE} of rounding"


def spectrogram(clips: Any, facts: Mapping[str, Any]) -> Any:
    """Return log mel spectrograms: int16 [N, samples] -> float32 [N, bands, samples // hop].

    A value is log(1 + a) in nepers, where a is a band's mean amplitude in levels of int16, as a sine of amplitude a has
    in its own bin; so silence is 0. `facts` need no mean and no deviation.

    Raises:
        ValueError: The clips have another length, or `facts` are not those of a spectrogram.
    """
    if clips.shape[1:] != (facts["samples"],):
        raise ValueError(f"expected clips [N, {facts['samples']}], got {list(clips.shape)}")
    bank, transform = _Bank.of(facts), _Transform.of(facts)
    found = np.empty((len(clips), facts["bands"], transform.frames), np.float32)
    for bands, clip in zip(found, clips, strict=True):
        spectrum = transform.forward(clip[: transform.length].astype(np.float64))
        bands[:] = np.log1p(bank.bands(_magnitude(spectrum).T))
    return found


def quantised(spectrogram: Any, facts: Mapping[str, Any]) -> Any:
    """Return spectrograms [N, bands, frames] as stored: uint8 [N, 1, bands, frames], 3 deviations around the mean."""
    mean, deviation = _statistics(facts)
    levels = ((spectrogram - mean) / deviation / DEVIATIONS + 1) * 127.5
    return np.rint(levels).clip(0, 255).astype(np.uint8)[:, None]


def check(facts: Mapping[str, Any]) -> None:
    """Refuse parameters of which there is no spectrogram, or none that a clip can be made of again.

    Raises:
        ValueError: The clip is no multiple of the hop, the window no larger one, or a band has no bin.
    """
    if facts["samples"] % facts["hop"]:
        raise ValueError(f"expected a clip of whole hops, got {facts['samples']} samples and hops of {facts['hop']}")
    _Transform.of(dict(facts, samples=facts["hop"]))
    _Bank.of(facts)


def _statistics(facts: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return mean and standard deviation of the bands in nepers, float64 [bands, 1] each."""
    mean, deviation = (np.array(facts[name], np.float64)[:, None] for name in ("mean", "deviation"))
    return mean, np.maximum(deviation, NARROWEST)


def mel(hertz: Any) -> Any:
    """Return frequencies on the mel scale of HTK (Young et al. 2006, The HTK Book, equation 5.13): 1000 Hz are 1000."""
    return 2595 * np.log10(1 + np.asarray(hertz) / 700)


@dataclass(frozen=True)
class _Bank:
    """Triangles on the mel scale, each reaching to the middles of its neighbours: a bin is under two of them at most.

    What is a product of matrices elsewhere is a sum in a fixed order here, the same in any library of linear algebra.
    """

    bins: Any
    """Bins under each triangle, int [most, bands]; filled up with others, of share 0."""
    share: Any
    """Weights of these bins in the mean of a band, float64 [most, bands, 1]."""
    below: Any
    """Bands whose middles are below each bin, int [bins]."""
    between: Any
    """Weights at each bin of the band below and of the next one, float64 [2, bins, 1]; 0 where no triangle is."""

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "_Bank":
        """Return the bank of `facts`: middles of triangles are equally far, in mels, between 0 and half the rate.

        Raises:
            ValueError: A triangle has no bin.
        """
        count, window = facts["bands"], facts["window"]
        hertz = np.arange(window // 2 + 1) * (facts["rate"] / window)
        place = _steady(mel(hertz) / mel(facts["rate"] / 2) * (count + 1))
        triangles = np.maximum(0, 1 - np.abs(place - np.arange(count + 2)[:, None]))
        triangles[[0, -1]] = 0  # no bands, but the ends of the scale
        inner = triangles[1:-1]
        if not inner.any(axis=1).all():
            raise ValueError(
                f"{count} bands are too many for a window of {window} samples: take fewer, or a longer one"
            )
        bins = np.argsort(-inner, axis=1, kind="stable")[:, : int((inner > 0).sum(axis=1).max())]
        share = np.take_along_axis(inner, bins, axis=1)
        below = np.minimum(place.astype(int), count)
        between = np.stack([triangles[below, np.arange(len(below))], triangles[below + 1, np.arange(len(below))]])
        between /= np.maximum(between.sum(axis=0), TINY)
        return cls(bins.T, (share / share.sum(axis=1, keepdims=True)).T[..., None], below, between[..., None])

    def bands(self, spectrum: Any) -> Any:
        """Return the mean amplitude of each band: [bins, frames] -> [bands, frames]."""
        total = np.zeros((self.bins.shape[1], spectrum.shape[1]))
        for bins, share in zip(self.bins, self.share, strict=True):
            total += spectrum[bins] * share
        return total

    def spectrum(self, bands: Any) -> Any:
        """Return amplitudes that have these bands: [bands, frames] -> [bins, frames].

        They begin as the line between the middles of bands; then each is multiplied by what its bands lack (the update
        of Lee & Seung 2001, theorem 2, which lowers the divergence and keeps all above 0).
        """
        spectrum = self._line(bands)
        for _ in range(PASSES):
            spectrum *= self._line(bands / np.maximum(self.bands(spectrum), TINY))
        return spectrum

    def _line(self, bands: Any) -> Any:
        """Return the line between the middles of bands at each bin: [bands, frames] -> [bins, frames]."""
        ended = np.pad(bands, ((1, 1), (0, 0)))
        return ended[self.below] * self.between[0] + ended[self.below + 1] * self.between[1]


@dataclass(frozen=True)
class _Transform:
    """Short-time Fourier transform, with silence around a clip; frame i has the i-th hop in its middle."""

    window: Any
    """Hann's window, float64 [window]; its sum is 2, so that a sine of amplitude a has a in its bin."""
    hop: int
    frames: int

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "_Transform":
        """Return the transform of `facts`.

        Raises:
            ValueError: The window is no multiple of the hop, or no longer.
        """
        size, hop = facts["window"], facts["hop"]
        if size % hop or size == hop:
            raise ValueError(f"expected a window of 2, 3, 4 ... hops, got {size} samples and hops of {hop}")
        window = 1 - np.cos(np.arange(size) * (2 * np.pi / size))
        return cls(_steady(window) * (2 / size), hop, facts["samples"] // hop)

    @property
    def length(self) -> int:
        """Samples of a clip that frames see."""
        return self.frames * self.hop

    def forward(self, clip: Any) -> Any:
        """Return the spectra of a clip: float64 [length] -> complex128 [frames, bins]."""
        around = len(self.window) - self.hop
        hops = np.pad(clip, (around // 2, around - around // 2)).reshape(-1, self.hop)
        parts = len(self.window) // self.hop
        return np.fft.rfft(np.concatenate([hops[i : i + self.frames] for i in range(parts)], axis=1) * self.window)

    def inverse(self, spectra: Any) -> Any:
        """Return the clip whose spectra are nearest: [frames, bins] -> [length] (Griffin & Lim 1984, equation 6)."""
        frames = np.fft.irfft(spectra, len(self.window)) * self.window
        return self._overlapped(frames) / self._weight

    @cached_property
    def _weight(self) -> Any:
        """Sum of the squares of the windows over each sample, float64 [length]; nowhere 0."""
        return self._overlapped(np.tile(self.window**2, (self.frames, 1)))

    def _overlapped(self, frames: Any) -> Any:
        """Return the sum of frames where they lie: [frames, window] -> [length]."""
        parts = len(self.window) // self.hop
        hops = np.zeros((self.frames + parts - 1, self.hop))
        for i in range(parts):
            hops[i : i + self.frames] += frames[:, i * self.hop : (i + 1) * self.hop]
        start = (len(self.window) - self.hop) // 2
        return hops.reshape(-1)[start : start + self.length]


def _griffin_lim(amplitudes: Any, transform: _Transform) -> Any:
    """Return a clip that has about these amplitudes: float64 [frames, bins] -> [length].

    Griffin & Lim 1984, with the momentum of Perraudin et al. 2013, from phases of 0: no random numbers.
    """
    aim, before = amplitudes.astype(complex), 0
    for _ in range(ITERATIONS):
        now = transform.forward(transform.inverse(aim))
        aim, before = now + MOMENTUM * (now - before), now
        scale = amplitudes / np.maximum(_magnitude(aim), TINY)
        aim.real *= scale
        aim.imag *= scale
    return transform.inverse(aim)


def _magnitude(spectra: Any) -> Any:
    """Return absolute values by operations that IEEE 754 defines to the bit, which hypot is not."""
    return np.sqrt(spectra.real**2 + spectra.imag**2)


def _steady(x: Any) -> Any:
    """Return float64 with the precision of float32.

    Libraries and processors differ in the last bits of an exponential or a cosine, and Griffin-Lim makes 1e-15 of them
    1e-6 of a clip.
    """
    return x.astype(np.float32).astype(np.float64)
