"""Prepared films: any packing of any files makes one set, folders of numbered images among them."""

import hashlib
import io
import json
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import reels
from PIL import Image

from ganops.core.errors import DataError
from ganops.data import SPLITS, Prepared, decoders, prepare
from ganops.data.intake import by_processes, serially
from ganops.data.sources import read_source
from ganops.data.sources.item import ItemError
from ganops.data.sources.storage import Store
from ganops.data.video_decoder import VideoDecoder
from ganops.kinds import Spec

DECODER = VideoDecoder(frames=3, resolution=8)
SUFFIXES = ("webp", "apng", "gif")


def film(number, count=4):
    """A film has 27 colours, so that a GIF holds it as it is."""
    return reels.noise(number, count, 10, 12) // 86 * 86


@pytest.fixture
def films():
    """Forty films in two classes: relative path -> WebP, APNG or GIF."""
    return {f"{'ab'[i % 2]}/{i:02}.{SUFFIXES[i % 3]}": reels.animated(film(i), SUFFIXES[i % 3]) for i in range(40)}


@pytest.fixture
def frames():
    """The same films as folders of numbered images: relative path -> PNG."""
    return {f"{'ab'[i % 2]}/{i:02}/frame_{8 + j:04}.png": data
            for i in range(40) for j, data in enumerate(reels.stills(film(i)))}  # fmt: skip


@pytest.fixture
def watch(tmp_path):
    """`prepare` into tmp_path/out."""

    def watch(source, decoder=DECODER, **options):
        options = {"validation": 0.2, "test": 0.2, **options}
        out = tmp_path / "out"
        return prepare(source, out / "prepared", out / "preview.png", decoder, **options)

    return watch


@pytest.fixture
def opened(tmp_path):
    return lambda: Prepared.open(tmp_path / "out" / "prepared")


def same(one, other):
    keys = ("sha256", "sample", "classes", "splits")
    return {key: one[key] for key in keys} == {key: other[key] for key in keys}


def test_the_set_holds_every_film_once(lay, films, watch, opened):
    manifest = watch(lay(films))
    prepared = opened()
    facts = {"fps": 10.0}
    assert manifest["sample"] == {"kind": "video", "shape": [3, 3, 8, 8], "dtype": "uint8", "facts": facts}
    assert prepared.spec == Spec("video", (3, 3, 8, 8), 2, facts)
    expected = {(DECODER.decode(data)[0].tobytes(), "ab".index(name[0])) for name, data in films.items()}
    got = {(one.tobytes(), int(label)) for split in SPLITS
           for one, label in zip(prepared.samples(split), prepared.labels(split), strict=True)}  # fmt: skip
    assert got == expected
    assert len(got) == 40
    assert (prepared.folder / "train" / "films.npy").is_file()
    assert prepared.summary().startswith("40 films (train ")


def test_splits_are_thresholds_on_the_hash_of_the_pixels(lay, films, watch, opened):
    watch(lay(films))
    bounds = {"test": (0, 0.2), "validation": (0.2, 0.4), "train": (0.4, 1)}
    for split, (low, high) in bounds.items():
        digests = [hashlib.sha256(one.tobytes()).digest() for one in opened().samples(split)]
        assert digests
        assert digests == sorted(digests)
        assert all(low <= int.from_bytes(digest[:8]) / 2**64 < high for digest in digests)


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
    """Write a table as `datasets` writes a column Video and a ClassLabel."""
    features = {"video": {"_type": "Video"}, "label": {"names": ["a", "b"], "_type": "ClassLabel"}}
    column = pa.array([{"bytes": content, "path": name.rpartition("/")[2]} for name, content in files.items()])
    table = pa.table({"video": column, "label": pa.array(["ab".index(name[0]) for name in files])})
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(about), path, row_group_size=7)
    return path


@pytest.mark.parametrize(("pack", "name"), [(zipped, "x.zip"), (tarred, "x.tar.gz"), (tabled, "x.parquet")])
def test_every_packing_makes_the_same_set(lay, films, watch, tmp_path, pack, name):
    assert same(watch(pack(films, tmp_path / name)), watch(lay(films)))


def test_names_and_order_change_nothing(lay, films, watch):
    renamed = {f"{name[0]}/deep/er/{99 - int(name[2:4])}-{name[2:]}": films[name] for name in reversed(films)}
    assert same(watch(lay(renamed, "one")), watch(lay(films, "other")))


@pytest.mark.parametrize("pack", [None, zipped, tarred])
def test_folders_of_numbered_images_are_films(lay, films, frames, watch, tmp_path, pack):
    """The names of images say their order, not that in which they lie; rates are not known, so they are 8 a second."""
    shuffled = {name: frames[name] for name in sorted(frames, key=lambda name: hashlib.md5(name.encode()).digest())}
    source = pack(shuffled, tmp_path / ("x.zip" if pack is zipped else "x.tar.gz")) if pack else lay(shuffled)
    got, expected = watch(source), watch(lay(films, "films"))
    assert got["sha256"] == expected["sha256"]
    assert got["classes"] == ["a", "b"]
    assert got["sample"] == expected["sample"] | {"facts": {"fps": 8.0}}
    assert got["conversions"] == {"cut behind its first 3 frames": 40}
    assert got["ignored"] == []


