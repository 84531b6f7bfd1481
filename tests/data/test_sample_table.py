"""The table of samples on the disk orders and deals as lists in memory would, and takes no memory that grows."""

import hashlib
import tracemalloc
from itertools import pairwise

import pytest

from ganops.data import SPLITS
from ganops.data.arrange import deal
from ganops.data.sample_table import Table

SHARES = {"validation": 0.2, "test": 0.1}


def digest(i):
    return hashlib.sha256(str(i).encode()).digest()


@pytest.fixture
def table(tmp_path):
    with Table(tmp_path) as table:
        yield table
    assert not list(tmp_path.iterdir())


def fill(table, contents, labels=(), mirror=lambda i: i):
    for place, i in enumerate(contents):
        table.add(10 * place, (1,), f"{i}.png", labels[place] if labels else None, None)
    hashes = iter([(digest(i), digest(mirror(i))) for i in contents])
    table.hash(lambda place, shape: next(hashes), sorted({*labels}))


def test_samples_come_by_digest_label_and_place_whenever_a_split_is_walked(table):
    contents, labels = [i % 700 for i in range(1000)], ["ab"[i % 3 % 2] for i in range(1000)]
    fill(table, contents, labels)
    expected = sorted((digest(i), "ab".index(labels[place]), 10 * place) for place, i in enumerate(contents))
    splits = deal(table, SHARES)
    found = {name: [row[:3] for row in splits[name]] for name in SPLITS}
    assert {name: [row[:3] for row in splits[name]] for name in SPLITS} == found
    assert sorted(row for rows in found.values() for row in rows) == expected
    assert all(rows == sorted(rows) and len(rows) == len(splits[name]) for name, rows in found.items())


def test_all_copies_are_counted_and_lie_in_one_split(table):
    contents = [i * i % 97 for i in range(1000)]
    fill(table, contents)
    splits = deal(table, SHARES)
    assert table.duplicates() == 1000 - len({*contents})
    where = [{row.digest for row in split} for split in splits.values()]
    assert sum(map(len, where)) == len({*contents})


def test_an_image_whose_mirror_image_is_not_there_is_dealt_by_its_own_digest(table, tmp_path):
    fill(table, range(0, 1000, 2), mirror=lambda i: i + 1)
    alone = {name: {row.place for row in split} for name, split in deal(table, SHARES).items()}
    (tmp_path / "other").mkdir()
    with Table(tmp_path / "other") as plain:
        fill(plain, range(0, 1000, 2))
        dealt = {name: {row.place for row in split} for name, split in deal(plain, SHARES).items()}
    (tmp_path / "other").rmdir()
    assert alone == dealt


def test_mirror_images_follow_all_samples(table):
    fill(table, range(50))
    train = deal(table, SHARES)["train"]
    both = list(train.with_mirror_images())
    assert len(both) == len(train.with_mirror_images()) == 2 * len(train)
    assert both == [*train, *(row._replace(mirrored=True) for row in train)]


def test_lists_do_not_grow_with_the_samples(table):
    """Memory of Python; that of SQLite is bounded by its cache."""
    tracemalloc.start()
    try:
        for place in range(20_000):
            table.add(place, (1,), f"a name of a file/{place}.png", "ab"[place % 2], None)
        table.hash(lambda place, shape: (digest(place),) * 2, "ab")
        splits = deal(table, SHARES)
        assert all(one.digest < other.digest for split in splits.values() for one, other in pairwise(split))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200_000  # ten bytes a sample
