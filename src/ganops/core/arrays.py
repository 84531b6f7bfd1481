"""Arrays in NumPy's files, read by any number of threads."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_READING = threading.Lock()
"""NumPy parses a file's header as Python, and CPython before 3.11.8 and 3.12.2 counts the depth of what it parses over
all threads (gh-106905): a garbage collection in the middle of two of them raises SystemError."""


def load_array(path: Path, *, mapped: bool = False) -> NDArray[Any]:
    """Return the array of a .npy file; `mapped`: read-only on the disk, without a copy in memory.

    Raises:
        OSError: The file cannot be read; FileNotFoundError where there is none.
        ValueError: It holds no array, or one of Python's objects.
    """
    with _READING:
        found = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    if not isinstance(found, np.ndarray):
        found.close()
        raise ValueError("expected one array (.npy), got an archive of arrays (.npz)")
    return found
