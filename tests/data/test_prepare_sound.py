"""Prepared clips: any packing of any files of sound makes one set; statistics are those of train."""

import hashlib
import io
import json
import tarfile
import wave
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sounds
from PIL import Image

from ganops.core.errors import DataError
from ganops.data import SPLITS, Prepared, decoders, prepare
from ganops.data.intake import by_processes, serially
from ganops.data.sound_decoder import CLIPS, SoundDecoder
from ganops.data.sources import read_source
from ganops.kinds import Spec, sound

DECODER = SoundDecoder(samples=2048, bands=16)


@pytest.fixture
def clips():
    """Forty clips in two classes: relative path -> WAV."""
    return {f"{'ab'[i % 2]}/{i:02}.wav": sounds.wav(sounds.noise(i, 1500 + 20 * i)) for i in range(40)}


@pytest.fixture
def hear(tmp_path):
    """`prepare` into tmp_path/out."""

    def hear(source, decoder=DECODER, **options):
        options = {"validation": 0.2, "test": 0.2, **options}
        out = tmp_path / "out"
        return prepare(source, out / "prepared", out / "preview.png", decoder, **options)

    return hear


@pytest.fixture
def opened(tmp_path):
    return lambda: Prepared.open(tmp_path / "out" / "prepared")


def test_the_set_holds_every_clip_once_as_its_spectrogram(lay, clips, hear, opened):
    manifest = hear(lay(clips))
    prepared = opened()
    facts = manifest["sample"]["facts"]
    assert manifest["sample"] == {"kind": "sound", "shape": [1, 16, 16], "dtype": "uint8", "facts": facts}
    assert prepared.spec == Spec("sound", (1, 16, 16), 2, facts)
    expected = set()
    for name, data in clips.items():
        raw, _ = DECODER.decode(data)
        expected.add((sound.quantised(sound.spectrogram(raw[None], facts), facts).tobytes(), "ab".index(name[0])))
    got = {(clip.tobytes(), int(label)) for split in SPLITS
           for clip, label in zip(prepared.samples(split), prepared.labels(split), strict=True)}  # fmt: skip
    assert got == expected
    assert (prepared.folder / "train" / "clips.npy").is_file()


def test_splits_are_thresholds_on_the_hash_of_the_integers(lay, clips, hear, opened):
    facts = hear(lay(clips))["sample"]["facts"]
    bounds = {"test": (0, 0.2), "validation": (0.2, 0.4), "train": (0.4, 1)}
    digests = {}
    for data in clips.values():
        raw, _ = DECODER.decode(data)
        stored = sound.quantised(sound.spectrogram(raw[None], facts), facts)[0].tobytes()
        digests[stored] = hashlib.sha256(raw.astype("<i2").tobytes()).digest()
    for split, (low, high) in bounds.items():
        own = [digests[clip.tobytes()] for clip in opened().samples(split)]
        assert own
        assert own == sorted(own)
        assert all(low <= int.from_bytes(digest[:8]) / 2**64 < high for digest in own)


def test_statistics_are_learnt_of_train_alone(lay, clips, hear, opened):
    """What lies in other splits moves no fact: they are those of the training clips by themselves."""
    facts = hear(lay(clips))["sample"]["facts"]
    train = {clip.tobytes() for clip in opened().samples("train")}
    raws = [DECODER.decode(data)[0] for data in clips.values()]
    own = [raw for raw in raws
           if sound.quantised(sound.spectrogram(raw[None], facts), facts)[0].tobytes() in train]  # fmt: skip
    assert 0 < len(own) < len(raws)
    nepers = sound.spectrogram(np.stack(own), DECODER.shown()).astype(np.float64)
    np.testing.assert_allclose(facts["mean"], nepers.mean((0, 2)), rtol=1e-9)
    np.testing.assert_allclose(facts["deviation"], nepers.std((0, 2)), rtol=1e-6)


def zipped(files, path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tarred(files, path):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"wrapped/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def tabled(files, path):
    """As `datasets` writes a column Audio and a ClassLabel."""
    features = {
        "audio": {"sampling_rate": 8000, "_type": "Audio"},
        "label": {"names": ["a", "b"], "_type": "ClassLabel"},
    }
    audio = pa.array([{"bytes": content, "path": name.rpartition("/")[2]} for name, content in files.items()])
    table = pa.table({"audio": audio, "label": pa.array(["ab".index(name[0]) for name in files])})
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(about), path, row_group_size=7)
    return path


@pytest.mark.parametrize(("pack", "name"), [(zipped, "x.zip"), (tarred, "x.tar.gz"), (tabled, "x.parquet")])
def test_every_packing_makes_the_same_set(lay, clips, hear, tmp_path, pack, name):
    expected = hear(lay(clips))
    got = hear(pack(clips, tmp_path / name))
    assert {key: got[key] for key in ("sha256", "sample", "classes", "splits")} == {
        key: expected[key] for key in ("sha256", "sample", "classes", "splits")
    }


