"""Files that are either whole or absent, and the hashes that name their content."""

import base64
import errno
import hashlib
import json
import os
import re
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SHORT = re.compile(r"\d+ requested and \d+ written")
"""The words of numpy, which gives no number, for a disk that is full."""
NUMBERED = re.compile(r"os error (\d+)")
"""The words of safetensors, whose errors are no OSErrors, for the number of one."""


@contextmanager
def atomic(path: Path, *, lasting: bool = False) -> Iterator[Path]:
    """Yields a temporary path beside `path` for a file; it replaces `path` when the block succeeds.

    Args:
        path: The file.
        lasting: The disk must hold it before it has its name: a loss of power then leaves it whole, or as it was.

    Raises:
        OSError: It cannot be written: the error names `path`.
    """
    path = Path(path)
    with _scratch(path, _clear_once) as scratch:
        draft = scratch / path.name
        yield draft
        if lasting:
            _sync(draft)
        os.replace(draft, path)
        if lasting:
            _sync(path.parent)


@contextmanager
def atomic_folder(path: Path, *, former: Path | None = None, lasting: bool = False) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; it replaces the whole of `path` when the block succeeds.

    Args:
        path: The folder.
        former: Where the folder that is replaced is kept, beside it; None: nowhere.
        lasting: The disk must hold it before it has its name: a loss of power then leaves it whole, or the former one.

    Raises:
        OSError: It cannot be written: the error names `path`.
    """
    path = Path(path)
    with _scratch(path, _clear) as scratch:
        draft, old = scratch / "new", scratch / "old"
        draft.mkdir()
        yield draft
        if lasting:
            persist(draft)
        with _aside(path, old):
            os.replace(draft, path)
        if former and old.exists():
            remove(former)
            os.replace(old, former)
        if lasting:
            _sync(path.parent)


@contextmanager
def _aside(path: Path, old: Path) -> Iterator[None]:
    """Moves a folder aside, since rename cannot replace a filled one, and back where the block puts none in its place.

    Whatever comes between, an error or a signal, one of the two has the name; after a kill `recover` gives it.
    """
    try:
        if path.exists():
            os.replace(path, old)
        yield
    except BaseException:
        if old.exists() and not path.exists():
            os.replace(old, path)
        raise


def recover(folder: Path) -> None:
    """Give what a killed process has left between two renames of `atomic_folder` its name in `folder`.

    The next write would do so; who reads before that calls this. Other drafts that were left are removed.
    """
    if folder.is_dir():
        _clear(folder)


_DRAFT = re.compile(r"\.(.+)\.draft-\w{8}")
"""The names of folders for drafts; git ignores them."""
_LOCK = ".lock"
"""A file in a draft, locked by the process whose draft it is. A file: of a folder's lock NFS tells no other host."""
_MAKING = 3600.0
"""Seconds after which a draft without that file is none that is just being made."""


@contextmanager
def _scratch(path: Path, clear: Callable[[Path], None]) -> Iterator[Path]:
    """Yields a folder for drafts of `path` beside it, after `clear` removed those that ended processes have left there.

    It is locked while it is in use, and a lock ends with its process, however that ends.
    """
    with _naming(path), ExitStack() as stack:
        path.parent.mkdir(parents=True, exist_ok=True)
        clear(path.parent)
        made = tempfile.TemporaryDirectory(prefix=f".{path.name}.draft-", dir=path.parent)
        scratch = Path(stack.enter_context(made))
        (lock := scratch / f"{_LOCK}.new").touch()
        stack.enter_context(locked(lock))
        lock.rename(scratch / _LOCK)  # it has its name once it is held: who sees it free sees a draft that was left
        yield scratch


def _clear(folder: Path) -> None:
    """Removes the drafts in a folder that no process holds any more."""
    for name in filter(None, [_DRAFT.fullmatch(entry.name) for entry in os.scandir(folder)]):
        draft, target = folder / name[0], folder / name[1]
        # in a folder that several users share a draft may be another's
        with suppress(FileNotFoundError, PermissionError), ExitStack() as stack:
            if (draft / _LOCK).exists():
                left = stack.enter_context(locked(draft / _LOCK, wait=False))
            else:
                left = time.time() - draft.stat().st_mtime > _MAKING
            if left and (draft / "old").exists() and not target.exists():
                os.replace(draft / "new", target)  # it ended between the two renames of `atomic_folder`
            if left:
                shutil.rmtree(draft, ignore_errors=True)


