"""Shards from storage through a bounded cache: the same samples, few bytes, one fetch each, errors in words."""

import contextlib
import errno
import os
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
import pytest
import s3
import torch
from pyarrow import fs

from ganops.core.errors import ConfigError, DataError
from ganops.core.files import hash_file, locked
from ganops.core.storage import Store
from ganops.data import Prepared, cache
from ganops.data.batches import Batches
from ganops.data.cache import Cache
from ganops.data.order import Order
from ganops.data.shards import WINDOW

SHARDS, SIZE = 80, 10
BYTES = 128 + SIZE * 8
ALL = (0, 1)
"""Share of a window."""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """The temporary folder, in which caches are."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path / "tmp"


@pytest.fixture
def stored(tmp_path):
    """A folder of shards of numbers, and their hashes."""
    place, digests = tmp_path / "stored", []
    place.mkdir()
    for number in range(SHARDS):
        np.save(place / "new.npy", np.arange(number * SIZE, number * SIZE + SIZE))
        digests.append(hash_file(place / "new.npy"))
        (place / "new.npy").rename(place / f"{digests[-1]}.npy")
    return place, digests


@pytest.fixture
def made(stored):
    """Makes caches of these."""
    caches = []

    def make(limit=32 * BYTES):
        caches.append(Cache(Store("", str(stored[0])), stored[1], BYTES, limit))
        return caches[-1]

    yield make
    for each in caches:
        each.close()


@pytest.fixture
def fetched(monkeypatch):
    """The names of the files that are copied from the storage."""
    names, copy = [], cache._copy
    monkeypatch.setattr(cache, "_copy", lambda source, path: names.append(source.name) or copy(source, path))
    return names


def held(folder):
    """The bytes of a cache, between two changes of it."""
    with contextlib.suppress(FileNotFoundError), locked(folder.with_suffix(".lock")):
        return sum(path.stat().st_size for path in folder.iterdir())
    return 0


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_shard_is_what_is_stored_and_is_fetched_once(made, fetched):
    one = made()
    for _ in range(2):
        assert one.open(7).tolist() == list(range(70, 80))
    assert len(fetched) == 1


def test_it_never_holds_more_than_it_may(made):
    one = made(limit=32 * BYTES)
    order = Order(SHARDS * SIZE, SIZE, seed=0)
    for window in range(2 * order.windows):
        one.expect(order, window, ALL)
        for shard in order.shards_of(window):
            assert one.open(shard)[0] == shard * SIZE
            assert held(one.folder) <= 32 * BYTES


def test_what_is_needed_last_makes_room(made):
    one = made(limit=40 * BYTES)
    order = Order(SHARDS * SIZE, SIZE, seed=0)
    one.depth = 0
    for window in range(3):
        one.expect(order, window, ALL)
        for shard in order.shards_of(window):
            one.open(shard)
    there = np.array([int(path.stem) for path in one.folder.glob("*.npy")])
    gone = np.setdiff1d([shard for window in range(3) for shard in order.shards_of(window)], there)
    assert len(there) == 40
    assert order.next_use(gone, 2).min() >= order.next_use(there, 2).max() - 1


def test_the_window_that_comes_is_fetched_before_it_is_read(made, fetched):
    one = made()
    order = Order(SHARDS * SIZE, SIZE, seed=0)
    one.expect(order, 0, ALL)
    until(lambda: len(list(one.folder.glob("*.npy"))) == 2 * WINDOW)
    before = len(fetched)
    for window in (0, 1):
        for shard in order.shards_of(window):
            one.open(shard)
    assert len(fetched) == before == 2 * WINDOW


def test_two_users_fetch_each_shard_once_and_the_last_removes_the_cache(made, fetched):
    one, other = made(limit=SHARDS * BYTES), made(limit=SHARDS * BYTES)
    order = Order(SHARDS * SIZE, SIZE, seed=0)

    def read(user):
        for window in range(order.windows):
            user.expect(order, window, ALL)
            for shard in order.shards_of(window):
                assert user.open(shard)[0] == shard * SIZE

    threads = [threading.Thread(target=read, args=(user,)) for user in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fetched) == len(set(fetched)) == SHARDS
    one.close()
    assert one.folder.is_dir()
    other.close()
    assert list(one.folder.parent.iterdir()) == []


def test_a_set_of_few_shards_needs_no_larger_cache(stored):
    few = Cache(Store("", str(stored[0])), stored[1][:3], BYTES, 3 * BYTES)
    order = Order(3 * SIZE, SIZE, seed=0)
    for window in range(4):
        few.expect(order, window, ALL)
        assert sorted(few.open(shard)[0] for shard in order.shards_of(window)) == [0, SIZE, 2 * SIZE]
    few.close()


def test_a_fetch_that_is_under_way_when_the_cache_is_closed_leaves_nothing(made, monkeypatch, home):
    going, copy = threading.Event(), cache._copy

    def slow(source, path):
        found = copy(source, path)
        going.set()
        time.sleep(0.2)
        return found

    monkeypatch.setattr(cache, "_copy", slow)
    one = made()
    one.expect(Order(SHARDS * SIZE, SIZE, seed=0), 0, ALL)
    assert going.wait(10)
    one.close()
    time.sleep(0.5)
    assert list(home.glob("ganops-*/*")) == []


def test_what_a_killed_process_was_fetching_is_fetched_again_and_takes_no_room(made):
    one = made()
    one.folder.mkdir()
    (one.folder / "3.part").write_bytes(b"half")
    (one.folder / "4.part").write_bytes(bytes(32 * BYTES))
    assert one.open(3)[0] == 30
    assert not list(one.folder.glob("*.part"))


def test_a_shard_that_another_process_fetches_is_waited_for(made, stored, fetched):
    one = made()
    one.folder.mkdir()
    part = one.folder / "3.part"
    part.touch()
    with locked(part):
        thread = threading.Thread(target=one.open, args=(3,))
        thread.start()
        time.sleep(0.1)
        assert thread.is_alive()
        part.write_bytes((stored[0] / f"{stored[1][3]}.npy").read_bytes())
        part.rename(one.folder / "3.npy")
    thread.join(10)
    assert not thread.is_alive()
    assert fetched == []


def test_a_cache_that_holds_no_two_windows_is_refused(made):
    with pytest.raises(ConfigError, match=rf"params\.compute\.cache: expected {32 * BYTES:,} bytes or more"):
        made(limit=32 * BYTES - 1)


def test_a_damaged_or_missing_shard_is_named(made, stored):
    place, digests = stored
    (place / f"{digests[3]}.npy").write_bytes(b"damaged")
    (place / f"{digests[4]}.npy").unlink()
    one = made()
    with pytest.raises(DataError, match=rf"{digests[3]}\.npy is damaged: its SHA-256 is .* prepare again"):
        one.open(3)
    with pytest.raises(DataError, match=rf"{digests[4]}\.npy cannot be read"):
        one.open(4)
    assert list(one.folder.iterdir()) == []


def test_a_full_disk_of_this_machine_is_none_of_the_storage(made, monkeypatch):
    def full(source, part):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache, "_copy", full)
    one = made()
    with pytest.raises(DataError, match=rf"^{one.folder}: No space left on device\. Make room there, set TMPDIR"):
        one.open(3)


def test_who_comes_while_the_last_user_leaves_has_a_cache_of_its_own(made, monkeypatch):
    """The file of the lock is removed between its opening and its lock."""
    first, second = made(), made()
    first.open(0)
    lock, left = cache.flock, []

    def after_the_last_has_left(*arguments, **more):
        if not left:
            left.append(True)
            first.close()
        return lock(*arguments, **more)

    monkeypatch.setattr(cache, "flock", after_the_last_has_left)
    second.open(1)
    assert os.path.samestat(os.fstat(second._use), second.folder.with_suffix(".use").stat())
    made().close()
    assert second.folder.is_dir(), "a third one sees its user"


def test_storage_that_is_away_is_waited_for_and_then_told(made, monkeypatch, capsys):
    lost, copy = OSError("AWS Error NETWORK_CONNECTION"), cache._copy
    answers = [lost, None, lost]

    def failing(source, path):
        if answers and (error := answers.pop(0)):
            raise error
        return copy(source, path)

    monkeypatch.setattr(cache, "_copy", failing)
    one = made()
    assert one.open(3)[0] == 30
    assert "NETWORK_CONNECTION; it is waited for" in capsys.readouterr().out
    monkeypatch.setenv("GANOPS_RETRY_TIMEOUT", "0")
    with pytest.raises(DataError, match=r"cannot be read: AWS Error NETWORK_CONNECTION. The same command goes on"):
        one.open(4)


READ = """
import sys, tempfile
from ganops.core.storage import Store
from ganops.data.cache import Cache
place, home, limit, *digests = sys.argv[1:]
tempfile.tempdir = home
one = Cache(Store("", place), digests, {bytes}, int(limit))
from ganops.data.order import Order
order = Order({shards} * {size}, {size}, seed=0)
for window in range(3 * order.windows):
    one.expect(order, window, (0, 1))
    for shard in order.shards_of(window):
        assert one.open(shard)[0] == shard * {size}
