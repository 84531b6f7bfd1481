"""Toy data: sets that a seed makes, of which the truth is known, with the same bytes on every machine."""

import hashlib
import io
import wave
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganops.core.files import atomic

RATE = 8000
"""Samples a second of the toy sounds."""
SAMPLES = 4096
"""Samples of the longest toy sound, with the silence before it: 0.51 seconds."""
SINE: NDArray[np.int64] = np.rint(32767 * np.sin(2 * np.pi * np.arange(2**16) / 2**16)).astype(np.int64)
"""One period. Nothing is near a half before it is rounded, so no entry depends on the library of the machine."""
HALVING: NDArray[np.int64] = np.rint(2.0 ** (30 - np.arange(4096) / 4096)).astype(np.int64)
"""The fall of an envelope to its half, likewise."""


@dataclass(frozen=True)
class Voice:
    """Pitch and timbre of one class of sounds."""

    low: int
    """Lowest pitch in Hz: the frequency of the first partial, which is the loudest, when the sound begins."""
    high: int
    """Highest pitch in Hz; 0: noise without one."""
    partials: tuple[tuple[int, int], ...] = ((100, 100),)
    """Frequencies in percent of the pitch, each with its loudness in percent."""
    slide: int = 100
    """Pitch at the end, in percent of that at the beginning."""
    noise: int = 0
    """Loudness of white noise, in percent of that of the first partial."""
    rough: int = 0
    """Times that noise is replaced by its differences, each of which takes 6 dB an octave from its low tones."""
    attack: int = 80
    """Samples until the sound is at its loudest."""
    half_life: int = 800
    """Samples in which it then falls to its half."""


PLUCKED = tuple((100 * k, 100 // k) for k in range(1, 7))
VOICES = {
    "flute-low": Voice(260, 340, attack=600, half_life=4000),
    "flute-high": Voice(1000, 1300, attack=600, half_life=4000),
    "string-low": Voice(130, 170, PLUCKED),
    "string-high": Voice(420, 550, PLUCKED),
    "bell": Voice(800, 1050, ((100, 100), (138, 60), (276, 40)), attack=8, half_life=1000),
    "chirp-up": Voice(300, 400, slide=300, attack=300, half_life=4000),
    "chirp-down": Voice(1200, 1600, slide=33, attack=300, half_life=4000),
    "kick": Voice(130, 170, slide=35, attack=8, half_life=500),
    "snare": Voice(180, 240, noise=120, attack=8, half_life=400),
    "hat": Voice(0, 0, (), noise=100, rough=2, attack=8, half_life=200),
}
"""Class -> its sound: five tones that stay, two that slide, three drums."""


def sound(name: str, number: int, seed: int = 0) -> tuple[int, NDArray[np.int16]]:
    """Return the pitch in Hz of one toy sound, and its samples at `RATE`: int16 [1536 to 4096].

    Pitch, length, silence before it and loudness are hashes (SHAKE-256) of name, number and seed, and so is its noise.
    All else is arithmetic of integers.

    Args:
        name: Its class, one of `VOICES`.
        number: Which one of its class.
        seed: Which of all sets.
    """
    voice, source = VOICES[name], hashlib.shake_256(repr((seed, name, number)).encode()).digest(16 + 4 * SAMPLES)
    chance = [int(word) for word in np.frombuffer(source, "<u4", 4)]
    pitch, length, before, peak = (
        low + chance[i] % (high - low + 1)
        for i, (low, high) in enumerate([(voice.low, voice.high), (1536, SAMPLES - 512), (0, 512), (8000, 32000)])
    )
    time = np.arange(length, dtype=np.int64)
    made = sum(share * _sine(pitch * of, voice.slide, time) for of, share in voice.partials)
    white = np.frombuffer(source, "<i2", SAMPLES, offset=16).astype(np.int64)
    made = made + voice.noise * np.diff(white, voice.rough)[:length]
    made = made * _envelope(voice, time) >> 20
    made = made * peak // np.abs(made).max()
    return pitch, np.concatenate([np.zeros(before, np.int16), made.astype(np.int16)])


def _sine(centihertz: int, slide: int, time: NDArray[np.int64]) -> NDArray[np.int64]:
    """A sine of 15 bits whose frequency goes straight to `slide` percent of itself; phases count in 2^-32 periods."""
    step = centihertz * 2**32 // (100 * RATE)
    steps = step + step * (slide - 100) * time // (100 * len(time))
    made: NDArray[np.int64] = SINE[(np.cumsum(steps) & (2**32 - 1)) >> 16]
    return made


def _envelope(voice: Voice, time: NDArray[np.int64]) -> NDArray[np.int64]:
    """A straight rise, halvings, and a fall to silence within the last 256 samples, in 2^-30."""
    halves = np.maximum(time - voice.attack, 0) * 4096 // voice.half_life
    level: NDArray[np.int64] = HALVING[halves & 4095] >> (halves >> 12)
    return level * np.minimum(time, voice.attack) // voice.attack * np.minimum(time[::-1], 256) // 256


def sounds(path: Path, count: int = 4000, seed: int = 0) -> None:
    """Writes a zip of toy sounds: a folder of 16-bit wav files for each class, pitches in their names.

    Args:
        path: The file, which is replaced at once when all is in it.
        count: Number of sounds; the classes take turns.
        seed: Which of all sets.
    """
    names = list(VOICES)
    with atomic(path) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
        for i in range(count):
            name, number = names[i % len(names)], i // len(names)
            pitch, samples = sound(name, number, seed)
            file = f"{name}/{number:04}_{pitch}hz.wav" if pitch else f"{name}/{number:04}.wav"
            archive.writestr(zipfile.ZipInfo(file), _wav(samples))  # of 1980, the first date that zip knows


def _wav(samples: NDArray[np.int16]) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()
