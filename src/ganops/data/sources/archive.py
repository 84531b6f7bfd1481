"""A folder of samples in a zip or tar file, read member by member; nothing is unpacked to disk.

No more memory is taken than headers announce and the limits below allow, whatever a file holds.
"""

import gzip
import stat
import tarfile
import weakref
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from ganops.core.errors import DataError
from ganops.core.redaction import reason
from ganops.data.sources import tree
from ganops.data.sources.item import (
    FILE_LIMIT,
    IMAGES,
    Content,
    Item,
    ItemError,
    Source,
    Wanted,
    check_count,
    check_size,
    reading,
)
from ganops.data.sources.listing import File, Listing, Sample, scratch
from ganops.data.sources.zip_directory import Directory, Spliced

ACCEPTS = "a .zip, .tar, .tar.gz or .tgz of a folder of images, sounds, texts or films"

HEADER_LIMIT = 256 * 2**10
"""Bytes of the headers of one member, its name and attributes among them."""

_TAR = (".tar", ".tar.gz", ".tgz")
_GZIP = b"\x1f\x8b"  # the first bytes of a file
_LOCAL_HEADER = 30  # bytes before a member of a zip file, besides its name
_TOGETHER = 16  # samples of a zip file whose headers are parsed together
_BYTES = 2**63 - 1  # the last byte that a table can name
_PIECE = 2**20  # bytes that are read at once: a file takes memory for as many as it is asked for
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # zipfile unpacks the others without a bound


def recognises(path: Path) -> bool:
    """Files by their extension, so that a damaged archive is still called one."""
    return path.is_file() and path.name.lower().endswith((".zip", *_TAR))


def read(path: Path, wanted: Wanted = IMAGES) -> Source:
    """The samples in the archive; members that could point out of it are refused, each with its reason.

    Raises:
        DataError: the archive is damaged or encrypted.
    """
    return (_read_zip if path.suffix.lower() == ".zip" else _read_tar)(path, wanted)


class _Bounded:
    """A file of which no more bytes can be read than were allowed last; zipfile and tarfile believe any header."""

    def __init__(self, file: BinaryIO | Spliced, limit: int) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable
        self.allow(limit)

    def allow(self, limit: int) -> None:
        """Set the number of bytes that may be read from now on."""
        self._limit = self._left = limit

    def read(self, size: int = -1) -> bytes:
        """Bytes as of any file; ValueError where there are more than allowed."""
        wanted = size if 0 <= size <= self._left else self._left + 1
        data = bytearray()
        while piece := self._file.read(min(wanted - len(data), _PIECE)):
            data += piece
        self._left -= len(data)
        if self._left < 0:
            raise ValueError(f"its headers take more than {self._limit:,} bytes")
        return bytes(data)


def _read_zip(path: Path, wanted: Wanted) -> Source:
    listing, taken = Listing(wanted), _Taken()
    with _opened_zip(path) as (file, directory):
        for number, (place, info) in enumerate(_members(file, directory), 1):
            check_count(number, path)
            if info.flag_bits & 1:
                raise DataError(f"data.source: {path} is encrypted; expected a zip file without a password")
            taken.add(info)
            regular = not stat.S_ISLNK(info.external_attr >> 16)
            _list(listing, File(info.filename, info.file_size, place), regular, wanted)
    if twice := taken.twice():
        raise DataError(f"data.source: {path} is no intact zip file: its members overlap, {twice!r} is one")

    def items(samples: Iterator[Sample]) -> Iterator[Item]:
        with _opened_zip(path) as (file, directory):
            while together := list(islice(samples, _TOGETHER)):
                yield from _unzipped(together, file, directory)

    return listing.source("zip", items)


@contextmanager
def _opened_zip(path: Path) -> Iterator[tuple[BinaryIO, Directory]]:
    with reading(path, "zip file"), open(path, "rb") as file:
        yield file, Directory.find(file)


def _members(file: BinaryIO, directory: Directory) -> Iterator[tuple[int, zipfile.ZipInfo]]:
    """Yield all members of a zip file but folders, and the places of their records."""
    for places, records in directory.windows(file):
        with zipfile.ZipFile(cast(BinaryIO, directory.only(file, records))) as archive:
            for place, info in zip(places, archive.infolist(), strict=True):
                if not info.filename.endswith("/"):
                    yield place, info


class _Taken:
    """The bytes that each member of a zip file takes, on the disk."""

    def __init__(self) -> None:
        self._table = scratch("CREATE TEMP TABLE taken (start INTEGER, stop INTEGER, name TEXT);")
        weakref.finalize(self, self._table.close)

    def add(self, info: zipfile.ZipInfo) -> None:
        start = info.header_offset
        stop = min(start + _LOCAL_HEADER + info.compress_size, _BYTES)
        self._table.execute("INSERT INTO taken VALUES (?, ?, ?)", (min(start, _BYTES), stop, info.filename))

    def twice(self) -> str | None:
        """Return a member that begins within another one: few would unpack to any size, and take for ever."""
        stops = "SELECT name, start, lag(stop, 1, 0) OVER (ORDER BY start) AS before FROM taken"
        found = self._table.execute(f"SELECT name FROM ({stops}) WHERE start < before LIMIT 1").fetchone()
        return found and str(found[0])


