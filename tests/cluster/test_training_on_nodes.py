"""Training on nodes that share nothing but the storage: the same weights, whatever dies."""

import time

import numpy as np
import pytest
import torch
from safetensors.torch import load
from stage import DRIVER, WORKER, Training, ticks

from ganops.config import Compute
from ganops.core.files import hash_json
from ganops.distributed import node_copy
from ganops.distributed.evaluate import observe
from ganops.generator import Description, Generator, generator_network

pytestmark = pytest.mark.ray


@pytest.mark.slow
def test_workers_of_two_nodes_train_what_those_of_one_do(cluster, prepared, whole):
    training = Training(cluster, prepared)
    training.wait_checkpoint()
    assert all(len(node.pids("ray::RayTrainWorker")) == 1 for node in cluster.nodes), "one worker on each node"
    training.wait(240)
    assert training.result() == whole
    training.forget()
    assert not list(training.storage.glob("train-*")), "what is safe elsewhere has no checkpoints"
    with pytest.raises(OSError, match="No such file"):
        cluster.worker.run("ls", training.folder)


def test_storage_that_a_node_does_not_see_is_refused_before_anything_is_trained(cluster, prepared):
    training = Training(cluster, prepared, storage="/tmp/runs")
    log = training.wait(120, fails=True)
    worker = f"node worker ({cluster.worker.address})"
    assert f"compute.storage: {worker} does not see /tmp/runs" in log
    assert "node head" not in log
    assert "name a folder on a mount that all nodes share, or an address such as s3://" in log
    assert "Traceback" not in log
    assert training.shell("ls /tmp/runs") == "", "nothing is left there"


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(cluster, prepared, whole):
    training = Training(cluster, prepared)
    training.wait_checkpoint()
    cluster.worker.kill_process("ray::RayTrainWorker")
    assert not training.ended()
    training.wait(240)
    assert training.result() == whole


@pytest.mark.slow
def test_a_lost_node_that_is_replaced_changes_nothing(cluster, prepared, whole):
    training = Training(cluster, prepared)
    training.wait_checkpoint()
    cluster.worker.cut()
    cluster.wait(nodes=1)
    assert not training.ended()
    cluster.worker.start()
    training.wait(240)
    assert training.result() == whole


@pytest.mark.slow
def test_within_bounds_the_training_goes_on_without_a_lost_node(cluster, prepared, whole):
    """One worker sums in another order than two: equal up to rounding, in float64."""
    training = Training(cluster, prepared, workers=[1, 2])
    training.wait_checkpoint()
    assert cluster.worker.pids("ray::RayTrainWorker")
    cluster.worker.cut()
    cluster.wait(nodes=1)
    assert not training.ended()
    training.wait(240)
    assert cluster.alive() == 1
    one, two = load(training.result()[0]), load(whole[0])
    for name in two:
        assert torch.allclose(one[name], two[name], rtol=0, atol=1e-6), name


@pytest.mark.slow
def test_a_node_that_is_announced_to_go_is_used_until_it_is_taken(cluster, prepared, whole):
    """Each tick is saved meanwhile, also where no checkpoint is due; another node takes its place."""
    training = Training(cluster, prepared, checkpoint_minutes="auto")
    training.wait_checkpoint()
    start = time.monotonic()
    cluster.announce(cluster.worker, seconds=20)
    while not any(saved % 2 for saved in training.saved()):  # a checkpoint is due at every second tick at most
        assert not training.ended(), "too late"
        time.sleep(0.05)
    print(f"saved {time.monotonic() - start:.1f} s after the announcement")
    assert cluster.worker.pids(WORKER), "it trains on"
    cluster.worker.kill()
    cluster.wait(nodes=1)
    cluster.worker.start()
    played = ticks(training.wait(240))
    assert training.result() == whole
    assert len(played) - len(set(played)) <= 2, "what was played twice"


@pytest.mark.slow
def test_a_range_grows_when_a_node_comes(cluster, prepared):
    cluster.worker.kill()
    cluster.wait(nodes=1)
    training = Training(cluster, prepared, kimg=1000, workers=[1, 2])
    training.wait_checkpoint()
    cluster.worker.start()
    start = time.monotonic()
    cluster.wait()
    joined = time.monotonic() - start
    while not cluster.worker.pids(WORKER):
        assert not training.ended(), training.log()
        assert time.monotonic() - start < 150, training.log()
        time.sleep(0.2)
    print(f"the node was there after {joined:.0f} s and had a worker after {time.monotonic() - start:.0f} s")
    training.wait_started()
    cluster.head.kill_process(DRIVER)


ELSEWHERE = """
from contextlib import nullcontext
from pathlib import Path
import numpy as np
from ganops.core import layout
from ganops.experiment import checks
from ganops.distributed import evaluate, runtime, tune

experiment = checks.load().override({"tune.trials": 6})  # so many that the other node has time to take one
with runtime.cluster():
    watch = lambda objective, known: nullcontext(lambda trial: None)
    trials = tune.search(experiment, layout.PREPARED, layout.FEATURES, watch).trials
    assert all(trial.status == "finished" or trial.status.startswith("stopped") for trial in trials), trials
    seen = evaluate.observe(experiment.compute, Path("untrained"), layout.FEATURES, 1100)
np.save("seen.npy", seen.features)
"""


@pytest.mark.slow
def test_search_and_evaluation_read_what_travelled(cluster, prepared):
    description = Description("dcgan", {"width": 16}, 8, 10, tuple("0123456789"), (1, 16, 16), 0.0, "f")
    Generator(generator_network(description), description).save(prepared.folder / "untrained")
    (prepared.folder / "elsewhere.py").write_text(ELSEWHERE)
    cluster.worker.run("rm", "-rf", "/tmp/ganops-0")
    Training(cluster, prepared, script="elsewhere.py").wait(240)
    cluster.head.run("cp", "/tmp/project/seen.npy", cluster.shared)
    there = np.load(cluster.shared / "seen.npy")
    features = prepared.folder / "artifacts/features"
    here = observe(Compute(launcher="local"), prepared.folder / "untrained", features, 1100).features
    assert np.allclose(here, there, rtol=0, atol=1e-5 * np.abs(here).max())
    copies = [name for name in cluster.worker.run("ls", "/tmp/ganops-0").split() if not name.endswith(".lock")]
    sent = {"data/prepared", "artifacts/features", "untrained"}
    names = {hash_json(node_copy._contents(prepared.folder / name)): name for name in sent}
    found = [names[copy] for copy in copies]
    assert len(found) == len(set(found)), "each once"
    # the data are there if that node's process was quick enough to take a trial
    assert {"artifacts/features", "untrained"} <= set(found)
