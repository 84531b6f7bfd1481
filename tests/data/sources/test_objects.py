"""Object storage, by file:// in its place: what lies there gives the set of the same files in a local folder."""

import re
from dataclasses import replace
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3

from ganops.core.errors import DataError
from ganops.data import intake, prepare
from ganops.data import sources as module
from ganops.data.decode import decode_all
from ganops.data.image_decoder import ImageDecoder
from ganops.data.sources import below, locate, read_source, storage, watched
from ganops.data.sources.item import FILE_LIMIT, Deferred, ItemError
from ganops.data.sources.storage import Store, Stored


@pytest.fixture
def both(run, tmp_path):
    """Prepares a path and its URI; returns the manifest after a look whether every byte is the same."""

    def both(path, **options):
        snapshots = []
        for source in (path, path.as_uri()):
            manifest = run(source, **options)
            files = sorted(file for file in (tmp_path / "out").rglob("*") if file.is_file())
            snapshots.append({file: file.read_bytes() for file in files})
        assert snapshots[0] == snapshots[1]
        return manifest

    return both


def test_a_folder_gives_what_it_gives_locally(lay, pictures, both):
    odd = {"b/text.png": b"hello", "a/empty.jpg": b"", "notes.txt": b"hello", "a/.hidden.png": b"", ".git/x.png": b""}
    manifest = both(lay(pictures | odd | {"a/deep/er.png": pictures["a/00.png"]}), max_rejected=0.1)
    assert manifest["source"] == {"name": "faces", "kind": "folder"}
    assert manifest["classes"] == ["a", "b"]
    assert [entry["name"] for entry in manifest["rejected"]] == ["a/empty.jpg", "b/text.png"]
    assert manifest["ignored"] == ["notes.txt"]
    assert manifest["duplicates"] == 1


@pytest.mark.parametrize(("small", "ahead"), [(1000, 16), (2, 3), (0, 1)])
def test_files_come_in_the_order_of_a_walk_whatever_is_listed_ahead(lay, monkeypatch, small, ahead):
    monkeypatch.setattr(storage, "SMALL", small)
    monkeypatch.setattr(storage, "AHEAD", ahead)
    names = [f"{a}/{b}/{c}.png" for a in "cab" for b in ("x", "x.y", "__MACOSX", ".git") for c in range(3)]
    names += ["a.png", "a/x.png", "z/.hidden/1.png", "z/1.png"]
    folder = lay(dict.fromkeys(names, b"12"))
    shown = sorted((name for name in names if "__MACOSX" not in name and "/." not in name), key=lambda x: x.split("/"))
    assert [(name, size) for name, size, _ in Store.at(folder.as_uri()).files()] == [(name, 2) for name in shown]
    assert [item.name for item in read_source(folder).items] == shown


@pytest.fixture(scope="module")
def server():
    with s3.serving() as running:
        yield running


@pytest.fixture
def put(server):
    """Writes empty objects of such keys; returns the address of what lies below a prefix."""

    def put(prefix, names):
        client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{server.port}", region_name="us-east-1")
        for name in names:
            client.put_object(Bucket="bucket", Key=f"{prefix}/{name}", Body=b"1")
        return Store.at(server.address(prefix))

    return put


def test_s3_is_asked_once_for_each_folder_and_each_thousand_of_its_files(server, put):
    names = [f"a/{i:04}.png" for i in range(1003)] + ["b/1.png", "c/1/2.png", "c/1/3.png", ".git/1.png"]
    store, before = put("many", names), len(server.log.read_text())
    assert [name for name, *_ in store.files()] == names[:-1]
    assert len(re.findall(r"GET /bucket\?\S*delimiter", server.log.read_text()[before:])) == 6  # "", a, a, b, c, c/1


def test_a_key_that_a_folder_has_too_is_a_file_and_one_with_a_slash_at_its_end_none(put):
    store = put("odd", ["f", "f/g.png", "e/", "a.png", "a/c.png"])
    assert [name for name, *_ in store.files()] == ["a/c.png", "a.png", "f", "f/g.png"]


def test_a_folder_without_a_name_is_an_error(put):
    """No file in there can be read: pyarrow takes no key with an empty part."""
    with pytest.raises(DataError, match=r"bucket/empty/a holds a folder without a name"):
        list(put("empty", ["a/1.png", "a//2.png"]).files())


