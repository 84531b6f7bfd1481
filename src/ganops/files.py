"""Files that are either whole or absent, and the hashes that name their content."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` for a file; it replaces `path` when the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        draft = Path(folder) / path.name
        yield draft
        os.replace(draft, path)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; it replaces the whole of `path` when the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as scratch:
        draft = Path(scratch) / "new"
        draft.mkdir()
        yield draft
        if path.exists():
            # rename cannot replace a filled folder: the old one steps aside first, and is kept until the new one stands
            os.replace(path, Path(scratch) / "old")
        os.replace(draft, path)


def write_json(path: Path, content: Any) -> None:
    """Writes `content` as indented JSON, atomically; NaN and infinity are refused."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic(path) as draft:
        draft.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


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
