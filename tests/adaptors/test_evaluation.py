"""The number of workers changes no feature."""

import threading
import time

import numpy as np
import psutil
import pytest

from ganops.adaptors.evaluation import observe
from ganops.config import Compute
from ganops.generator import Description, Generator, generator_network

pytestmark = pytest.mark.ray


@pytest.fixture
def places(featured, tmp_path, monkeypatch):
    """Folders of an untrained generator and of features."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    description = Description("dcgan", {"width": 16}, 8, 10, tuple("0123456789"), 1, 16, 0.0, "f")
    Generator(generator_network(description), description).save(tmp_path / "generator")
    return tmp_path / "generator", featured.folder / "artifacts/features"


HERE, THERE = Compute(launcher="local"), Compute(launcher="ray", workers=2)


def test_two_ray_workers_see_what_this_process_sees(places):
    here, there = (observe(place, *places, 1100) for place in (HERE, THERE))
    assert here.features.shape[0] == 1100
    assert np.allclose(here.features, there.features, rtol=0, atol=1e-5 * np.abs(here.features).max())
    assert np.allclose(here.probabilities, there.probabilities, rtol=0, atol=1e-5)
    assert here.first_seed == there.first_seed


def kill_a_worker(killed: list[int]) -> None:
    """SIGKILL to the first worker that this process has."""
    deadline = time.monotonic() + 60
    while not killed and time.monotonic() < deadline:
        for process in psutil.Process().children(recursive=True):
            try:
                if "ray::_Worker" in " ".join(process.cmdline()):
                    process.kill()
                    killed.append(process.pid)
                    return
            except psutil.Error:
                continue
        time.sleep(0.01)


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_changes_nothing(places):
    killed: list[int] = []
    killer = threading.Thread(target=kill_a_worker, args=(killed,))
    killer.start()
    there = observe(THERE, *places, 30_000)
    killer.join()
    assert killed
    here = observe(HERE, *places, 30_000)
    assert np.allclose(here.features, there.features, rtol=0, atol=1e-5 * np.abs(here.features).max())
