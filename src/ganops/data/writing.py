"""Splits on their way to the disk or to storage: in one array each or in shards, hashed as they are written."""

import hashlib
import io
import shutil
from collections.abc import Callable, Iterable
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganops.core.errors import DataError
from ganops.core.files import atomic
from ganops.core.retry import insist, retry_timeout
from ganops.core.storage import Store, away
from ganops.core.terminal import say
from ganops.data.shards import HERE, record

AUTO = "auto"
ARRAY_BYTES = 8 * 2**30
"""Bytes of a set up to which each split is one array where nothing else is asked for."""
SHARD_BYTES = 32 * 2**20
"""Bytes of a shard then: a request for as much takes longer than its latency, and some windows fit any cache."""


class Written(NamedTuple):
    """Hashes of a split."""

    arrays: dict[str, str]
    """SHA-256 of the files of its arrays by their names, which are the same files in whatever shards they lie."""
    shards: list[str]
    """SHA-256 of the files of its shards; none where it is in arrays."""


class _File:
    """An .npy file (version 1.0) that grows, or its hash alone.

    As a stream: a full disk is an error here, where a memory map would be killed.
    """

    def __init__(self, dtype: np.dtype[Any], shape: tuple[int, ...], path: Path | None = None) -> None:
        self._digest, self._file = hashlib.sha256(), open(path, "wb") if path else None  # noqa: SIM115 - `close`
        header = io.BytesIO()
        descr = np.lib.format.dtype_to_descr(dtype)
        np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
        self.write(header.getvalue())

    def write(self, content: bytes) -> None:
        self._digest.update(content)
        if self._file:
            self._file.write(content)

    def close(self) -> str:
        """Return the hash of the whole file."""
        if self._file:
            self._file.close()
        return self._digest.hexdigest()


def shard_size(asked: int | str, storage: str, samples: int, record_bytes: int) -> int | None:
    """Return the samples of a shard; None: each split is one array.

    Args:
        asked: `data.shard`.
        storage: `data.storage`: what lies elsewhere is in shards, however little it is.
        samples: Number of the set.
        record_bytes: Those of a sample.
    """
    if isinstance(asked, int):
        return asked
    in_arrays = storage == HERE and samples * record_bytes <= ARRAY_BYTES
    return None if in_arrays else max(1, SHARD_BYTES // record_bytes)


def write_split(
    folder: Path, name: str, like: NDArray[Any], samples: Iterable[NDArray[Any]], labels: Iterable[int] | None,
    count: int, size: int | None, kept: Callable[[Path, str], None],
) -> Written:  # fmt: skip
    """Write the samples of a split, and its labels.

    Args:
        folder: Made here.
        name: That of the array, and of the shards with their numbers.
        like: A stored sample.
        samples: So many as `count`.
        labels: Theirs, walked beside them; None: there are none.
        count: Number of samples.
        size: Samples of a shard; None: one array.
        kept: Hears of each shard that is whole: its file and hash.
    """
    folder.mkdir()
    arrays = {name: _File(like.dtype, (count, *like.shape), None if size else folder / f"{name}.npy")}
    if labels is not None:
        arrays["labels"] = _File(np.dtype(np.int64), (count,), None if size else folder / "labels.npy")
    shards, records = [], record(like, labelled=labels is not None)
    shard: _File | None = None
    for place, (sample, number) in enumerate(zip(samples, repeat(0) if labels is None else labels, strict=False)):
        if size and place % size == 0:
            path = folder / f"{name}-{place // size:05}.npy"
            shard = _File(records, (min(size, count - place),), path)
        label = b"" if labels is None else np.int64(number).tobytes()
        content = sample.tobytes()
        arrays[name].write(content)
        if labels is not None:
            arrays["labels"].write(label)
        if size and shard:
            shard.write(content + label)
            if place + 1 == count or (place + 1) % size == 0:
                shards.append(shard.close())
                kept(path, shards[-1])
    return Written({f"{folder.name}/{each}.npy": file.close() for each, file in arrays.items()}, shards)


def move(place: Store, path: Path, digest: str) -> None:
    """Move a shard's file to its storage, where its name is its hash: what is there already need not be sent again.

    It is whole when it has its name, in a folder as on object storage: others may read or write the same shard now.

    Raises:
        DataError: The storage refuses it, or has been away for too long.
    """

    def act() -> None:
        there = place / f"{digest}.npy"
        if there.kind == "File" and there.size == path.stat().st_size:
            return
        if there.local:
            with atomic(there.local) as draft:
                shutil.copyfile(path, draft)
        else:
            there.write(path.read_bytes())

    try:
        insist(act, away=away, seconds=retry_timeout(), tell=lambda text: say("prepare", text))
    except OSError as error:
        raise DataError(f"data.storage: {place} cannot be written: {error}. The same command goes on") from error
    path.unlink()
