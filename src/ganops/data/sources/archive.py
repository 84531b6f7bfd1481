"""A folder of images in a zip or tar file, read member by member; nothing is unpacked to disk."""

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ganops.data.item import FILE_LIMIT, Item, ItemError, Source, reading
from ganops.data.sources import tree
from ganops.errors import DataError

ACCEPTS = "a .zip, .tar, .tar.gz or .tgz of a folder of images"

_TAR = (".tar", ".tar.gz", ".tgz")


def recognises(path: Path) -> bool:
    """Files by their extension, so that a damaged archive is still called one."""
    return path.is_file() and path.name.lower().endswith((".zip", *_TAR))


def read(path: Path) -> Source:
    """The images in the archive; members that could point out of it are refused, each with its reason.

    Raises:
        DataError: the archive is damaged or encrypted.
    """
    return _read_zip(path) if path.suffix.lower() == ".zip" else _read_tar(path)


class _Member(NamedTuple):
    """A member as its header describes it; `regular` is False for links and devices."""

    name: str
    regular: bool
    size: int


def _read_zip(path: Path) -> Source:
    try:
        with reading(path), zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
    except zipfile.BadZipFile as error:
        raise DataError(f"data.source: {path} is no intact zip file: {error}") from error
    if any(info.flag_bits & 1 for info in infos):
        raise DataError(f"data.source: {path} is encrypted; expected a zip file without a password")
    members = [_Member(info.filename, not stat.S_ISLNK(info.external_attr >> 16), info.file_size) for info in infos]
    plan, ignored = _plan(members)

    def items() -> Iterator[Item]:
        with reading(path), zipfile.ZipFile(path) as archive:
            for i, item in plan.items():
                yield item if isinstance(item.content, ItemError) else item._replace(content=_unzip(archive, infos[i]))

    return Source("zip", len(plan), items(), ignored)


def _unzip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes | ItemError:
    """The content of one member; zipfile reads no more than the size in the header, and checks the CRC."""
    try:
        return archive.read(info)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        return ItemError(f"damaged in the archive: {error}")


def _read_tar(path: Path) -> Source:
    with _opened_tar(path) as archive:
        infos = [info for info in archive if not info.isdir()]
    plan, ignored = _plan([_Member(info.name, info.isreg(), info.size) for info in infos])

    def items() -> Iterator[Item]:
        with _opened_tar(path) as archive:
            for i, item in plan.items():
                file = None if isinstance(item.content, ItemError) else archive.extractfile(infos[i])
                yield item._replace(content=file.read()) if file else item

    return Source("tar", len(plan), items(), ignored)


@contextmanager
def _opened_tar(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with reading(path), tarfile.open(path) as archive:
            yield archive
    except tarfile.TarError as error:
        raise DataError(f"data.source: {path} is no intact tar file: {error}") from error


def _plan(members: Sequence[_Member]) -> tuple[dict[int, Item], tuple[str, ...]]:
    """The members that are images or must be listed as rejected, by position; and the names of the ignored ones."""
    refused: dict[int, Item] = {}
    images: dict[int, str] = {}
    ignored = []
    for i, member in enumerate(members):
        name = PurePosixPath(member.name.replace("\\", "/")).as_posix()
        if reason := _objection(name, member):
            refused[i] = Item(name, None, ItemError(reason))
        elif tree.is_image(name) and not tree.is_hidden(name):
            images[i] = name
        elif not tree.is_hidden(name):
            ignored.append(name)
    labels = tree.labels(list(images.values()))
    plan = {i: Item(name, label, b"") for (i, name), label in zip(images.items(), labels, strict=True)}
    return dict(sorted({**plan, **refused}.items())), tuple(sorted(ignored))


def _objection(name: str, member: _Member) -> str | None:
    """Why a member is not read, or None."""
    path = PurePosixPath(name)
    if path.is_absolute() or name[1:2] == ":":
        return "an absolute path in an archive"
    if ".." in path.parts:
        return "a path that leaves the archive"
    if not member.regular:
        return "a link or a device in an archive"
    if tree.is_image(name) and member.size > FILE_LIMIT:
        return f"too large: {member.size:,} bytes, at most {FILE_LIMIT:,} are read"
    return None
