"""One clip, whatever its form, to int16 [samples] at one rate: one channel, as loud as 16 bits can be."""

import io
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ganops.core.errors import ConfigError
from ganops.core.redaction import reason
from ganops.data.sources.item import ItemError, Wanted
from ganops.kinds import sound

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

RATES = (1_000, 384_000)
"""Hertz of the slowest and the fastest file that is decoded."""

RATIO_LIMIT = 2**13
"""Largest number in a ratio of rates: the filter between them has 20 times as many taps. Pitch is kept to 0.02 %."""

CHANNEL_LIMIT = 64
"""Channels of a file that is decoded, at most."""

SILENCE = 1e-3
"""Peak of the quietest clip that is taken, as a share of full scale (-60 dB): what is below is noise, made loud."""

# Named, because FFmpeg would also open playlists and scripts, which name other files and addresses.
_FORMATS = "wav,flac,ogg,mp3,mov,mp4,m4a"
_READ = "WAV, FLAC, Ogg, MP3 or M4A"
_SIGNATURES = {"WAV": (0, b"RIFF"), "FLAC": (0, b"fLaC"), "Ogg": (0, b"OggS"), "MP3": (0, b"ID3"), "M4A": (4, b"ftyp")}
_STREAMED = 0x7FFFF000  # from here on the size of a wav's data says that whoever wrote it did not know the end
_REACH = 10  # samples of the slower rate on either side of one that scipy's filter takes in
_SLACK = 2 * 1152  # samples that a lossy file may lack of the length it states: two frames of MP3

