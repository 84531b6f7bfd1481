"""The prepared set: what it depends on, what it refuses, and what it writes down."""

import hashlib
import json
import resource
import subprocess
import sys
import tracemalloc
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganops.core.errors import ConfigError, DataError
from ganops.core.files import atomic_folder
from ganops.data import SPLITS, Prepared, intake, prepare
from ganops.data.arrange import deal, order_classes
from ganops.data.image_decoder import ImageDecoder
from ganops.data.sample_table import Table
from ganops.kinds import Spec


@pytest.fixture
def opened(tmp_path):
    return lambda: Prepared.open(tmp_path / "out" / "prepared")


def snapshot(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_set_holds_every_image_once_with_its_label(lay, pictures, run, opened):
    run(lay(pictures), fit="stretch", resize="box")
    prepared = opened()
    assert prepared.spec == Spec("image", (3, 8, 8), 2)
    assert prepared.class_names == ("a", "b")
    got = set()
    for split in SPLITS:
        images, labels = prepared.samples(split), prepared.labels(split)
        assert isinstance(images, np.memmap)
        assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
        assert images.shape == (len(labels), 3, 8, 8)
        got |= {(image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)}
    expected = set()
    for name in pictures:
        with Image.open(lay({}) / name) as image:
            pixels = np.asarray(image.resize((8, 8), Image.Resampling.BOX)).transpose(2, 0, 1)
        expected.add((pixels.tobytes(), "ab".index(name[0])))
    assert got == expected


def test_the_splits_are_thresholds_on_the_hash_of_the_pixels(lay, pictures, run, opened):
    run(lay(pictures), test=0.2, validation=0.3)
    bounds = {"test": (0, 0.2), "validation": (0.2, 0.5), "train": (0.5, 1)}
    for split, (low, high) in bounds.items():
        digests = [hashlib.sha256(image.tobytes()).digest() for image in opened().samples(split)]
        assert digests
        assert digests == sorted(digests)
        assert all(low <= int.from_bytes(digest[:8]) / 2**64 < high for digest in digests)


def test_equal_images_lie_in_one_split(lay, pictures, run, opened):
    doubled = pictures | {name.replace("/", "/copy_"): content for name, content in pictures.items()}
    assert run(lay(doubled))["duplicates"] == len(pictures)
    sets = [{image.tobytes() for image in opened().samples(split)} for split in SPLITS]
    assert len(set.union(*sets)) == sum(map(len, sets)) == len(pictures)


def test_names_order_and_the_number_of_workers_change_nothing(lay, pictures, run, tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "_CHUNK_ITEMS", 3)
    first = run(lay(pictures), mapper=intake.serially)
    alone = snapshot(tmp_path / "out")
    assert run(lay(pictures), mapper=intake.by_processes(2)) == first
    assert snapshot(tmp_path / "out") == alone
    renamed = {f"{name[0]}/{99 - i}.png": content for i, (name, content) in enumerate(pictures.items())}
    assert run(lay(renamed, "renamed"))["sha256"] == first["sha256"]


def test_the_hash_is_that_of_the_pixels_and_labels(lay, pictures, run):
    first = run(lay(pictures))["sha256"]
    assert run(lay(pictures), labels="none")["sha256"] != first
    assert run(lay(pictures), resize="box")["sha256"] != first
    swapped = {name.replace("a/", "c/"): content for name, content in pictures.items()}
    assert run(lay(swapped, "swapped"))["sha256"] != first  # c comes after b: other labels


def test_a_manifest_without_a_kind_is_of_images(lay, pictures, run, opened, tmp_path):
    manifest = run(lay(pictures))
    former = manifest | {"sample": {"shape": manifest["sample"]["shape"], "dtype": "uint8"}}
    (tmp_path / "out" / "prepared" / "manifest.json").write_text(json.dumps(former))
    assert opened().spec == Spec("image", (3, 8, 8), 2)
    assert len(opened().samples("train"))


def test_the_manifest_counts_and_names_no_folder(lay, pictures, run, tmp_path):
    manifest = run(lay(pictures), background="gray")
    assert manifest == json.loads((tmp_path / "out" / "prepared" / "manifest.json").read_text())
    assert str(tmp_path) not in json.dumps(manifest)
    assert manifest["source"] == {"name": "faces", "kind": "folder"}
    assert manifest["sample"] == {"kind": "image", "shape": [3, 8, 8], "dtype": "uint8", "facts": {}}
    assert sum(split["samples"] for split in manifest["splits"].values()) == 40
    assert all(sum(split["classes"].values()) == split["samples"] for split in manifest["splits"].values())
    assert manifest["parameters"] == {
        "resolution": 8,
        "channels": "auto",
        "labels": "auto",
        "mirror": False,
        "validation": 0.2,
        "test": 0.2,
        "max_rejected": 0.01,
        "background": "gray",
        "fit": "crop",
        "resize": "lanczos",
    }


def test_mirroring_adds_the_mirror_image_of_each_training_sample_and_touches_no_other_split(lay, pictures, run, opened):
    plain = run(lay(pictures))
    before = {split: (opened().samples(split)[:], opened().labels(split)[:]) for split in SPLITS}
    both = run(lay(pictures), mirror=True)
    images, labels = opened().samples("train"), opened().labels("train")
    count = len(images) // 2
    assert count == plain["splits"]["train"]["samples"]
    assert np.array_equal(images[:count], before["train"][0])
    assert np.array_equal(images[count:], images[:count, ..., ::-1])
    assert np.array_equal(labels, np.tile(before["train"][1], 2))
    assert both["duplicates"] == plain["duplicates"]
    for split in ("validation", "test"):
        assert np.array_equal(opened().samples(split), before[split][0])


def paired(encode, singles, pairs):
    """Images of noise, and images of noise each with its mirror image."""
    alone = [np.random.default_rng(i).integers(0, 256, (8, 8), np.uint8) for i in range(singles + pairs)]
    both = [image[:, ::-1] for image in alone[singles:]]
    return {f"{i:04}.png": encode(np.ascontiguousarray(image)) for i, image in enumerate([*alone, *both])}


def test_no_split_holds_the_mirror_image_of_another_splits_sample(lay, encode, run, opened):
    def leaks():
        """Brute force: held-out images that the training split holds, and those that the other held-out one does."""
        train, validation, test = ({image.tobytes() for image in opened().samples(split)} for split in SPLITS)
        turned = {image[..., ::-1].tobytes() for image in opened().samples("validation")}
        return len((validation | test) & train), len(turned & test)

    source = lay(paired(encode, singles=100, pairs=400))
    run(source, validation=0.1, test=0.1)
    plain = {split: opened().samples(split)[:] for split in SPLITS}
    mirrored = {image[..., ::-1].tobytes() for image in plain["train"]}
    held_out = [image.tobytes() for split in ("validation", "test") for image in plain[split]]
    assert sum(image in mirrored for image in held_out) > len(held_out) / 2, "it would leak: this set tells"

    manifest = run(source, validation=0.1, test=0.1, mirror=True)
    assert leaks() == (0, 0)
    everything = np.concatenate([opened().samples(split) for split in ("validation", "test")])
    train = opened().samples("train")
    assert {image.tobytes() for image in np.concatenate([everything, train[: len(train) // 2]])} == {
        image.tobytes() for split in SPLITS for image in plain[split]
    }, "every image is there still"
    assert manifest["duplicates"] == 0


def test_pairs_of_mirror_images_keep_the_shares(tmp_path):
    """A share of 0.1 of 8,000 pairs has a standard deviation of 0.0034; by the smaller hash alone it would be 0.19."""

    def digest(i):
        return hashlib.sha256(str(i).encode()).digest()

    with Table(tmp_path) as table:
        for place in range(16_000):
            table.add(place, (1,), "", None, None)
        table.hash(lambda place, shape: (digest(place), digest(place ^ 1)), ())
        splits = deal(table, {"validation": 0.2, "test": 0.1})
        assert len(splits["test"]) / 16_000 == pytest.approx(0.1, abs=0.015)
        assert len(splits["validation"]) / 16_000 == pytest.approx(0.2, abs=0.02)
        for split in splits.values():
            assert {row.place ^ 1 for row in split} == {row.place for row in split}


def test_an_image_that_is_its_own_mirror_image_is_dealt_by_its_hash(lay, encode, run, opened):
    halves = [np.random.default_rng(i).integers(0, 256, (8, 4), np.uint8) for i in range(60)]
    source = lay({f"{i}.png": encode(np.hstack([half, half[:, ::-1]])) for i, half in enumerate(halves)})
    run(source)
    before = {split: opened().samples(split)[:] for split in ("validation", "test")}
    run(source, mirror=True)
    for split, images in before.items():
        assert np.array_equal(opened().samples(split), images)


def test_an_unlabelled_set_has_no_labels(lay, pictures, run, opened, tmp_path):
    run(lay(pictures), labels="none")
    assert opened().spec.classes == 0
    assert opened().labels("train") is None
    assert not list((tmp_path / "out").rglob("labels.npy"))


@pytest.mark.parametrize(("modes", "channels"), [("L", 1), ("RGB", 3), ("L RGB", 3), ("1 LA I;16", 1)])
def test_auto_is_gray_only_if_every_image_is(lay, encode, run, opened, modes, channels):
    kinds = modes.split()
    files = {}
    for i in range(30):
        image = Image.fromarray(np.full((8, 8), i * 8, np.uint16 if kinds[i % len(kinds)] == "I;16" else np.uint8))
        files[f"{i}.png"] = encode(image if image.mode == "I;16" else image.convert(kinds[i % len(kinds)]))
    manifest = run(lay(files))
    assert opened().spec.shape[0] == channels
    if modes == "L RGB":
        assert manifest["conversions"] == {"gray to RGB": 15}
        images = opened().samples("train")
        assert (images == images[:, :1]).all()
        assert {int(image[0, 0, 0]) for split in SPLITS for image in opened().samples(split)} == set(range(0, 240, 8))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_number_of_channels_can_be_asked_for(lay, encode, noise, run, opened, channels):
    files = {f"{i}.png": encode(noise(i) if i % 2 else noise(i)[..., 0]) for i in range(30)}
    run(lay(files), channels=channels)
    assert opened().samples("train").shape[1:] == (channels, 8, 8)


def test_conversions_are_counted(lay, pictures, encode, run):
    special = {
        "a/cmyk.jpg": encode(Image.new("CMYK", (9, 9), (1, 2, 3, 4)), "JPEG"),
        "a/deep.png": encode(np.full((9, 9), 999, np.uint16)),
        "b/palette.png": encode(Image.new("RGB", (9, 9)).quantize(2)),
        "b/film.gif": encode(
            Image.new("L", (9, 9), 1), "GIF", save_all=True, append_images=[Image.new("L", (9, 9), 2)]
        ),
    }
    conversions = run(lay(pictures | special))["conversions"]
    expected = {"CMYK to RGB": 1, "16-bit to 8-bit gray": 1, "palette to RGB": 2, "several frames: the first taken": 1}
    assert expected.items() <= conversions.items()


def test_a_few_rejected_files_are_listed_in_the_manifest(lay, pictures, run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "rejected.json").write_text("[]")
    bad = {"b/text.png": b"hello", "a/empty.jpg": b"", "notes.txt": b"hello"}
    manifest = run(lay(pictures | bad), max_rejected=0.05)
    assert [entry["name"] for entry in manifest["rejected"]] == ["a/empty.jpg", "b/text.png"]
    assert manifest["rejected"][0]["reason"] == "empty, 0 bytes"
    assert manifest["ignored"] == ["notes.txt"]
    assert not (tmp_path / "out" / "rejected.json").exists()


def test_too_many_rejected_files_are_an_error_that_lists_them(lay, pictures, run, tmp_path):
    bad = {f"a/bad_{i:02}.png": b"" for i in range(12)}
    with pytest.raises(DataError) as caught:
        run(lay(pictures | bad), max_rejected=0.2)
    report = tmp_path / "out" / "rejected.json"
    lines = str(caught.value).splitlines()
    assert lines[0] == "data: 12 of 52 files were rejected (23.1 %, at most 20 % is allowed by data.max_rejected):"
    assert lines[1:11] == [f"  a/bad_{i:02}.png   empty, 0 bytes" for i in range(10)]
    assert lines[11] == f"  ...            the other 2 are listed in {report}"
    assert [entry["name"] for entry in json.loads(report.read_text())] == sorted(bad)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"rejected.json"}


def test_in_a_labelled_set_images_without_a_label_are_rejected(lay, pictures, encode, noise, run):
    source = lay(pictures | {"beside.png": encode(noise(99))})
    with pytest.raises(DataError, match=r"beside\.png .* no label, where others have one"):
        run(source)
    assert run(source, max_rejected=0.05)["rejected"][0]["name"] == "beside.png"
    assert run(source, labels="none")["rejected"] == []


@pytest.mark.parametrize(("one", "other"), [("train", "test"), ("Train", "Dev")])
def test_folders_named_as_splits_are_no_classes(lay, pictures, run, one, other):
    source = lay({name.replace("a/", f"{one}/").replace("b/", f"{other}/"): pictures[name] for name in pictures})
    with pytest.raises(DataError, match=f"the classes would be {', '.join(sorted([one, other]))}"):
        run(source)
    run(source, labels="none")


def test_classes_are_ordered_as_stated_then_by_value_then_by_name():
    assert order_classes(["10", "9", "b", "a", None, "z"], ["z", "absent"]) == ("z", "9", "10", "a", "b")


def test_a_class_with_one_member_is_noted(lay, pictures, encode, noise, run):
    manifest = run(lay(pictures | {"rare/1.png": encode(noise(99))}))
    assert manifest["classes"] == ["a", "b", "rare"]
    assert manifest["classes_below_10"] == {"rare": 1}


@pytest.mark.parametrize("count", [1, 3])
def test_too_few_images_are_an_error_that_counts_them(lay, encode, noise, run, count):
    source = lay({f"{i}.png": encode(noise(i)) for i in range(count)})
    with pytest.raises(DataError, match=r"too few samples for the splits \(train \d, validation \d, test \d\)"):
        run(source, validation=0.01, test=0.01)


def test_a_split_of_share_0_is_empty(lay, encode, noise, run, opened):
    run(lay({f"{i}.png": encode(noise(i)) for i in range(2)}), validation=0.0, test=0.0)
    assert [len(opened().samples(split)) for split in SPLITS] == [2, 0, 0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("validation", -0.1),
        ("validation", 1.0),
        ("test", float("nan")),
        ("max_rejected", 2),
        ("channels", 2),
        ("labels", "some"),
        ("background", "no colour"),
        ("fit", "no way"),
    ],
)
def test_impossible_parameters_are_refused(lay, pictures, run, name, value):
    with pytest.raises(ConfigError, match=rf"data\..*{name}"):
        run(lay(pictures), **{name: value})


def test_source_and_output_lie_apart(lay, pictures, tmp_path):
    source = lay(pictures)
    for out in (source, source / "prepared", source.parent):
        with pytest.raises(DataError, match="lie in one another"):
            prepare(source, out, tmp_path / "preview.png", ImageDecoder(8))
    assert snapshot(source)


@pytest.mark.parametrize("mapper", [intake.serially, intake.by_processes(2)], ids=["serially", "by processes"])
def test_the_set_is_never_in_memory(lay, encode, noise, run, tmp_path, monkeypatch, mapper):
    monkeypatch.setattr(intake, "_CHUNK_ITEMS", 8)
    source = lay({f"{i:04}.png": encode(noise(i, 8, 8)) for i in range(1000)})
    tracemalloc.start()
    try:
        run(source, resolution=128, fit="stretch", mapper=mapper)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    written = sum(path.stat().st_size for path in (tmp_path / "out" / "prepared").rglob("*.npy"))
    assert written > 48e6
    assert peak < 24e6  # most of it for the preview


def test_a_full_disk_leaves_what_was_there(lay, pictures, run, tmp_path):
    run(lay(pictures))
    before = snapshot(tmp_path / "out")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # no file can grow past this
    try:
        with pytest.raises(DataError, match=r"prepared cannot be written: File too large"):
            run(lay(pictures), resolution=64)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert snapshot(tmp_path / "out") == before
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"prepared", "preview.png"}


def test_the_preview_has_a_row_for_each_class(lay, encode, run, tmp_path):
    files = {f"{value}/{i}.png": encode(np.full((8, 8), value + i, np.uint8)) for value in (0, 200) for i in range(30)}
    run(lay(files))
    with Image.open(tmp_path / "out" / "preview.png") as preview:
        rows = np.asarray(preview)
    half = len(rows) // 2
    tiles = rows < 255  # without the gaps
    assert rows[:half][tiles[:half]].max() < 100
    assert rows[half:][tiles[half:]].min() >= 200


def test_the_preview_may_lie_in_the_output(lay, pictures, tmp_path):
    out = tmp_path / "prepared"
    prepare(lay(pictures), out, out / "preview.png", ImageDecoder(8), validation=0.2, test=0.2)
    assert {path.name for path in out.iterdir()} == {*SPLITS, "manifest.json", "preview.png"}


def test_what_is_no_prepared_set_is_refused(tmp_path):
    with pytest.raises(DataError, match="run the stage prepare"):
        Prepared.open(tmp_path)


def test_arrays_that_are_not_those_of_the_manifest_are_refused(lay, pictures, run, opened, tmp_path):
    run(lay(pictures))
    folder = tmp_path / "out" / "prepared" / "train"
    np.save(folder / "images.npy", np.zeros((1, 3, 8, 8), np.uint8))
    (folder / "labels.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(DataError, match=r"shape \(1, 3, 8, 8\), its manifest says"):
        opened().samples("train")
    with pytest.raises(DataError, match=r"labels\.npy cannot be read"):
        opened().labels("train")


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_uses_is_not(lay, pictures, run, tmp_path):
    code = f"""
import time
from pathlib import Path
from ganops.core.files import atomic_folder
with atomic_folder(Path({str(tmp_path / "out" / "prepared")!r})) as draft:
    (draft / "images.npy").write_bytes(bytes(99))
    print(draft, flush=True)
    time.sleep(60)
"""
    killed, living = (subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in "12")
    left, used = (Path(process.stdout.readline().strip()).parent for process in (killed, living))
    killed.kill()
    killed.communicate()
    try:
        run(lay(pictures))
        assert (left.exists(), used.exists()) == (False, True)
    finally:
        living.kill()
        living.communicate()
    run(lay(pictures))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"prepared", "preview.png"}
    ignored = Path(__file__).parents[2] / ".gitignore"
    assert any(fnmatch(used.name, line) for line in ignored.read_text().splitlines())


def test_a_process_that_ends_between_the_two_renames_has_replaced_the_folder(tmp_path):
    draft = tmp_path / ".set.draft-abcd1234"
    for name in ("old", "new"):
        (draft / name).mkdir(parents=True)
        (draft / name / "which").write_text(name)
    (draft / ".lock").touch()
    with atomic_folder(tmp_path / "other"):
        pass
    assert (tmp_path / "set" / "which").read_text() == "new"
    assert not draft.exists()
