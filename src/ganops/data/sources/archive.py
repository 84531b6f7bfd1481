"""A folder of samples in a zip or tar file, read member by member; nothing is unpacked to disk.

No more memory is taken than headers announce and the limits below allow, whatever a file holds.
"""

import gzip
import stat
import struct
import tarfile
import tempfile
import weakref
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple, cast

from ganops.core.errors import DataError
from ganops.core.redaction import reason
from ganops.data.sources import tree
from ganops.data.sources.item import (
    FILE_LIMIT,
    IMAGES,
    Item,
    ItemError,
    Source,
    Wanted,
    check_count,
    check_size,
    reading,
)

ACCEPTS = "a .zip, .tar, .tar.gz or .tgz of a folder of images, sounds, texts or films"

DIRECTORY_LIMIT = 256 * 2**20
"""Bytes of the list of members at the end of a zip file: some two million of them."""

HEADER_LIMIT = 256 * 2**10
"""Bytes of the headers of one member, its name and attributes among them."""

_TAR = (".tar", ".tar.gz", ".tgz")
_GZIP = b"\x1f\x8b"  # the first bytes of a file
_LOCAL_HEADER = 30  # bytes before a member of a zip file, besides its name
_PAIR = struct.Struct("<qq")
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


class _Member(NamedTuple):
    """A member as its header describes it; `regular` is False for links and devices."""

    name: str
    regular: bool
    size: int


class _Bounded:
    """A file of which no more bytes can be read than were allowed last; zipfile and tarfile believe any header."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
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
    with _opened_zip(path) as (archive, _):
        infos = [info for info in archive.infolist() if not info.filename.endswith("/")]
    check_count(len(infos), path)
    if any(info.flag_bits & 1 for info in infos):
        raise DataError(f"data.source: {path} is encrypted; expected a zip file without a password")
    _check_apart(path, infos)
    members = (_Member(info.filename, not stat.S_ISLNK(info.external_attr >> 16), info.file_size) for info in infos)
    count, plan, ignored = _plan(path, members, wanted)

    def items() -> Iterator[Item]:
        with _opened_zip(path) as (archive, file):

            def unzipped(i: int) -> bytes | ItemError:
                file.allow(HEADER_LIMIT + infos[i].compress_size)
                return _unzip(archive, infos[i])

            for planned in plan:
                yield planned.read(unzipped)

    return Source("zip", count, items(), ignored)


@contextmanager
def _opened_zip(path: Path) -> Iterator[tuple[zipfile.ZipFile, "_Bounded"]]:
    with reading(path, "zip file"), open(path, "rb") as file:
        bounded = _Bounded(file, DIRECTORY_LIMIT)
        with zipfile.ZipFile(cast(BinaryIO, bounded)) as archive:
            yield archive, bounded


def _check_apart(path: Path, infos: Sequence[zipfile.ZipInfo]) -> None:
    """DataError where members share bytes: few of them would unpack to any size, and take for ever."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise DataError(f"data.source: {path} is no intact zip file: its members overlap, {info.filename!r} is one")
        end = info.header_offset + _LOCAL_HEADER + info.compress_size


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
    places = _Places()

    def members() -> Iterator[_Member]:
        for info in _headers(path, streamed=not wanted.stills):
            places.append(info.offset_data, -1 if info.issparse() else info.size)
            yield _Member(info.name, info.isreg(), info.size)

    count, plan, ignored = _plan(path, members(), wanted)

    def items() -> Iterator[Item]:
        with _opened_tar(path) as file:

            def unpacked(i: int, name: str) -> bytes | ItemError:
                place, size = places[i]
                if size < 0:
                    return ItemError("a sparse file in an archive")
                file.seek(place)
                if len(data := file.read(size)) < size:
                    raise DataError(f"data.source: {path} is truncated: it ends within {name}")
                return data

            for planned in plan:
                yield planned.read(partial(unpacked, name=planned.item.name))

    return Source("tar", count, items(), ignored, streamed=not wanted.stills)


