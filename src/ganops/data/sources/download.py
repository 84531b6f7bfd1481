"""A folder with a `source.json`: idx files or archives, on this machine or to be fetched, known by their hashes.

Whoever made the folder is not trusted: files have plain names, come by https, and are written into the cache only.
"""

import gzip
import hashlib
import os
import re
import urllib.request
import zlib
from dataclasses import replace
from http.client import HTTPException, HTTPMessage
from ipaddress import ip_address
from pathlib import Path
from typing import IO, Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from ganops.core.errors import DataError, problems
from ganops.core.files import atomic
from ganops.core.redaction import reason
from ganops.core.terminal import progress
from ganops.data.sources import archive, idx
from ganops.data.sources.item import IMAGES, Source, Wanted, described
from ganops.kinds import KINDS

ACCEPTS = "a folder with a source.json that says where the files are, such as fashion-mnist"

DOWNLOAD_LIMIT = 16 * 2**30
"""Bytes of the largest file that is fetched."""

_TIMEOUT = 30  # seconds without an answer


def _like(pattern: str, expected: str) -> AfterValidator:
    """Lets a text pass that is like a pattern; else it says what was expected."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"expected {expected}")
        return text

    return AfterValidator(check)


_Name = Annotated[
    str, _like(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "a plain name: letters, digits and ._- without a folder")
]
_Hash = Annotated[str, _like(r"[0-9a-f]{64}", "a SHA-256 as 64 hexadecimal digits")]
_Package = Annotated[str, _like(r"[a-z0-9][a-z0-9.+-]*", "the name of a package")]


class _Description(BaseModel, strict=True):
    """The keys of `source.json`; `name` and `licence` of the samples stand there, too (see `data.about`)."""

    files: Annotated[dict[_Name, _Hash], Field(min_length=1)]
    """Names, without a folder, with the SHA-256 of the content: decompressed, or the samples of an archive.

    Of an archive it is that of the list of its samples, as `sha256sum *.wav | LC_ALL=C sort -k 2 | sha256sum` prints it
    in a folder of them: how they are packed, and what lies beside them, is not part of it.
    """

    url: str
    """Address below which the files are fetched, if no folder holds them; or that of the only file."""

    kind: Literal["image", "sound"] = "image"
    """Kind of the samples; of sounds `sound`, whichever of their kinds is made of them."""

    local: list[str] = []
    """Folders that may hold them."""

    package: _Package | None = None
    """The system package that installs them into the first local folder, if any."""


def recognises(path: Path) -> bool:
    """A folder with a `source.json`."""
    return (path / "source.json").is_file()


def read(path: Path, wanted: Wanted = IMAGES) -> Source:
    """The files from the first local folder that has them all, else from the cache, fetched into it if need be.

    Raises:
        DataError: a file has not the hash that `source.json` says, or cannot be fetched; or other samples are wanted.
    """
    known = _known(path / "source.json")
    unit = KINDS[known.kind].UNIT
    if unit != wanted.unit:
        alike = " or ".join(name for name, kind in KINDS.items() if unit == kind.UNIT)
        raise DataError(f"data.source: {path} holds {unit}s, not {wanted.unit}s: it is of data.kind: {alike}")
    folder = next((local for local in _locals(path, known) if _holds(local, known)), None)
    if folder is None:
        folder = cache(path)
        _fetch(folder, known, wanted)
    for name, expected in known.files.items():
        if problem := _problem(folder / name, expected, wanted):
            raise DataError(f"data.source: {folder / name} is not the file it should be: {problem}. Remove it.")
    paths = [folder / name for name in known.files]
    if len(paths) == 1 and archive.recognises(paths[0]):
        return replace(archive.read(paths[0], wanted), kind="download")
    return replace(idx.from_files(paths), kind="download")


def _known(path: Path) -> _Description:
    try:
        return _Description.model_validate(described(path))
    except ValidationError as error:
        first = problems(error)[0]
        raise DataError(f"data.source: {path}: {first.path}: {first.words}, got {first.got!r:.100}") from error


def cache(path: Path) -> Path:
    """Return the folder of fetched files: $XDG_CACHE_HOME/ganops/<name>, by default in ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "ganops" / Path(os.path.abspath(path)).name


def _locals(path: Path, known: _Description) -> list[Path]:
    return [path / os.path.expanduser(folder) for folder in known.local]


def _holds(folder: Path, known: _Description) -> bool:
    return all(os.path.isfile(folder / name) for name in known.files)


def _fetch(folder: Path, known: _Description, wanted: Wanted) -> None:
    """Downloads what is not in `folder` yet; a file gets its name only when its content is right."""
    for name, expected in known.files.items():
        if (folder / name).is_file():
            continue
        alone = len(known.files) == 1 and known.url.endswith(Path(name).suffix or "/")
        url = known.url if alone else known.url.rstrip("/") + "/" + name
        with atomic(folder / name) as draft:
            try:
                _download(_safe(url), draft)
            except (OSError, ValueError, HTTPException) as error:
                raise DataError(_ways_out(url, reason(error, named=False), folder, known)) from error
            if problem := _problem(draft, expected, wanted):
                raise DataError(_ways_out(url, problem, folder, known))


def _download(url: str, path: Path) -> None:
    opener = urllib.request.build_opener(_Redirects)
    with opener.open(url, timeout=_TIMEOUT) as answer, open(path, "wb") as file:
        size = int(answer.headers.get("Content-Length") or 0)
        with progress("download", size, "bytes") as advance:
            while data := answer.read(2**20):
                advance(file.write(data))
                if (there := file.tell()) > DOWNLOAD_LIMIT:
                    raise ValueError(f"{max(size, there):,} bytes or more, at most {DOWNLOAD_LIMIT:,} are fetched")


def _safe(url: str) -> str:
    """The same address, if it is https or on this machine, and holds no password; else ValueError."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        here = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        here = False
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and here)):
        raise ValueError("expected an https:// address (http:// only on this machine)")
    if parts.username is not None or parts.password is not None:
        raise ValueError("expected an address without a user and a password")
    return url


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Goes where an answer points only if the address is as good as the first one had to be."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """The request to the new address; ValueError where it is not safe."""
        return super().redirect_request(req, fp, code, msg, headers, _safe(newurl))


def _problem(path: Path, expected: str, wanted: Wanted) -> str | None:
    """Return the defect of a file's content, if any."""
    try:
        got = _content_hash(path, wanted)
    except (OSError, EOFError, zlib.error) as error:
        return f"it cannot be read ({error})"
    return None if got == expected else f"the SHA-256 of its content should be {expected}, and is {got}"


def _content_hash(path: Path, wanted: Wanted) -> str:
    """Return the SHA-256 of a file's content, see `_Description.files`."""
    if archive.recognises(path):
        found = ((item.name.rpartition("/")[2], item.content) for item in archive.read(path, wanted).items)
        named = sorted((name, hashlib.sha256(data).hexdigest()) for name, data in found if isinstance(data, bytes))
        return hashlib.sha256("".join(f"{digest}  {name}\n" for name, digest in named).encode()).hexdigest()
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _ways_out(url: str, problem: str, folder: Path, known: _Description) -> str:
    shown = re.sub(r"//[^/]*@", "//", url)  # no password
    lines = [f"data.source: {shown} cannot be downloaded: {problem}. Ways out:"]
    if known.package and known.local:
        lines.append(f"  apt-get install {known.package}, which puts the files into {known.local[0]}")
    lines.append(f"  copy {', '.join(known.files)} into {folder}")
    lines.append("  connect this machine to the network, or choose a data.source that is on it")
    return "\n".join(lines)
