"""Parquet in the layouts that Hugging Face writes."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ganops.data.item import Deferred, ItemError
from ganops.data.sources import parquet, read_source
from ganops.errors import DataError


@pytest.fixture
def write(tmp_path):
    def write(columns, class_names=None, name="set.parquet"):
        table = pa.table(columns)
        if class_names:
            features = {key: {"names": class_names, "_type": "ClassLabel"} for key in columns}
            features["image"] = {"_type": "Image"}
            table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, tmp_path / name)
        return tmp_path / name

    return write


def struct(*contents):
    return pa.array([content and {"bytes": content, "path": None} for content in contents])


def contents(path):
    """What every row holds, or the reason why it holds nothing."""
    found = []
    for item in parquet.read(path).items:
        try:
            found.append(item.content.read() if isinstance(item.content, Deferred) else item.content)
        except ItemError as reason:
            found.append(reason)
    return found


def labels(path):
    return [item.label for item in parquet.read(path).items]


@pytest.mark.parametrize(
    "image", [struct(b"x", b"y"), pa.array([b"x", b"y"]), pa.array([b"x", b"y"], pa.large_binary())]
)
@pytest.mark.parametrize("name", ["image", "img", "jpg"])
def test_an_image_is_a_struct_or_binary(write, image, name):
    path = write({"id": [1, 2], name: image})
    assert contents(path) == [b"x", b"y"]
    assert labels(path) == [None, None]


@pytest.mark.parametrize(
    ("values", "class_names", "expected"),
    [
        ([1, 0, -1, None], ["cat", "dog"], ["dog", "cat", None, None]),
        ([1, 10, -1, 7], None, ["1", "10", None, "7"]),
        ([2, 0, 0, 0], ["cat", "dog"], [None, "cat", "cat", "cat"]),
        (["dog", "cat", None, "cat"], None, ["dog", "cat", None, "cat"]),
        (pa.array(["dog", "cat", "cat", "cat"]).dictionary_encode(), None, ["dog", "cat", "cat", "cat"]),
    ],
)
def test_a_label_is_an_integer_or_text(write, values, class_names, expected):
    for column in ("label", "labels"):
        assert labels(write({"image": struct(*[b"x"] * 4), column: values}, class_names)) == expected


def test_class_names_keep_the_order_of_the_metadata(write, encode, noise, run):
    images = [encode(noise(i)) for i in range(30)]
    path = write({"image": struct(*images), "label": [i % 2 for i in range(30)]}, ["zebra", "ape", "absent"])
    assert run(path)["classes"] == ["zebra", "ape"]


def test_a_snapshot_with_a_data_folder_is_read_whole(write, tmp_path):
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
        write({"image": struct(b"x")}, name=f"snapshot/data/{name}.parquet")
    source = read_source(tmp_path / "snapshot")
    assert (source.kind, source.count, len(list(source.items))) == ("parquet", 3, 3)


def test_rows_are_read_in_batches(write, monkeypatch):
    monkeypatch.setattr(parquet, "_ROWS", 4)
    items = parquet.read(write({"image": struct(*[b"x"] * 10)})).items
    assert [item.name for item in items] == [f"set.parquet[{i}]" for i in range(10)]


def test_a_row_without_bytes_is_rejected(write):
    found = contents(write({"image": struct(b"x", None)}))
    assert found[0] == b"x"
    assert str(found[1]) == "no bytes in this row"


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"id": [1]}, "expected one column of images"),
        ({"one": [b"x"], "two": [b"x"]}, r"got \['one', 'two'\]"),
        ({"image": [b"x"], "label": [0.5]}, "expected integers or text in column label, got double"),
    ],
)
def test_an_unclear_schema_is_an_error(write, columns, problem):
    with pytest.raises(DataError, match=problem):
        parquet.read(write(columns))


@pytest.mark.parametrize("content", [b"", b"PAR1 and then nothing PAR1"])
def test_what_is_no_parquet_is_an_error(tmp_path, content):
    (tmp_path / "set.parquet").write_bytes(content)
    with pytest.raises(DataError, match="no intact Parquet file"):
        parquet.read(tmp_path / "set.parquet")


def test_a_damaged_page_is_an_error(write, noise, encode):
    path = write({"image": struct(*[encode(noise(i, 64, 64)) for i in range(20)])})
    data = bytearray(path.read_bytes())
    data[4:3000] = bytes(2996)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"set\.parquet"):
        contents(path)


@pytest.mark.parametrize("limit", ["_GROUP_ROWS", "_GROUP_BYTES"])
def test_a_row_group_too_large_for_one_piece_is_read_here_and_gives_the_same(write, monkeypatch, limit):
    path = write({"image": struct(b"x", None, b"z"), "label": [1, None, 0]})
    before = [repr(content) for content in contents(path)], labels(path)
    assert all(isinstance(item.content, Deferred) for item in parquet.read(path).items)
    monkeypatch.setattr(parquet, limit, 1)
    assert not any(isinstance(item.content, Deferred) for item in parquet.read(path).items)
    assert ([repr(content) for content in contents(path)], labels(path)) == before


def test_a_file_that_was_replaced_is_read_anew(write):
    assert contents(write({"image": struct(b"x")})) == [b"x"]
    assert contents(write({"image": struct(b"y")})) == [b"y"]
