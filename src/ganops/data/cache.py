"""Shards from storage on a machine's own disk: at most so many bytes, shared by the workers of the machine.

The order of samples says when each shard is needed next. So shards are fetched before the turn that needs them, and the
one that is needed last makes room (Belady 1966, "A study of replacement algorithms"). Processes agree by locks of
files alone: each shard is fetched by one of them at a time, into a file beside its place that has its whole size from
the beginning, and gets its name when its hash is right. A process that ends leaves nothing locked.
"""

import errno
import hashlib
import math
import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ganops.core.errors import ConfigError, DataError
from ganops.core.files import flock, hash_json, locked, remove
from ganops.core.node_folder import forget, node_folder
from ganops.core.retry import insist, retry_timeout
from ganops.core.storage import Store, away
from ganops.core.terminal import say
from ganops.data.shards import WINDOW, load

if TYPE_CHECKING:
    from ganops.data.order import Order

FETCHES = 4
"""Shards that a process fetches at a time: a single stream of an object store is slower than most networks."""
AHEAD = 4
"""Windows that are fetched ahead, at most."""
WINDOWS = 2
"""Windows that a cache holds at least: the one that is read and the one that comes."""
PIECE_BYTES = 2**20
"""Bytes that are read and hashed at a time."""
PAUSE = 0.05
"""Seconds between two looks for room that other processes' fetches take for the moment."""


