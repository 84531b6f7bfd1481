"""Archives: nothing leaves them, nothing is unpacked, and damage is named."""

import io
import os
import stat
import struct
import tarfile
import tracemalloc
import zipfile
import zlib

import pytest

from ganops.core.errors import DataError
from ganops.data.sources import archive, item
from ganops.data.sources.item import ItemError

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
    return {each.name: str(each.content) if isinstance(each.content, ItemError) else each.content for each in items}


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


def test_a_bomb_takes_no_more_memory_than_it_announces(tmp_path):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(bytes(2**24)) for _ in range(8)) + packer.flush()  # 128 MiB of zeros
    sizes, name = struct.pack("<IIIHH", 0, len(packed), 10, 7, 0), b"a/1.png"
    local = b"PK\3\4" + struct.pack("<HHHHH", 20, 0, 8, 0, 0) + sizes + name + packed
    central = b"PK\1\2" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 0) + sizes + struct.pack("<HHHII", 0, 0, 0, 0, 0)
    central += name
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    (tmp_path / "bomb.zip").write_bytes(local + central + end)
    tracemalloc.start()
    try:
        found = outcome(tmp_path / "bomb.zip")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found["a/1.png"].startswith("damaged in the archive: Bad CRC-32")
    assert peak < 2e6


def test_members_of_a_zip_that_overlap_are_refused(zipped):
    """The same bytes under many names (Fifield, A better zip bomb, 2019)."""
    path = zipped({"a/1.png": os.urandom(999), "a/2.png": b"2"})
    data = path.read_bytes()
    offset = data.index(b"PK\3\4", 4)
    path.write_bytes(
        data.replace(offset.to_bytes(4, "little"), bytes(4))
    )  # the second member begins where the first does
    with pytest.raises(DataError, match="its members overlap"):
        archive.read(path)


def test_a_header_larger_than_its_limit_is_refused(tarred):
    info = tar_member(tarfile.REGTYPE)
    info.pax_headers = {"comment": "x" * archive.HEADER_LIMIT}
    with pytest.raises(DataError, match=f"more than {archive.HEADER_LIMIT:,} bytes"):
        archive.read(tarred({}, [info]))


def test_too_many_members_are_refused(zipped, tarred, monkeypatch):
    files = {f"a/{i}.png": b"1" for i in range(4)}
    others = {f"a/{i}.doc": b"1" for i in range(4)}
    monkeypatch.setattr(item, "ROW_LIMIT", 3)
    for path in (zipped(files), tarred(files), tarred(others, kind="w")):
        with pytest.raises(DataError, match="holds 4 samples or more; at most 3 are read"):
            archive.read(path)


def test_a_loop_of_tar_headers_is_refused(tmp_path):
    """A member of negative size is followed by the header before it (CVE-2025-8194)."""
    names = [tarfile.TarInfo(f"a/{i}.png").tobuf() for i in range(2)]
    header = bytearray(names[1])
    header[124:136] = b"\xff" * 10 + struct.pack(">h", -1024)
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:512]))
    (tmp_path / "loop.tar").write_bytes(names[0] + header + bytes(1024))
    with pytest.raises(DataError, match="its headers form a loop"):
        archive.read(tmp_path / "loop.tar")


def test_a_damaged_header_within_a_tar_file_is_an_error_not_its_end(tarred):
    path = tarred({f"a/{i}.png": bytes(600) for i in range(4)}, kind="w")
    data = bytearray(path.read_bytes())
    data[3 * 512 + 5] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DataError, match="expected a header at byte 1,536"):
        archive.read(path)


def test_a_sparse_member_is_rejected(tmp_path):
    header = bytearray(tarfile.TarInfo("a/1.png").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[386:410] = b"00000000000\0" + b"77777777777\0"
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:512]))
    (tmp_path / "set.tar").write_bytes(header + bytes(1024))
    assert outcome(tmp_path / "set.tar") == {"a/1.png": "a sparse file in an archive"}


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_members_packed_by_what_cannot_be_bounded_are_rejected(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "set.zip", "w", method) as file:
        file.writestr("a/1.png", b"1")
    assert outcome(tmp_path / "set.zip") == {
        "a/1.png": f"compressed by method {method} of the zip format, expected 0 or 8 (deflate)"
    }


def test_names_that_are_none_are_rejected_and_damaged_ones_are_an_error(zipped):
    path = zipped({"x": b"1", "a/2.png": b"2"})
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"x", b"\0"))
    assert outcome(path) == {"a/2.png": b"2", ".": "a member without a name"}
    path = zipped({"a/\N{SNOWMAN}.png": b"1"})
    path.write_bytes(path.read_bytes().replace("\N{SNOWMAN}".encode(), b"\xff\xff\xff"))
    with pytest.raises(DataError, match="is no intact zip file"):
        archive.read(path)


def test_a_version_of_the_future_is_an_error(zipped):
    path = zipped({"a/1.png": b"1"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 6] = 99
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"is no intact zip file: zip file version 9\.9"):
        archive.read(path)


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
    assert [each.name for each in source.items] == ["a/1.png"]
