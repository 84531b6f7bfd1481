"""A machine's own folder of copies, which the processes of one user share: below the temporary folder (`TMPDIR`)."""

import getpass
import os
import platform
import stat
import tempfile
import time
from pathlib import Path

from ganops.core.errors import TrainingError
from ganops.core.files import remove

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


def forget(folder: Path) -> None:
    """Remove copies that nobody has opened for long; who maps one keeps its bytes."""
    for copy in folder.iterdir():
        if copy.is_dir() and time.time() - copy.stat().st_mtime > KEPT_SECONDS:
            remove(copy)
