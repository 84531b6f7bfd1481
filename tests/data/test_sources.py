"""One set of images, in every packing; and what is accepted at all."""

import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ganops.core.errors import DataError
from ganops.data import prepare
from ganops.data.image_decoder import ImageDecoder
from ganops.data.sources import SOURCES, listing, locate, read_source, zip_directory
from ganops.data.video_decoder import VideoDecoder


def as_zip(files, path, prefix=""):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(prefix + name, content)
    return path


def as_tar(files, path, prefix=""):
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(prefix + name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def as_parquet(files, path):
    rows = [{"image": {"bytes": content, "path": name}, "label": name.split("/")[0]} for name, content in files.items()]
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=7)
    return path


@pytest.fixture
def packed(pictures, lay, tmp_path):
    """The same forty images in seven packings, the members of each in another order."""
    backwards = dict(reversed(pictures.items()))
    shuffled = {name: pictures[name] for name in np.random.default_rng(0).permutation(list(pictures))}
    (tmp_path / "split").mkdir()
    as_parquet(dict(list(shuffled.items())[:11]), tmp_path / "split" / "a.parquet")
    as_parquet(dict(list(shuffled.items())[11:]), tmp_path / "split" / "b.parquet")
    return [
        lay(pictures),
        lay(
            {"faces/" + name.upper().replace("A/", "a/").replace("B/", "b/"): pictures[name] for name in pictures}, "x"
        ),
        as_zip(backwards, tmp_path / "faces.zip"),
        as_zip(shuffled, tmp_path / "wrapped.zip", "faces/"),
        as_tar(shuffled, tmp_path / "faces.tar"),
        as_tar(backwards, tmp_path / "faces.tar.gz", "./deep/faces/"),
        as_parquet(shuffled, tmp_path / "faces.parquet"),
        tmp_path / "split",
    ]


def test_all_packings_give_the_same_set(packed, run):
    manifests = [run(source) for source in packed]
    assert len({manifest["sha256"] for manifest in manifests}) == 1
    assert {manifest["source"]["kind"] for manifest in manifests} == {"folder", "zip", "tar", "parquet"}
    keys = ("classes", "splits", "sample", "rejected", "conversions", "parameters")
    assert all([manifest[key] for key in keys] == [manifests[0][key] for key in keys] for manifest in manifests)
    assert manifests[0]["classes"] == ["a", "b"]


@pytest.mark.parametrize("name", SOURCES)
def test_every_kind_of_source_is_recognised_before_the_others(name, packed, tmp_path):
    (tmp_path / "lines.txt").write_text("a text\n")
    data = Path(__file__).parents[2] / "data"
    examples = {"download": data / "fashion-mnist", "idx": data / "fashion-mnist-10k", "folder": packed[0]}
    examples |= {"archive": packed[2], "parquet": packed[-1], "lines": tmp_path / "lines.txt"}
    assert next(kind for kind, reader in SOURCES.items() if reader.recognises(examples[name])) == name


ODD = {
    "b/text.png": b"hello", "a/empty.jpg": b"", "notes.txt": b"hello", "a/deep/x.doc": b"", "a/.hidden.png": b"",
    "__MACOSX/a/._00.png": b"", ".git/x.png": b"",
}  # fmt: skip