def test_links_of_a_folder_on_storage_are_followed_as_before(lay, tmp_path):
    other, folder = lay({"2.png": b"1"}, "elsewhere"), lay({"1.png": b"1"})
    (folder / "b").symlink_to(other)
    (folder / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert [name for name, *_ in Store.at(folder.as_uri()).files()] == ["1.png", "b/2.png"]


@pytest.mark.parametrize("names", [["set.parquet"], ["a.parquet", "data/b.parquet"]])
def test_parquet_gives_what_it_gives_locally(pictures, both, tmp_path, names):
    rows = [{"image": {"bytes": content, "path": name}, "label": name[0]} for name, content in pictures.items()]
    rows[3]["image"]["bytes"] = None
    for i, name in enumerate(names):
        path = tmp_path / "table" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows[i :: len(names)]), path, row_group_size=7)
    path = tmp_path / "table"
    manifest = both(path / names[0] if len(names) == 1 else path, max_rejected=0.1)
    assert manifest["source"]["kind"] == "parquet"
    assert [entry["reason"] for entry in manifest["rejected"]] == ["no bytes in this row"]


def test_no_byte_passes_through_the_one_who_hands_out(lay, pictures):
    items = list(read_source(locate(lay(pictures).as_uri())).items)
    assert all(isinstance(item.content, Deferred) for item in items)
    assert [item.content.size for item in items] == [len(pictures[item.name]) for item in items]


def test_processes_open_the_files_themselves(lay, pictures, run, tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "_CHUNK_ITEMS", 8)
    source = lay(pictures).as_uri()
    assert run(source, mapper=intake.by_processes(2)) == run(source, mapper=intake.serially)


def test_a_file_too_large_is_rejected_unread(lay, pictures):
    item = next(read_source(locate(lay(pictures).as_uri())).items)
    (result,) = decode_all([replace(item.content, size=FILE_LIMIT + 1)], ImageDecoder(8))
    assert isinstance(result, ItemError)
    assert "too large" in str(result)


def test_a_storage_that_does_not_answer_rejects_no_image_but_ends_the_stage(lay, pictures):
    item = next(read_source(locate(lay(pictures).as_uri())).items)
    Path(item.content.store.path).unlink()
    with pytest.raises(DataError, match=r"a/00\.png cannot be read"):
        decode_all([item.content], ImageDecoder(8))


def test_what_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        locate((tmp_path / "faces").as_uri())
    with pytest.raises(DataError, match="ftp:// cannot be used"):
        locate("ftp://host/faces")
    (tmp_path / "faces.zip").write_bytes(b"")
    with pytest.raises(DataError, match=r"faces\.zip holds no files"):
        read_source(locate((tmp_path / "faces.zip").as_uri()))


def test_source_and_output_lie_apart(lay, pictures, tmp_path):
    with pytest.raises(DataError, match="lie in one another"):
        prepare(lay(pictures).as_uri(), tmp_path, tmp_path / "preview.png", ImageDecoder(8))


def test_a_uri_is_below_no_folder():
    assert below(Path("data"), "s3://bucket/faces") == "s3://bucket/faces"
    assert below(Path("data"), "faces") == Path("data/faces")
    assert below(Path("data"), "/faces") == Path("/faces")


def test_a_pipeline_takes_what_dvc_can_watch(tmp_path, monkeypatch):
    (tmp_path / "faces").mkdir()
    assert watched(tmp_path, "faces") == tmp_path / "faces"
    with pytest.raises(DataError, match="holds this project, whose outputs would be its samples"):
        watched(tmp_path / "faces", str(tmp_path))
    for source, problem in {
        (tmp_path / "faces").as_uri(): "expected its path",
        "hdfs://host/faces": "DVC watches s3, gs in a pipeline",
        "s3://bucket/faces": "pip install dvc-s3",
    }.items():
        monkeypatch.setattr(module, "find_spec", lambda name: None)
        with pytest.raises(DataError, match=problem):
            watched(tmp_path, source)
    monkeypatch.setattr(module, "find_spec", lambda name: name == "dvc_s3")
    monkeypatch.setattr(Store, "at", lambda uri: uri)
    assert watched(tmp_path, "s3://bucket/faces") == "s3://bucket/faces"


def test_a_place_is_shown_without_what_its_uri_says_beside_it():
    stored = Stored(Store("s3://key:secret@bucket/faces?region=x", "bucket/faces/1.png"), 1)
    assert str(stored.store) == "s3://bucket/faces/1.png"
    assert stored.store.name == "1.png"
