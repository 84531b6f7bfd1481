import io
import shutil
import subprocess
import sys
import wave as riff

import numpy as np
import pytest
import torch

from ganops.kinds import KINDS, Spec, wave

RATE, SAMPLES = 8000, 4096
FACTS = {"rate": RATE, "samples": SAMPLES}
SPEC = Spec("wave", (1, SAMPLES), 3, FACTS)


def tone(hertz, amplitude=8000):
    return np.rint(amplitude * np.sin(2 * np.pi * hertz * np.arange(SAMPLES) / RATE)).astype(np.int16)


STORED = np.stack([tone(100 * i) for i in range(1, 9)])[:, None]


def test_it_is_a_kind():
    assert KINDS["wave"] is wave
    assert STORED.dtype == wave.STORED == "int16"
    assert SPEC.empty(2).shape == (2, 1, SAMPLES)
    assert SPEC.inputs == (1, SAMPLES)
    assert SPEC.heard
    assert SPEC.joined_format == "wav"
    assert SPEC.described == "0.512 s clips at 8,000 Hz (waveforms)"
    assert not Spec("image", (1, 8, 8)).heard


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_level_comes_back(dtype):
    levels = torch.arange(-32768, 32768, dtype=torch.int16)
    floats = wave.floats(levels, FACTS, dtype)
    assert floats.dtype == dtype
    assert (floats.min(), floats.max()) == (-1, 32767 / 32768)
    assert torch.equal(wave.stored(floats, FACTS), levels)


def test_what_is_beyond_the_range_is_clipped_and_does_not_wrap_around():
    assert wave.stored(torch.tensor([-9.0, -1.0, 1.0, 9.0]), FACTS).tolist() == [-32768, -32768, 32767, 32767]
    half = wave.stored(torch.tensor([0.5], dtype=torch.bfloat16), FACTS)
    assert half.tolist() == [16384]


def test_a_reader_gets_the_samples_themselves():
    shown = wave.shown(STORED, FACTS)
    assert shown.shape == (8, SAMPLES)
    assert np.array_equal(shown, STORED[:, 0])
    assert wave.shown(STORED[:0], FACTS).shape == (0, SAMPLES)


@pytest.mark.parametrize("samples", [64, 1000, 4096, 8192, 16384])
@pytest.mark.parametrize("place", [0.06, 0.25, 0.9])
def test_a_still_shows_a_tone_in_its_row(samples, place):
    """Row i from below is the i-th 128th of half the rate."""
    clip = np.rint(32767 * np.sin(np.pi * place * np.arange(samples))).astype(np.int16)
    still = wave.look(clip[None, None], FACTS | {"samples": samples})
    hop = -(-samples // 128)
    assert still.dtype == np.uint8
    assert still.shape == (1, 1, 128, -(-samples // hop))
    middle = still[0, 0, ::-1, still.shape[3] // 2]
    assert abs(int(middle.argmax()) - 128 * place) <= 1
    if samples > 256:
        assert middle.max() >= 250, "full scale is white"


def test_stills_tell_loudness_in_decibels_and_silence_is_black():
    loud, soft = (wave.look(tone(1000, peak)[None, None], FACTS)[0, 0, :, 60].max() for peak in (20000, 2000))
    assert int(loud) - int(soft) == pytest.approx(20 / wave.DECIBELS * 255, abs=1)
    assert not wave.look(np.zeros((2, 1, SAMPLES), np.int16), FACTS).any()


def test_a_still_does_not_depend_on_the_others():
    together = wave.look(STORED, FACTS)
    assert all(np.array_equal(together[i], wave.look(STORED[[i]], FACTS)[0]) for i in range(8))
    assert wave.look(STORED[:0], FACTS).shape == (0, 1, 128, 128)


def test_files_are_wavs_and_follow_one_another():
    suffix, media, content = wave.file(STORED[3, 0], FACTS)
    assert (suffix, media) == (".wav", "audio/wav")
    with riff.open(io.BytesIO(content)) as read:
        assert (read.getframerate(), read.getnchannels(), read.getsampwidth()) == (RATE, 1, 2)
        assert np.array_equal(np.frombuffer(read.readframes(SAMPLES), "<i2"), STORED[3, 0])
    with riff.open(io.BytesIO(wave.joined(STORED[:3, 0], FACTS)[2])) as read:
        assert read.getnframes() == 3 * SAMPLES + 2 * 800


def test_runtimes_may_differ_by_a_256th_of_full_scale():
    other = STORED.copy()
    other[0, 0, 7] += wave.TOLERANCE
    assert wave.agree(STORED, other) is None
    other[0, 0, 7] += 1
    assert wave.agree(STORED, other) == "129 of 32,768 levels of a clip, more than the 128 of rounding"
    low, high = np.full((1, 1, 2), -32768, np.int16), np.full((1, 1, 2), 32767, np.int16)
    assert wave.agree(low, high).startswith("65535 of"), "differences do not wrap around"
    assert wave.agree(STORED[:0], STORED[:0]) is None


def test_the_copy_in_a_registered_model_shows_clips_where_ganops_is_not(tmp_path):
    shutil.copyfile(wave.__file__, tmp_path / "kind.py")
    np.save(tmp_path / "stored.npy", STORED)
    program = (
        "import sys, numpy as np\n"
        "for name in ('ganops', 'torch', 'PIL', 'scipy'): sys.modules[name] = None\n"
        "import kind\n"
        "stored = np.load('stored.npy')\n"
        "assert (kind.shown(stored, {}) == stored[:, 0]).all() and not kind.LAST and kind.STORED == 'int16'\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
