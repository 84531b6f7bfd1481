"""Files that are local, cached or fetched; in each case they are what their hashes say."""

import gzip
import hashlib
import json
import struct
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ganops.core.errors import DataError
from ganops.data.about import About
from ganops.data.sources import download, read_source

FILES = {
    "images-idx3-ubyte.gz": bytes([0, 0, 8, 3]) + struct.pack(">III", 2, 2, 2) + bytes(range(8)),
    "labels-idx1-ubyte.gz": bytes([0, 0, 8, 1]) + struct.pack(">I", 2) + bytes([3, 1]),
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Quiet(SimpleHTTPRequestHandler):
    """Files of a folder; what lies below /away/ is elsewhere."""

    def do_GET(self):
        if self.path.startswith("/away/"):
            self.send_response(302)
            self.send_header("Location", self.path.replace("/away/", self.server.away))
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(lay):
    """A folder that is reached on this machine: its path, and the address that `url` tells."""
    folder = lay({name: gzip.compress(content, mtime=0) for name, content in FILES.items()}, "server")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as served:
        served.folder, served.url = folder, f"http://127.0.0.1:{served.server_port}/"
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield served
        served.shutdown()
        thread.join()


@pytest.fixture
def described(lay):
    def described(url=None, local=("local",), **more):
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
        known = {"url": url or "http://127.0.0.1:9/", "local": local, "files": hashes, **more}
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
    folder = described(server.url)
    assert labels(folder) == ["3", "1"]
    assert {path.name for path in (tmp_path / "cache" / "ganops" / "tiny").iterdir()} == set(FILES)
    for file in server.folder.iterdir():
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
    (server.folder / "labels-idx1-ubyte.gz").write_bytes(content)
    folder = described(server.url)
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


@pytest.mark.parametrize(
    "name", ["../evil.pth", "/{tmp}/evil.pth", "a/evil.pth", "..", "", "a\\\\evil.pth", "\0", "x" * 300]
)
def test_a_name_with_a_folder_in_it_is_refused_before_anything_is_fetched(described, server, tmp_path, name):
    name = name.format(tmp=tmp_path)
    (server.folder / "evil.pth").write_bytes(b"import os")
    before = sorted(tmp_path.rglob("*"))
    folder = described(server.url, files={name: hashlib.sha256(b"import os").hexdigest()})
    with pytest.raises(DataError, match=r"source\.json: files.*expected a plain name"):
        read_source(folder)
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before] == [folder, folder / "source.json"]


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "ftp://127.0.0.1/",
        "file:///etc/",
        "//127.0.0.1/",
        "http://localhost.example.org/",
        "http://127.0.0.1@example.org/",
        "http://[::1/",
        "data:,x",
    ],
)
def test_nothing_is_fetched_but_by_https_or_from_this_machine(described, url):
    with pytest.raises(DataError, match=r"cannot be downloaded: .*(https|IPv6)[^\n]*Ways out"):
        read_source(described(url))
    assert not list(download.cache(described()).iterdir())


def test_an_answer_cannot_lead_elsewhere(described, server, lay, tmp_path):
    lay(FILES, "secret")
    for away in ("http://example.org/", (tmp_path / "secret").as_uri() + "/"):
        server.away = away
        with pytest.raises(DataError, match=r"expected an https:// address|not allowed"):
            read_source(described(server.url + "away/"))
    server.away = "/"
    assert labels(described(server.url + "away/")) == ["3", "1"]


def test_a_password_in_an_address_is_refused_and_not_shown(described):
    with pytest.raises(DataError, match="without a user and a password") as caught:
        read_source(described("https://ann:secret@example.org/"))
    assert "secret" not in str(caught.value)


def test_an_answer_without_an_end_is_not_written_to_the_end(described, server, monkeypatch):
    monkeypatch.setattr(download, "DOWNLOAD_LIMIT", 10)
    with pytest.raises(DataError, match=r"cannot be downloaded: .* at most 10 are fetched"):
        read_source(described(server.url))
    assert not list(download.cache(described()).iterdir())


def test_a_folder_called_dots_has_its_cache_in_the_cache(tmp_path):
    assert download.cache(tmp_path / "a" / "..") == tmp_path / "cache" / "ganops" / tmp_path.name


@pytest.mark.parametrize("value", [None, 7, [], {}, "", ["x"], {"a": []}, "\\ud800", [[]], True])
@pytest.mark.parametrize("key", ["files", "url", "local", "package", "name", "licence"])
def test_a_key_of_another_kind_is_an_error_or_of_no_account(described, server, key, value):
    folder = described(server.url)
    known = json.loads((folder / "source.json").read_text())
    (folder / "source.json").write_text(json.dumps({**known, key: value}))
    try:
        About.of_source(folder).write(folder / "out" / "about.json")
        assert labels(folder) == ["3", "1"]
    except DataError as error:
        message = str(error)
    else:
        message = "source.json"
    assert "source.json" in message or "cannot be downloaded" in message


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe", b"{" + b" " * 2**20 + b"}", b'{"files": 1e999}'])
def test_a_description_that_is_no_json_of_moderate_size_is_an_error(lay, content):
    folder = lay({"source.json": content}, "other")
    with pytest.raises(DataError, match=r"source\.json"):
        read_source(folder)


def test_the_description_of_fashion_mnist_names_the_embedded_files():
    data = Path(__file__).parents[3] / "data"
    known = json.loads((data / "fashion-mnist" / "source.json").read_text())
    for file in (data / "fashion-mnist-10k").glob("*.gz"):
        assert hashlib.sha256(gzip.decompress(file.read_bytes())).hexdigest() == known["files"][file.name]
