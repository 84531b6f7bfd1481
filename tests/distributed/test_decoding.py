"""Ray's workers decode what this process decodes, byte for byte, also when one of them dies."""

import io
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray
from PIL import Image
from ray import cloudpickle

from ganops.config import Compute
from ganops.core.errors import DataError
from ganops.data import intake, prepare
from ganops.data.image_decoder import ImageDecoder
from ganops.distributed import decoding, runtime

pytestmark = pytest.mark.ray


def picture(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 9, 1 + 2 * (seed % 2)), np.uint8).squeeze()).save(
        file, "PNG"
    )
    return file.getvalue()


@pytest.fixture
def folder(tmp_path):
    """Three hundred images in two classes, some twice, some of them none."""
    for i in range(300):
        path = tmp_path / "faces" / "ab"[i % 2] / f"{i:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"hello" if i in (17, 180) else picture(i % 290))
    return tmp_path / "faces"


@pytest.fixture
def parquet(folder):
    rows = [{"image": path.read_bytes(), "label": path.parent.name} for path in sorted(folder.rglob("*.png"))]
    pq.write_table(pa.Table.from_pylist(rows), folder.parent / "faces.parquet", row_group_size=50)
    return folder.parent / "faces.parquet"


@pytest.fixture
def made(tmp_path):
    """Every byte that `prepare` makes of a source."""

    def made(source, mapper, decoded=None):
        out = tmp_path / "out"
        prepare(source, out / "prepared", out / "preview.png", ImageDecoder(8), mapper=mapper, decoded=decoded)
        return {path: path.read_bytes() for path in sorted((tmp_path / "out").rglob("*")) if path.is_file()}

    return made


@pytest.fixture(scope="module")
def cluster():
    """Two cores, and sets of any size are worth them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setattr(decoding, "WORTH", 0)
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the workers cannot import this file
        yield
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
        ray.shutdown()


@pytest.mark.parametrize("ahead", [0.5, 2])
def test_the_number_of_workers_changes_no_byte(folder, parquet, made, cluster, ahead, monkeypatch):
    monkeypatch.setattr(decoding, "AHEAD", ahead)  # of two cores: one block under way, or four
    for source in (folder, parquet, folder.as_uri(), parquet.as_uri()):
        assert made(source, decoding.on_workers) == made(source, intake.serially)


def test_what_only_this_machine_has_is_sent_to_others(folder, parquet, made, cluster, monkeypatch):
    blocks = []

    def spied(decode, block):
        blocks.extend(block)
        return decode(block)

    monkeypatch.setattr(runtime, "nodes", lambda: [1, 2])
    monkeypatch.setattr(decoding, "_in_order", lambda decode, blocks: (spied(decode, block) for block in blocks))
    for source in (folder, parquet, folder.as_uri()):
        assert made(source, decoding.on_workers) == made(source, intake.serially)
    assert {type(content) for content in blocks} == {bytes}


def test_the_block_of_a_dead_worker_is_decoded_again(folder, made, cluster, tmp_path):
    def deadly(decode, blocks, count):
        def decode_or_die(block):
            if not (tmp_path / "mark").exists():
                (tmp_path / "mark").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return decode(block)

        return decoding.on_workers(decode_or_die, blocks, count)

    there = made(folder, deadly)
    assert (tmp_path / "mark").exists()
    assert there == made(folder, intake.serially)


def test_a_block_that_always_kills_is_an_error_not_a_hang(cluster, monkeypatch):
    monkeypatch.setattr(decoding, "MAX_RESTARTS", 0)
    with pytest.raises(DataError, match="was ended from outside"):
        list(decoding.on_workers(lambda block: os.kill(os.getpid(), signal.SIGKILL), iter([[1]]), 1))


def len_and_all(block):
    return [len(block), *block]


def test_few_blocks_are_under_way_and_results_come_in_order(cluster):
    taken = []

    def blocks():
        for i in range(40):
            taken.append(i)
            yield [i]

    def late(block):
        time.sleep(0.05 if block[0] % 2 == 0 else 0)
        return block

    for place, result in enumerate(decoding.on_workers(late, blocks(), 40)):
        assert result == [place]
        assert len(taken) - place <= decoding.AHEAD * 2


KILLED = """
import sys, time
from pathlib import Path
from ganops.data import intake, prepare
from ganops.data.image_decoder import ImageDecoder
from ganops.distributed import decoding
source, out, kept = map(Path, sys.argv[1:])
decoding.WORTH, intake._CHUNK_ITEMS = 0, 4

def slowly(block, decode):
    time.sleep(0.02)
    return decode(block)

def mapper(decode, blocks, count):
    for results in decoding.on_workers(lambda block: slowly(block, decode), blocks, count):
        yield results
        print("home", len(results), flush=True)

prepare(source, out / "prepared", out / "preview.png", ImageDecoder(8), mapper=mapper, decoded=kept)
"""


def test_a_driver_that_is_killed_at_any_moment_decodes_nothing_again_that_came_home(folder, made, cluster, tmp_path):
    """Blocks under way on the workers, at most two for each core, are lost with the driver; no others."""
    rng, store = random.Random(0), tmp_path / "decoded.sqlite"
    environment = {**os.environ, "RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    kept = 0
    for _ in range(2):
        command = [sys.executable, "-c", KILLED, folder, tmp_path / "killed", store]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as driver:
            homes = (int(line.split()[1]) for line in driver.stdout if line.startswith("home"))
            home = sum(islice(homes, rng.randint(4, 20)))
            time.sleep(rng.uniform(0, 0.1))
            driver.kill()
        assert not (tmp_path / "killed/prepared").exists()
        with sqlite3.connect(store) as file:
            kept, before = file.execute("SELECT count(*) FROM decoded").fetchone()[0], kept
        assert before + home - 2 <= kept < 298  # two of the files are no images, and are never kept
    decoded = []

    def counted(decode, blocks, count):
        return intake.serially(lambda block: decoded.extend(block) or decode(block), blocks, count)

    there = made(folder, counted, store)
    assert len(decoded) == len(set(decoded)) == 300 - kept
    assert there == made(folder, intake.serially)


def test_what_a_user_can_mend_comes_home_as_it_was_told(cluster, tmp_path):
    def refuses(block):
        raise DataError("no such file")

    with pytest.raises(DataError, match=r"^no such file$"):
        list(decoding.on_workers(refuses, iter([[1]]), 1))


def test_small_sets_and_other_launchers_start_no_ray(monkeypatch):
    monkeypatch.setattr(decoding, "_in_order", lambda *_: pytest.fail("Ray was asked"))
    monkeypatch.setattr(decoding, "WORTH", 2)
    assert decoding.mapper(Compute(launcher="ray")) is intake.here
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert list(decoding.mapper(Compute(launcher="ray"))(len_and_all, iter([[1]]), 1)) == [[1, 1]]
    assert decoding.mapper(Compute(launcher="local")) is intake.here