@pytest.mark.parametrize("films", [False, True])
def test_the_same_files_make_the_same_manifest_in_any_order_of_any_packing(
    pictures, lay, run, tmp_path, monkeypatch, films
):
    """Windows of a zip file are of some records here; films are folders of two images each."""
    monkeypatch.setattr(zip_directory, "WINDOW", 300)
    decoder, files = ImageDecoder(8), pictures
    if films:
        decoder = VideoDecoder(frames=2, resolution=8)
        files = {f"{name[:-4]}/{i}.png": data for name, data in pictures.items() for i in (9, 10)}
        files |= {"a/none/x.png": b"1", "a/none/1.png": b"2", "b/cover/1.jpg": b"", "a/no film.mp4": b"1"}
    files |= ODD
    shuffled = {name: files[name] for name in np.random.default_rng(0).permutation(list(files))}
    folder = lay(files)
    found = []
    for source in (
        folder, folder.as_uri(), as_zip(shuffled, tmp_path / "x.zip"), as_tar(shuffled, tmp_path / "x.tar.gz"),
    ):  # fmt: skip
        out = tmp_path / "out"
        manifest = prepare(source, out / "prepared", out / "preview.png", decoder, max_rejected=0.2)
        found.append({**manifest, "source": None})
    assert found[1:] == found[:1] * 3
    assert len(found[0]["rejected"]) == 2 + films
    assert found[0]["ignored"][-1] == "notes.txt"


def test_of_many_ignored_files_the_manifest_names_the_first_and_counts_the_others(pictures, lay, run, monkeypatch):
    monkeypatch.setattr(listing, "IGNORED", 2)
    manifest = run(lay({**pictures, **{f"{i}.txt": b"" for i in range(5)}}))
    assert (manifest["ignored"], manifest["ignored_more"]) == (["0.txt", "1.txt"], 3)


def test_an_absent_source_lists_what_is_accepted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "fashion-mnist").mkdir(parents=True)
    with pytest.raises(DataError) as caught:
        locate(Path("fashion-mnits"))
    assert "did you mean fashion-mnist?" in str(caught.value)
    assert all(reader.ACCEPTS in str(caught.value) for reader in SOURCES.values())


def test_a_name_is_looked_for_in_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "mine").mkdir(parents=True)
    assert locate(Path("mine")).samefile(tmp_path / "data" / "mine")


def test_an_unknown_kind_of_file_is_refused(tmp_path):
    (tmp_path / "film.mp4").write_bytes(b"\0")
    with pytest.raises(DataError, match=r"film.mp4 is not a known kind of source\nAccepted are:"):
        read_source(tmp_path / "film.mp4")


def test_classes_that_are_numbers_have_the_names_that_the_set_states(lay):
    images, labels = np.zeros((3, 2, 2), np.uint8), bytes([2, 0, 1])
    header = bytes([0, 0, 8, 3]) + b"".join(size.to_bytes(4, "big") for size in images.shape)
    files = {
        "t-images-idx3-ubyte": header + images.tobytes(),
        "t-labels-idx1-ubyte": b"\0\0\x08\x01\0\0\0\x03" + labels,
    }
    named = read_source(lay({**files, "about.json": b'{"classes": ["shirt", "bag", "ankle boot"]}'}, "named"))
    assert named.class_names == ("shirt", "bag", "ankle boot")
    assert [item.label for item in named.items] == ["ankle boot", "shirt", "bag"]
    assert [item.label for item in read_source(lay(files, "plain")).items] == ["2", "0", "1"]
    with pytest.raises(DataError, match="expected a name for each class, got none for 2"):
        list(read_source(lay({**files, "about.json": b'{"classes": ["shirt", "bag"]}'}, "few")).items)
    with pytest.raises(DataError, match="classes: expected a list of names"):
        read_source(lay({**files, "about.json": b'{"classes": 3}'}, "bad"))


def test_names_move_no_sample_of_the_embedded_set(tmp_path):
    """Split, order and labels are those of the numbers: so the hash is, by which trainings know their data."""
    data = Path(__file__).parents[2] / "data" / "fashion-mnist-10k"
    plain = shutil.copytree(data, tmp_path / "plain", ignore=shutil.ignore_patterns("about.json"))
    found = [
        prepare(each, tmp_path / f"{each.name}-set", tmp_path / "p.png", ImageDecoder(16)) for each in (data, plain)
    ]
    named, numbered = found
    assert named["sha256"] == numbered["sha256"]
    assert (named["classes"][0], named["classes"][9]) == ("T-shirt", "ankle boot")
    assert numbered["classes"] == list("0123456789")
