import hashlib
import io
import json
import subprocess
import sys
import wave

import numpy as np
import pytest
import torch
from scipy.signal import ShortTimeFFT, get_window

from ganops.kinds import KINDS, sound

RATE, SAMPLES, BANDS = 8000, 8192, 64
FACTS = {"rate": RATE, "samples": SAMPLES, "window": 256, "hop": 128, "bands": BANDS}
FACTS |= {"mean": [4.5] * BANDS, "deviation": [1.6] * BANDS}
BIN = RATE / FACTS["window"]
TIME = np.arange(SAMPLES) / RATE
RISE = np.minimum(1, np.minimum(np.arange(SAMPLES), np.arange(SAMPLES)[::-1]) / 1024)


def tone(hertz, amplitude=8000):
    return np.rint(amplitude * np.sin(2 * np.pi * hertz * TIME) * RISE).astype(np.int16)


def voice(hertz, glide, seed):
    """Harmonics of a pitch that glides, under a bell, in a faint noise."""
    phase = 2 * np.pi * np.cumsum(hertz * (1 + glide * np.arange(SAMPLES) / SAMPLES)) / RATE
    x = sum(np.sin(k * phase) / k for k in range(1, int(3500 / (hertz * (1 + abs(glide)))) + 1))
    x *= 6000 / np.abs(x).max() * np.exp(-(((np.arange(SAMPLES) - SAMPLES / 2) / 1500) ** 2))
    return np.rint(x + np.random.default_rng(seed).normal(0, 3, SAMPLES)).astype(np.int16)


VOICES = np.stack([voice(90 * 1.3**i, 0.3 * (i % 3 - 1), i) for i in range(8)])
STORED = sound.quantised(sound.spectrogram(VOICES, FACTS), FACTS)