def _unzipped(samples: list[Sample], file: BinaryIO, directory: Directory) -> Iterator[Item]:
    """Yield the items of some samples; zipfile parses the records of no other members."""
    files = [each for sample in samples for each in sample.files]
    records = b"".join(directory.record(file, each.note) for each in files)
    bounded = _Bounded(directory.only(file, records), len(records) + HEADER_LIMIT)
    with zipfile.ZipFile(cast(BinaryIO, bounded)) as archive:
        infos = {each.note: info for each, info in zip(files, archive.infolist(), strict=True)}

        def read(each: File) -> bytes | ItemError:
            info = infos[each.note]
            bounded.allow(HEADER_LIMIT + info.compress_size)
            return _unzip(archive, info)

        for sample in samples:
            yield sample.item(_content(sample, read))


def _unzip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes | ItemError:
    """The content of one member; without the size that is in the header it has not the CRC either."""
    if info.compress_type not in _METHODS:
        return ItemError(f"compressed by method {info.compress_type} of the zip format, expected 0 or 8 (deflate)")
    try:
        with archive.open(info) as file:
            return file.read(info.file_size + 1)  # `read()` would unpack everything before it cuts
    except OSError:
        raise
    except Exception as error:  # whatever the bytes lead zipfile to
        return ItemError(f"damaged in the archive: {reason(error, named=False)}")


def _read_tar(path: Path, wanted: Wanted) -> Source:
    listing = Listing(wanted)
    for info in _headers(path):
        sparse = "a sparse file in an archive" if info.issparse() else ""
        _list(listing, File(info.name, info.size, info.offset_data, sparse), info.isreg(), wanted)

    def items(samples: Iterator[Sample]) -> Iterator[Item]:
        with _opened_tar(path) as file:

            def read(each: File) -> bytes:
                file.seek(each.note)
                if len(data := file.read(each.size)) < each.size:
                    raise DataError(f"data.source: {path} is truncated: it ends within {each.name}")
                return data

            for sample in samples:
                yield sample.item(_content(sample, read))

    return listing.source("tar", items)


def _headers(path: Path) -> Iterator[tarfile.TarInfo]:
    """The headers of all members but folders; none is kept, and each lies behind the one before."""
    with _opened_tar(path) as stream:
        file = _Bounded(stream, HEADER_LIMIT)
        with tarfile.open(fileobj=cast(BinaryIO, file), mode="r:") as archive:
            count, end = 0, -1
            while info := archive.next():
                if info.offset <= end or info.size < 0:
                    raise DataError(f"data.source: {path} is no intact tar file: its headers form a loop at {end:,}")
                count, end = count + 1, info.offset
                check_count(count, path)
                if not info.isdir():
                    yield info
                archive.members.clear()  # type: ignore[attr-defined]  # it would keep them all
                file.allow(HEADER_LIMIT)
        stream.seek(archive.offset)
        if stream.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise DataError(f"data.source: {path} is no intact tar file: expected a header at byte {archive.offset:,}")


@contextmanager
def _opened_tar(path: Path) -> Iterator[BinaryIO]:
    """The file, decompressed."""
    with reading(path, "tar file"), open(path, "rb") as file:
        packed = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        with gzip.open(file) if packed else file as content:
            yield cast(BinaryIO, content)


def _list(listing: Listing, file: File, regular: bool, wanted: Wanted) -> None:
    """Add a member to the listing; `regular` is False for links and devices."""
    path = PurePosixPath(file.name.replace("\\", "/"))
    file = file._replace(name=path.as_posix())
    if objection := _objection(path, file, regular, wanted):
        listing.refuse(file.name, objection, labelled=False)
    elif not tree.is_hidden(file.name):
        listing.add(file)


def _content(sample: Sample, read: Callable[[File], bytes | ItemError]) -> Content:
    """Return the content of a sample; members are read as they lie, which spares a .tar.gz to begin again."""
    try:
        check_size(sum(file.size for file in sample.files))
    except ItemError as failure:
        return failure
    if sample.objection:
        return sample.content(read)
    parts = {file: read(file) for file in sorted(sample.files, key=lambda file: file.note) if not file.objection}
    return sample.content(lambda file: parts[file])


def _objection(path: PurePosixPath, file: File, regular: bool, wanted: Wanted) -> str | None:
    """Return the reason why a member is not read, or None."""
    if path.is_absolute() or file.name[1:2] == ":":
        return "an absolute path in an archive"
    if not path.name:
        return "a member without a name"
    if ".." in path.parts:
        return "a path that leaves the archive"
    if not regular:
        return "a link or a device in an archive"
    if file.size > FILE_LIMIT and wanted.named(file.name):
        return f"too large: {file.size:,} bytes, at most {FILE_LIMIT:,} are read"
    return None
