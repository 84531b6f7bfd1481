"""Labels and groups in the names of files: samples of one group lie in one split."""

import io
import json
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ganops.core.errors import ConfigError, DataError
from ganops.data import SPLITS, Prepared
from ganops.data.arrange import deal
from ganops.data.sample_table import Table

SHARES = {"validation": 0.1, "test": 0.1}


@pytest.fixture
def dealt(tmp_path):
    """Deal random digests, so many of each group, and return the groups of each split, each as often as it is there."""

    def dealt(sizes, seed=0, shares=SHARES):
        rng = np.random.default_rng(seed)
        with Table(tmp_path) as table:
            for place, group in enumerate(group for group, size in sizes.items() for _ in range(size)):
                table.add(place, (1,), "", None, group)
            digests = (rng.bytes(32) for _ in range(len(table)))
            table.hash(lambda place, shape: (next(digests),) * 2, ())
            return {name: [row.group for row in split] for name, split in deal(table, shares).items()}

    return dealt


def splits_of(dealt):
    return {group: name for name, part in dealt.items() for group in part}


@pytest.fixture
def takes(encode, noise):
    """Sixty images: LABEL_SPEAKER_NUMBER.png of six speakers and two labels."""
    return {f"{i % 2}_{'abcdef'[i % 6]}_{i}.png": encode(noise(i)) for i in range(60)}


@pytest.fixture
def prepared(run, tmp_path):
    def prepared(source, **options):
        manifest = run(source, labels=r"^(\d)_", **options)
        return manifest, Prepared.open(tmp_path / "out" / "prepared")

    return prepared


def test_labels_are_what_the_pattern_finds_in_the_names(lay, takes, prepared):
    manifest, made = prepared(lay({f"wrapped/{name}": content for name, content in takes.items()}))
    assert made.class_names == ("0", "1")
    counts = [part["classes"] for part in manifest["splits"].values()]
    assert {name: sum(count[name] for count in counts) for name in "01"} == {"0": 30, "1": 30}
    assert manifest["parameters"]["labels"] == r"^(\d)_"
    assert "group" not in manifest["parameters"]


def test_a_pattern_of_labels_makes_the_same_set_as_folders_do(lay, takes, run, tmp_path):
    def files(run):
        return {path.relative_to(tmp_path / "out" / "prepared"): path.read_bytes()
                for path in (tmp_path / "out" / "prepared").rglob("*.npy")}  # fmt: skip

    run(lay({f"{name[0]}/{name}": content for name, content in takes.items()}, "folders"))
    expected = files(run)
    run(lay(takes, "flat"), labels=r"^(\d)_")
    assert files(run) == expected


def test_samples_of_a_group_lie_in_one_split(lay, takes, prepared):
    manifest, made = prepared(lay(takes), group=r"_([a-f])_\d+$")
    groups = {name: manifest["splits"][name]["group_samples"] for name in SPLITS}
    assert sorted(group for part in groups.values() for group in part) == list("abcdef")
    assert all(size == 10 for part in groups.values() for size in part.values())
    assert {name: part["groups"] for name, part in manifest["splits"].items()} == {
        "train": 4, "validation": 1, "test": 1,
    }  # fmt: skip
    assert manifest["parameters"]["group"] == r"_([a-f])_\d+$"
    assert [len(made.samples(name)) for name in SPLITS] == [40, 10, 10]