def test_it_is_a_kind():
    assert KINDS["sound"] is sound
    assert STORED.dtype == sound.STORED == "uint8"
    assert STORED.shape == (8, 1, BANDS, SAMPLES // 128)
    assert sound.shown(STORED[:1], FACTS).dtype == np.int16


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_level_comes_back(dtype):
    levels = torch.arange(256, dtype=torch.uint8)
    floats = sound.floats(levels, FACTS, dtype)
    assert floats.dtype == dtype
    assert (floats.min(), floats.max()) == (-1, 1)
    assert torch.equal(sound.stored(floats, FACTS), levels)
    assert torch.equal(sound.stored(torch.tensor([-9.0, 9.0]), FACTS), torch.tensor([0, 255], dtype=torch.uint8))


def test_a_clip_is_the_same_alone_and_in_any_batch_and_order():
    order = [5, 0, 3, 3, 7]
    together = sound.shown(STORED[order], FACTS)
    for clip, row in zip(together, order, strict=True):
        assert np.array_equal(clip, sound.shown(STORED[[row]], FACTS)[0])
    spectra = sound.spectrogram(VOICES[order], FACTS)
    assert all(np.array_equal(x, sound.spectrogram(VOICES[[i]], FACTS)[0]) for x, i in zip(spectra, order, strict=True))
    assert sound.shown(STORED[:0], FACTS).shape == (0, SAMPLES)


@pytest.mark.parametrize(("window", "hop", "bands"), [(256, 128, 64), (256, 64, 40), (512, 128, 64), (300, 100, 20)])
def test_a_spectrogram_is_that_of_the_textbook(window, hop, bands):
    """The transform of scipy, and the filters of the HTK book as a matrix: triangles on 2595 log10(1 + f / 700)."""
    frames = SAMPLES // hop
    facts = {"rate": RATE, "samples": SAMPLES, "window": window, "hop": hop, "bands": bands}
    around = (window - hop) // 2
    padded = np.pad(VOICES[:, : frames * hop].astype(float), ((0, 0), (around, window)))
    transform = ShortTimeFFT(get_window("hann", window), hop, RATE, scale_to="magnitude")
    first = window // 2 // hop + 1
    spectra = 2 * np.abs(transform.stft(np.pad(padded, ((0, 0), (first * hop - window // 2, 0)))))
    spectra = spectra[..., first - transform.p_min :][..., :frames]

    def mel(f):
        return 2595 * np.log10(1 + f / 700)

    middles = np.linspace(0, mel(RATE / 2), bands + 2)
    matrix = np.array(
        [np.interp(mel(transform.f), middles[i : i + 3], (0, 1, 0), left=0, right=0) for i in range(bands)]
    )
    matrix /= matrix.sum(1, keepdims=True)
    expected = np.log1p(matrix @ spectra)
    assert np.abs(sound.spectrogram(VOICES, facts) - expected).max() < 1e-4


def test_the_scale_is_that_of_the_htk_book():
    assert sound.mel(0) == 0
    assert sound.mel(700) == pytest.approx(781.17, abs=0.01)  # 2595 log10 2
    assert sound.mel(1000) == pytest.approx(1000, abs=0.02)  # by which the scale is defined


def test_an_amplitude_reads_as_itself():
    """A click has the same amplitude in all bins: the window's height over it, in all bands."""
    click = np.zeros((1, SAMPLES), np.int16)
    click[0, 1024 + 64] = 10000  # in the middle of frame 8, where the window is at its height: 2 / 128
    bands = np.expm1(sound.spectrogram(click, FACTS)[0, :, 8])
    assert bands == pytest.approx(np.full(BANDS, 10000 * 4 / 256), rel=1e-4)


def test_levels_are_three_deviations_of_a_band():
    facts = FACTS | {"mean": [float(i) for i in range(BANDS)], "deviation": [0.5] * 63 + [0.0]}
    mean = np.arange(BANDS, dtype=np.float32)[:, None]
    steps = np.array([-9, -1.5, 0, 1.5, 9], np.float32)
    levels = sound.quantised((mean + steps)[None], facts)[0, 0]
    assert levels[0].tolist() == [0, 0, 128, 255, 255]
    assert levels[63].tolist() == [0, 0, 128, 255, 255]  # a band without deviation has levels all the same


def test_what_is_shown_has_the_spectrogram_that_is_stored():
    """Within 0.2 nepers on average (0.165 are measured), where levels are 0.04 apart, and nearer where it is loud."""
    facts, levels = FACTS, STORED[:, 0].astype(int)
    again = sound.quantised(sound.spectrogram(sound.shown(STORED, facts), facts), facts)[:, 0]
    off = np.abs(again - levels) * (6 * 1.6 / 255)
    assert off.mean() < 0.2
    assert off[levels > 170].mean() < 0.1


@pytest.mark.parametrize("hertz", [110, 233.1, 440, 1000, 1733, 2500, 3333])
def test_a_tone_comes_back_at_its_pitch(hertz):
    clip = sound.shown(sound.quantised(sound.spectrogram(tone(hertz)[None], FACTS), FACTS), FACTS)[0].astype(float)
    power = np.abs(np.fft.rfft(clip * np.hanning(SAMPLES))) ** 2
    at = np.fft.rfftfreq(SAMPLES, 1 / RATE)
    assert abs((power * at).sum() / power.sum() - hertz) < BIN / 2
    assert power[np.abs(at - hertz) < 2 * BIN].sum() > 0.95 * power.sum()
    assert clip.std() == pytest.approx(tone(hertz).std(), rel=0.15)


@pytest.mark.parametrize("mean", [0.2, 4.5, 8.0])
def test_silence_stays_silent(mean):
    """Also where the levels of a band do not reach down to it."""
    facts = FACTS | {"mean": [mean] * BANDS}
    silence = np.zeros((2, SAMPLES), np.int16)
    assert not sound.spectrogram(silence, facts).any()
    assert not sound.shown(sound.quantised(sound.spectrogram(silence, facts), facts), facts).any()


def test_any_levels_make_a_clip():
    noise = np.random.default_rng(0).integers(0, 256, (2, 1, BANDS, 64), np.uint8)
    noise[1] = 255
    noise.flags.writeable = False
    clips = sound.shown(noise, FACTS)
    assert clips.shape == (2, SAMPLES)
    assert np.abs(clips.astype(int)).max() >= 32767  # what is too loud is clipped, it does not wrap around


@pytest.mark.parametrize("samples", [8192, 8100, 1000])
def test_a_length_that_is_no_multiple_of_the_hop_ends_in_silence(samples):
    facts = FACTS | {"samples": samples}
    stored = sound.quantised(sound.spectrogram(np.roll(VOICES, -3600, axis=1)[:1, :samples], facts), facts)
    assert stored.shape == (1, 1, BANDS, samples // 128)
    clip = sound.shown(stored, facts)[0]
    assert clip.shape == (samples,)
    assert clip[: samples // 128 * 128].any()
    assert not clip[samples // 128 * 128 :].any()


def test_what_no_spectrogram_can_have_is_refused():
    with pytest.raises(
        ValueError, match=r"200 bands are too many for a window of 256 samples: take fewer, or a longer"
    ):
        sound.spectrogram(VOICES, FACTS | {"bands": 200})
    with pytest.raises(ValueError, match=r"expected a window of 2, 3, 4 ... hops, got 256 samples and hops of 100"):
        sound.spectrogram(VOICES, FACTS | {"hop": 100})
    with pytest.raises(ValueError, match=r"expected clips \[N, 8192\], got \[8, 8191\]"):
        sound.spectrogram(VOICES[:, 1:], FACTS)


def test_low_tones_are_below():
    low, high = (sound.quantised(sound.spectrogram(tone(f)[None], FACTS), FACTS) for f in (200, 3000))
    assert sound.look(low, FACTS).shape == (1, 1, BANDS, 64)
    assert sound.look(low, FACTS)[0, 0].mean(1).argmax() > 3 * BANDS / 4
    assert sound.look(high, FACTS)[0, 0].mean(1).argmax() < BANDS / 4


def test_the_file_is_a_wav():
    clip = sound.shown(STORED[:1], FACTS)[0]
    suffix, media, content = sound.file(clip, FACTS)
    assert (suffix, media) == (".wav", "audio/wav")
    with wave.open(io.BytesIO(content)) as read:
        assert (read.getframerate(), read.getnchannels(), read.getsampwidth()) == (RATE, 1, 2)
        assert read.getnframes() == SAMPLES
        assert np.array_equal(np.frombuffer(read.readframes(SAMPLES), "<i2"), clip)


def test_runtimes_may_differ_by_one_level():
    other = STORED.copy()
    other[0, 0, 3, 3] ^= 1
    assert sound.agree(STORED, other) is None
    other[0, 0, 3, 3] = STORED[0, 0, 3, 3] - 2
    assert sound.agree(STORED, other) == "2 levels of a spectrogram, more than the 1 of rounding"
    assert sound.agree(STORED[:0], STORED[:0]) is None


ALONE = """
import hashlib, importlib.util, json, sys
for name in ("ganops", "torch", "PIL", "scipy"):
    sys.modules[name] = None
import numpy as np
spec = importlib.util.spec_from_file_location("kind", sys.argv[1])
kind = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kind)
facts, stored = json.loads(sys.argv[2]), np.load(sys.argv[3], allow_pickle=False)
clips = kind.shown(stored, facts)
kind.look(stored, facts), kind.agree(stored, stored)
again = kind.quantised(kind.spectrogram(clips, facts), facts)
print(*(hashlib.sha256(x).hexdigest() for x in (clips.tobytes(), kind.file(clips[0], facts)[2], again.tobytes())))
"""


def test_a_copy_of_the_file_gives_the_same_bytes_with_numpy_alone(tmp_path):
    np.save(tmp_path / "stored.npy", STORED)
    command = [sys.executable, "-I", "-c", ALONE, sound.__file__, json.dumps(FACTS), str(tmp_path / "stored.npy")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    clips = sound.shown(STORED, FACTS)
    again = sound.quantised(sound.spectrogram(clips, FACTS), FACTS)
    expected = (clips.tobytes(), sound.file(clips[0], FACTS)[2], again.tobytes())
    assert said == [hashlib.sha256(x).hexdigest() for x in expected]
