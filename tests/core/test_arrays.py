"""Arrays in files of NumPy."""

import gc
import sys
import threading

import numpy as np
import pytest

from ganops.core.arrays import load_array


@pytest.mark.parametrize("mapped", [False, True])
def test_an_array_is_that_which_was_saved(tmp_path, mapped):
    saved = np.zeros(3, np.dtype([("sample", np.uint8, (3, 2)), ("label", np.int64)]))
    np.save(tmp_path / "a.npy", saved)
    found = load_array(tmp_path / "a.npy", mapped=mapped)
    assert (found.dtype, found.tobytes()) == (saved.dtype, saved.tobytes())
    assert isinstance(found, np.memmap) == mapped
    assert found.flags.writeable != mapped


def test_what_is_no_array_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.zeros(1))
    np.save(tmp_path / "b.npy", np.array([{}]))
    for name, words in (("a.npz", "archive of arrays"), ("b.npy", "allow_pickle")):
        with pytest.raises(ValueError, match=words):
            load_array(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        load_array(tmp_path / "c.npy")


class Ring:
    """Is freed by the collector alone, which runs Python's code meanwhile: other threads then have their turn."""

    def __init__(self):
        self.itself = self

    def __del__(self):
        for _ in range(50):
            pass


def test_threads_read_at_once_while_the_collector_runs(tmp_path):
    """CPython 3.11.7 raises SystemError here some 50 times where no lock is held (gh-106905)."""
    np.save(tmp_path / "a.npy", np.zeros(1, np.dtype([("sample", np.uint8, (3, 8, 8)), ("label", np.int64)])))
    errors, interval, thresholds = [], sys.getswitchinterval(), gc.get_threshold()

    def read():
        try:
            for _ in range(2000):
                Ring()
                load_array(tmp_path / "a.npy", mapped=True)
        except SystemError as error:
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    sys.setswitchinterval(1e-6)
    gc.set_threshold(20)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*thresholds)
    assert errors == []
