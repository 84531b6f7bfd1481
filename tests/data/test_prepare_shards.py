"""Prepared sets in shards hold what those in arrays do."""

import numpy as np
import pytest

from ganops.core.errors import DataError
from ganops.core.files import hash_file
from ganops.data import SPLITS, Prepared, prepared, writing
from ganops.data.shards import Column


@pytest.fixture
def opened(tmp_path):
    return lambda: Prepared.open(tmp_path / "out" / "prepared")


def arrays(found):
    return {split: (np.array(found.samples(split)), found.labels(split)) for split in SPLITS}


@pytest.mark.parametrize("labels", ["auto", "none"])
@pytest.mark.parametrize("shard", [1, 3, 7, 100])
def test_a_set_in_shards_holds_the_samples_of_the_arrays_in_their_order(lay, pictures, run, opened, shard, labels):
    whole = run(lay(pictures), labels=labels)
    expected = arrays(opened())
    manifest = run(lay(pictures), labels=labels, shard=shard)
    found = opened()
    for split, (samples, y) in expected.items():
        column = found.samples(split)
        assert isinstance(column, Column)
        assert np.array_equal(column, samples)
        assert (found.labels(split) is None) if y is None else np.array_equal(found.labels(split), y)
        names = sorted(path.name for path in (found.folder / split).iterdir())
        assert names == [f"images-{number:05}.npy" for number in range(-(-len(samples) // shard))]
    assert manifest["sha256"] == whole["sha256"]
    assert manifest["splits"] == whole["splits"]
    assert found.spec == Prepared(found.folder, whole).spec


def test_the_manifest_has_the_hash_of_each_shard(lay, pictures, run, opened):
    shards = run(lay(pictures), shard=3)["shards"]
    assert (shards["size"], shards["storage"]) == (3, "here")
    for split, digests in shards["sha256"].items():
        files = sorted((opened().folder / split).iterdir())
        assert digests == [hash_file(path) for path in files]


def test_shards_are_mapped_arrays_of_records_that_numpy_reads_by_itself(lay, pictures, run, opened):
    run(lay(pictures), shard=3)
    first = np.load(opened().folder / "train/images-00000.npy", mmap_mode="r", allow_pickle=False)
    assert first.dtype.names == ("sample", "label")
    assert first["sample"].shape == (3, 3, 8, 8)


def test_the_hash_of_a_training_names_the_shards_where_they_decide_the_order(lay, pictures, run, opened):
    hashes = []
    for shard in ("auto", 3, 7, 1000):
        run(lay(pictures), shard=shard)
        hashes.append(opened().hash)
    assert len(set(hashes[:3])) == 3
    assert hashes[3] == hashes[0]


def test_the_counts_of_the_classes_are_known_without_reading_the_labels(lay, pictures, run, opened):
    run(lay(pictures), shard=3)
    labels = opened().labels("train")
    assert labels.shards.class_counts == tuple(np.bincount(np.asarray(labels)))


def test_figures_are_computed_of_the_first_samples(lay, pictures, run, opened, monkeypatch):
    run(lay(pictures), shard=3)
    samples, labels = opened().measured("train")
    assert np.array_equal(samples, opened().samples("train"))
    monkeypatch.setattr(prepared, "MEASURED", 5)
    assert np.array_equal(opened().measured("train")[0], samples[:5])
    assert np.array_equal(opened().measured("train")[1], labels[:5])
    monkeypatch.setattr(prepared, "MEASURED_BYTES", 2 * (3 * 8 * 8 + 8))
    assert len(opened().measured("train")[0]) == 2


def test_samples_are_not_read_before_they_are_asked_for(lay, pictures, run, opened, monkeypatch):
    run(lay(pictures), shard=3)
    whole, labels = opened().measured("train")
    with opened().unread("train") as (samples, known):
        assert isinstance(samples, Column)
        assert np.array_equal(samples[np.array([4, 1])], whole[[4, 1]])
        assert np.array_equal(known, labels)
    monkeypatch.setattr(prepared, "MEASURED", 5)
    with opened().unread("train") as (samples, known):
        assert len(samples) == len(known) == 5


def test_large_sets_and_those_that_lie_elsewhere_are_in_shards_unless_told_otherwise():
    assert writing.shard_size("auto", "here", 70_000, 1032) is None
    assert writing.shard_size("auto", "here", 10**9, 3 * 64 * 64 + 8) == 2**25 // (3 * 64 * 64 + 8)
    assert writing.shard_size("auto", "s3://bucket/sets", 70, 1032) == 2**25 // 1032
    assert writing.shard_size("auto", "s3://bucket/sets", 70, 2**27) == 1
    assert writing.shard_size(500, "here", 70_000, 1032) == 500


def test_a_set_whose_shards_are_gone_says_so(lay, pictures, run, opened):
    run(lay(pictures), shard=3)
    (opened().folder / "test/images-00001.npy").unlink()
    with pytest.raises(DataError, match=r"test/images-00001\.npy is missing: run the stage prepare again"):
        opened().measured("test")
