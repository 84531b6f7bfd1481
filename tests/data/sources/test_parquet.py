"""Parquet in the layouts that Hugging Face writes."""

import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ganops.core.errors import DataError
from ganops.data.sources import parquet, read_source
from ganops.data.sources.item import Deferred, ItemError


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
        (["dog", "dog ", "", "  "], None, ["dog", "dog", None, None]),
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


@pytest.mark.parametrize(
    "image",
    [
        pa.array([{"bytes": "text"}]),
        pa.array([{"bytes": 10**9}]),
        pa.array([{"bytes": [b"x"]}]),
        pa.array([{"bytes": None}]),
    ],
)
def test_bytes_that_are_none_are_no_images(write, image):
    with pytest.raises(DataError, match="expected one column of images"):
        parquet.read(write({"image": image}))


@pytest.mark.parametrize("names", [["image", "image"], ["image", "label", "label"], ["label", "label", "image"]])
def test_a_column_that_is_there_twice_is_an_error(tmp_path, names):
    arrays = [pa.array([b"x"]) if name == "image" else pa.array([1]) for name in names]
    pq.write_table(pa.Table.from_arrays(arrays, names), tmp_path / "set.parquet")
    with pytest.raises(DataError, match="expected every column once"):
        parquet.read(tmp_path / "set.parquet")


@pytest.mark.parametrize("metadata", [None, [], 7, "x", {"info": None}, {"info": {"features": [1]}}, {"info": 0}])
def test_metadata_of_another_shape_states_no_class_names(tmp_path, metadata):
    table = pa.table({"image": [b"x"], "label": [1]}).replace_schema_metadata({"huggingface": json.dumps(metadata)})
    pq.write_table(table, tmp_path / "set.parquet")
    assert labels(tmp_path / "set.parquet") == ["1"]


@pytest.mark.parametrize(
    "metadata",
    [*(json.dumps({"info": {"features": {"label": {"names": names}}}}) for names in (7, "ab", {"a": 1}, [1], [None])),
     "{", "[" * 100_000, b"\xff"],
)  # fmt: skip
def test_metadata_that_cannot_be_read_is_an_error(tmp_path, metadata):
    table = pa.table({"image": [b"x"], "label": [0]}).replace_schema_metadata({"huggingface": metadata})
    pq.write_table(table, tmp_path / "set.parquet")
    with pytest.raises(DataError, match=r"set\.parquet"):
        parquet.read(tmp_path / "set.parquet")


def test_a_file_that_says_it_unpacks_to_far_more_than_images_do_is_refused(tmp_path):
    pq.write_table(pa.table({"image": [bytes(2**22)] * 17}), tmp_path / "set.parquet", compression="zstd",
                   use_dictionary=False)  # fmt: skip
    with pytest.raises(DataError, match=r"bytes unpack to 71,3.*at most 100 times"):
        parquet.read(tmp_path / "set.parquet")


def test_a_value_that_repeats_in_a_few_bytes_is_in_memory_once(tmp_path):
    pq.write_table(pa.table({"image": [bytes(2**22)] * 100}), tmp_path / "set.parquet", compression="zstd",
                   dictionary_pagesize_limit=2**23)  # fmt: skip
    code = f"""
import pyarrow
from pathlib import Path
from ganops.data.sources import parquet
for item in parquet.read(Path({str(tmp_path / "set.parquet")!r})).items:
    assert len(item.content.read()) == 2**22
print(pyarrow.default_memory_pool().max_memory())
"""
    peak = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(peak) < 10 * 2**22  # all rows are 100


def test_a_label_as_long_as_a_book_is_an_error(write):
    with pytest.raises(DataError, match="a label of 1,001 characters"):
        labels(write({"image": struct(b"x"), "label": ["x" * 1001]}))


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