class _Places:
    """Pairs of integers, on the disk."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with them
        weakref.finalize(self, self._file.close)

    def append(self, *pair: int) -> None:
        self._file.write(_PAIR.pack(*pair))

    def __getitem__(self, number: int) -> tuple[int, int]:
        self._file.seek(number * _PAIR.size)
        place, size = _PAIR.unpack(self._file.read(_PAIR.size))
        return place, size


def _headers(path: Path, *, streamed: bool) -> Iterator[tarfile.TarInfo]:
    """The headers of all members but folders; none is kept, and each lies behind the one before."""
    with _opened_tar(path) as stream:
        file = _Bounded(stream, HEADER_LIMIT)
        with tarfile.open(fileobj=cast(BinaryIO, file), mode="r:") as archive:
            count, end = 0, -1
            while info := archive.next():
                if info.offset <= end or info.size < 0:
                    raise DataError(f"data.source: {path} is no intact tar file: its headers form a loop at {end:,}")
                count, end = count + 1, info.offset
                check_count(count, path, streamed=streamed)
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


class _Planned(NamedTuple):
    """An item, and the members that it is read from, none of which can be where its content is a reason."""

    item: Item
    sample: tree.Found
    picked: tuple[int, ...]

    def read(self, member: Callable[[int], bytes | ItemError]) -> Item:
        """Return the item with its content; members are read as they lie, which spares a .tar.gz to begin again."""
        if isinstance(self.item.content, ItemError):
            return self.item
        parts = {i: member(i) for i in sorted(self.picked)}
        return self.item._replace(content=self.sample.content([parts[i] for i in self.picked]))


_Plan = tuple[int, Iterator[_Planned], tuple[str, ...]]
"""Members that are samples or must be listed as rejected, as they lie, and their number; names of the ignored ones."""


def _plan(path: Path, members: Iterable[_Member], wanted: Wanted) -> _Plan:
    return _plan_films(members, wanted) if wanted.stills else _plan_files(path, members, wanted)


def _plan_files(path: Path, members: Iterable[_Member], wanted: Wanted) -> _Plan:
    """The plan of samples that are a member each."""
    listing, ignored = tree.Listing(), []
    for i, member in enumerate(members):
        name = _path(member)
        if objection := _objection(name, member, wanted):
            listing.add(name, i, objection, labelled=False)
        elif wanted.named(name) and not tree.is_hidden(name):
            listing.add(name, i)
        elif not tree.is_hidden(name):
            ignored.append(name)
            check_count(len(ignored), path)
    planned = (
        _Planned(Item(sample.name, label, _content(sample.objection, 0)), sample, sample.files)
        for sample, label in listing
    )
    return len(listing), planned, tuple(sorted(ignored))


def _path(member: _Member) -> str:
    return PurePosixPath(member.name.replace("\\", "/")).as_posix()


def _plan_films(members: Iterable[_Member], wanted: Wanted) -> _Plan:
    """The plan where folders of members may be samples."""
    refused: list[_Planned] = []
    names: dict[int, str] = {}
    sizes: dict[int, int] = {}
    for i, member in enumerate(members):
        name = _path(member)
        if objection := _objection(name, member, wanted):
            refused.append(_Planned(Item(name, None, ItemError(objection)), tree.Found(name, (i,)), ()))
        elif not tree.is_hidden(name):
            names[i], sizes[i] = name, member.size
    samples = tree.samples(names, wanted)
    plan = []
    for sample, label in zip(samples, tree.labels([each.name for each in samples]), strict=True):
        picked = sample.picked(wanted)
        content = _content(sample.objection, sum(sizes[i] for i in picked))
        plan.append(_Planned(Item(sample.name, label, content), sample, picked))
    used = {i for sample in samples for i in sample.files}
    ignored = sorted(name for i, name in names.items() if i not in used)
    every = sorted([*plan, *refused], key=lambda planned: planned.sample.files[0])
    return len(every), iter(every), tuple(ignored)


def _content(objection: str, size: int) -> bytes | ItemError:
    """Return the reason why a sample is not read, or nothing yet."""
    try:
        check_size(size)
    except ItemError as failure:
        return failure
    return ItemError(objection) if objection else b""


def _objection(name: str, member: _Member, wanted: Wanted) -> str | None:
    """Return the reason why a member is not read, or None."""
    path = PurePosixPath(name)
    if path.is_absolute() or name[1:2] == ":":
        return "an absolute path in an archive"
    if not path.name:
        return "a member without a name"
    if ".." in path.parts:
        return "a path that leaves the archive"
    if not member.regular:
        return "a link or a device in an archive"
    if wanted.named(name) and member.size > FILE_LIMIT:
        return f"too large: {member.size:,} bytes, at most {FILE_LIMIT:,} are read"
    return None
