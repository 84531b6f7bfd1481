"""A folder with a `source.json`: idx files that are on this machine or can be fetched, known by their hashes.

Its keys: `files`, the names with the SHA-256 of their decompressed content; `local`, folders that may hold them; `url`,
where they can be fetched; `package`, the system package that installs them into the first local folder, if any; `name`
and `licence` of the images (see `data.about`).
"""

import gzip
import hashlib
import os
import urllib.request
import zlib
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Any

from ganops.data.item import Source
from ganops.data.sources import idx
from ganops.errors import DataError
from ganops.files import atomic, read_json
from ganops.terminal import progress

ACCEPTS = "a folder with a source.json that says where the files are, such as fashion-mnist"

_TIMEOUT = 30  # seconds without an answer


def recognises(path: Path) -> bool:
    """A folder with a `source.json`."""
    return (path / "source.json").is_file()


def read(path: Path) -> Source:
    """The files from the first local folder that has them all, else from the cache, fetched into it if need be.

    Raises:
        DataError: a file has not the hash that `source.json` says, or cannot be fetched.
    """
    known = _known(path / "source.json")
    folder = next((local for local in _locals(path, known) if _holds(local, known)), None)
    if folder is None:
        folder = cache(path)
        _fetch(folder, known)
    for name, expected in known["files"].items():
        if problem := _problem(folder / name, expected):
            raise DataError(f"data.source: {folder / name} is not the file it should be: {problem}. Remove it.")
    return replace(idx.from_files(folder / name for name in known["files"]), kind="download")


def _known(path: Path) -> dict[str, Any]:
    try:
        known: dict[str, Any] = {"files": {}, "url": "", **read_json(path)}
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"data.source: {path} cannot be read: {error}") from error
    if not (known["files"] and known["url"]):
        raise DataError(f"data.source: {path}: expected the keys files and url, got {sorted(known)}")
    return known


def cache(path: Path) -> Path:
    """Where fetched files are kept: $XDG_CACHE_HOME/ganops/<name>, by default in ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "ganops" / path.absolute().name


def _locals(path: Path, known: dict[str, Any]) -> list[Path]:
    return [path / Path(folder).expanduser() for folder in known.get("local", [])]


def _holds(folder: Path, known: dict[str, Any]) -> bool:
    return all((folder / name).is_file() for name in known["files"])


def _fetch(folder: Path, known: dict[str, Any]) -> None:
    """Downloads what is not in `folder` yet; a file gets its name only when its content is right."""
    for name, expected in known["files"].items():
        if (folder / name).is_file():
            continue
        url = known["url"].rstrip("/") + "/" + name
        with atomic(folder / name) as draft:
            try:
                _download(url, draft)
            except (OSError, ValueError, HTTPException) as error:
                raise DataError(_ways_out(url, str(error), folder, known)) from error
            if problem := _problem(draft, expected):
                raise DataError(_ways_out(url, problem, folder, known))


def _download(url: str, path: Path) -> None:
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer, open(path, "wb") as file:
        size = int(answer.headers.get("Content-Length") or 0)
        with progress("download", size, "bytes") as advance:
            while data := answer.read(2**20):
                advance(file.write(data))


def _problem(path: Path, expected: str) -> str | None:
    """What is wrong with the decompressed content of a file, if anything."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            got = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, EOFError, zlib.error) as error:
        return f"it cannot be read ({error})"
    return None if got == expected else f"the SHA-256 of its content should be {expected}, and is {got}"


def _ways_out(url: str, problem: str, folder: Path, known: dict[str, Any]) -> str:
    lines = [f"data.source: {url} cannot be downloaded: {problem}. Ways out:"]
    if package := known.get("package"):
        lines.append(f"  apt-get install {package}, which puts the files into {known['local'][0]}")
    lines.append(f"  copy {', '.join(known['files'])} into {folder}")
    lines.append("  connect this machine to the network, or choose a data.source that is on it")
    return "\n".join(lines)
