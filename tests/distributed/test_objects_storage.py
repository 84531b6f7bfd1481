"""What a search keeps on an object store: a process of this machine that speaks S3."""

import os

import pytest
import s3
from pyarrow import fs

from ganops.distributed.on_ray import _read_log
from ganops.distributed.storage import WHOLE, Storage
from ganops.distributed.trial_store import TrialStore
from ganops.experiment.log import Log
from ganops.search.trials import Takeover, Trial


@pytest.fixture(scope="module")
def server():
    with s3.serving() as server:
        yield server


@pytest.fixture(scope="module")
def store(server):
    return Storage(server.address("runs"))


def keep(store, name, **files):
    with store.keep(name) as folder:
        (folder / "run").mkdir()
        for file, text in files.items():
            (folder / "run" / file).write_text(text)


def found(store, name):
    with store.opened(name) as folder:
        return {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_kept_replaced_and_dropped(store):
    keep(store, "search/checkpoints/0001-1", old="1", both="1")
    keep(store, "search/checkpoints/0001-1", both="2")
    assert found(store, "search/checkpoints/0001-1") == {"both": "2"}
    assert store.kept("search/checkpoints") == ["0001-1"]
    store.drop("search/checkpoints/0001-1")
    assert store.kept("search/checkpoints") == []


def test_a_folder_that_did_not_arrive_whole_is_not_there(store, monkeypatch):
    def half(source, destination, **named):
        copy(os.path.join(source, "run", "a"), f"{destination}/a", **named)
        raise OSError("cut")

    copy = fs.copy_files
    with monkeypatch.context() as broken:
        broken.setattr(fs, "copy_files", half)
        with pytest.raises(OSError, match="cut"):
            keep(store, "search/checkpoints/0002-1", a="1", b="2")
    assert store.kept("search/checkpoints") == []
    keep(store, "search/checkpoints/0002-1", a="1", b="2")
    assert found(store, "search/checkpoints/0002-1") == {"a": "1", "b": "2"}


def test_the_ledger_of_a_search(store):
    trials = TrialStore(store, "tune-1")
    assert (trials.trials(), trials.rounds(), trials.checkpoints(), trials.pictures()) == ({}, {}, [], {})
    assert trials.about() == {}
    trial = Trial(1, {"loss.r1": 0.5}, "finished", rung=1, score=2.0, history=({"kimg": 1.0, "rung": 1},))
    takeovers = {2: Takeover(1, 1, {"loss.r1": 0.4})}
    trials.write(trial)
    trials.write_round(1, takeovers)
    trials.write_about(3.5)
    trials.write_picture(1, b"png")
    keep(store, trials.checkpoint(1, 2), state="x")
    assert (trials.trials(), trials.rounds()) == ({1: trial}, {1: takeovers})
    assert (trials.about()["seconds"], trials.pictures(), trials.checkpoints()) == (3.5, {1: b"png"}, [(1, 2)])
    trials.forget(1, 2)
    assert trials.checkpoints() == []


def test_the_address_of_a_folder_keeps_its_options(store):
    address = store.below("search/train")
    assert address.startswith("s3://bucket/runs/search/train?scheme=http")
    _, root = fs.FileSystem.from_uri(address)
    assert root == "bucket/runs/search/train"
    assert Storage("/data").below("search") == "/data/search"
    assert WHOLE not in address


@pytest.mark.parametrize("checkpoints", [10, 100])
def test_a_resume_asks_for_a_handful_of_objects_of_the_log_however_long_it_is(server, store, tmp_path, checkpoints):
    """`benchmarks/length.py` has the figures of long trainings."""
    log, name = Log(), f"train-{checkpoints}/log"
    for n in range(checkpoints):
        log.rows += [{"kimg": float(2 * n)}, {"kimg": float(2 * n + 1)}]
        last = log.write(tmp_path, len(log.rows))
    store.place(name).send(tmp_path)
    before = len(server.requests(f"runs/{name}"))
    assert Log(_read_log((store, name), 0), last).rows == log.rows
    assert len(server.requests(f"runs/{name}")) - before <= 2 * 6, "pyarrow asks twice for an object: HEAD and GET"
