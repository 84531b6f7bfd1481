"""Archives: nothing leaves them, nothing is unpacked, and damage is named."""

import io
import stat
import tarfile
import zipfile

import pytest

from ganops.data.item import ItemError
from ganops.data.sources import archive
from ganops.errors import DataError

HOSTILE = {
    "/etc/1.png": "an absolute path in an archive",
    "C:\\2.png": "an absolute path in an archive",
    "../3.png": "a path that leaves the archive",
    "a/../../4.png": "a path that leaves the archive",
    "a\\..\\5.png": "a path that leaves the archive",
}


def tar_member(kind, name="a/link.png", target="/etc/passwd"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.fixture
def zipped(tmp_path):
    def zipped(files, links=()):
        with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in files.items():
                file.writestr(name, content)
            for name in links:
                info = zipfile.ZipInfo(name)
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
                file.writestr(info, "/etc/passwd")
        return tmp_path / "set.zip"

    return zipped


@pytest.fixture
def tarred(tmp_path):
    def tarred(files, specials=(), kind="w:gz"):
        path = tmp_path / ("set.tar.gz" if kind == "w:gz" else "set.tar")
        with tarfile.open(path, kind) as file:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
            for info in specials:
                file.addfile(info)
        return path

    return tarred


def outcome(path):
    """Name -> bytes or reason."""
    items = archive.read(path).items
    return {item.name: str(item.content) if isinstance(item.content, ItemError) else item.content for item in items}


def test_members_that_point_elsewhere_are_refused(zipped, tarred):
    files = {"a/good.png": b"1", **dict.fromkeys(HOSTILE, b"2")}
    expected = {"a/good.png": b"1", **{name.replace("\\", "/"): reason for name, reason in HOSTILE.items()}}
    assert outcome(zipped(files)) == expected
    assert outcome(tarred(files)) == expected


def test_links_and_devices_are_refused(zipped, tarred):
    reason = "a link or a device in an archive"
    assert outcome(zipped({}, ["a/link.png"])) == {"a/link.png": reason}
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
        assert outcome(tarred({}, [tar_member(kind)])) == {"a/link.png": reason}


def test_nothing_is_written_beside_the_archive(zipped, tarred, tmp_path):
    for path in (zipped({"a/1.png": b"1", "../2.png": b"2"}), tarred({"a/1.png": b"1", "../2.png": b"2"})):
        outcome(path)
    assert {path.name for path in tmp_path.iterdir()} == {"set.zip", "set.tar.gz"}


def test_a_bomb_is_refused_by_the_size_in_its_header(zipped, tarred, monkeypatch):
    monkeypatch.setattr(archive, "FILE_LIMIT", 1000)
    files = {"a/1.png": bytes(1001), "a/2.png": bytes(1000)}
    for path in (zipped(files), tarred(files)):
        assert outcome(path) == {"a/1.png": "too large: 1,001 bytes, at most 1,000 are read", "a/2.png": bytes(1000)}


def test_a_bomb_that_lies_about_its_size_is_not_unpacked_past_it(zipped):
    path = zipped({"a/1.png": bytes(100_000)})
    honest, lie = (size.to_bytes(4, "little") for size in (100_000, 10))
    path.write_bytes(path.read_bytes().replace(honest, lie))
    assert outcome(path)["a/1.png"].startswith("damaged in the archive: Bad CRC-32")


def test_a_member_with_flipped_bits_is_rejected_alone(zipped):
    path = zipped({"a/1.png": b"first" * 9, "a/2.png": b"second"})
    data = bytearray(path.read_bytes())
    data[data.index(b"a/1.png") + 7 + 4] ^= 0xFF
    path.write_bytes(data)
    found = outcome(path)
    assert found["a/2.png"] == b"second"
    assert "damaged in the archive" in found["a/1.png"]


def test_an_encrypted_zip_is_an_error(zipped):
    path = zipped({"a/1.png": b"1"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="encrypted"):
        archive.read(path)


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz", "set.tgz"])
@pytest.mark.parametrize("content", [b"", b"no archive at all" * 99])
def test_what_is_no_archive_is_an_error(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        list(archive.read(tmp_path / name).items)


@pytest.mark.parametrize("kind", ["zip", "w", "w:gz"])
@pytest.mark.parametrize("share", [0.4, 0.8])
def test_a_truncated_archive_is_an_error(zipped, tarred, encode, noise, kind, share):
    files = {f"a/{i}.png": encode(noise(i, 64, 64)) for i in range(4)}
    path = zipped(files) if kind == "zip" else tarred(files, kind=kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(DataError, match=path.name):
        list(archive.read(path).items)


def test_other_files_are_ignored_and_named(zipped):
    source = archive.read(zipped({"a/1.png": b"1", "README.md": b"", "__MACOSX/a/._1.png": b"", "a/.DS_Store": b""}))
    assert source.ignored == ("README.md",)
    assert [item.name for item in source.items] == ["a/1.png"]
