"""Decoded samples that outlive their run: what was decoded before a kill, or for a former set, is not decoded again.

They lie in one SQLite file beside the set, under the hash of what decides them: the decoder with its parameters, the
code and the libraries that decode, and the content of a file, or its place, size and times of change where it has not
been read. After a run that ended well, those that it did not use are removed.
"""

import hashlib
import importlib.metadata
import json
import math
import sqlite3
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np

from ganops.core.files import hash_folder, hash_json
from ganops.data.decode import Decoded
from ganops.data.decoders import Decoder
from ganops.data.intake import Block, Decode, Mapper
from ganops.data.sources.item import Content, Deferred, ItemError, Single

LIBRARIES = ("av", "numpy", "pillow", "scipy")
"""Distributions that take part in decoding."""

TABLE = """
CREATE TABLE IF NOT EXISTS decoded (
    key BLOB PRIMARY KEY, dtype TEXT, shape TEXT, conversions TEXT, sample BLOB, checksum INTEGER
);
CREATE TEMP TABLE used (key BLOB PRIMARY KEY) WITHOUT ROWID;
"""


class Kept:
    """The file of kept samples, of which one process has the use; without it nothing is kept, and all is decoded."""

    def __init__(self, path: Path, decoder: Decoder) -> None:
        self._path = path
        self._maker = hash_json([type(decoder).__name__, repr(sorted(asdict(decoder).items())), _code()])
        self._file = self._opened()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._file:
            with suppress(sqlite3.Error):
                if kind is None:
                    self._file.execute("DELETE FROM decoded WHERE key NOT IN (SELECT key FROM used)")
                    self._file.commit()
            self._file.close()

    def __len__(self) -> int:
        return self._file.execute("SELECT count(*) FROM decoded").fetchone()[0] if self._file else 0

    def before(self, mapper: Mapper) -> Mapper:
        """Return a mapper that decodes by `mapper` what is not kept, and keeps it."""

        def mapped(decode: Decode, blocks: Iterator[Block], count: int) -> Iterator[list[Decoded]]:
            waiting: deque[tuple[list[bytes | None], list[Decoded | None]]] = deque()

            def unknown() -> Iterator[Block]:
                for block in blocks:
                    keys = [self._key(content) for content in block]
                    found = [self._get(key) for key in keys]
                    waiting.append((keys, found))
                    yield [content for content, known in zip(block, found, strict=True) if known is None]

            for results in mapper(decode, unknown(), max(0, count - len(self))):
                keys, found = waiting.popleft()
                fresh = iter(results)
                whole = [next(fresh) if known is None else known for known in found]
                self._put(keys, found, whole)
                yield whole

        return mapped

    def _opened(self) -> sqlite3.Connection | None:
        """The file, anew where it is damaged; None: another process has it, or there can be none."""
        for attempt in range(2):
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                file = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
                # a kill takes nothing that was written; a loss of power may, and is found
                for name, value in (("auto_vacuum", "FULL"), ("locking_mode", "EXCLUSIVE"), ("synchronous", "OFF")):
                    file.execute(f"PRAGMA {name} = {value}")
                file.executescript(TABLE)
                file.execute("BEGIN IMMEDIATE")
            except (sqlite3.OperationalError, OSError):
                return None
            except sqlite3.DatabaseError:
                if attempt == 0:
                    self._path.unlink(missing_ok=True)
            else:
                return file
        return None

    def _key(self, content: Content) -> bytes | None:
        """The hash of what decides a sample; None: that is not known without reading it, or it is none."""
        names = [_name(part) for part in (content if isinstance(content, tuple) else (content,))]
        return None if None in names else hashlib.sha256(json.dumps([self._maker, names]).encode()).digest()

    def _get(self, key: bytes | None) -> Decoded | None:
        if self._file is None or key is None:
            return None
        try:
            row = self._file.execute(
                "SELECT dtype, shape, conversions, sample, checksum FROM decoded WHERE key = ?", (key,)
            ).fetchone()
            self._file.execute("INSERT OR IGNORE INTO used VALUES (?)", (key,))
        except sqlite3.Error:
            self._give_up()
            return None
        if row is None or zlib.crc32(row[3]) != row[4]:
            return None
        shape = tuple(json.loads(row[1]))
        dtype = np.dtype(row[0])
        if len(row[3]) != math.prod(shape) * dtype.itemsize:
            return None
        return np.frombuffer(row[3], dtype).reshape(shape), tuple(json.loads(row[2]))

    def _put(self, keys: Sequence[bytes | None], known: Sequence[Decoded | None], results: Sequence[Decoded]) -> None:
        """Keep what has just been decoded; what was rejected is looked at again, for it may have been mended."""
        rows = []
        for key, before, result in zip(keys, known, results, strict=True):
            if key is None or before is not None or isinstance(result, ItemError):
                continue
            sample, conversions = result
            content = sample.tobytes()
            row = (key, str(sample.dtype), json.dumps(sample.shape), json.dumps(conversions), content)
            rows.append((*row, zlib.crc32(content)))
        if not rows or self._file is None:
            return
        try:
            self._file.executemany("INSERT OR REPLACE INTO decoded VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._file.execute("COMMIT")
            self._file.execute("BEGIN IMMEDIATE")
        except sqlite3.Error:
            self._give_up()

    def _give_up(self) -> None:
        """Go on without: a disk that is full has more use for the room."""
        if self._file:
            self._file.close()
            self._path.unlink(missing_ok=True)
        self._file = None


def _name(part: Single) -> str | None:
    """The name of a content that no other content has."""
    if isinstance(part, Path):
        try:
            found = part.stat()
        except OSError:
            return None
        return f"{part}|{found.st_ino}|{found.st_size}|{found.st_mtime_ns}|{found.st_ctime_ns}"
    if isinstance(part, Deferred):
        return part.version or None
    return hashlib.sha256(part).hexdigest() if isinstance(part, bytes) else None


@cache
def _code() -> list[Any]:
    """Hashes of the code that decodes, that of this room and of the kinds, and versions of libraries."""
    here = Path(__file__).parent
    return [hash_folder(here, ("__pycache__",)), hash_folder(here.parent / "kinds", ("__pycache__",)),
            {name: _version(name) for name in LIBRARIES}]  # fmt: skip


def _version(name: str) -> str | None:
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
    return None


@contextmanager
def keeping(path: Path | None, decoder: Decoder, mapper: Mapper) -> Iterator[Mapper]:
    """Yields the mapper for a run: one that decodes by `mapper` what the file at `path` does not keep; None: all."""
    if path is None:
        yield mapper
        return
    with Kept(path, decoder) as kept:
        yield kept.before(mapper)