CLIPS = Wanted(sound.UNIT, (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a"), ("audio",))
"""Clips, as sources hold them."""

Clip = NDArray[np.int16]
"""int16 [samples]."""


@dataclass(frozen=True)
class WaveDecoder:
    """A decoder that makes a clip of a file of sound, and stores its samples, see `kinds.wave`.

    Channels are averaged, the rate is changed by a polyphase filter (scipy's `resample_poly`), the peak becomes 32,767.
    A shorter clip gets silence on both sides, of a longer one the beginning is taken.

    `rate`: samples a second. `samples`: of a clip.

    Raises:
        ConfigError: a value that is not possible.
    """

    kind: ClassVar[str] = "wave"
    wanted: ClassVar[Wanted] = CLIPS
    mirror: ClassVar[bool] = False

    rate: int = 8000
    samples: int = 8192

    def __post_init__(self) -> None:
        if not RATES[0] <= self.rate <= RATES[1]:
            raise ConfigError(f"data.rate: expected from {RATES[0]:,} to {RATES[1]:,} Hz, got {self.rate}")
        self._expect(samples=1)

    def _expect(self, **least: int) -> None:
        """Refuse parameters below their least values."""
        for key, bound in least.items():
            if getattr(self, key) < bound:
                raise ConfigError(f"data.{key}: expected at least {bound}, got {getattr(self, key)}")

    def decode(self, data: bytes | NDArray[Any]) -> tuple[Clip, tuple[str, ...]]:
        """Return the clip in a file, or in an array [T] at the decoder's rate, and the conversions worth a note.

        Raises:
            ItemError: it is no intact sound, or silent.
        """
        if isinstance(data, np.ndarray):
            return self._clip(_floats(data), ())
        try:
            return self._clip(*self._read(data))
        except ItemError:
            raise
        except Exception as error:  # FFmpeg's readers raise whatever the bytes lead them to
            raise ItemError(f"damaged: {reason(error, named=False)}") from error

    def common(self, shapes: Iterable[tuple[int, ...]]) -> tuple[tuple[int, ...], dict[str, int]]:
        """Return the shape of all clips, and no conversions: every clip has that shape."""
        return (self.samples,), {}

    def finish(
        self, train: Iterable[Clip], shape: tuple[int, ...], conversions: Mapping[str, int]
    ) -> tuple[tuple[int, ...], dict[str, Any], Callable[[Clip], NDArray[Any]], dict[str, int]]:
        """Return the shape of a stored clip, the facts, what stores one, and no notes."""
        return (1, self.samples), self.shown(), _as_it_is, {}

    def shown(self) -> dict[str, Any]:
        """The parameters as a user gives them."""
        return asdict(self)

    def _read(self, data: bytes) -> tuple[NDArray[np.float64], tuple[str, ...]]:
        """Return one channel of samples at the decoder's rate, of a long file the beginning."""
        with _opened(data) as container:
            stream = _stream(container)
            up, down = _ratio(self.rate, stream.rate)
            wanted = ceil((self.samples + _REACH * max(up, down) / down) * down / up) + 1
            heard = _heard(container, stream, data, wanted)
            notes = [f"{stream.channels} channels to one"] * (stream.channels > 1)
            notes += ["several tracks: the first taken"] * (len(container.streams.audio) > 1)
        if up == down:
            return heard, tuple(notes)
        from scipy.signal import resample_poly

        return resample_poly(heard, up, down), (*notes, f"{stream.rate:,} to {self.rate:,} Hz")

    def _clip(self, heard: NDArray[np.float64], notes: tuple[str, ...]) -> tuple[Clip, tuple[str, ...]]:
        """Return floats of any length, 1 being full scale, as a clip."""
        if len(heard) > self.samples:
            notes = (*notes, f"cut behind its first {self.samples:,} samples")
            heard = heard[: self.samples]
        elif len(heard) < self.samples:
            notes = (*notes, "padded on both sides")
        peak = np.abs(heard).max(initial=0)
        if not np.isfinite(peak):
            raise ItemError("holds values that are no finite numbers (NaN or infinity)")
        if peak < SILENCE:
            raise ItemError(f"silent: nothing in its first {len(heard) / self.rate:.2f} s is louder than -60 dB")
        clip = np.zeros(self.samples, np.int16)
        start = (self.samples - len(heard)) // 2
        clip[start : start + len(heard)] = np.rint(heard * (32767 / peak))
        return clip, notes


@dataclass(frozen=True)
class SoundDecoder(WaveDecoder):
    """A decoder that makes clips as `WaveDecoder` does, and stores their log mel spectrograms, see `kinds.sound`.

    `bands`: mel bands of a spectrogram. `window`, `hop`: samples of the short-time Fourier transform's window, and
    between two of them.

    Raises:
        ConfigError: a value that is not possible.
    """

    kind: ClassVar[str] = "sound"

    bands: int = 64
    window: int = 256
    hop: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        self._expect(samples=self.hop, bands=1, window=2, hop=1)
        try:
            sound.check(self.shown())
        except ValueError as error:
            raise ConfigError(f"data.samples, data.hop, data.window, data.bands: {error}") from error

    def finish(
        self, train: Iterable[Clip], shape: tuple[int, ...], conversions: Mapping[str, int]
    ) -> tuple[tuple[int, ...], dict[str, Any], Callable[[Clip], NDArray[Any]], dict[str, int]]:
        """Return the shape of a spectrogram, the facts, what makes one of a clip, and no notes.

        Mean and standard deviation of each band, in nepers, are those of all frames of `train`.
        """
        facts = self.shown()
        count, total, squares = 0, np.zeros(self.bands), np.zeros(self.bands)
        for clip in train:
            nepers = sound.spectrogram(clip[None], facts)[0].astype(np.float64)
            count += nepers.shape[1]
            total += nepers.sum(1)
            squares += (nepers**2).sum(1)
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
        facts |= {"mean": mean.tolist(), "deviation": deviation.tolist()}
        return (1, self.bands, self.samples // self.hop), facts, partial(_stored, facts=facts), {}


def _ratio(rate: int, other: int) -> tuple[int, int]:
    """Return two numbers whose ratio is that of the rates, or of odd ones the nearest of two small ones."""
    ratio = Fraction(min(rate, other), max(rate, other)).limit_denominator(RATIO_LIMIT)
    less, more = max(1, ratio.numerator), ratio.denominator
    return (less, more) if rate <= other else (more, less)


def _as_it_is(clip: Clip) -> Clip:
    """Return a clip as int16 [1, samples]."""
    return clip[None]


def _stored(clip: Clip, facts: dict[str, Any]) -> NDArray[np.uint8]:
    """Return a clip as uint8 [1, bands, frames]."""
    levels: NDArray[np.uint8] = sound.quantised(sound.spectrogram(clip[None], facts), facts)[0]
    return levels


def _floats(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return samples of any type as floats, 1 being full scale.

    Raises:
        ItemError: it is no sequence of samples.
    """
    if values.ndim != 1 or not len(values):
        raise ItemError(f"expected samples [T] of one channel, got an array {values.shape}")
    if values.dtype.kind == "f":
        return values.astype(np.float64)
    if values.dtype == np.uint8:
        return (values.astype(np.float64) - 128) / 128
    if values.dtype.kind == "i":
        return values / -float(np.iinfo(values.dtype).min)
    raise ItemError(f"expected samples as int16 or floats, got {values.dtype}")


def _opened(data: bytes) -> "InputContainer":
    """Return the file, of which nothing but its headers is decoded. It can name no other: no protocol is allowed.

    Raises:
        ItemError: it is of none of the formats.
    """
    import av  # with FFmpeg; whoever reads images needs it not

    if data.startswith(b"RIFX"):  # FFmpeg opens it, and takes its bytes for those of RIFF
        raise ItemError("a big-endian WAV (RIFX): expected RIFF")
    try:
        options = {"format_whitelist": _FORMATS, "protocol_whitelist": "none"}
        return av.open(io.BytesIO(data), "r", container_options=options)
    except av.FFmpegError:
        starts = f"{len(data):,} bytes that start with {bytes(data[:8])!r}"
        known = next((name for name, (at, mark) in _SIGNATURES.items() if data[at:].startswith(mark)), None)
        raise ItemError(f"damaged or truncated {known}: {starts}" if known else f"no {_READ}: {starts}") from None


def _stream(container: "InputContainer") -> "AudioStream":
    """Return the first track of sound.

    Raises:
        ItemError: there is none, or it cannot be decoded.
    """
    if not container.streams.audio:
        others = " and ".join(sorted({stream.type for stream in container.streams})) or "headers"
        raise ItemError(f"no sound in it, only {others}")
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        raise ItemError("compressed by a codec that is not known")
    if not RATES[0] <= stream.rate <= RATES[1]:
        raise ItemError(f"{stream.rate:,} samples a second: from {RATES[0]:,} to {RATES[1]:,} are decoded")
    if not 1 <= stream.channels <= CHANNEL_LIMIT:
        raise ItemError(f"{stream.channels or 'too many'} channels: from 1 to {CHANNEL_LIMIT} are decoded")
    stream.codec_context.thread_count = 1  # whoever decodes has processes enough
    if stream.codec_context.name == "flac":
        stream.codec_context.options = {"err_detect": "crccheck+explode"}  # each frame has a checksum
    return stream


def _heard(container: "InputContainer", stream: "AudioStream", data: bytes, wanted: int) -> NDArray[np.float64]:
    """Return the mean of the channels, of a file that is longer the first `wanted` samples; the rest is not decoded.

    Raises:
        ItemError: the file ends before it should, or holds nothing.
    """
    from av import FFmpegError

    stated = _stated(container.format.name, stream, data)
    pieces, count = [], 0
    try:
        for frame in container.decode(stream):
            if (frame.sample_rate, frame.layout.nb_channels) != (stream.rate, stream.channels):
                raise ItemError(f"changes its rate or its channels after {count / stream.rate:.2f} s")
            pieces.append(_mean(frame))
            count += frame.samples
            if count >= wanted:
                return np.concatenate(pieces)[:wanted]
    except FFmpegError as error:
        raise ItemError(f"damaged after {count / stream.rate:.2f} s: {reason(error, named=False)}") from error
    if stated is None or count < stated - _SLACK:
        whole = f" of {stated / stream.rate:,.2f}" if stated else ""
        raise ItemError(f"truncated after {count / stream.rate:.2f}{whole} s")
    if not count:
        raise ItemError("0 s long")
    return np.concatenate(pieces)


def _mean(frame: "AudioFrame") -> NDArray[np.float64]:
    """Return the mean of a frame's channels."""
    values = frame.to_ndarray()
    channels = values if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels).T
    mean: NDArray[np.float64] = np.mean([_floats(channel) for channel in channels], axis=0)
    return mean


def _stated(form: str, stream: "AudioStream", data: bytes) -> float | None:
    """Return the number of samples that a whole file has as its format states it, 0 if it does not; None: it is cut."""
    if form == "wav":  # FFmpeg corrects the length by what is there
        return None if _cut_wav(data) else 0
    if form == "ogg" and _cut_ogg(data):
        return None
    if form == "mp3" and not _measured_mp3(data):
        return 0
    return float(stream.duration * stream.time_base * stream.rate) if stream.duration and stream.time_base else 0


def _cut_wav(data: bytes) -> bool:
    """Tell whether the data of a WAV are less than its header says."""
    at, long = 12, 0  # behind RIFF, the size of everything, and WAVE
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        if name == b"ds64" and at + 24 <= len(data):  # of RF64 (EBU Tech 3306): sizes beyond 4 GiB
            (long,) = struct.unpack_from("<Q", data, at + 16)
        if name == b"data":
            return len(data) - at - 8 < (size if size < _STREAMED else long)
        at += 8 + size + size % 2
    return False


def _cut_ogg(data: bytes) -> bool:
    """Tell whether the last page of an Ogg file is not there as a whole, or not marked as the last (RFC 3533)."""
    at = data.rfind(b"OggS")
    lacing = data[at + 27 : at + 27 + data[at + 26]] if at + 27 <= len(data) else b""
    return not lacing or not data[at + 5] & 4 or at + 27 + len(lacing) + sum(lacing) > len(data)


def _measured_mp3(data: bytes) -> bool:
    """Tell whether an MP3 states its length in its first frame; without, FFmpeg guesses it from the size."""
    tag = 10 + sum((byte & 127) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=False))
    start = tag if data.startswith(b"ID3") else 0
    head = data[start : start + 200]
    return b"Xing" in head or b"Info" in head or b"VBRI" in head
