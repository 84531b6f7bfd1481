"""The directory of a zip file in windows: what zipfile finds in the whole of it, in memory that is bounded."""

import io
import random
import struct
import tracemalloc
import zipfile

import pytest

from ganops.core.errors import DataError
from ganops.data.sources import archive, zip_directory
from ganops.data.sources.zip_directory import Directory

NAMES = [f"{'ab'[i % 2]}/{'x' * (7 * i % 31)}{i}.png" for i in range(60)]
END64, LOCATOR, END = "<4sQ2H2L4Q", "<4sLQL", "<4s4H2LH"


@pytest.fixture(params=[100, 150, 1000, zip_directory.WINDOW])
def window(request, monkeypatch):
    monkeypatch.setattr(zip_directory, "WINDOW", request.param)
    return request.param


def packed(names=NAMES, comment=b"", before=b"", seed=0):
    """A zip file of so many members, whose directory names them in another order than they lie."""
    with zipfile.ZipFile(file := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as made:
        for i, name in enumerate(names):
            made.writestr(name, b"%d" % i * 9)
        made.filelist.sort(key=lambda info: random.Random(f"{seed} {info.filename}").random())
        made.comment = comment
    return before + file.getvalue()


def in_64_bits(data):
    """The same zip file with its directory's place and size in the records of zip64 alone."""
    _, _, _, _, count, size, offset, _ = struct.unpack(END, data[-22:])
    end64 = struct.pack(END64, b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack(LOCATOR, b"PK\6\7", 0, offset + size, 1)
    end = struct.pack(END, b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return data[:-22] + end64 + locator + end


WHOLE = {
    "plain": packed(),
    "a comment": packed(comment=b"by nobody" * 99),
    "a comment like records": packed(comment=b"PK\1\2" * 50 + b"\0\0"),
    "itself executable": packed(before=b"#!/bin/sh\n" * 50),
    "zip64": in_64_bits(packed()),
    "zip64, itself executable": b"#!/bin/sh\n" * 50 + in_64_bits(packed()),
    "empty": packed([]),
}


def found(data):
    """Facts of all members as the windows give them, and what is read of each alone."""
    file = io.BytesIO(data)
    directory = Directory.find(file)
    infos, contents = [], []
    for places, records in directory.windows(file):
        assert len(records) <= zip_directory.WINDOW
        with zipfile.ZipFile(directory.only(file, records)) as some:
            infos += map(str, some.infolist())
        for place in places:
            with zipfile.ZipFile(directory.only(file, directory.record(file, place))) as one:
                contents.append(one.read(one.infolist()[0]))
    return infos, contents


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_windows_find_what_zipfile_finds(data, window):
    with zipfile.ZipFile(io.BytesIO(data)) as whole:
        infos = whole.infolist()
        assert found(data) == (list(map(str, infos)), [whole.read(info) for info in infos])


def test_damage_is_told_where_zipfile_tells_it(window):
    """No damaged directory is believed that zipfile would not believe; one whose last record is cut off is none."""
    generator = random.Random(0)
    good, refused = packed(comment=b"x" * 9), 0
    (start,) = struct.unpack("<L", good[-15:-11])
    for turn in range(200):
        data = bytearray(good if turn % 2 else in_64_bits(packed()))
        for _ in range(generator.randint(1, 3)):
            data[generator.randrange(start, len(data))] ^= 1 << generator.randrange(8)
        (expected, _), (got, problem) = told(whole, data), told(windowed, data)
        assert got == expected or "Truncated" in problem
        refused += got is None
    assert 0 < refused < 200


def told(members, data):
    """Facts of all members or None, and why there are none."""
    try:
        return list(map(str, members(io.BytesIO(data)))), ""
    except Exception as error:
        return None, str(error)


def whole(file):
    with zipfile.ZipFile(file) as made:
        return made.infolist()


def windowed(file):
    directory, infos = Directory.find(file), []
    for _, records in directory.windows(file):
        with zipfile.ZipFile(directory.only(file, records)) as some:
            infos += some.infolist()
    return infos


@pytest.fixture
def laid(tmp_path):
    def laid(data):
        (tmp_path / "set.zip").write_bytes(data)
        return tmp_path / "set.zip"

    return laid


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_members_are_read_from_any_window(data, window, laid):
    items = list(archive.read(laid(data)).items)
    with zipfile.ZipFile(io.BytesIO(data)) as whole:
        assert [item.name for item in items] == whole.namelist()
    assert all(item.content == b"%d" % NAMES.index(item.name) * 9 for item in items)


@pytest.mark.parametrize("claim", [0, 3, 61, 65_535])
def test_how_many_members_a_directory_claims_changes_nothing(laid, claim):
    """Its size counts, as zipfile has it."""
    data = bytearray(packed())
    data[-14:-10] = struct.pack("<2H", claim, claim)
    assert len(list(archive.read(laid(data)).items)) == len(NAMES)


@pytest.mark.parametrize(("change", "problem"), [(-10, "Bad magic"), (10, "Bad magic"), (10**6, "Bad offset")])
def test_a_directory_of_another_size_than_it_says_is_an_error(window, laid, change, problem):
    data = bytearray(packed())
    data[-10:-6] = (int.from_bytes(data[-10:-6], "little") + change).to_bytes(4, "little")
    with pytest.raises(DataError, match=f"is no intact zip file: {problem}"):
        archive.read(laid(data))


def test_a_last_record_that_is_cut_off_is_an_error(window, laid):
    data = packed()
    start = int.from_bytes(data[-6:-2], "little")
    last = data.rindex(b"PK\1\2")
    longer = data[: last + 28] + struct.pack("<H", 60_000) + data[last + 30 :]
    assert start < last
    with pytest.raises(DataError, match="Truncated central directory"):
        archive.read(laid(longer))


def test_an_encrypted_member_of_the_last_window_is_an_error(window, laid):
    data = bytearray(packed())
    data[data.rindex(b"PK\1\2") + 8] |= 1
    with pytest.raises(DataError, match="is encrypted"):
        archive.read(laid(data))


def test_members_of_different_windows_that_overlap_are_an_error(window, laid):
    data = bytearray(packed())
    first, last = data.index(b"PK\1\2"), data.rindex(b"PK\1\2")
    data[last + 42 : last + 46] = data[first + 42 : first + 46]
    with pytest.raises(DataError, match="its members overlap"):
        archive.read(laid(data))


def test_several_disks_are_an_error(laid):
    data = bytearray(in_64_bits(packed()))
    data[-38:-34] = b"\1\0\0\0"
    with pytest.raises(DataError, match="multiple disks"):
        archive.read(laid(data))


def test_a_place_that_no_file_has_is_damage_of_its_member(laid):
    """A header at byte 2^64 - 1."""
    data = packed(["a/0.png", "a/1.png"])
    last = data.rindex(b"PK\1\2")
    extra = struct.pack("<HHQ", 1, 8, 2**64 - 1)
    record = data[last : last + 30] + struct.pack("<H", len(extra)) + data[last + 32 : last + 42] + b"\xff" * 4
    record += data[last + 46 : -22] + extra
    size, offset = struct.unpack("<LL", data[-10:-2])
    end = struct.pack(END, b"PK\5\6", 0, 0, 2, 2, size + len(extra), offset, 0)
    items = list(archive.read(laid(data[:last] + record + end)).items)
    assert [isinstance(item.content, bytes) for item in items] == [True, False]
    assert "damaged in the archive" in str(items[1].content)


def test_a_spliced_file_reads_as_its_bytes_would():
    parts, generator = (bytes(range(100)), bytes(range(100, 120))), random.Random(0)
    spliced, whole = (
        zip_directory.Spliced(io.BytesIO(parts[0] + b"cut off"), 100, parts[1]),
        io.BytesIO(b"".join(parts)),
    )
    for _ in range(500):
        place = generator.randrange(125)
        assert spliced.seek(place) == whole.seek(place)
        size = generator.choice([-1, 0, 3, 50])
        expected, got = whole.read(size), b""
        while len(got) < len(expected):  # the bytes before the cut come alone
            got += spliced.read(size - len(got) if size >= 0 else -1)
        assert (got, spliced.tell()) == (expected, whole.tell())
    with pytest.raises(OSError, match="before the beginning"):
        spliced.seek(-121, 2)


def test_memory_does_not_grow_with_the_members(tmp_path, monkeypatch):
    """Memory of Python; that of SQLite is bounded by its cache."""
    monkeypatch.setattr(zip_directory, "WINDOW", 2**12)

    def peaks(count):
        """Peaks of memory of opening and of walking."""
        with zipfile.ZipFile(tmp_path / f"{count}.zip", "w") as made:
            for i in range(count):
                made.writestr(f"{i % 2}/{i}.png", b"1")
        tracemalloc.start()
        try:
            source = archive.read(tmp_path / f"{count}.zip")
            opening = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
            assert sum(1 for _ in source.items) == count
            return opening, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peaks(1_200)  # what the interpreter keeps for later
    few, many = peaks(200), peaks(1_200)
    # 100 bytes a member: the interpreter keeps some more; a ZipInfo takes 600, with its strings a kilobyte
    assert all(more < less + 100_000 for less, more in zip(few, many, strict=True))
