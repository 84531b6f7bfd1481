"""`make chaos`: faults at random moments; each training ends in the weights of one that nothing befell.

MLflow is not among them: no training waits for it, and here it is embedded (tests/registry/test_live.py).
"""

import random
import time

import pytest
from stage import DRIVER, WORKER, Training, ticks

pytestmark = pytest.mark.ray
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


def node_is_announced_to_go(training, cluster, chance):
    """And goes after that, perhaps sooner than said, perhaps after the training; another one comes thereafter."""
    notice = chance.randint(5, 40)
    cluster.announce(cluster.worker, notice)
    time.sleep(chance.uniform(0.2, 1) * notice)
    node_loses_power(training, cluster, chance)


def storage_is_away(training, cluster, chance):
    training.objects.away(silent=chance.random() < 0.5)
    try:
        time.sleep(chance.uniform(5, 40))
    finally:
        training.objects.back()


def head_is_lost(training, cluster, chance):
    """And with it the driver and the project: they come back from elsewhere."""
    cluster.head.kill()
    cluster.heal()
    training.back()


FAULTS = [
    worker_dies, storage_is_away, node_falls_silent, node_is_announced_to_go, node_loses_power,
    node_is_cut_for_a_moment, driver_dies, worker_hangs, head_is_lost,
]  # fmt: skip
COLUMNS = ["run", "what happened", "storage", "at kimg", "hit", "seconds", "weights and curve"]
THE_SAME = "the same"


def ending(training, whole) -> str:
    return THE_SAME if training.result() == whole else "OTHERS"


def row(*cells) -> None:
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


@pytest.fixture(scope="module")
def usual(cluster, prepared, whole):
    """Begins the table with a training that nothing befalls; its length in kimg."""
    training = Training(cluster, prepared)
    length = ticks(training.wait(900))[-1]
    print()
    row(*COLUMNS)
    row(*["---"] * len(COLUMNS))
    row("", "nothing", "folder", "", "", f"{training.seconds:.0f}", ending(training, whole))
    return length


@pytest.mark.slow
@pytest.mark.parametrize("fault", [node_is_cut_for_a_moment, driver_dies, worker_hangs, head_is_lost])
def test_one_of_each_kind(fault, cluster, prepared, whole):
    """Those that test_training_on_nodes.py and test_training_on_objects.py do not have."""
    training = Training(cluster, prepared)
    training.wait_checkpoint()
    assert not training.ended(), "too late"
    fault(training, cluster, random.Random(0))
    training.wait(900)
    assert training.result() == whole


@pytest.mark.chaos
@pytest.mark.parametrize("run", range(RUNS))
def test_whatever_happens_it_ends_in_the_same_weights(run, cluster, prepared, whole, usual, objects):
    """At a random tick, and now and then before the first one; every other run on an object store."""
    chance = random.Random(run)
    fault, moment = FAULTS[run % len(FAULTS)], max(0, chance.uniform(-0.1, 0.8)) * usual
    stored = objects if run % 2 or fault is storage_is_away else None
    training = Training(cluster, prepared, objects=stored)
    training.wait_started()
    while not training.ended() and max(ticks(training.log()), default=0) < moment:
        time.sleep(0.05)
    hit = not training.ended()
    if hit:
        fault(training, cluster, chance)
    training.wait(900)
    end = ending(training, whole)
    training.forget()
    left = training.unfinished()
    row(run, fault.__name__.replace("_", " "), "objects" if stored else "folder", f"{moment:.1f}",
        "hit" if hit else "too late", f"{training.seconds:.0f}", end)  # fmt: skip
    assert end == THE_SAME
    assert not left, "what is safe elsewhere has no checkpoints"
