"""Films, made here: containers by PyAV, the others by Pillow."""

import io
from fractions import Fraction

import av
import numpy as np
from PIL import Image

CONTAINERS = {
    "mp4": ("mp4", "libx264", "yuv420p"), "mpeg4": ("mp4", "mpeg4", "yuv420p"), "mov": ("mov", "libx264", "yuv420p"),
    "webm": ("webm", "libvpx-vp9", "yuv420p"), "vp8": ("webm", "libvpx", "yuv420p"),
    "mkv": ("matroska", "ffv1", "bgr0"), "gray mkv": ("matroska", "ffv1", "gray"),
    "alpha mkv": ("matroska", "ffv1", "bgra"),
    "avi": ("avi", "mpeg4", "yuv420p"), "mjpeg avi": ("avi", "mjpeg", "yuvj420p"),
}  # fmt: skip
"""Container, codec and pixels of each form."""
STEADY = {"libx264": {"qp": "20"}}
"""Options without which two runs of a codec give other bytes: x264's rates depend on what it finds in memory."""
ANIMATED = {"gif": ("GIF", {}), "webp": ("WEBP", {"lossless": True}), "apng": ("PNG", {})}
"""Pillow's format and options of each form."""


def moving(count=10, height=48, width=64, channels=3, seed=0):
    """A square that moves by two pixels a frame over a slope of light, which codecs keep: uint8 [T, H, W, C]."""
    tone = np.random.default_rng(seed).integers(90, 256, channels)
    film = np.zeros((count, height, width, channels), np.uint8)
    film[:] = np.linspace(0, 80, width).astype(np.uint8)[:, None]
    for i, frame in enumerate(film):
        frame[8:24, 4 + 2 * i : 20 + 2 * i] = tone
    return film


def noise(seed, count=5, height=20, width=30, channels=3):
    """uint8 [T, H, W, C]."""
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, channels), np.uint8)


def contained(film, form="mp4", fps=10, *, times=None, turned=None, square=None, sound=False, options=None, path=None):
    """A film uint8 [T, H, W, 3] in a container.

    `times`: of its frames, in milliseconds; `turned`: degrees, counterclockwise, that a player is told to turn it;
    `square`: width of a pixel over its height; `sound`: a track of silence beside it; `path`: written there.
    """
    container, codec, pixels = CONTAINERS[form]
    file = io.BytesIO() if path is None else str(path)
    with av.open(file, "w", format=container, options=options or {}) as out:
        if sound:
            audio = out.add_stream("aac", rate=8000)
        stream = out.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=STEADY.get(codec))
        stream.codec_context.thread_count = 1  # the same bytes whenever it is encoded
        stream.height, stream.width = film.shape[1:3]
        stream.pix_fmt = pixels
        if times is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if turned is not None:
            stream.set_display_rotation(turned)
        if square is not None:
            stream.codec_context.sample_aspect_ratio = square
        for i, frame in enumerate(film):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            if times is not None:
                picture.pts, picture.time_base = times[i], Fraction(1, 1000)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
        if sound:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.rate = 8000
            out.mux(audio.encode(silence))
            out.mux(audio.encode(None))
    return file.getvalue() if path is None else path.read_bytes()


def silent_pictures(seconds=0.5):
    """An MP4 with sound alone."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, round(8000 * seconds)), np.float32), format="fltp", layout="mono"
        )
        frame.rate = 8000
        for piece in av.AudioResampler("fltp", "mono", 8000, 1024).resample(frame):
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    return file.getvalue()


def animated(film, form="webp", duration=100, **options):
    """A film uint8 [T, H, W, C] as an animated picture; `duration`: milliseconds of all frames, or of each."""
    kind, own = ANIMATED[form]
    frames = [Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame) for frame in film]
    frames[0].save(file := io.BytesIO(), kind, save_all=True, append_images=frames[1:], duration=duration, loop=0,
                   **own, **options)  # fmt: skip
    return file.getvalue()


def stills(film, kind="PNG"):
    """Each frame as a file."""
    found = []
    for frame in film:
        Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame).save(file := io.BytesIO(), kind)
        found.append(file.getvalue())
    return found
