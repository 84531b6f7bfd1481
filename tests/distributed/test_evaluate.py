"""The number of workers changes no feature."""

import threading
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest

from ganops.config import Compute
from ganops.core.errors import UserError
from ganops.core.labels import BY_FREQUENCY, IN_TURN, class_labels
from ganops.distributed.evaluate import observe
from ganops.evaluation import verdict
from ganops.evaluation.validation import ValidationJudge
from ganops.generator import Description, Generator, generator_network
from ganops.metrics.reference import Reference

pytestmark = pytest.mark.ray


@pytest.fixture
def places(featured, tmp_path, monkeypatch):
    """Folders of an untrained generator and of features."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    description = Description("dcgan", {"width": 16}, 8, 10, tuple("0123456789"), (1, 16, 16), 0.0, "f")
    Generator(generator_network(description), description).save(tmp_path / "generator")
    return tmp_path / "generator", featured.folder / "artifacts/features"


def test_validation_and_evaluation_draw_labels_in_the_shares_of_the_training_samples(places, monkeypatch):
    folder, features = places
    generator, counts = Generator.load(folder), (20, *range(9, 0, -1))
    generator = replace(generator, description=replace(generator.description, class_counts=counts))
    reference, asked = Reference.open(features), []
    sample = Generator.sample
    monkeypatch.setattr(Generator, "sample", lambda self, seeds, labels: (asked.append(labels), sample(self, seeds))[1])
    ValidationJudge(reference).distance(generator, np.arange(60))
    seen = verdict.look(generator, reference, np.arange(100, 200))
    for labels, seeds in zip(asked, (np.arange(60), np.arange(100, 200)), strict=True):
        assert np.array_equal(labels, class_labels(seeds, counts))
    assert np.array_equal(seen.labels, asked[1])
    assert seen.drawn == BY_FREQUENCY


HERE, THERE = Compute(launcher="local"), Compute(launcher="ray", workers=2)


def test_two_ray_workers_see_what_this_process_sees(places):
    here, there = (observe(place, *places, 1100) for place in (HERE, THERE))
    assert here.features.shape[0] == 1100
    assert np.allclose(here.features, there.features, rtol=0, atol=1e-5 * np.abs(here.features).max())
    assert np.allclose(here.probabilities, there.probabilities, rtol=0, atol=1e-5)
    assert here.first_seed == there.first_seed
    assert np.array_equal(here.labels, there.labels)
    assert (here.drawn, there.drawn) == (IN_TURN, IN_TURN)


def test_what_a_worker_cannot_open_is_told_in_words(places):
    generator, features = places
    weights = generator / "generator.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match="holds a generator that is damaged") as here:
        observe(HERE, generator, features, 1100)
    with pytest.raises(UserError) as there:
        observe(THERE, generator, features, 1100)
    assert str(there.value) == str(here.value)


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
