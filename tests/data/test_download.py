"""Files that are local, cached or fetched; in each case they are what their hashes say."""

import gzip
import hashlib
import json
import struct
from pathlib import Path

import pytest

from ganops.data.sources import download, read_source
from ganops.errors import DataError

FILES = {
    "images-idx3-ubyte.gz": bytes([0, 0, 8, 3]) + struct.pack(">III", 2, 2, 2) + bytes(range(8)),
    "labels-idx1-ubyte.gz": bytes([0, 0, 8, 1]) + struct.pack(">I", 2) + bytes([3, 1]),
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def server(lay):
    """A folder that is reached as file://."""
    return lay({name: gzip.compress(content, mtime=0) for name, content in FILES.items()}, "server")


@pytest.fixture
def described(lay, tmp_path):
    def described(url=None, local=("local",), **more):
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
        known = {"url": url or (tmp_path / "nothing").as_uri(), "local": local, "files": hashes, **more}
        return lay({"source.json": json.dumps(known).encode()}, "tiny")

    return described


def labels(path):
    source = read_source(path)
    assert source.kind == "download"
    return [item.label for item in source.items]


def test_a_local_folder_comes_first_and_may_be_packed_otherwise(described, lay):
    lay({f"tiny/local/{name}": gzip.compress(content, 1, mtime=0) for name, content in FILES.items()}, ".")
    assert labels(described()) == ["3", "1"]
    assert not download.cache(described()).exists()


def test_what_is_not_local_is_fetched_once_into_the_cache(described, server, tmp_path):
    folder = described(server.as_uri() + "/")
    assert labels(folder) == ["3", "1"]
    assert {path.name for path in (tmp_path / "cache" / "ganops" / "tiny").iterdir()} == set(FILES)
    for file in server.iterdir():
        file.unlink()
    assert labels(folder) == ["3", "1"]


@pytest.mark.parametrize("where", ["tiny/local", "cache/ganops/tiny"])
def test_a_file_with_another_content_is_refused_by_name_and_hash(described, lay, where):
    wrong = {**FILES, "labels-idx1-ubyte.gz": FILES["labels-idx1-ubyte.gz"][:-1] + b"\2"}
    lay({f"{where}/{name}": gzip.compress(content, mtime=0) for name, content in wrong.items()}, ".")
    with pytest.raises(DataError) as caught:
        read_source(described())
    for part in (
        "labels-idx1-ubyte.gz",
        *(hashlib.sha256(files["labels-idx1-ubyte.gz"]).hexdigest() for files in (FILES, wrong)),
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>not found</html>", gzip.compress(b"other", mtime=0), gzip.compress(bytes(99), mtime=0)[:-9]],
)
def test_a_wrong_answer_is_not_kept(described, server, content):
    (server / "labels-idx1-ubyte.gz").write_bytes(content)
    folder = described(server.as_uri())
    with pytest.raises(DataError, match=r"labels-idx1-ubyte.gz cannot be downloaded"):
        read_source(folder)
    assert {path.name for path in download.cache(folder).iterdir()} == {"images-idx3-ubyte.gz"}


def test_without_a_network_the_ways_out_are_told(described):
    with pytest.raises(DataError) as caught:
        read_source(described(package="dataset-tiny"))
    assert "apt-get install dataset-tiny" in str(caught.value)
    assert f"into {download.cache(described())}" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"files": {}}'])
def test_a_source_json_of_another_kind_is_an_error(lay, content):
    with pytest.raises(DataError, match=r"source.json"):
        read_source(lay({"source.json": content}, "other"))


def test_the_description_of_fashion_mnist_names_the_embedded_files():
    data = Path(__file__).parents[2] / "data"
    known = json.loads((data / "fashion-mnist" / "source.json").read_text())
    for file in (data / "fashion-mnist-10k").glob("*.gz"):
        assert hashlib.sha256(gzip.decompress(file.read_bytes())).hexdigest() == known["files"][file.name]
