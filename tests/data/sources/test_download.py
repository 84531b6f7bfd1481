"""Files that are local, cached or fetched; in each case they are what their hashes say."""

import gzip
import hashlib
import io
import json
import os
import shutil
import struct
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import sounds

from ganops.core.errors import DataError
from ganops.data.about import About
from ganops.data.sound_decoder import CLIPS
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


RECORDINGS = {f"{i}_{speaker}_0.wav": sounds.wav(sounds.noise(i)) for i, speaker in enumerate(["ada", "bob"])}
ROOT = Path(__file__).parents[3]


def packed(files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.fixture
def spoken(lay):
    """A folder like data/fsdd: an archive, known by the recordings in it."""

    def spoken(url="http://127.0.0.1:9/v1.zip", files=RECORDINGS):
        listed = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
        known = {"kind": "sound", "local": [".."], "url": url, "name": "Digits", "licence": "CC BY-SA 4.0"}
        known["files"] = {"digits.zip": hashlib.sha256(listed.encode()).hexdigest()}
        return lay({"source.json": json.dumps(known).encode()}, "digits")

    return spoken


def test_a_local_archive_is_known_by_its_recordings(spoken, lay):
    lay({"digits.zip": packed(RECORDINGS)}, ".")
    source = read_source(spoken(), CLIPS)
    assert (source.kind, source.count) == ("download", 2)
    assert {item.name: item.content for item in source.items} == RECORDINGS
    assert About.of_source(spoken()) == About("Digits", "CC BY-SA 4.0")


def test_an_archive_may_be_packed_otherwise_and_come_from_its_own_address(spoken, server):
    others = {"repository-1.0/README.md": b"hello", "repository-1.0/spectrogram.png": b"x"}
    recordings = {f"repository-1.0/recordings/{name}": content for name, content in reversed(RECORDINGS.items())}
    (server.folder / "v1.zip").write_bytes(packed({**others, **recordings}))
    folder = spoken(server.url + "v1.zip")
    source = read_source(folder, CLIPS)
    assert {item.name.rpartition("/")[2]: item.content for item in source.items} == RECORDINGS
    assert [path.name for path in download.cache(folder).iterdir()] == ["digits.zip"]


@pytest.mark.parametrize(
    "files",
    [
        {**RECORDINGS, "1_bob_0.wav": sounds.wav(sounds.noise(9))},
        {"0_ada_0.wav": RECORDINGS["0_ada_0.wav"]},
        {**RECORDINGS, "2_eve_0.wav": sounds.wav(sounds.noise(9))},
        {**RECORDINGS, "again/0_ada_0.wav": sounds.wav(sounds.noise(9))},
        {"0_ada_0.wav": RECORDINGS["1_bob_0.wav"], "1_bob_0.wav": RECORDINGS["0_ada_0.wav"]},
    ],
)
def test_an_archive_of_other_recordings_is_refused(spoken, lay, server, files):
    lay({"digits.zip": packed(files)}, ".")
    with pytest.raises(DataError, match=r"digits\.zip is not the file it should be: the SHA-256 of its content"):
        read_source(spoken(), CLIPS)
    (spoken().parent / "digits.zip").rename(server.folder / "v1.zip")
    with pytest.raises(DataError, match=r"v1\.zip cannot be downloaded: the SHA-256 of its content"):
        read_source(spoken(server.url + "v1.zip"), CLIPS)


def test_a_damaged_archive_is_refused(spoken, lay):
    lay({"digits.zip": packed(RECORDINGS)[:-30]}, ".")
    with pytest.raises(DataError, match=r"digits\.zip is no intact zip file"):
        read_source(spoken(), CLIPS)


def test_recordings_are_no_images(spoken, lay, described):
    lay({"digits.zip": packed(RECORDINGS)}, ".")
    with pytest.raises(DataError, match=r"digits holds clips, not images: it is of data\.kind: sound"):
        read_source(spoken())
    with pytest.raises(DataError, match=r"tiny holds images, not clips: it is of data\.kind: image"):
        read_source(described(), CLIPS)


def test_fsdd_is_described():
    known = json.loads((ROOT / "data" / "fsdd" / "source.json").read_text())
    assert known["url"].startswith("https://github.com/Jakobovski/free-spoken-digit-dataset/archive/")
    about = About.of_source(ROOT / "data" / "fsdd")
    assert about == About("Free Spoken Digit Dataset", "CC BY-SA 4.0")


SHARED = os.environ.get("GANOPS_TEST_DATA", "")


@pytest.mark.skipif(not Path(SHARED, "fsdd.zip").is_file(), reason="fsdd.zip is not in $GANOPS_TEST_DATA")
def test_a_copy_of_fsdd_is_the_set_that_is_described(tmp_path):
    shutil.copytree(ROOT / "data" / "fsdd", tmp_path / "fsdd")
    (tmp_path / "fsdd.zip").symlink_to(Path(SHARED, "fsdd.zip").resolve())
    source = read_source(tmp_path / "fsdd", CLIPS)
    assert (source.kind, source.count) == ("download", 3000)
