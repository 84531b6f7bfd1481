"""Files that are either whole or absent, and the hashes that name their content."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` for a file; it replaces `path` when the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _scratch(path, _clear_once) as scratch:
        draft = scratch / path.name
        yield draft
        os.replace(draft, path)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; it replaces the whole of `path` when the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _scratch(path, _clear) as scratch:
        draft = scratch / "new"
        draft.mkdir()
        yield draft
        if path.exists():
            # rename cannot replace a filled folder: the old one steps aside first, and is kept until the new one stands
            os.replace(path, scratch / "old")
        os.replace(draft, path)


_DRAFT = re.compile(r"\.(.+)\.draft-\w{8}")
"""The names of folders for drafts; git ignores them."""


@contextmanager
def _scratch(path: Path, clear: Callable[[Path], None]) -> Iterator[Path]:
    """Yields a folder for drafts of `path` beside it, after `clear` removed those that ended processes have left there.

    It is locked while it is in use, and a lock ends with its process, however that ends. The folder above is locked
    meanwhile: a draft that has no lock yet is not one that was left.
    """
    with ExitStack() as stack:
        with _locked(path.parent, fcntl.LOCK_EX):
            clear(path.parent)
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix=f".{path.name}.draft-", dir=path.parent))
            stack.enter_context(_locked(Path(scratch), fcntl.LOCK_EX))
        yield Path(scratch)


def _clear(folder: Path) -> None:
    """Removes the drafts in a folder that no process holds any more."""
    for name in filter(None, [_DRAFT.fullmatch(entry.name) for entry in os.scandir(folder)]):
        draft, target = folder / name[0], folder / name[1]
        with suppress(FileNotFoundError), _locked(draft, fcntl.LOCK_EX | fcntl.LOCK_NB) as left:
            if left and (draft / "old").exists() and not target.exists():
                os.replace(draft / "new", target)  # it ended between the two renames of `atomic_folder`
            if left:
                shutil.rmtree(draft, ignore_errors=True)


_clear_once = cache(_clear)
"""The same, but once in a process: a folder may come to hold thousands of files."""


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[bool]:
    """Yields whether the lock of a folder is held in the block: it is not where another has it, or none can be had."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, how)
            held = True
        except OSError:  # another process holds it, or the file system knows no locks
            held = False
        yield held
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
