"""Toy data: the same bytes everywhere, and labels that tell the truth."""

import hashlib
import io
import re
import wave
import zipfile

import numpy as np
import pytest
from PIL import Image

from ganops.cli.own import TEMPLATES
from ganops.data import toys
from ganops.data.sources import archive
from ganops.data.toys import HALVING, RATE, SAMPLES, SINE, VOICES, sound, sounds
from ganops.data.video_decoder import VideoDecoder

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


# Films.

SPRITES = TEMPLATES / "garments" / "garments.png"
PIXELS = "b80da1fea0467748b98c14aacdaf9b966b23a612f74fef1ce2ed34e93e34cad6"
"""SHA-256 of the names and the pixels of the first 60 films, as seed 0 makes them."""
MOTIONS = [toys.motion(name, number) for name in toys.GARMENTS for number in range(1000)]


@pytest.fixture(scope="module")
def reel(tmp_path_factory):
    """Name -> film uint8 [8, 32, 32], of the first 60."""
    path = tmp_path_factory.mktemp("toys") / "films.zip"
    toys.films(path, SPRITES, 60)
    decoder = VideoDecoder(channels=1)
    with zipfile.ZipFile(path) as members:
        assert members.read("LICENSE").startswith(b"The MIT License")
        names = [name for name in members.namelist() if name != "LICENSE"]
        found = {}
        for name in names:
            (found[name],), notes = decoder.decode(members.read(name))
            assert set(notes) == {"colour to luma", "8 frames a second"}
    return found


def centres(film):
    """Centre of the light of each frame, in pixels: down, right."""
    places = np.arange(toys.SIDE)
    light = film.astype(float)
    total = light.sum((1, 2))
    return np.stack([(light.sum(2) * places).sum(1) / total, (light.sum(1) * places).sum(1) / total], 1)


def test_films_are_the_same_to_the_pixel(reel):
    digest = hashlib.sha256()
    for name, film in reel.items():
        digest.update(name.encode() + film.tobytes())
    assert digest.hexdigest() == PIXELS


def test_films_are_read_as_they_were_made(reel):
    sheet = np.asarray(Image.open(SPRITES))
    for number, (name, film) in enumerate(reel.items()):
        label, row, turn = number % 6, 14 * (number % 6), 14 * (number // 6)
        moved = toys.motion(toys.GARMENTS[label], number // 6)
        assert np.array_equal(film, toys.film(sheet[row : row + 14, turn : turn + 14], moved))
        garment, speed, degrees = re.fullmatch(r"(.+)/\d{4}_(\d\.\d\d)_(\d{3})\.webp", name).groups()
        assert (garment, float(speed), int(degrees)) == (toys.GARMENTS[label], round(moved.speed, 2), moved.degrees)


def test_a_sprite_moves_straight_at_the_speed_of_its_name(reel):
    for name, film in reel.items():
        steps = np.diff(centres(film), axis=0)
        _, speed, degrees = name.removesuffix(".webp").split("_")
        angle = np.radians(float(degrees))
        wanted = float(speed) * np.array([-np.sin(angle), np.cos(angle)])
        assert np.abs(steps - wanted).max() < 0.03, name  # of pixels; names are rounded, and so are gray levels


def test_speeds_and_directions_are_uniform_within_their_ranges():
    speeds, degrees = np.array([each.speed for each in MOTIONS]), np.array([each.degrees for each in MOTIONS])
    slow, fast = toys.SPEEDS
    assert slow - 0.01 < speeds.min() < slow + 0.01 < fast - 0.01 < speeds.max() < fast + 0.01
    shares = [np.histogram(speeds, 6, (slow, fast))[0] / 6000, np.histogram(degrees, 6, (0, 360))[0] / 6000]
    assert np.abs(np.array(shares) - 1 / 6).max() < 4 * np.sqrt(1 / 6 * 5 / 6 / 6000)


def test_a_sprite_stays_within_the_frame():
    for each in MOTIONS:
        for start, step in zip(each.start, each.velocity, strict=True):
            assert 0 <= start <= toys.ROOM
            assert 0 <= start + (toys.FRAMES - 1) * step <= toys.ROOM


def test_light_is_neither_lost_nor_made():
    """Between pixels a sprite is spread, but its light stays the same, up to the rounding of each pixel."""
    sprite = np.asarray(Image.open(SPRITES))[:14, :14]
    for number in range(20):
        film = toys.film(sprite, toys.motion("bag", number)).astype(int)
        assert np.abs(film.sum((1, 2)) - int(sprite.astype(int).sum())).max() <= 0.5 * 15 * 15