class Cache:
    """The files of a split's shards, as `shards.Files`."""

    def __init__(self, place: Store, digests: Sequence[str], size: int, limit: int) -> None:
        """Opens the cache of these shards on this machine; it is empty, or as other processes have it.

        Args:
            place: Folder of the shards, each under the name `<SHA-256>.npy`.
            digests: SHA-256 of each.
            size: Bytes of the largest.
            limit: Bytes of the cache, at most.

        Raises:
            ConfigError: The limit is too small.
        """
        if limit < (least := min(WINDOWS * WINDOW, len(digests)) * size):
            raise ConfigError(
                f"params.compute.cache: expected {least:,} bytes or more, which {WINDOWS} windows of {WINDOW} shards "
                f"take, got {limit:,}; smaller shards (data.shard) take less"
            )
        self.place, self.digests, self.size, self.limit = place, digests, size, limit
        home = node_folder()
        forget(home)
        self.folder = home / f"shards-{hash_json(list(digests))[:16]}"
        self.depth = max(0, min(AHEAD, limit // (WINDOW * size) - 1))
        """Windows that are fetched ahead."""
        self._order: Order | None = None
        self._window = -1
        self._wanted: deque[int] = deque()
        self._wake, self._entering = threading.Condition(), threading.Lock()
        self._maps: dict[int, NDArray[Any]] = {}
        self._closed = False
        self._use: int | None = None

    def open(self, number: int) -> NDArray[Any]:
        """Map a shard, which is fetched if it is not here.

        Raises:
            DataError: The storage has no such shard, or another one in its place, or has been away for too long.
        """
        self._enter()
        while (found := self._maps.get(number)) is None:
            with suppress(FileNotFoundError):  # there is none yet, or another process has just made room
                found = self._maps[number] = load(self._path(number))
                break
            self._fetch(number)
        return found

    def expect(self, order: "Order", window: int, part: tuple[float, float]) -> None:
        """Fetch what of the windows that come will be read, in other threads; let go of those that have been."""
        if window == self._window:
            return
        self._enter()
        if self._order is None:
            for _ in range(FETCHES):  # daemons: a process that ends does not wait for the storage
                threading.Thread(target=self._ahead, daemon=True, name="shards").start()
        self._order, self._window = order, window
        coming = [order.shards_of(each) for each in range(window, window + self.depth + 1)]
        self._maps = {number: each for number, each in self._maps.items() if number in coming[0]}
        with self._wake:
            self._wanted = deque(dict.fromkeys(number for shards in coming for number in _of(shards, part)))
            self._wake.notify_all()

    def close(self) -> None:
        """End the fetching; the last process that uses the cache removes it."""
        if self._closed:
            return
        if self._use is not None:
            with self._alone(), self._entering:
                self._closed = True  # what is being fetched finds it out when it asks for the lock
                if flock(self._use, wait=False):  # of a shared lock: no other process has one
                    remove(self.folder)
                    for suffix in (".lock", ".use"):
                        self.folder.with_suffix(suffix).unlink(missing_ok=True)
            os.close(self._use)
        self._maps, self._closed = {}, True
        with self._wake:
            self._wake.notify_all()

    def _enter(self) -> None:
        """Hold a lock that says, as long as this process has it, that the cache is in use."""
        while self._use is None:
            path = self.folder.with_suffix(".use")
            use = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            if flock(use, shared=True) is None:
                os.close(use)
                raise ConfigError(
                    f"{self.folder.parent}: expected a disk of this machine for the cache of shards, got a folder "
                    "whose files cannot be locked. Set TMPDIR to another one"
                )
            with suppress(FileNotFoundError):  # who used it last may have removed the file meanwhile
                if os.path.samestat(os.fstat(use), path.stat()):
                    self._use = use
                    return
            os.close(use)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number}.npy"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Lets one process at a time look at the folder and change it; ValueError once this cache is closed."""
        lock = self.folder.with_suffix(".lock")
        with self._entering:  # else a thread could leave the file that `close` has just removed
            if self._closed:
                raise ValueError("the cache is closed")
            lock.touch()
        with locked(lock):
            if self._closed:
                raise ValueError("the cache is closed")
            self.folder.mkdir(exist_ok=True)
            yield

    def _ahead(self) -> None:
        """Fetch what is wanted, until the cache is closed."""
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._wanted or self._closed)
                if self._closed:
                    return
                number = self._wanted.popleft()
            with suppress(Exception):  # whoever reads the shard finds the same, and tells it
                self._fetch(number, ahead=True)

    def _fetch(self, number: int, *, ahead: bool = False) -> None:
        """Fetch a shard if it is not here; where another process or thread does so, wait, unless it is only `ahead`."""
        path = self._path(number)
        part = path.with_suffix(".part")
        with ExitStack() as stack:
            with self._alone():
                if path.exists():
                    return
                part.touch()
                mine = stack.enter_context(locked(part, wait=False)) is not False
                room = mine and self._make_room(part, ahead)
                if room:
                    os.truncate(part, self.size)
                elif mine:
                    part.unlink()
            if room:
                try:
                    self._download(number, part)
                except BaseException:
                    with self._alone():
                        part.unlink()
                    raise
                with self._alone():
                    os.replace(part, path)
        if not room and not ahead:
            if mine:
                time.sleep(PAUSE)
            else:
                with suppress(FileNotFoundError), locked(part):
                    pass  # it has been fetched

    def _make_room(self, mine: Path, ahead: bool) -> bool:
        """Remove what is needed last until a shard more has room; `ahead`: nothing that is needed before that one."""
        excess = sum(entry.stat().st_size for entry in os.scandir(self.folder)) + self.size - self.limit
        if excess <= 0:
            return True
        for part in self.folder.glob("*.part"):
            with locked(part, wait=False) as left:
                if left:  # of a process that ended
                    excess -= part.stat().st_size
                    part.unlink()
        there = [int(path.stem) for path in self.folder.glob("*.npy")]
        uses = self._uses([int(mine.stem), *there])
        for use, number in sorted(zip(uses[1:], there, strict=True), reverse=True):
            if excess <= 0 or (ahead and use <= uses[0]):
                break
            excess -= self._path(number).stat().st_size
            self._path(number).unlink()
        return excess <= 0

    def _uses(self, numbers: list[int]) -> list[int]:
        """Return the window that needs each shard next."""
        if self._order is None:
            return [0] * len(numbers)
        return [int(use) for use in self._order.next_use(np.array(numbers), self._window)]

    def _download(self, number: int, part: Path) -> None:
        """Write a shard to a file.

        Raises:
            DataError: It is not there or another one, or the storage has been away for too long.
        """
        source = self.place / f"{self.digests[number]}.npy"
        try:
            digest = insist(
                lambda: _copy(source, part), away=away, seconds=retry_timeout(), tell=lambda text: say("shards", text)
            )
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DataError(
                    f"{self.folder}: {error.strerror}. Make room there, set TMPDIR to another disk, or compute.cache "
                    "to fewer bytes"
                ) from error
            raise DataError(f"data.storage: {source} cannot be read: {error}. The same command goes on") from error
        if digest != self.digests[number]:
            raise DataError(
                f"data.storage: {source} is damaged: its SHA-256 is {digest}. Remove it there, and run the stage "
                "prepare again (dvc repro --force prepare)"
            )


def _of(shards: list[int], part: tuple[float, float]) -> list[int]:
    """Shards of a window that a share of it touches."""
    first, last = part
    return shards[math.floor(first * len(shards)) : math.ceil(last * len(shards))]


def place_of(storage: str) -> Store:
    """Return the folder of the shards that `data.storage` names.

    Raises:
        DataError: It cannot be used.
    """
    import pyarrow as pa

    if "://" not in storage:
        return Store("", str(Path(storage).resolve()))
    try:
        return Store.of(storage)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"data.storage: {storage} cannot be used: {error}") from error


def _copy(source: Store, path: Path) -> str:
    """Write a file of a storage over one of this machine, and return its SHA-256."""
    digest = hashlib.sha256()
    with source.system.open_input_stream(source.path) as stream, open(path, "r+b") as file:
        while piece := stream.read(PIECE_BYTES):
            digest.update(piece)
            file.write(piece)
        file.truncate()
    return digest.hexdigest()
