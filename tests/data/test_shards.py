"""A split in shards reads like an array."""

import numpy as np
import pytest
import torch

from ganops.core.errors import DataError
from ganops.data.batches import Batches
from ganops.data.shards import WINDOW, Here, Shards, record

IMAGES = np.random.default_rng(0).integers(0, 256, (103, 1, 2, 2), np.uint8)
LABELS = np.arange(103) % 3


@pytest.fixture
def files(tmp_path):
    """The same samples in files of ten."""
    like = record(IMAGES[0], labelled=True)
    for number in range(11):
        rows = slice(number * 10, number * 10 + 10)
        records = np.empty(len(IMAGES[rows]), like)
        records["sample"], records["label"] = IMAGES[rows], LABELS[rows]
        np.save(tmp_path / f"{number}.npy", records)
    return Shards(103, 10, like, Here(lambda number: tmp_path / f"{number}.npy"), (35, 34, 34))


@pytest.mark.parametrize(
    "rows", [slice(None), slice(8, 34), slice(-5, None), np.array([102, 0, 55, 0]), np.array([], int)]
)
def test_rows_are_those_of_the_array(files, rows):
    for shards in (files, Shards.of(IMAGES, LABELS, 10, 3)):
        assert np.array_equal(shards.samples[rows], IMAGES[rows])
        assert np.array_equal(shards.labels[rows], LABELS[rows])


def test_shape_type_and_counts_are_those_of_the_array(files):
    for shards in (files, Shards.of(IMAGES, LABELS, 10, 3)):
        for column, array in ((shards.samples, IMAGES), (shards.labels, LABELS)):
            assert (len(column), column.shape, column.dtype, column.nbytes) == (
                len(array), array.shape, array.dtype, array.nbytes,
            )  # fmt: skip
            assert np.array_equal(np.asarray(column), array)
        assert shards.class_counts == (35, 34, 34)


def test_a_shard_that_is_missing_or_damaged_is_named(files, tmp_path):
    (tmp_path / "3.npy").unlink()
    (tmp_path / "4.npy").write_bytes(b"no array")
    assert len(files.samples[:30]) == 30
    with pytest.raises(DataError, match=r"3\.npy is missing: run the stage prepare again"):
        files.samples[30:31]
    with pytest.raises(DataError, match=r"4\.npy cannot be read: .* Run the stage prepare again"):
        files.samples[40:41]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_batches_are_the_same_from_files_and_arrays_streamed_and_held_by_any_number_of_workers(files, workers):
    arrays = Shards.of(IMAGES, LABELS, 10, 3)
    whole = Batches(arrays.samples, arrays.labels, size=12, seed=1)
    for shards, streamed in ((files, True), (files, False), (arrays, True)):
        parts = [
            Batches(shards.samples, shards.labels, 12, 1, rank=rank, workers=workers, streamed=streamed)
            for rank in range(workers)
        ]
        for turn in (0, 1, 2, 8, 100, 5):
            for i, expected in enumerate(whole(turn)):
                assert torch.equal(torch.cat([part(turn)[i] for part in parts]), expected)
        for part in parts:
            part.close()


def test_an_epoch_of_shards_shows_every_sample_once_in_another_order_than_an_array():
    numbered = np.arange(160, dtype=np.uint8).reshape(160, 1, 1, 1)

    def shown(samples):
        batches = Batches(samples, None, size=16, seed=1, dtype=torch.float64)
        return [round((v.item() + 1) * 127.5) for turn in range(10) for v in batches(turn)[0].flatten()]

    sharded = shown(Shards.of(numbered, None, 5).samples)
    assert sorted(sharded) == list(range(160))
    assert sharded != shown(numbered)
    assert len({sample // 5 for sample in sharded[:80]}) == WINDOW


def test_the_windows_that_come_are_told_as_they_come():
    heard = []
    arrays = Shards.of(np.zeros((160, 1, 1, 1), np.uint8), None, 5)
    arrays.files.expect = lambda order, window, part: heard.append(window)
    batches = Batches(arrays.samples, None, size=40, seed=1, streamed=True)
    for turn in range(4):
        batches(turn)
    batches.close()
    assert heard[:4] == [0, 0, 1, 1]


@pytest.mark.parametrize("workers", [2, 4, 16])
def test_a_worker_needs_its_share_of_the_shards_of_a_window_and_says_which(workers):
    array = np.zeros((16_000, 1, 1, 1), np.uint8)
    for rank in range(workers):
        shards = Shards.of(array, None, 500)  # 32 of them, two windows
        opened, told, read = set(), [], shards.files.open
        shards.files.open = lambda number, opened=opened, read=read: opened.add(number) or read(number)
        shards.files.expect = lambda order, window, part, told=told: told.append((order, window, part))
        batches = Batches(shards.samples, None, 1600, 0, rank=rank, workers=workers, streamed=True)
        for turn in range(5):  # a window
            batches._read(turn)
        batches.close()
        order, window, part = told[0]
        expected = order.shards_of(0)[int(part[0] * WINDOW) : int(np.ceil(part[1] * WINDOW))]
        assert window == 0
        assert opened <= set(expected)
        assert len(expected) <= WINDOW / workers + 3
