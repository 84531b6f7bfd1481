"""A folder on its way to the workers: through Ray's object store, once to each node, checked by its hash.

On the node where it was packed it is the folder itself, so that nothing is copied; elsewhere it is a copy on the node's
own disk, so that memory maps stay memory maps. The copies of a node are shared by its workers and by later runs.
"""

import os
import platform
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import ray

from ganops.core.errors import TrainingError
from ganops.core.files import atomic_folder, hash_file, hash_json, locked
from ganops.core.node_folder import forget, node_folder
from ganops.distributed import runtime

PIECE_BYTES = 64 * 2**20
"""Bytes of one object: a node receives and writes a file piece by piece."""


@dataclass(frozen=True)
class File:
    """One file of a copy."""

    name: str
    """Relative to the folder, with slashes."""
    hash: str
    """SHA-256 of its bytes."""
    pieces: tuple[Any, ...]
    """Ray's references to uint8 [at most PIECE_BYTES]; they hold as long as the process that packed lives."""


@dataclass(frozen=True)
class NodeCopy:
    """A folder that workers can open, wherever they run."""

    folder: str
    """Absolute path where it was packed."""
    home: str = ""
    """Ray's id of the node where it was packed; empty: there is one node."""
    files: tuple[File, ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256 of the names and the contents."""
        return hash_json({file.name: file.hash for file in self.files})

    def open(self) -> Path:
        """The folder on this node, which has it afterwards.

        Raises:
            TrainingError: The node has no room for it, or what arrived is not what was packed.
        """
        if not self.home or self.home == ray.get_runtime_context().get_node_id():
            return Path(self.folder)
        copy = node_folder() / self.hash
        # first without the lock: workers that find a copy check it side by side
        if not self._is(copy):
            (lock := copy.with_suffix(".lock")).touch()
            with locked(lock):
                if not self._is(copy):
                    self._fetch(copy)
        os.utime(copy)
        return copy

    def _is(self, folder: Path) -> bool:
        """Return True where the folder holds what was packed, and nothing else."""
        try:
            return _contents(folder) == {file.name: file.hash for file in self.files}
        except OSError:
            return False  # there is none, or another worker is replacing it

    def _fetch(self, copy: Path) -> None:
        forget(copy.parent)
        try:
            with atomic_folder(copy) as draft:
                for file in self.files:
                    _write(file, draft)
                if not self._is(draft):
                    raise TrainingError(f"{self.folder} arrived damaged, or changed while it was packed: run it again")
        except OSError as error:
            raise TrainingError(
                f"no copy of {self.folder} can be kept in {copy.parent} of node {platform.node()}: {error}. Make "
                "room there, or start Ray on that node with TMPDIR set to another folder."
            ) from error


def send(path: Path, *, grows: bool = False) -> NodeCopy:
    """Return what workers open instead of a folder, or of that in which a file lies, of which they get that file alone.

    It is packed only where nodes do not have it, or such may come.
    """
    folder, only = (path.parent, path.name) if path.is_file() else (path, "")
    return pack(folder, only) if grows or len(runtime.nodes()) > 1 else NodeCopy(str(folder.resolve()))


def pack(folder: Path, only: str = "") -> NodeCopy:
    """Puts all files of a folder, or only one, into Ray's object store; links to files are followed.

    Raises:
        TrainingError: There is no such folder, or it cannot be read.
    """
    folder = folder.resolve()
    try:
        contents = {only: hash_file(folder / only)} if only else _contents(folder)
        files = tuple(File(name, hash, _put(folder / name)) for name, hash in contents.items())
    except OSError as error:
        raise TrainingError(f"{folder} cannot be sent to the workers: {error}") from error
    return NodeCopy(str(folder), ray.get_runtime_context().get_node_id(), files)


def _contents(folder: Path) -> dict[str, str]:
    """Name and hash of each file, sorted by name."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder")
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in paths}


def _put(path: Path) -> tuple[Any, ...]:
    """The file's bytes in the object store; never more than a piece of them in this process."""
    size = path.stat().st_size
    if not size:
        return ()
    content = np.memmap(path, np.uint8, "r")
    return tuple(ray.put(np.asarray(content[start : start + PIECE_BYTES])) for start in range(0, size, PIECE_BYTES))


def _write(file: File, folder: Path) -> None:
    name = PurePosixPath(file.name)
    if name.is_absolute() or ".." in name.parts:
        raise TrainingError(f"a copy holds {file.name!r}, which would lie outside of its folder")
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        for piece in file.pieces:
            out.write(ray.get(piece).data)