def test_only_the_names_of_groups_decide(lay, takes, run, tmp_path):
    """Not their order, nor how they are packed, nor what else a name says."""
    folder = lay(takes)
    expected = run(folder, labels="none", group=r"_([a-f])_\d+$")["sha256"]
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as archive:
        for name in reversed(takes):
            archive.writestr(f"elsewhere/{name[2]}/{takes[name][::-1][:4].hex()}{name[4:]}", takes[name])
    with tarfile.open(tmp_path / "faces.tar", "w") as archive:
        for name, content in takes.items():
            info = tarfile.TarInfo(f"{name[2]}/x_{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    for path in (tmp_path / "faces.zip", tmp_path / "faces.tar"):
        assert run(path, labels="none", group="([a-f])/[^/]+$")["sha256"] == expected


def test_without_a_group_nothing_changes(lay, takes, run):
    manifest = run(lay(takes), labels="none")
    assert run(lay(takes), labels="none", group="none") == manifest
    assert "groups" not in json.dumps(manifest)


def test_the_paths_that_a_parquet_file_states_are_names(takes, prepared, tmp_path, lay):
    image = pa.array([{"bytes": content, "path": f"a/{name}"} for name, content in takes.items()])
    pq.write_table(pa.table({"image": image}), tmp_path / "set.parquet")
    of_parquet, _ = prepared(tmp_path / "set.parquet", group=r"_([a-f])_\d+$")
    of_folder, _ = prepared(lay(takes), group=r"_([a-f])_\d+$")
    assert of_parquet["sha256"] == of_folder["sha256"]
    assert of_parquet["splits"] == of_folder["splits"]


def test_a_name_that_says_nothing_is_rejected_with_its_reason(lay, takes, run, encode, noise):
    odd = {"x.png": encode(noise(99)), "1_a.png": encode(noise(98)), "0_B_3.png": encode(noise(97))}
    manifest = run(lay({**takes, **odd}), labels=r"^(\d)_", group=r"_([a-f])_\d+$", max_rejected=0.1)
    words = "its name has nothing that the pattern of {} matches"
    assert manifest["rejected"] == [
        {"name": "0_B_3.png", "reason": words.format("data.group")},
        {"name": "1_a.png", "reason": words.format("data.group")},
        {"name": "x.png", "reason": words.format("data.labels and data.group")},
    ]


@pytest.mark.parametrize("key", ["labels", "group"])
def test_a_pattern_that_matches_nothing_is_refused(lay, takes, run, key):
    with pytest.raises(DataError, match=rf"data\.{key}: '\^\(z\)' matches none of 60 names, the last of which is '1_f"):
        run(lay(takes), **{key: "^(z)"})


@pytest.mark.parametrize("key", ["labels", "group"])
@pytest.mark.parametrize("value", ["all", "(a", "(a)(b)"])
def test_a_pattern_without_one_group_is_refused(lay, takes, run, key, value):
    with pytest.raises(ConfigError, match=rf"data\.{key}: expected .*none, or a pattern with one group"):
        run(lay(takes), **{key: value})


def test_fewer_groups_than_splits_are_refused(lay, takes, run):
    with pytest.raises(DataError, match=r"too few samples of 2 groups \(data\.group\) for the splits \(train 0, "):
        run(lay(takes), labels="none", group=r"^(\d)_")


def test_equal_samples_of_two_groups_lie_in_one_split(lay, takes, run, encode, noise):
    """Two copies of one recording, under the names of two speakers, join these."""
    shared = {
        f"{i}_{speaker}_9{i}.png": encode(noise(1000 + i))
        for i, pair in enumerate(["ab", "bc", "de"])
        for speaker in pair
    }
    manifest = run(lay({**takes, **shared}), labels="none", group=r"_([a-f])_\d+$")
    where = {group: name for name in SPLITS for group in manifest["splits"][name]["group_samples"]}
    assert where["a"] == where["b"] == where["c"]
    assert where["d"] == where["e"]
    assert manifest["duplicates"] == 3


def test_mirror_images_of_two_groups_lie_in_one_split(lay, run, encode, noise):
    files = {f"{speaker}_{i}.png": noise(10 * i + k, 8, 8) for k, speaker in enumerate("abcdef") for i in range(6)}
    mirrored = {f"{other}_9.png": files[f"{speaker}_0.png"][:, ::-1] for speaker, other in ("ab", "cd", "ef")}
    files = {name: encode(pixels) for name, pixels in {**files, **mirrored}.items()}
    manifest = run(lay(files), labels="none", group="^([a-f])_", mirror=True)
    where = {group: name for name in SPLITS for group in manifest["splits"][name]["group_samples"]}
    assert (where["a"], where["c"], where["e"]) == (where["b"], where["d"], where["f"])
    assert set(where.values()) == set(SPLITS)


@pytest.mark.parametrize("seed", range(5))
def test_other_takes_of_the_same_groups_are_dealt_alike(seed, dealt):
    sizes = {f"speaker {i}": 50 for i in range(30)}
    assert splits_of(dealt(sizes, seed)) == splits_of(dealt(sizes, 99))


def test_many_groups_keep_the_shares(dealt):
    sizes = {f"speaker {i}": 1 + i % 7 for i in range(2000)}
    found = dealt(sizes)
    total = sum(sizes.values())
    assert abs(len(found["test"]) / total - 0.1) < 0.001
    assert abs(len(found["validation"]) / total - 0.1) < 0.001
    assert set(splits_of(found)) == set(sizes)
    assert sum(len(set(part)) for part in found.values()) == len(sizes)


@pytest.mark.parametrize("seed", range(20))
def test_a_group_as_large_as_everything_else_is_trained_on(seed, dealt):
    sizes = {f"{seed} large": 900, f"{seed} small": 50, f"{seed} smaller": 40, f"{seed} least": 10}
    found = splits_of(dealt(sizes))
    assert found[f"{seed} large"] == "train"
    assert set(found.values()) == set(SPLITS)


@pytest.mark.parametrize("seed", range(20))
def test_every_split_has_a_group_where_there_are_as_many(seed, dealt):
    sizes = {f"{seed} {i}": 100 for i in range(3)}
    assert sorted(splits_of(dealt(sizes)).values()) == sorted(SPLITS)


def test_a_share_of_nothing_has_no_group(dealt):
    found = dealt({"a": 5, "b": 5, "c": 5}, shares={"validation": 0.0, "test": 0.3})
    assert [len(found[name]) for name in SPLITS] == [10, 0, 5]


def test_the_manifest_names_few_groups_and_counts_many(lay, run, encode, noise):
    files = {f"{i:03}.png": encode(noise(i)) for i in range(120)}
    manifest = run(lay(files), labels="none", group=r"^(\d+)$")
    parts = manifest["splits"]
    assert sum(part["groups"] for part in parts.values()) == 120
    assert parts["train"]["groups"] > 50
    assert "group_samples" not in parts["train"]
    assert set(parts["test"]["group_samples"].values()) == {1}


def test_a_name_is_no_utf8_and_still_a_group(lay, run, encode, noise):
    files = {f"{speaker}_{i}.png": encode(noise(10 * i + k)) for k, speaker in enumerate("abc\udc80") for i in range(5)}
    groups = [part["group_samples"] for part in run(lay(files), labels="none", group="^(.)_")["splits"].values()]
    assert sorted(group for part in groups for group in part) == ["\\udc80", "a", "b", "c"]
