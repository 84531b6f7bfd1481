"""A machine's own folder of copies, which the processes of one user share: below the temporary folder (`TMPDIR`)."""

import getpass
import os
import platform
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ganops.core.errors import TrainingError
from ganops.core.files import locked

CACHE_BYTES = 20 * 10**9
"""Bytes of a cache there, at most, unless told otherwise."""
KEPT_SECONDS = 7 * 24 * 3600
"""Seconds without use after which a copy makes room for others."""


def node_folder() -> Path:
    """Return the folder, made where there is none: this user's own, since what lies there is trained on.

    Raises:
        TrainingError: Others can open it.
    """
    mine = os.getuid() if hasattr(os, "getuid") else None  # on Windows the temporary folder is the user's own
    folder = Path(tempfile.gettempdir()) / f"ganops-{getpass.getuser() if mine is None else mine}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if mine is None:
        return folder
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != mine or found.st_mode & 0o077:
        raise TrainingError(f"{folder} of node {platform.node()} must be a folder that only its owner can open")
    return folder


def scratch(what: str) -> Path:
    """Return an empty folder in it, for a process that removes it; one that is killed leaves it to `forget`."""
    forget(home := node_folder())
    return Path(tempfile.mkdtemp(prefix=f"{what}-", dir=home))


@contextmanager
def scratched(what: str) -> Iterator[Path]:
    """Yields such a folder, and removes it after the block."""
    folder = scratch(what)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def forget(folder: Path) -> None:
    """Remove copies that nobody has opened for long; who maps one keeps its bytes.

    Several processes may do so at once: only who could rename a copy removes it. A cache in use is none of them.
    """
    for copy in folder.iterdir():
        with suppress(FileNotFoundError):
            if not copy.is_dir() or time.time() - copy.stat().st_mtime <= KEPT_SECONDS or _is_used(copy):
                continue
            aside = copy.with_name(f".{secrets.token_hex(8)}.old")
            copy.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)


def _is_used(copy: Path) -> bool:
    """Return True where a process holds the lock beside a copy (`Cache`)."""
    use = copy.with_suffix(".use")
    if not use.is_file():
        return False
    with locked(use, wait=False) as free:
        return free is False
