"""Prepared waves: the clips as the decoder makes them, whatever the files are named and however they are packed."""

import hashlib
import wave
import zipfile

import numpy as np
import pytest
import sounds

from ganops.core.errors import ConfigError
from ganops.data import Prepared, decoders
from ganops.data.intake import by_processes, serially
from ganops.data.prepare import prepare
from ganops.data.prepared import SPLITS
from ganops.data.sound_decoder import SoundDecoder, WaveDecoder
from ganops.kinds import Spec

DECODER = WaveDecoder(rate=8000, samples=2048)


@pytest.fixture(scope="module")
def clips():
    """Relative path -> WAV."""
    return {f"{'ab'[i % 2]}/{i:02}.wav": sounds.wav(sounds.noise(i, 1500 + 20 * i)) for i in range(40)}


@pytest.fixture
def hear(tmp_path):
    """`prepare` into tmp_path/out."""

    def hear(source, decoder=DECODER, **options):
        options = {"validation": 0.2, "test": 0.2, **options}
        return prepare(source, tmp_path / "out" / "prepared", tmp_path / "out" / "preview.png", decoder, **options)

    return hear


def test_the_set_holds_every_clip_once_as_its_samples(lay, clips, hear, tmp_path):
    manifest = hear(lay(clips))
    prepared = Prepared.open(tmp_path / "out" / "prepared")
    facts = {"rate": 8000, "samples": 2048}
    assert manifest["sample"] == {"kind": "wave", "shape": [1, 2048], "dtype": "int16", "facts": facts}
    assert prepared.spec == Spec("wave", (1, 2048), 2, facts)
    expected = {(DECODER.decode(data)[0].tobytes(), "ab".index(name[0])) for name, data in clips.items()}
    got = {(clip.tobytes(), int(label)) for split in SPLITS
           for clip, label in zip(prepared.samples(split), prepared.labels(split), strict=True)}  # fmt: skip
    assert got == expected
    for split, (low, high) in {"test": (0, 0.2), "validation": (0.2, 0.4), "train": (0.4, 1)}.items():
        digests = [hashlib.sha256(clip.astype("<i2").tobytes()).digest() for clip in prepared.samples(split)]
        assert digests == sorted(digests)
        assert all(low <= int.from_bytes(digest[:8]) / 2**64 < high for digest in digests)


def test_a_clip_is_that_of_which_a_spectrogram_is_stored(clips):
    sound = SoundDecoder(samples=2048, bands=16)
    for data in list(clips.values())[:3]:
        (one, notes), (other, told) = DECODER.decode(data), sound.decode(data)
        assert np.array_equal(one, other)
        assert notes == told


def test_names_order_packing_and_processes_change_nothing(lay, clips, hear, tmp_path):
    expected = hear(lay(clips), mapper=serially)
    renamed = {f"{name[0]}/{hashlib.sha256(data).hexdigest()}.wav": data for name, data in clips.items()}
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name, content in reversed(renamed.items()):
            archive.writestr(name, content)
    got = hear(tmp_path / "x.zip", mapper=by_processes(2))
    for key in ("sha256", "sample", "classes", "splits", "parameters"):
        assert got[key] == expected[key]


def test_what_is_seen_and_heard_of_the_set(lay, clips, hear, tmp_path):
    hear(lay(clips))
    assert (tmp_path / "out" / "preview.png").is_file()
    with wave.open(str(tmp_path / "out" / "preview.wav")) as file:
        assert file.getframerate() == 8000
        heard = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    prepared = Prepared.open(tmp_path / "out" / "prepared")
    first, second = (prepared.samples("train")[np.flatnonzero(prepared.labels("train") == i)[0], 0] for i in (0, 1))
    np.testing.assert_array_equal(heard, np.concatenate([first, np.zeros(800, np.int16), second]))


def test_the_table_of_decoders_knows_waves():
    assert decoders.DECODERS["wave"] is WaveDecoder


@pytest.mark.parametrize(
    ("key", "value", "words"), [("rate", 10, "from 1,000 to 384,000"), ("samples", 0, "at least 1")]
)
def test_impossible_values_are_refused(key, value, words):
    with pytest.raises(ConfigError, match=rf"data\.{key}: expected {words}"):
        WaveDecoder(**{key: value})
