"""Toy data: sets that a seed makes, of which the truth is known, with the same bytes on every machine."""

import hashlib
import io
import wave
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganops.core.files import atomic
from ganops.kinds import video

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


GARMENTS = ("trouser", "pullover", "dress", "sneaker", "bag", "ankle-boot")
"""Classes of the toy films: what moves in them."""
FRAMES, SIDE, SPRITE = 8, 32, 14
"""Frames of a toy film, pixels of a side of one, and of a side of what moves in it."""
FPS = 8
"""Frames a second of the toy films."""
SPEEDS = (0.5, 2.0)
"""Pixels a frame of the slowest and the fastest sprite."""
ROOM = 256 * (SIDE - SPRITE - 1)
"""Places of a sprite's corner within a frame along a side, in 1/256 pixel: between two pixels it covers one more."""


@dataclass(frozen=True)
class Motion:
    """Motion of a sprite: straight, at one speed, in 1/256 pixel."""

    start: tuple[int, int]
    """Place of its upper left corner in the first frame: down, right."""
    velocity: tuple[int, int]
    """Way from one frame to the next: down, right."""

    @property
    def speed(self) -> float:
        """Pixels a frame."""
        down, right = self.velocity
        return float(np.hypot(down, right)) / 256

    @property
    def degrees(self) -> int:
        """Direction, from 0 to 359: to the right 0, up 90."""
        down, right = self.velocity
        return round(float(np.degrees(np.arctan2(-down, right)))) % 360


def motion(name: str, number: int, seed: int = 0) -> Motion:
    """Return the motion in one toy film, a hash (SHAKE-256) of name, number and seed, by arithmetic of integers.

    The speed is uniform between `SPEEDS`, the direction uniform, and the place in the first frame is uniform where the
    whole way lies within the frame, so that a sprite turns nowhere.

    Args:
        name: Its class, one of `GARMENTS`.
        number: Which one of its class.
        seed: Which of all sets.
    """
    source = hashlib.shake_256(repr((seed, "film", name, number)).encode()).digest(16)
    angle, pace, *places = (int(word) for word in np.frombuffer(source, "<u4", 4))
    slow, fast = (round(256 * speed) for speed in SPEEDS)
    speed = slow + pace % (fast - slow + 1)
    sines = (-int(SINE[angle & 0xFFFF]), int(SINE[(angle + 2**14) & 0xFFFF]))  # rows count downwards
    down, right = ((2 * speed * sine + 32767) // (2 * 32767) for sine in sines)
    lows = [max(0, -(FRAMES - 1) * each) for each in (down, right)]
    rooms = [ROOM - (FRAMES - 1) * abs(each) for each in (down, right)]
    top, left = (low + place % (room + 1) for low, place, room in zip(lows, places, rooms, strict=True))
    return Motion((top, left), (down, right))


def film(sprite: NDArray[np.uint8], moved: Motion) -> NDArray[np.uint8]:
    """Return a toy film: a sprite uint8 [14, 14] that moves over black, uint8 [8, 32, 32].

    Between pixels it is interpolated in both directions, so from frame to frame the centre of its light moves by the
    velocity, but for the rounding to whole gray levels.
    """
    frames, light = np.zeros((FRAMES, SIDE, SIDE), np.int64), sprite.astype(np.int64)
    for number, frame in enumerate(frames):
        (top, down), (left, right) = (
            divmod(start + number * step, 256) for start, step in zip(moved.start, moved.velocity, strict=True)
        )
        for i, share in enumerate((256 - down, down)):
            for j, part in enumerate((256 - right, right)):
                frame[top + i : top + i + SPRITE, left + j : left + j + SPRITE] += share * part * light
    return (frames + 2**15 >> 16).astype(np.uint8)


def films(path: Path, sprites: Path, count: int = 6000, seed: int = 0) -> None:
    """Writes a zip of toy films: a folder of animated WebP without loss for each garment.

    A name tells the motion: `bag/0012_1.25_090.webp` moves by 1.25 pixels a frame, upwards. Pixels and names are the
    same everywhere; how they are packed is the WebP library's.

    Args:
        path: The file, which is replaced at once when all is in it.
        sprites: A picture with a row of sprites for each of `GARMENTS`, and beside it their LICENSE, which is packed.
        count: Number of films; the classes take turns, and in a class the sprites.
        seed: Which of all sets.
    """
    with Image.open(sprites) as picture:
        sheet = np.asarray(picture.convert("L"))
    each = sheet.shape[1] // SPRITE
    rows = sheet.reshape(len(GARMENTS), SPRITE, each, SPRITE).swapaxes(1, 2)
    with atomic(path) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("LICENSE"), sprites.with_name("LICENSE").read_bytes())
        for i in range(count):
            label, number = i % len(GARMENTS), i // len(GARMENTS)
            name = GARMENTS[label]
            moved = motion(name, number, seed)
            file = f"{name}/{number:04}_{moved.speed:.2f}_{moved.degrees:03}.webp"
            made = film(rows[label, number % each], moved)
            archive.writestr(zipfile.ZipInfo(file), video.file(made[..., None], {"fps": FPS})[2])
