"""Files of sound, made here: WAV by the standard library and by hand, the others by PyAV."""

import io
import struct
import wave

import av
import numpy as np

FORMATS = {
    "wav": ("wav", "pcm_s16le"), "flac": ("flac", "flac"), "vorbis": ("ogg", "vorbis"), "opus": ("ogg", "libopus"),
    "mp3": ("mp3", "libmp3lame"), "aac": ("ipod", "aac"), "alac": ("ipod", "alac"), "ogg flac": ("ogg", "flac"),
}  # fmt: skip
"""Container and codec of each form."""


def sine(hertz, seconds=0.5, rate=8000, peak=0.5):
    """float64 [seconds * rate]."""
    return peak * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def noise(seed, samples=4000, peak=0.5):
    """float64 [samples]."""
    return np.random.default_rng(seed).uniform(-peak, peak, samples)


def levels(x, bits=16):
    """Floats as integers of so many bits."""
    return np.rint(np.asarray(x) * (2 ** (bits - 1) - 1)).astype(np.int64)


def wav(x, rate=8000, width=2):
    """WAV of floats [T] or [T, channels], of 1 (unsigned), 2, 3 or 4 bytes a sample."""
    x = np.atleast_2d(np.asarray(x, np.float64).T).T
    values = levels(x, 8 * width) + (128 if width == 1 else 0)
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(x.shape[1])
        out.setsampwidth(width)
        out.setframerate(rate)
        out.writeframes(values.astype("<i8").reshape(-1, 1).view(np.uint8)[:, :width].tobytes())
    return file.getvalue()


def riff(content, *, tag=1, channels=1, rate=8000, bits=16, size=None):
    """WAV of bytes with whatever a header can say; tag 3 is IEEE floats."""
    block = channels * bits // 8
    chunk = struct.pack("<HHIIHH", tag, channels, rate, rate * block & 0xFFFFFFFF, block & 0xFFFF, bits)
    body = b"WAVEfmt " + struct.pack("<I", len(chunk)) + chunk
    body += b"data" + struct.pack("<I", len(content) if size is None else size) + content
    return b"RIFF" + struct.pack("<I", len(body)) + body


def encoded(x, form, rate=48000, channels=1):
    """Floats [T] in a form of `FORMATS`, the same in each channel."""
    container, codec = FORMATS[form]
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, options={"strict": "-2"})
        stream.layout = "stereo" if codec == "vorbis" or channels == 2 else "mono"
        frame = av.AudioFrame.from_ndarray(np.asarray(x, np.float32)[None], format="fltp", layout="mono")
        frame.rate = rate
        resampler, fifo = av.AudioResampler(stream.codec_context.format, stream.layout, rate), av.AudioFifo()
        for piece in resampler.resample(frame):
            piece.pts = None
            fifo.write(piece)
        size = stream.codec_context.frame_size or 1024
        while (piece := fifo.read(size) or fifo.read(0, partial=True)) is not None:
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    return file.getvalue()
