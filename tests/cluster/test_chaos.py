"""`make chaos`: faults at random moments; each training ends in the weights of one that nothing befell."""

import random
import time

import pytest
from stage import DRIVER, WORKER, Training

pytestmark = [pytest.mark.ray, pytest.mark.chaos]
RUNS = 20


def worker_dies(training, cluster, chance):
    chance.choice(training.hosts()).kill_process(WORKER)


def node_falls_silent(training, cluster, chance):
    cluster.worker.cut()
    cluster.wait(nodes=1)
    cluster.worker.start()


def node_loses_power(training, cluster, chance):
    cluster.worker.kill()
    cluster.wait(nodes=1)
    cluster.worker.start()


def node_is_cut_for_a_moment(training, cluster, chance):
    """Too short to be given up."""
    cluster.worker.cut()
    time.sleep(chance.uniform(0.5, 2.5))
    cluster.worker.mend()


def driver_dies(training, cluster, chance):
    cluster.head.kill_process(DRIVER)
    training.again()


def worker_hangs(training, cluster, chance):
    found = cluster.worker.processes(WORKER)
    for process in found:
        process.suspend()
    time.sleep(chance.uniform(3, 15))
    for process in found:
        process.resume()


def head_is_lost(training, cluster, chance):
    """And with it the driver and the project: they come back from elsewhere."""
    cluster.head.kill()
    cluster.heal()
    training.back()


FAULTS = [
    worker_dies, node_falls_silent, node_loses_power, node_is_cut_for_a_moment, driver_dies, worker_hangs, head_is_lost,
]  # fmt: skip


@pytest.fixture(scope="module")
def usual(cluster, prepared):
    """Seconds of a training that nothing befalls."""
    training = Training(cluster, prepared)
    training.wait(120)
    return training.seconds


@pytest.mark.parametrize("run", range(RUNS))
def test_whatever_happens_it_ends_in_the_same_weights(run, cluster, prepared, whole, usual):
    chance = random.Random(run)
    fault, moment = FAULTS[run % len(FAULTS)], chance.uniform(0.4, 0.9) * usual
    training = Training(cluster, prepared)
    training.wait_started()
    time.sleep(max(0, training.start + moment - time.monotonic()))
    hit = not training.ended()
    if hit:
        fault(training, cluster, chance)
    training.wait(240)
    assert training.result() == whole
    print(
        f"run {run}: {fault.__name__} after {moment:.1f} s ({'hit' if hit else 'too late'}): {training.seconds:.1f} s"
    )