def test_a_folder_on_storage_is_the_same_set(lay, frames, watch):
    folder = lay(frames)
    assert same(watch(f"file://{folder}"), watch(folder))
    contents = [item.content for item in read_source(Store.at(f"file://{folder}"), DECODER.wanted).items]
    assert all(len(content) == 4 for content in contents)


def test_frames_are_read_as_far_as_they_are_taken(lay, watch, frames):
    """The images behind those that are taken are not even opened."""
    folder = lay(frames)
    for number in range(100, 400):
        (folder / "a" / "00" / f"frame_{number:04}.png").write_bytes(b"no image")
    manifest = watch(folder)
    assert manifest["rejected"] == []
    assert watch(lay(frames, "again"))["sha256"] == manifest["sha256"]


def test_every_frame_of_so_many_is_taken_of_images_as_of_a_film(lay, watch):
    decoder = VideoDecoder(frames=2, every=3, resolution=8)
    films = {f"{i:02}.webp": reels.animated(film(i, 6)) for i in range(20)}
    images = {f"{i:02}/{j}.png": data for i in range(20) for j, data in enumerate(reels.stills(film(i, 6)), 9)}
    assert watch(lay(films, "films"), decoder)["sha256"] == watch(lay(images, "images"), decoder)["sha256"]


def test_images_of_which_one_is_taken_are_told_why(lay, watch):
    images = {f"{i:02}/{j}.png": data for i in range(20) for j, data in enumerate(reels.stills(film(i, 5)))}
    with pytest.raises(DataError, match=r"one frame \(data\.every leaves others out\): expected a film"):
        watch(lay(images), VideoDecoder(frames=2, every=5, resolution=8))


def test_images_whose_order_nothing_says_are_refused_in_words(lay, frames, watch):
    odd = {
        "a/unnumbered/left.png": frames["a/00/frame_0008.png"],
        "a/unnumbered/right.png": frames["a/00/frame_0009.png"],
        "b/two/x1.png": frames["b/01/frame_0008.png"],
        "b/two/y2.png": frames["b/01/frame_0009.png"],
        "b/twice/1.png": frames["b/01/frame_0008.png"],
        "b/twice/01.png": frames["b/01/frame_0009.png"],
        "b/alone/1.png": frames["b/01/frame_0008.png"],
        "b/cover/1.jpg": frames["b/01/frame_0008.png"],
    }
    manifest = watch(lay({**frames, **odd}), max_rejected=0.2)
    reasons = {each["name"]: each["reason"] for each in manifest["rejected"]}
    assert reasons["a/unnumbered"].startswith(
        "2 images of which nothing says the order: 'left.png' has no number. Expected a film's frames in a folder of "
        "their own, numbered as 0001.png, 0002.png"
    )
    assert "what stands beside the numbers differs" in reasons["b/two"]
    assert "two have the same number" in reasons["b/twice"]
    assert reasons["b/alone/1.png"] == "one frame: expected a film, got a still"
    assert len(reasons) == 4
    assert manifest["ignored"] == ["b/cover/1.jpg"]


def test_covers_beside_films_are_passed_over(lay, films, watch):
    covers = {"a/1.png": b"x", "a/2.png": b"x", "a/film.jpg": b"x", "readme.txt": b"x", ".hidden/1.png": b"x"}
    manifest = watch(lay({**films, **covers}))
    assert manifest["rejected"] == []
    assert manifest["ignored"] == ["a/1.png", "a/2.png", "a/film.jpg", "readme.txt"]


def test_pieces_of_one_film_lie_in_one_split(lay, films, watch, opened):
    """Groups of a path's folder: ten films of four pieces each."""
    pieces = {f"{name[0]}/film{i // 4}/{name[2:]}": data for i, (name, data) in enumerate(films.items())}
    manifest = watch(lay(pieces), group=r"/(film\d+)/")
    assert sum(part["groups"] for part in manifest["splits"].values()) == 10
    places = {one.tobytes(): split for split in SPLITS for one in opened().samples(split)}
    for number in range(10):
        own = [data for name, data in pieces.items() if f"film{number}/" in name]
        assert len({places[DECODER.decode(data)[0].tobytes()] for data in own}) == 1


def test_groups_and_labels_stand_in_the_names_of_folders_of_images(lay, frames, watch):
    flat = {f"{name[0]}{name[2:4]}_{int(name[2:4]) // 4}/{name[5:]}": data for name, data in frames.items()}
    manifest = watch(lay(flat), labels="^(.)", group=r"_(\d+)$")
    assert manifest["classes"] == ["a", "b"]
    assert sum(part["groups"] for part in manifest["splits"].values()) == 10


def test_the_name_of_a_folder_has_no_suffix(lay, frames, watch):
    dotted = {f"{name[0]}/take.{name[2:4]}/{name[5:]}": data for name, data in frames.items()}
    manifest = watch(lay(dotted), labels=r"take\.(\d)", group="(.*)")
    assert sum(part["groups"] for part in manifest["splits"].values()) == len(
        {name.rpartition("/")[0] for name in dotted}
    )


