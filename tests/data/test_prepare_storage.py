"""Shards on Google's storage, on any storage that fsspec knows, and on a shared folder without locks."""

import io
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import fsspec
import gcs
import numpy as np
import pytest

from ganops.core.errors import DataError
from ganops.core.files import hash_file, read_json
from ganops.core.node_folder import CACHE_BYTES
from ganops.core.storage import Store
from ganops.data import SPLITS, Prepared
from ganops.data.order import Order
from ganops.data.writing import move


@pytest.fixture(autouse=True)
def own_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


class Objects(fsspec.AbstractFileSystem):
    """An object store at its plainest: put, get, head and delete of whole objects; a listing shows no new ones."""

    protocol = "objects"
    cachable = False
    kept: ClassVar[dict[str, bytes]] = {}

    def _open(self, path, mode="rb", **_):
        if mode == "rb":
            return io.BytesIO(self._content(path))
        assert mode == "wb", "objects are written as a whole"
        writer = io.BytesIO()
        close = writer.close

        def put():
            if not writer.closed:
                self.kept[self._strip_protocol(path)] = writer.getvalue()
            close()

        writer.close = put
        return writer

    def _content(self, path):
        try:
            return self.kept[self._strip_protocol(path)]
        except KeyError:
            raise FileNotFoundError(path) from None

    def info(self, path, **_):
        return {"name": path, "size": len(self._content(path)), "type": "file"}

    def ls(self, path, detail=False, **_):
        return []

    def makedirs(self, path, exist_ok=False):
        """There are no folders."""

    def mv(self, *_, **__):
        raise AssertionError("objects cannot be renamed")


@pytest.fixture
def objects():
    fsspec.register_implementation("objects", Objects, clobber=True)
    Objects.kept.clear()
    return "fsspec+objects://bucket/sets"


def read(folder):
    """All samples and labels, by way of the cache, shard by shard as a training reads them."""
    found = Prepared.open(folder, CACHE_BYTES)
    arrays = []
    for split in SPLITS:
        column = found.samples(split)
        column.shards.files.expect(Order(len(column), column.shards.size, seed=0), 0, (0.0, 1.0))
        arrays += [np.array(column), np.array(found.labels(split))]
        column.shards.files.close()
    return arrays


@pytest.mark.parametrize("kind", ["gs", "fsspec"])
def test_shards_on_storage_hold_what_the_arrays_do_and_are_sent_once(kind, lay, pictures, run, tmp_path, objects):
    source, out = lay(pictures), tmp_path / "out" / "prepared"
    expected = run(source)
    found = Prepared.open(out)
    arrays = [np.array(each(split)) for split in SPLITS for each in (found.samples, found.labels)]
    with gcs.serving() as server:
        storage, kept = (server.address("sets"), server.objects) if kind == "gs" else (objects, Objects.kept)
        manifest = run(source, storage=storage, shard=7)
        assert manifest["sha256"] == expected["sha256"]
        there = {name for name in kept if name.endswith(".npy")}
        digests = [digest for each in manifest["shards"]["sha256"].values() for digest in each]
        assert {Path(name).stem for name in there} == {*digests}
        assert all(np.array_equal(one, other) for one, other in zip(arrays, read(out), strict=True))
        before, uploads = dict(kept), sum("PUT" in each for each in server.requests)
        assert run(source, storage=storage, shard=7) == manifest
        assert kept == before
        assert sum("PUT" in each for each in server.requests) == uploads
        name = next(name for name in there if Path(name).stem == digests[0])
        kept[name] = kept[name][:-1] + b"?"
        with pytest.raises(DataError, match="is damaged"):
            read(out)


LOCKLESS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int refused(int handle) {
    char link[64], path[4096] = {0};
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    return readlink(link, path, sizeof path - 1) > 0 && !strncmp(path, getenv("SHARED"), strlen(getenv("SHARED")));
}
#define OTHER(name) int name(int handle, int command, ...) { \\
    va_list list; va_start(list, command); void *argument = va_arg(list, void *); va_end(list); \\
    int lock = command == F_SETLK || command == F_SETLKW || command == F_GETLK; \\
    if (lock && refused(handle)) return errno = ENOLCK, -1; \\
    return ((int (*)(int, int, ...))dlsym(RTLD_NEXT, #name))(handle, command, argument); }
OTHER(fcntl)
OTHER(fcntl64)
int flock(int handle, int operation) {
    if (refused(handle)) return errno = ENOLCK, -1;
    return ((int (*)(int, int))dlsym(RTLD_NEXT, "flock"))(handle, operation);
}
"""

RACE = """
import fcntl, sys, time
from pathlib import Path
from ganops.data import prepare
from ganops.data.image_decoder import ImageDecoder
shared, mine, other = Path(sys.argv[1]), *sys.argv[2:]
with open(shared / f"{mine}.ready", "w") as file:
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        print(error.strerror)
while not (shared / f"{other}.ready").exists():
    time.sleep(0.001)
prepare(
    shared / "faces", shared / mine / "prepared", shared / mine / "preview.png", ImageDecoder(32), shard=1,
    storage=str(shared / "storage"), decoded=shared / "decoded.sqlite",
)
"""


@pytest.mark.skipif(not shutil.which("gcc"), reason="what refuses locks is built with gcc")
def test_two_processes_write_one_shared_folder_that_has_no_locks(lay, pictures, run, tmp_path):
    """A folder as on NFS without lockd: flock and fcntl are refused there, to SQLite as well."""
    shared, library = lay(pictures, "shared/faces").parent, tmp_path / "lockless.so"
    library.with_suffix(".c").write_text(LOCKLESS)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, library.with_suffix(".c"), "-ldl"], check=True)
    (tmp_path / "tmp").mkdir()
    words = {"LD_PRELOAD": str(library), "SHARED": str(shared), "TMPDIR": str(tmp_path / "tmp")}
    names = ["one", "other"]
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, shared, mine, other], env=os.environ | words, stdout=subprocess.PIPE, text=True
        )
        for mine, other in (names, names[::-1])
    ]
    assert ["No locks available" in racer.communicate(timeout=120)[0] for racer in racers] == [True, True]
    assert [racer.returncode for racer in racers] == [0, 0]
    manifests = [read_json(shared / name / "prepared/manifest.json") for name in names]
    assert manifests[0] == manifests[1]
    assert manifests[0]["sha256"] == run(shared / "faces", resolution=32, validation=0.1, test=0.1)["sha256"]
    files = sorted((shared / "storage").iterdir())
    assert [hash_file(path) for path in files] == [path.stem for path in files]
    assert len(files) == 40
    assert sorted(path.name for path in (shared / "one").iterdir()) == ["prepared", "preview.png"]
    assert all(map(np.array_equal, read(shared / "one/prepared"), read(shared / "other/prepared")))


def test_a_shard_that_a_full_disk_cuts_off_has_no_name(tmp_path):
    (tmp_path / "shard.npy").write_bytes(bytes(100_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(DataError, match="cannot be written"):
            move(Store("", str(tmp_path / "storage")), tmp_path / "shard.npy", "digest")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((tmp_path / "storage").iterdir())
