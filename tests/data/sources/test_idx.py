"""idx files: against the bytes of the format's definition."""

import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from ganops.core.errors import DataError
from ganops.data.sources import idx, item, read_source


def images_file(count=3, height=2, width=4, dimensions=3, kind=8):
    values = np.arange(count * height * width, dtype=np.uint8).tobytes()
    return bytes([0, 0, kind, dimensions]) + struct.pack(">III", count, height, width) + values


def labels_file(*labels):
    return bytes([0, 0, 8, 1]) + struct.pack(">I", len(labels)) + bytes(labels)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dot", ["-", "."])
def test_a_pair_is_read(lay, compressed, dot):
    pack, end = (gzip.compress, ".gz") if compressed else (bytes, "")
    images, labels = f"train-images{dot}idx3-ubyte{end}", f"train-labels{dot}idx1-ubyte{end}"
    folder = lay({images: pack(images_file()), labels: pack(labels_file(9, 0, 10))})
    for path in (folder, folder / images):
        source = read_source(path)
        items = list(source.items)
        assert (source.kind, source.count, len(items)) == ("idx", 3, 3)
        assert [each.label for each in items] == ["9", "0", "10"]
        np.testing.assert_array_equal([each.content for each in items], np.arange(24).reshape(3, 2, 4))
        assert items[2].name == f"{images}[2]"


def test_several_pairs_are_one_set_and_a_pair_that_is_there_twice_is_read_once(lay):
    pair = {"{}-images-idx3-ubyte": images_file(), "{}-labels-idx1-ubyte": labels_file(1, 2, 3)}
    files = {name.format(part): content for part in ("train", "t10k") for name, content in pair.items()}
    files["train-images-idx3-ubyte.gz"] = gzip.compress(images_file())
    assert read_source(lay(files)).count == 6


def test_images_alone_are_unlabelled(lay):
    assert [each.label for each in read_source(lay({"images-idx3-ubyte": images_file()})).items] == [None] * 3


@pytest.mark.parametrize(
    ("images", "labels", "problem"),
    [
        (images_file()[:-1], labels_file(1, 2, 3), "truncated"),
        (images_file()[:9], labels_file(1, 2, 3), "no idx3 file"),
        (images_file(kind=13), labels_file(1, 2, 3), "no idx3 file"),
        (images_file(dimensions=4), labels_file(1, 2, 3), "no idx3 file"),
        (b"", labels_file(1, 2, 3), "no idx3 file"),
        (images_file(height=0), labels_file(1, 2, 3), "0 x 4 pixels"),
        (images_file(), labels_file(1, 2), "2 labels for the 3 images"),
        (images_file(), labels_file(1, 2, 3)[:-1], "truncated"),
        (images_file(), images_file(), "no idx1 file"),
    ],
)
def test_a_damaged_pair_is_an_error(lay, images, labels, problem):
    folder = lay({"images-idx3-ubyte": images, "labels-idx1-ubyte": labels})
    with pytest.raises(DataError, match=problem):
        list(read_source(folder).items)


@pytest.mark.parametrize(("count", "compressed"), [(2**32 - 1, False), (2**32 - 1, True), (9_000_000, False)])
def test_a_count_that_the_file_cannot_hold_is_refused_before_memory_is_taken(lay, count, compressed):
    pack, end = (gzip.compress, ".gz") if compressed else (bytes, "")
    images = bytes([0, 0, 8, 3]) + struct.pack(">III", count, 2, 4) + bytes(24)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="truncated: it cannot hold"):
            list(read_source(lay({f"images-idx3-ubyte{end}": pack(images)})).items)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


def test_more_images_than_a_set_can_have_are_refused(lay, monkeypatch):
    monkeypatch.setattr(item, "ROW_LIMIT", 2)
    with pytest.raises(DataError, match="holds 3 samples or more; at most 2 are read"):
        read_source(lay({"images-idx3-ubyte": images_file(3)}))


def test_damaged_compression_is_an_error(lay):
    compressed = gzip.compress(images_file(100))
    for data in (compressed[:-20], b"no gzip at all", compressed[:30] + b"????" + compressed[34:]):
        with pytest.raises(DataError, match="cannot be read"):
            list(read_source(lay({"images-idx3-ubyte.gz": data})).items)


def test_the_embedded_set_is_the_published_one():
    embedded = Path(__file__).parents[3] / "data" / "fashion-mnist-10k"
    items = list(idx.read(embedded).items)
    assert len(items) == 10_000
    assert sorted({each.label for each in items}) == list("0123456789")
    pixels = np.stack([each.content for each in items])
    assert abs(pixels.mean() / 255 - 0.2868) < 1e-3  # of the 10,000 test images