def test_processes_change_nothing(lay, films, watch):
    assert watch(lay(films), mapper=by_processes(2)) == watch(lay(films), mapper=serially)


def test_bad_files_are_listed_with_their_reasons(lay, films, watch):
    bad = {
        "a/text.mp4": b"no film", "a/empty.webm": b"", "b/still.gif": reels.animated(film(0)[:1], "gif"),
        "b/cut.apng": films["a/04.apng"][:99], "b/heard.mp4": reels.silent_pictures(), "a/readme.txt": b"hello",
    }  # fmt: skip
    manifest = watch(lay({**films, **bad}), max_rejected=0.2)
    reasons = {each["name"]: each["reason"].partition(":")[0] for each in manifest["rejected"]}
    assert reasons.pop("b/cut.apng").startswith(("damaged", "truncated"))
    assert reasons == {
        "a/empty.webm": "empty, 0 bytes", "a/text.mp4": "no MP4, MOV, WebM, Matroska, AVI, GIF, WebP or APNG",
        "b/still.gif": "one frame", "b/heard.mp4": "no pictures in it, only audio",
    }  # fmt: skip
    assert manifest["ignored"] == ["a/readme.txt"]


@pytest.mark.parametrize("pack", [None, zipped])
def test_a_file_that_is_too_large_is_listed(lay, films, watch, tmp_path, pack):
    folder = lay(films)
    with open(folder / "a" / "hours.mp4", "wb") as file:
        file.truncate(101 * 2**20)
    source = folder
    if pack:
        source = pack({**films, "a/hours.mp4": bytes(101 * 2**20)}, tmp_path / "x.zip")
    assert "too large" in watch(source, max_rejected=0.1)["rejected"][0]["reason"]


def test_images_of_an_archive_that_are_too_large_together_are_listed(lay, frames, watch, tmp_path):
    large = {f"b/big/{i}.png": bytes(60 * 2**20) for i in range(2)}
    manifest = watch(zipped({**frames, **large}, tmp_path / "x.zip"), max_rejected=0.1)
    assert [each["name"] for each in manifest["rejected"]] == ["b/big"]
    assert "too large: 125,829,120 bytes" in manifest["rejected"][0]["reason"]


def test_gray_and_coloured_films_make_a_coloured_set(lay, watch, opened):
    files = {f"{i:02}.apng": reels.animated(film(i)[..., : 1 + 2 * (i % 2)], "apng") for i in range(20)}
    manifest = watch(lay(files))
    assert manifest["sample"]["shape"] == [3, 3, 8, 8]
    assert manifest["conversions"]["gray to RGB"] == 10
    assert watch(lay(files), VideoDecoder(frames=3, resolution=8, channels=1))["sample"]["shape"] == [1, 3, 8, 8]


def test_what_is_seen_of_the_set(lay, films, watch, tmp_path, opened):
    watch(lay(films))
    prepared, columns = opened(), 8
    counts = np.bincount(prepared.labels("train"))
    with Image.open(tmp_path / "out" / "preview.webp") as moving:
        assert (moving.n_frames, moving.info["loop"]) == (3, 0)
        moving.seek(1)
        seen = np.asarray(moving.convert("RGB"))
    factor = 64 // 8
    shown = min(8, counts[0]) + min(8, counts[1])
    rows = -(-shown // columns)
    assert seen.shape == ((9 * rows - 1) * factor, (9 * columns - 1) * factor, 3)
    first = prepared.samples("train")[np.flatnonzero(prepared.labels("train") == 0)[0]]
    np.testing.assert_array_equal(seen[: 8 * factor : factor, : 8 * factor : factor], first[:, 1].transpose(1, 2, 0))
    with Image.open(tmp_path / "out" / "preview.png") as strips:
        assert strips.width == 2 * (2 * (3 * 8 + 2) + 1)  # two strips of three frames, and a line between two, doubled


def test_images_leave_no_film_of_a_former_set(lay, films, watch, run, pictures, tmp_path):
    watch(lay(films))
    assert (tmp_path / "out" / "preview.webp").is_file()
    run(lay(pictures, "images"))
    assert not (tmp_path / "out" / "preview.webp").exists()


def test_what_is_no_film_is_called_one_nowhere(lay, watch, tmp_path):
    with pytest.raises(DataError, match="holds no films, only 2 files of other kinds"):
        watch(lay({"a.wav": b"x", "b.txt": b"x"}))
    (tmp_path / "train-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3]) + bytes(12))
    with pytest.raises(DataError, match=r"holds images, not films: idx files are of data\.kind: image"):
        watch(tmp_path / "train-images-idx3-ubyte")


def test_images_are_looked_for_as_before(lay, frames):
    """Numbered images are a film only where films are wanted."""
    items = list(read_source(lay(frames)).items)
    assert len(items) == 160
    assert not any(isinstance(item.content, tuple | ItemError) for item in items)


def test_the_table_of_decoders_knows_films():
    assert decoders.DECODERS["video"] is VideoDecoder