one.close()
"""


def test_processes_that_are_killed_and_others_share_it(stored, home):
    program = READ.format(bytes=BYTES, shards=SHARDS, size=SIZE)
    command = [sys.executable, "-c", program, str(stored[0]), str(home), str(33 * BYTES), *stored[1]]
    processes = [subprocess.Popen(command) for _ in range(3)]
    until(lambda: list(home.glob("ganops-*/shards-*/*.npy")))
    processes[0].kill()
    folder = next(path for path in home.glob("ganops-*/shards-*") if path.is_dir())
    while processes[1].poll() is None:
        assert held(folder) <= 33 * BYTES
        time.sleep(0.005)
    assert [process.wait(30) for process in processes] == [-9, 0, 0]
    assert list(home.glob("ganops-*/*")) == []


@pytest.fixture(scope="module")
def server():
    with s3.serving() as running:
        yield running


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_from_an_object_store_are_those_of_the_shards_here(run, lay, pictures, tmp_path, server, workers, home):
    run(lay(pictures), shard=1)
    prepared = tmp_path / "out/prepared"
    here = Prepared.open(prepared)
    expected = Batches(here.samples("train"), here.labels("train"), 8, 1, streamed=True)
    turns = [expected(turn) for turn in range(12)]
    manifest = run(lay(pictures), shard=1, storage=server.address("sets"))
    assert manifest["sha256"] == here.manifest["sha256"]
    assert sorted(path.name for path in prepared.rglob("*")) == ["manifest.json", "test", "train", "validation"]
    each = 1024 + 3 * 8 * 8 + 8
    there = Prepared.open(prepared, 32 * each)
    assert there.hash == here.hash
    place = {"workers": workers, "streamed": True}
    parts = [Batches(there.samples("train"), there.labels("train"), 8, 1, rank=r, **place) for r in range(workers)]
    for turn, batch in enumerate(turns):
        for i, one in enumerate(batch):
            assert torch.equal(torch.cat([part(turn)[i] for part in parts]), one)
    for part in parts:
        part.close()
    assert list(home.glob("ganops-*/*")) == []


def test_a_set_that_is_prepared_again_is_not_sent_again(run, lay, pictures, server):
    store = fs.FileSystem.from_uri(server.address("again"))[0]
    run(lay(pictures), shard=3, storage=server.address("again"))
    first = {info.path: info.mtime for info in store.get_file_info(fs.FileSelector("bucket/again"))}
    run(lay(pictures), shard=3, storage=server.address("again"))
    assert {info.path: info.mtime for info in store.get_file_info(fs.FileSelector("bucket/again"))} == first


def test_a_store_that_refuses_is_told(run, lay, pictures, server):
    address = server.address("sets").replace("s3://bucket", "s3://nobody-has-it")
    with pytest.raises(DataError, match=r"data\.storage: .*nobody-has-it.* cannot be written: "):
        run(lay(pictures), shard=3, storage=address)


def test_a_temporary_folder_without_locks_is_refused_in_words(made, monkeypatch):
    def refuse(handle, operation):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(ConfigError, match=r"expected a disk of this machine .* Set TMPDIR to another one"):
        made().open(7)