def test_mixed_files_of_any_rate_and_number_of_channels_make_one_set(lay, hear, opened):
    forms = [*sounds.FORMATS]
    suffix = {"wav": "wav", "flac": "flac", "vorbis": "ogg", "opus": "opus", "mp3": "MP3", "aac": "m4a", "alac": "m4a",
              "ogg flac": "oga"}  # fmt: skip
    files = {
        f"{i}.{suffix[form]}": sounds.encoded(sounds.noise(i, 24000), form, 48000, 1 + i % 2)
        for i, form in enumerate(forms * 3)
    }
    manifest = hear(lay(files))
    assert sum(part["samples"] for part in manifest["splits"].values()) == len(files)
    assert manifest["rejected"] == []
    assert manifest["conversions"] == {
        "2 channels to one": sum(i % 2 or form == "vorbis" for i, form in enumerate(forms * 3)),
        "48,000 to 8,000 Hz": len(files),
        "cut behind its first 2,048 samples": len(files),
    }


def test_processes_change_nothing(lay, clips, hear):
    assert hear(lay(clips), mapper=by_processes(2)) == hear(lay(clips), mapper=serially)


def test_bad_files_are_listed_with_their_reasons(lay, clips, hear):
    bad = {"a/text.wav": b"no sound", "a/empty.flac": b"", "b/silent.wav": sounds.wav(np.zeros(99)),
           "b/cut.wav": clips["a/00.wav"][:999], "a/readme.txt": b"hello", "a/cover.png": b"x"}  # fmt: skip
    manifest = hear(lay({**clips, **bad}), max_rejected=0.1)
    assert {each["name"]: each["reason"].partition(":")[0] for each in manifest["rejected"]} == {
        "a/empty.flac": "empty, 0 bytes", "a/text.wav": "no WAV, FLAC, Ogg, MP3 or M4A",
        "b/cut.wav": "truncated after 0.06 s", "b/silent.wav": "silent",
    }  # fmt: skip
    assert manifest["ignored"] == ["a/cover.png", "a/readme.txt"]


def test_a_file_that_is_too_large_is_listed(lay, clips, hear):
    folder = lay(clips)
    with open(folder / "a" / "hour.wav", "wb") as file:
        file.truncate(101 * 2**20)
    assert "too large" in hear(folder, max_rejected=0.1)["rejected"][0]["reason"]


def test_what_is_seen_and_heard_of_the_set(lay, clips, hear, tmp_path, opened):
    hear(lay(clips))
    with Image.open(tmp_path / "out" / "preview.png") as picture:
        assert picture.mode == "L"
    with wave.open(str(tmp_path / "out" / "preview.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        heard = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    prepared = opened()
    firsts = [np.flatnonzero(prepared.labels("train") == label)[0] for label in (0, 1)]
    first, second = prepared.spec.shown(prepared.samples("train")[firsts])
    np.testing.assert_array_equal(heard, np.concatenate([first, np.zeros(800, np.int16), second]))


def test_images_leave_no_clip_of_a_former_set(lay, clips, hear, run, pictures, tmp_path):
    hear(lay(clips))
    assert (tmp_path / "out" / "preview.wav").is_file()
    run(lay(pictures, "images"))
    assert not (tmp_path / "out" / "preview.wav").exists()


def test_unlabelled_clips_are_heard_as_well(lay, clips, hear, tmp_path):
    hear(lay(clips), labels="none")
    with wave.open(str(tmp_path / "out" / "preview.wav")) as file:
        assert file.getnframes() == 10 * (2048 + 800) - 800


def test_what_is_no_clip_is_called_one_nowhere(lay, hear, pictures, encode, noise, opened, clips):
    with pytest.raises(DataError, match="holds no clips, only 40 files of other kinds"):
        hear(lay(pictures))
    hear(lay(clips, "sounds"))
    assert opened().summary().startswith("40 clips (train ")


def test_idx_files_are_images(tmp_path, hear):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3]) + bytes(12))
    with pytest.raises(DataError, match=r"holds images, not clips: idx files are of data\.kind: image"):
        hear(tmp_path / "train-images-idx3-ubyte")


@pytest.mark.parametrize("column", ["audio", "sound"])
def test_the_only_column_of_bytes_is_the_clips(tmp_path, clips, column):
    data = list(clips.values())[:3]
    pq.write_table(pa.table({"id": [1, 2, 3], column: pa.array(data)}), tmp_path / "x.parquet")
    assert [item.content.read() for item in read_source(tmp_path / "x.parquet", CLIPS).items] == data


def test_a_column_named_audio_wins(tmp_path):
    table = pa.table({"cover": pa.array([b"1"]), "audio": pa.array([b"2"]), "image": pa.array([b"3"])})
    pq.write_table(table, tmp_path / "x.parquet")
    assert [item.content.read() for item in read_source(tmp_path / "x.parquet", CLIPS).items] == [b"2"]


def test_the_table_of_decoders_knows_sound():
    assert decoders.DECODERS["sound"] is SoundDecoder