_clear_once = cache(_clear)
"""The same, but once in a process: a folder may come to hold thousands of files."""


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool | None]:
    """Holds the lock of a file or folder for the block; it ends with the process that holds it, however that ends.

    Args:
        path: A folder or a file that is there.
        wait: Until no other process holds it.

    Yields:
        True: it is held; False: another process holds it; None: none can be had, as on Windows, or on a file system
            without locks.

    Raises:
        OSError: It cannot be opened.
    """
    if fcntl is None:
        yield None
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # NFS locks what can be written
    try:
        yield flock(handle, wait=wait)
    finally:
        os.close(handle)


def flock(handle: int, *, shared: bool = False, wait: bool = True) -> bool | None:
    """Lock an open file; the lock ends when it is closed. What is returned is what `locked` yields."""
    if fcntl is None:
        return None
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(handle, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Lets what a disk refuses amid a write name `path`: most writers name no file, or a draft that is gone."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        number = _number(error)
        name = getattr(error, "filename", None)
        if number is None or (name is not None and f"/.{path.name}.draft-" not in str(name)):
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def _number(error: BaseException) -> int | None:
    """The `errno` of what a writer raised; None: it is not the disk's."""
    if not isinstance(error, OSError | SafetensorError):
        return None
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if SHORT.search(str(error)):
        return errno.ENOSPC
    found = NUMBERED.search(str(error))
    return int(found[1]) if found else None


ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Numbers of errors of a disk, or of a share of it, that is full."""
RIGHTS = {errno.EROFS: "Make it writable", errno.EACCES: "Give yourself the right to it",
          errno.EPERM: "Give yourself the right to it", errno.EIO: "Mend the disk"}  # fmt: skip
"""Numbers of errors of a disk that refuses otherwise, and the cure."""
SQLITE = {
    sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_READONLY: errno.EROFS, sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_IOERR: errno.EIO,
}  # fmt: skip
"""The same by SQLite's codes."""


def refusal(error: BaseException | None) -> str:
    """Return a sentence with the path and the cure where a disk is behind an error: full, read-only, forbidden, broken.

    Args:
        error: Its causes are looked at too: other packages wrap what their databases and files say.

    Returns:
        The sentence; empty for any other error.
    """
    while error is not None:
        path: str | None
        if isinstance(error, sqlite3.Error):
            # the lowest byte of a code names its kind; the error itself names no file
            number, path, said = SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF), "a database", str(error)
        else:
            number, path = _number(error), getattr(error, "filename", None)
            said = os.strerror(number or 0)
        if number in ROOM:
            where = path or f"a file (of this project, or below {tempfile.gettempdir()})"
            return f"{where} cannot be written: {said}. Make room; the same command then goes on"
        if number in RIGHTS and path:  # without one it may be a port's
            return f"{path} cannot be used: {said}. {RIGHTS[number]}; the same command then goes on"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return ""


def persist(folder: Path) -> None:
    """Has the disk hold all files of a folder, and their names."""
    for path in [*folder.rglob("*"), folder]:
        _sync(path)


def _sync(path: Path) -> None:
    if os.name == "nt":  # it syncs no folder, and no file that is open for reading
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, content: Any) -> None:
    """Writes `content` as indented JSON, atomically; NaN and infinity are refused."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic(path) as draft:
        draft.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """The content of a JSON file; ValueError where it is none."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("too many brackets within brackets") from None


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML 1.2 file: 4e-4 is a number, and no key stands twice; ValueError where it is none."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(Path(path).read_text(encoding="utf-8"))
    except YAMLError as error:
        raise ValueError(str(error)) from error


def yaml_text(content: Any) -> str:
    """Return plain values as YAML that readers of 1.1 and 1.2 understand alike: a text such as 12e5 is quoted."""
    return yaml.dump(content, Dumper=_Quoting, sort_keys=False)


class _Quoting(yaml.SafeDumper):
    """Writes YAML 1.1 that is YAML 1.2 as well."""


_Quoting.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\.?[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?$"), list("-+.0123456789")
)


def embedded(media: str, content: bytes) -> str:
    """Return a file of a media type (RFC 6838) as an address that holds it (RFC 2397)."""
    return f"data:{media};base64,{base64.b64encode(content).decode()}"


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_json(content: Any) -> str:
    """SHA-256 of `content` as canonical JSON (sorted keys, no spaces), in hexadecimal."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def remove(path: Path) -> None:
    """Removes a file or a folder; nothing happens where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def hash_folder(folder: Path, without: Sequence[str] = ()) -> str:
    """SHA-256 of the paths and contents of all files in a folder, in hexadecimal; no file below a name of `without`."""
    files = [path for path in folder.rglob("*") if path.is_file() and not {*path.parts} & {*without}]
    return hash_json({path.relative_to(folder).as_posix(): hash_file(path) for path in files})
