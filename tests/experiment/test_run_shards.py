"""A training on shards through a cache: the same weights as on an array, killed in mid-epoch or not."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ganops import config
from ganops.core.storage import Store
from ganops.data.cache import Cache
from ganops.data.shards import HEADER_BYTES, Shards
from ganops.data.writing import move, write_split
from ganops.experiment.checkpoint import STATE
from ganops.experiment.run import Run
from ganops.kinds import Spec

ROOT = Path(__file__).parents[2]
IMAGES = np.random.default_rng(0).integers(0, 256, (800, 1, 16, 16), np.uint8)
LABELS = np.arange(800) % 2
SIZE = 10
EXPERIMENT = {
    "seed": 1,
    "model": {"architecture": "mlp", "latent": 4, "options": {"width": 8, "depth": 1}},
    "train": {"kimg": 1.2, "batch": 16, "tick_kimg": 0.08, "checkpoint_kimg": 0.08},
    "compute": {"launcher": "local", "device": "cpu", "threads": 1},
}


class Toys:
    """A split in shards, as a run takes samples."""

    spec = Spec("image", (1, 16, 16), 2)
    class_names = ("0", "1")
    hash = "toys"

    def __init__(self, split):
        self.split = split

    def samples(self, split):
        return self.split.samples

    def labels(self, split):
        return self.split.labels


def run(split):
    return Run(config.parse(EXPERIMENT), Toys(split), None, torch.device("cpu"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The state after a training on arrays, whose samples come in the order of shards."""
    array = run(Shards.of(IMAGES, LABELS, SIZE, 2))
    list(array.play())
    array.save(folder := tmp_path_factory.mktemp("whole") / "checkpoint")
    return load_file(folder / STATE)


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """Opens the same samples in shards in a folder, through a cache that holds less than half of them."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = Store("", str(tmp_path / "stored"))
    written = write_split(
        tmp_path / "train", "images", IMAGES[0], iter(IMAGES), LABELS.tolist(), len(IMAGES), SIZE,
        lambda path, digest: move(place, path, digest),
    )  # fmt: skip
    like = Shards.of(IMAGES, LABELS, SIZE, 2)
    size = HEADER_BYTES + SIZE * like.record.itemsize

    def opened():
        files = Cache(place, written.shards, size, 34 * size)
        return Shards(like.count, like.size, like.record, files, like.class_counts)

    return opened


def equal(state, other):
    assert state.keys() == other.keys()
    assert all(torch.equal(state[name], other[name]) for name in state)


def test_shards_end_in_the_weights_of_the_array_and_leave_no_cache(whole, cached, tmp_path):
    training = run(cached())
    list(training.play())
    training.save(tmp_path / "checkpoint")
    equal(load_file(tmp_path / "checkpoint" / STATE), whole)
    assert list(tmp_path.glob("ganops-*/*")) == []


def test_a_training_that_ended_in_mid_epoch_goes_on_to_the_same_weights(whole, cached, tmp_path):
    for until in (11, 62, None):  # of 50 steps in an epoch
        training = run(cached())
        training.resume([tmp_path / "checkpoint"] if (tmp_path / "checkpoint").is_dir() else [])
        list(training.play(until))
        training.save(tmp_path / "checkpoint")
    equal(load_file(tmp_path / "checkpoint" / STATE), whole)


def test_the_order_is_part_of_what_a_training_means():
    from ganops.data import Prepared

    manifest = {"sha256": "a", "splits": {"train": {"samples": 400}}, "shards": {"size": 10}}
    hashes = {Prepared(Path(), manifest | {"shards": {"size": size}}).hash for size in (10, 20, 400)}
    assert len(hashes) == 3
    assert "a" in hashes


@pytest.mark.slow
def test_two_workers_that_are_killed_twice_on_an_object_store():
    command = [sys.executable, "benchmarks/shards.py", "--images", "4000", "--kimg", "4", "--game", "small", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["same"]
    assert found["cache"] <= found["limit"]
    assert found["left"] == []
