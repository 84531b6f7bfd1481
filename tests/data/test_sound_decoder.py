"""Every form a sound comes in, against closed forms; and every damage, against its reason."""

import io
import math
import pickle
import resource
import struct
import subprocess
import sys
import tracemalloc
import wave

import av
import numpy as np
import pytest
import sounds
from PIL import Image
from scipy.signal import resample_poly

from ganops.core.errors import ConfigError
from ganops.data.decode import decode, decode_all
from ganops.data.sound_decoder import SoundDecoder
from ganops.data.sources.item import ItemError
from ganops.kinds import sound

DECODER = SoundDecoder()


def spectrum(clip):
    """Amplitude of each hertz, in a second of 8,000 samples, as a share of the largest."""
    amplitudes = np.abs(np.fft.rfft(clip[:8000] * np.hanning(8000)))
    return amplitudes / amplitudes.max()


def picture(kind):
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, kind)
    return file.getvalue()


def film():
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        for _ in range(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
        out.mux(stream.encode(None))
    return file.getvalue()


def test_a_wav_of_the_rate_keeps_its_integers_but_for_one_factor():
    values = np.random.default_rng(0).integers(-8000, 8000, 8192)
    values[100] = -10_000
    clip, notes = DECODER.decode(sounds.riff(values.astype("<i2").tobytes()))
    assert clip.dtype == np.int16
    np.testing.assert_array_equal(clip, np.rint(values * 3.2767))
    assert notes == ()


def test_a_wav_is_read_as_the_standard_library_reads_it():
    data = sounds.wav(sounds.noise(1, 8192))
    with wave.open(io.BytesIO(data)) as file:
        values = np.frombuffer(file.readframes(8192), "<i2")
    np.testing.assert_array_equal(DECODER.decode(data)[0], np.rint(values * (32767 / np.abs(values.astype(int)).max())))


@pytest.mark.parametrize("rate", [11025, 16000, 22050, 44100, 48000, 96000])
def test_a_tone_stays_where_it_is_at_another_rate(rate):
    clip, notes = DECODER.decode(sounds.wav(sounds.sine(1000, 1.1, rate), rate))
    assert spectrum(clip).argmax() == 1000
    assert np.delete(spectrum(clip), range(990, 1011)).max() < 1e-3  # -60 dB: nothing else is there
    assert f"{rate:,} to 8,000 Hz" in notes
    expected = 32767 * np.sin(2 * np.pi * 1000 * np.arange(8192) / 8000)  # and it begins when it began
    assert np.abs(clip - expected)[50:-50].max() < 350


def test_a_tone_above_half_the_rate_is_gone():
    both = sounds.sine(1000, 1.1, 44100) + sounds.sine(6000, 1.1, 44100)
    clip, _ = DECODER.decode(sounds.wav(both, 44100))
    assert spectrum(clip)[1980:2021].max() < 1e-2  # where 6 kHz would be folded to, under -40 dB


@pytest.mark.parametrize("rate", [8001, 44101, 47999, 191_981, 383_999])
def test_an_odd_rate_takes_no_memory_and_keeps_the_pitch(rate):
    data = sounds.wav(sounds.sine(1000, 1.1, rate), rate)
    DECODER.decode(sounds.wav(sounds.sine(1000, 1.1, 44100), 44100))
    tracemalloc.start()
    clip, _ = DECODER.decode(data)
    assert tracemalloc.get_traced_memory()[1] < 32 * 2**20
    tracemalloc.stop()
    assert spectrum(clip).argmax() == 1000


def test_a_slower_file_is_filled_in():
    clip, _ = SoundDecoder(rate=16000, samples=16384, window=512, hop=256).decode(
        sounds.wav(sounds.sine(1000, 1.1, 8000), 8000)
    )
    amplitudes = np.abs(np.fft.rfft(clip[:16000] * np.hanning(16000)))
    assert amplitudes.argmax() == 1000
    assert amplitudes[7000] < amplitudes[1000] / 1000


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_every_width_of_integers_is_read(width):
    x = sounds.noise(2, 8192)
    clip, _ = DECODER.decode(sounds.wav(x, width=width))
    assert np.abs(clip - 32767 * x / np.abs(x).max()).max() < (600 if width == 1 else 3)


@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_floats_are_read_beyond_full_scale_as_well(dtype):
    x = sounds.noise(3, 8192, peak=7)
    clip, _ = DECODER.decode(sounds.riff(x.astype(dtype).tobytes(), tag=3, bits=8 * np.dtype(dtype).itemsize))
    assert np.abs(clip - 32767 * x / np.abs(x).max()).max() < 1


@pytest.mark.parametrize("channels", [2, 6, 8])
def test_channels_are_averaged(channels):
    x = np.stack([sounds.noise(seed, 8192) for seed in range(channels)], 1)
    clip, notes = DECODER.decode(sounds.wav(x))
    mean = sounds.levels(x).mean(1)
    assert np.abs(clip - 32767 * mean / np.abs(mean).max()).max() <= 0.5
    assert notes == (f"{channels} channels to one",)


@pytest.mark.parametrize("form", sounds.FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_format_is_read(form, channels):
    clip, _ = DECODER.decode(sounds.encoded(sounds.sine(1000, 1.1, 48000), form, channels=channels))
    assert spectrum(clip).argmax() == 1000
    assert spectrum(clip)[1100:3900].max() < 0.02


def test_a_shorter_clip_is_padded_on_both_sides_and_a_longer_one_is_cut():
    x = sounds.noise(4, 9000)
    whole, notes = DECODER.decode(sounds.wav(x))
    assert notes == ("cut behind its first 8,192 samples",)
    np.testing.assert_array_equal(whole, DECODER.decode(sounds.wav(x[:8192]))[0])
    short, notes = DECODER.decode(sounds.wav(x[:1001]))
    assert notes == ("padded on both sides",)
    assert np.flatnonzero(short)[[0, -1]].tolist() == [3595, 4595]  # 7,191 of silence, one more behind
    assert np.abs(short.astype(int)).max() == 32767


@pytest.mark.parametrize("rate", [11025, 44100, 96000])
def test_what_is_cut_away_changes_nothing_that_is_kept(rate):
    """The beginning is what it is when all of the file is resampled."""
    x = sounds.levels(sounds.noise(5, 2 * rate)) / 32768
    common = math.gcd(rate, 8000)
    whole = resample_poly(x, 8000 // common, rate // common)[:8192]
    expected = np.rint(whole * (32767 / np.abs(whole).max()))
    np.testing.assert_array_equal(DECODER.decode(sounds.wav(sounds.noise(5, 2 * rate), rate))[0], expected)


@pytest.mark.parametrize("rate", [8000, 44100, 384000])
def test_one_sample_is_a_click(rate):
    clip, _ = DECODER.decode(sounds.riff(struct.pack("<h", 20000), rate=rate))
    assert np.flatnonzero(clip).tolist() == [4095]
    assert clip[4095] == 32767


@pytest.mark.parametrize("form", ["wav", "flac", "mp3", "opus"])
def test_decoding_is_the_same_to_the_bit_in_any_order(form):
    data = [sounds.encoded(sounds.noise(seed, 24000), form) for seed in range(3)]
    first = [decode(each, DECODER)[0].tobytes() for each in data]
    again = [clip.tobytes() for clip, _ in reversed(decode_all(data[::-1], pickle.loads(pickle.dumps(DECODER))))]
    assert first == again
    assert len(set(first)) == 3


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
def test_an_array_is_a_clip_at_the_rate(dtype):
    x = sounds.noise(6, 8192)
    values = x if np.dtype(dtype).kind == "f" else sounds.levels(x, 8 * np.dtype(dtype).itemsize)
    clip, _ = DECODER.decode(values.astype(dtype))
    assert np.abs(clip - 32767 * x / np.abs(x).max()).max() < 3


WHOLE = sounds.wav(sounds.noise(7))
SILENT = np.zeros(4000)
NAN = np.where(np.arange(4000) == 77, np.nan, 0.5)
BAD = {
    "empty": (b"", "empty, 0 bytes"),
    "text": (b"The birds, recorded in May.\n" * 40, "no WAV, FLAC, Ogg, MP3 or M4A: 1,120 bytes that start"),
    "a page": (b"<html><head><title>404</title></head></html>" * 9, "no WAV, FLAC, Ogg, MP3 or M4A"),
    "a PNG": (picture("PNG"), "no WAV, FLAC, Ogg, MP3 or M4A"),
    "a JPEG": (picture("JPEG"), "no WAV, FLAC, Ogg, MP3 or M4A"),
    "a film without sound": (film(), "no sound in it, only video"),
    "a playlist": (b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n", "no WAV, FLAC, Ogg, MP3 or M4A"),
    "a list of files": (b"ffconcat version 1.0\nfile '/etc/passwd'\n", "no WAV, FLAC, Ogg, MP3 or M4A"),
    "noise": (np.random.default_rng(0).bytes(5000), "no WAV, FLAC, Ogg, MP3 or M4A"),
    "a WAV cut in its header": (WHOLE[:30], "damaged or truncated WAV: 30 bytes"),
    "a WAV cut in its samples": (WHOLE[:4044], "truncated after 0.25 s"),
    "a WAV cut behind its header": (WHOLE[:44], "truncated after 0.00 s"),
    "a WAV of 0 s": (sounds.riff(b""), "0 s long"),
    "a WAV of 0 Hz": (sounds.riff(bytes(99), rate=0), "damaged or truncated WAV"),
    "a WAV of 4 GHz": (sounds.riff(bytes(99), rate=4_000_000_000), "damaged or truncated WAV"),
    "a WAV of 2 MHz": (sounds.riff(bytes(99), rate=2_000_000), "2,000,000 samples a second: from 1,000 to 384,000"),
    "a WAV of 10 Hz": (sounds.riff(bytes(99), rate=10), "10 samples a second: from 1,000 to 384,000"),
    "a WAV of 65,535 channels": (sounds.riff(bytes(200_000), channels=65535), "channels: from 1 to 64"),
    "a WAV of 100 channels": (sounds.riff(bytes(20_000), channels=100), "channels: from 1 to 64"),
    "an unknown codec": (sounds.riff(bytes(999), tag=0x1234), "a codec that is not known"),
    "a big-endian WAV": (b"RIFX" + sounds.riff(bytes(999))[4:], r"a big-endian WAV \(RIFX\): expected RIFF"),
    "silence": (sounds.wav(SILENT), "silent: nothing in its first 0.50 s is louder than -60 dB"),
    "the noise of a silence": (sounds.wav(sounds.noise(8, peak=5e-4)), "silent"),
    "channels that cancel": (sounds.wav(np.stack([sounds.noise(9), -sounds.noise(9)], 1)), "silent"),
    "a tone that no clip can hold": (sounds.wav(sounds.sine(20_000, 1, 96_000) * np.hanning(96_000), 96_000), "silent"),
    "NaN": (sounds.riff(NAN.astype("<f4").tobytes(), tag=3, bits=32), "no finite numbers"),
    "infinity": (sounds.riff(np.full(99, np.inf, "<f4").tobytes(), tag=3, bits=32), "no finite numbers"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_in_words(name):
    data, words = BAD[name]
    with pytest.raises(ItemError, match=words):
        decode(data, DECODER)


@pytest.mark.parametrize("form", sounds.FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_truncated_file_is_refused_in_every_format(form, share):
    data = sounds.encoded(sounds.noise(10, 5 * 48000), form)
    decoder = SoundDecoder(samples=8192 * 8)
    assert decoder.decode(data)[0].any()
    with pytest.raises(ItemError, match=r"truncated|damaged|no sound in it|no WAV"):
        decoder.decode(data[: int(len(data) * share)])


def test_a_truncated_wav_of_64_bits_is_refused():
    content = sounds.levels(sounds.noise(12, 8000)).astype("<i2").tobytes()
    whole = sounds.riff(content)
    chunk = b"ds64" + struct.pack("<IQQQI", 28, len(whole) + 28, len(content), 0, 0)
    long = b"RF64" + bytes([255] * 4) + b"WAVE" + chunk + whole[12 : -len(content) - 4] + bytes([255] * 4) + content
    np.testing.assert_array_equal(DECODER.decode(long)[0], DECODER.decode(whole)[0])
    with pytest.raises(ItemError, match=r"truncated after 0\.\d\d s"):
        DECODER.decode(long[: -len(content) // 2])


@pytest.mark.parametrize("bit", [1, 64])
def test_a_damaged_frame_of_flac_is_found_by_its_checksum(bit):
    whole = sounds.encoded(sounds.sine(440, 0.8, 48000), "flac")
    for place in range(8300, len(whole), 500):  # behind headers and padding
        data = bytearray(whole)
        data[place] ^= bit
        with pytest.raises(ItemError, match=r"(damaged|truncated) after 0\.\d\d"):
            DECODER.decode(bytes(data))


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0])
def test_a_wav_that_was_streamed_need_not_know_its_length(size):
    content = sounds.levels(sounds.noise(12)).astype("<i2").tobytes()
    np.testing.assert_array_equal(
        DECODER.decode(sounds.riff(content, size=size))[0], DECODER.decode(sounds.riff(content))[0]
    )


def test_tags_and_a_picture_in_an_mp3_are_passed_over():
    data = sounds.encoded(sounds.noise(13, 24000), "mp3")
    picture_frame = b"APIC" + struct.pack(">IH", 4 + 10 + 99, 0) + b"\0image/png\0\3\0"[:14] + bytes(99)
    size = len(picture_frame)
    tag = b"ID3\x03\0\0" + bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127]) + picture_frame
    bare = data[10 + int.from_bytes(data[8:10]) :] if data.startswith(b"ID3") else data
    tagged = tag + bare + b"TAG" + bytes(125)
    np.testing.assert_array_equal(DECODER.decode(tagged)[0], DECODER.decode(data)[0])


@pytest.mark.parametrize("values", [np.zeros((2, 8)), np.zeros(0), np.zeros(3, complex), np.zeros(3, np.uint16)])
def test_an_array_of_something_else_is_refused(values):
    with pytest.raises(ItemError, match="expected samples"):
        DECODER.decode(values)


HOUR = """
import resource, sys
from ganops.data.sound_decoder import SoundDecoder
short, long = (open(path, "rb").read() for path in sys.argv[1:])
SoundDecoder().decode(short)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
clip, notes = SoundDecoder().decode(long)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, notes)
"""


@pytest.mark.parametrize("form", ["wav", "mp3"])
def test_an_hour_takes_no_more_memory_than_a_second(tmp_path, form):
    piece = sounds.encoded(sounds.noise(0, 16000), form, 8000)
    hour = sounds.riff(piece[44:] * 1800) if form == "wav" else piece * 1800
    (tmp_path / "short").write_bytes(piece)
    (tmp_path / "long").write_bytes(hour)
    command = [sys.executable, "-c", HOUR, str(tmp_path / "short"), str(tmp_path / "long")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    grown, _, notes = done.stdout.partition(" ")
    assert "cut behind its first 8,192" in notes
    assert float(grown) < 10  # MiB; an hour is 55 as int16, 220 as float64
    assert done.stderr == ""


def test_a_header_that_lies_takes_no_memory():
    lie = bytearray(sounds.encoded(sounds.noise(14, 8000), "flac"))
    lie[21:26] = bytes([lie[21] | 15, 255, 255, 255, 255])  # 2^36 - 1 samples
    decoder = SoundDecoder(samples=2**17)
    tracemalloc.start()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ItemError, match=r"truncated after 0\.17 of 1,431,655\.77 s"):
        decoder.decode(bytes(lie))
    assert tracemalloc.get_traced_memory()[1] < 5 * 2**20
    tracemalloc.stop()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024


def test_no_file_leads_to_another_one(tmp_path):
    """FFmpeg's lists of files are not opened, whatever their names."""
    (tmp_path / "a.wav").write_bytes(WHOLE)
    for text in (f"ffconcat version 1.0\nfile '{tmp_path}/a.wav'\n", f"#EXTM3U\n#EXTINF:1,\nfile://{tmp_path}/a.wav\n"):
        with pytest.raises(ItemError, match="no WAV"):
            DECODER.decode(text.encode() * 3)


def test_statistics_are_those_of_the_training_clips():
    clips = [DECODER.decode(sounds.wav(sounds.noise(seed, 8192)))[0] for seed in range(5)]
    shape, facts, store, _ = DECODER.finish(iter(clips), (8192,), {})
    assert shape == (1, 64, 64)
    nepers = sound.spectrogram(np.stack(clips), DECODER.shown()).astype(np.float64)
    np.testing.assert_allclose(facts["mean"], nepers.mean((0, 2)), rtol=1e-9)
    np.testing.assert_allclose(facts["deviation"], nepers.std((0, 2)), rtol=1e-6)
    assert {key: facts[key] for key in DECODER.shown()} == DECODER.shown()
    np.testing.assert_array_equal(store(clips[0]), sound.quantised(nepers[:1].astype(np.float32), facts)[0])
    assert store(clips[0]).dtype == np.uint8


@pytest.mark.parametrize(
    ("key", "value"), [("rate", 0), ("rate", 10**6), ("samples", 0), ("samples", 8200), ("bands", 0), ("bands", 1000),
                       ("window", 100), ("window", 128), ("hop", 0), ("hop", 8192)],
)  # fmt: skip
def test_impossible_parameters_are_refused(key, value):
    with pytest.raises(ConfigError, match=key):
        SoundDecoder(**{key: value})
