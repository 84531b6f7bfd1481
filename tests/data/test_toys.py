"""Toy data: the same bytes everywhere, and labels that tell the truth."""

import hashlib
import io
import re
import wave
import zipfile

import numpy as np
import pytest

from ganops.data.sources import archive
from ganops.data.toys import HALVING, RATE, SAMPLES, SINE, VOICES, sound, sounds

SHA256 = "566850b6b279788d08648a536fdea2570738866ec5b438de08a3c70d8d2c6a4b"
"""The whole set, as seed 0 makes it."""
TONES = [name for name in VOICES if not VOICES[name].noise and VOICES[name].slide == 100]


def spectrum(samples):
    """Frequencies in Hz, and the power at each."""
    power = np.abs(np.fft.rfft(samples.astype(float), 2 * SAMPLES)) ** 2
    return np.arange(len(power)) * RATE / (2 * SAMPLES), power


def peak(samples):
    frequencies, power = spectrum(samples)
    return frequencies[power.argmax()]


def centre(samples):
    frequencies, power = spectrum(samples)
    return (frequencies * power).sum() / power.sum()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("toys") / "sounds.zip"
    sounds(path)
    return path


def test_the_set_is_the_same_to_the_byte(whole):
    assert hashlib.sha256(whole.read_bytes()).hexdigest() == SHA256


def test_no_rounding_of_a_table_depends_on_the_last_bits_of_a_sine():
    tables = (
        (SINE, 32767 * np.sin(2 * np.pi * np.arange(2**16) / 2**16)),
        (HALVING, 2 ** (30 - np.arange(4096) / 4096)),
    )
    for table, exact in tables:
        assert np.abs(table - exact).max() < 0.5 - 1e-6  # errors of a library are about 1e-11


def test_classes_are_equally_many_and_clips_are_short_16_bit_wav(whole):
    lengths, counts = [], dict.fromkeys(VOICES, 0)
    with zipfile.ZipFile(whole) as members:
        assert {info.compress_type for info in members.infolist()} == {zipfile.ZIP_STORED}
        for info in members.infolist():
            counts[info.filename.partition("/")[0]] += 1
            lengths.append((info.file_size - 44) // 2)
        with wave.open(io.BytesIO(members.read(info))) as file:
            assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
            pitch, samples = sound("hat", 399)
            assert (file.readframes(SAMPLES), pitch) == (samples.tobytes(), 0)
    assert set(counts.values()) == {400}
    assert max(lengths) <= SAMPLES
    assert min(lengths) < 0.45 * SAMPLES < 0.95 * SAMPLES < max(lengths)


@pytest.mark.parametrize("name", TONES)
def test_a_tone_is_loudest_at_its_pitch_within_the_range_of_its_class(name):
    found = [sound(name, number) for number in range(40)]
    assert {pitch for pitch, _ in found} <= set(range(VOICES[name].low, VOICES[name].high + 1))
    for pitch, samples in found:
        assert peak(samples) == pytest.approx(pitch, abs=4)
    assert np.ptp([pitch for pitch, _ in found]) > 0.7 * (VOICES[name].high - VOICES[name].low)


def test_ranges_of_one_timbre_lie_apart():
    for timbre in ("flute", "string"):
        assert VOICES[f"{timbre}-low"].high < VOICES[f"{timbre}-high"].low


@pytest.mark.parametrize(("name", "sign"), [("chirp-up", 1), ("chirp-down", -1), ("kick", -1)])
def test_what_slides_goes_its_way(name, sign):
    for number in range(40):
        _, samples = sound(name, number)
        heard = samples[np.flatnonzero(samples)[0] :]
        first, last = heard[: len(heard) // 3], heard[-len(heard) // 3 :]
        assert sign * (peak(last) - peak(first)) > 20


def test_drums_are_told_by_where_they_are_loud():
    centres = {name: [centre(sound(name, number)[1]) for number in range(40)] for name in ("kick", "snare", "hat")}
    assert max(centres["kick"]) < 250 < 600 < min(centres["snare"])
    assert max(centres["snare"]) < 2000 < 2700 < min(centres["hat"])


def test_timbres_differ_at_one_pitch():
    """A string has partials where a flute has none."""
    for name, few in (("flute-low", True), ("string-high", False)):
        for number in range(20):
            pitch, samples = sound(name, number)
            frequencies, power = spectrum(samples)
            near = power[np.abs(frequencies - pitch) < 30].sum() / power.sum()
            assert (near > 0.98) == few


def test_a_seed_and_a_number_are_one_sound(tmp_path):
    assert np.array_equal(sound("bell", 3)[1], sound("bell", 3)[1])
    assert sound("bell", 3)[1].tobytes() != sound("bell", 4)[1].tobytes()
    assert sound("bell", 3)[1].tobytes() != sound("bell", 3, seed=1)[1].tobytes()
    sounds(tmp_path / "a.zip", 20)
    sounds(tmp_path / "b.zip", 20, seed=1)
    assert (tmp_path / "a.zip").read_bytes() != (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as few:
        names = few.namelist()
    assert len(names) == 20
    assert all(re.fullmatch(r"[a-z-]+/000[01](_\d+hz)?\.wav", name) for name in names)
    assert archive.recognises(tmp_path / "a.zip")
