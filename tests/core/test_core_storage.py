"""A place on a storage: what is written there is read, listed, copied and removed, whatever the storage is."""

import pickle

import pytest
from pyarrow import fs

from ganops.core import storage
from ganops.core.storage import Store, scheme


@pytest.fixture(params=["folder", "address", "objects"])
def place(request, tmp_path, monkeypatch):
    if request.param == "objects":
        known = (fs._MockFileSystem(), "bucket/runs")
        monkeypatch.setattr(storage, "connected", lambda uri: known)
        return Store.of("s3://bucket/runs")
    return Store.of(str(tmp_path) if request.param == "folder" else f"file://{tmp_path}/")


def test_what_is_written_is_there_until_it_is_removed(place):
    file = place / "run" / "state"
    assert (file.kind, (place / "run").listed()) == ("NotFound", [])
    file.write(b"1234")
    (place / "run" / "deep" / "x").write(b"")
    assert (file.read(), file.size, file.kind, file.name) == (b"1234", 4, "File", "state")
    with file.opened() as stream:
        assert stream.read(2) == b"12"
    assert sorted(info.base_name for info in (place / "run").listed()) == ["deep", "state"]
    assert [info.base_name for info in (place / "run/deep").listed() if info.is_file] == ["x"]
    for _ in range(2):
        file.remove()
        assert file.kind == "NotFound"
    (place / "run").remove()
    assert (place / "run").kind == "NotFound"


def test_folders_are_copied_both_ways(place, tmp_path_factory):
    mine, back = tmp_path_factory.mktemp("mine"), tmp_path_factory.mktemp("back")
    (mine / "sub").mkdir()
    (mine / "sub/a").write_bytes(b"a")
    (place / "copy").send(mine)
    (place / "copy").fetch(back)
    assert (back / "sub/a").read_bytes() == b"a"


def test_it_travels_as_two_words_and_shows_no_secret(tmp_path):
    store = Store("s3://key:secret@bucket/faces?region=x", "bucket/faces/1.png")
    assert str(store) == "s3://bucket/faces/1.png"
    assert pickle.loads(pickle.dumps(store)) == store
    assert store.local is None
    assert Store("", str(tmp_path)).local == Store.of(f"file://{tmp_path}").local == tmp_path


@pytest.mark.parametrize(
    ("place", "found"),
    [("s3://b/x", "s3"), ("git+ssh://x", "git+ssh"), ("/a/b", None), ("C://x", None), ("a b://x", None)],
)
def test_scheme(place, found):
    assert scheme(place) == found
