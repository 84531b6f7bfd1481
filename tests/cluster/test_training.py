"""Training on nodes that share nothing but the storage: the same weights, whatever dies."""

import pytest
from stage import Training

pytestmark = pytest.mark.ray


def test_workers_of_two_nodes_train_what_those_of_one_do(cluster, prepared, whole):
    training = Training(cluster, prepared)
    training.wait_checkpoint()
    assert all(len(node.pids("ray::RayTrainWorker")) == 1 for node in cluster.nodes), "one worker on each node"
    training.wait(90)
    assert training.result() == whole
    assert not list(training.storage.glob("train-*")), "a finished run keeps no checkpoints"
    with pytest.raises(OSError, match="No such file"):
        cluster.worker.run("ls", training.folder)
    print("seconds", training.seconds)


def test_storage_that_a_node_does_not_see_is_refused_before_anything_is_trained(cluster, prepared):
    training = Training(cluster, prepared, storage="/tmp/runs")
    log = training.wait(60, fails=True)
    worker = f"node worker ({cluster.worker.address})"
    assert f"compute.storage: {worker} does not see /tmp/runs" in log
    assert "node head" not in log
    assert "name a folder on a mount that all nodes share, or an address such as s3://" in log
    assert "Traceback" not in log
    assert training.shell("ls /tmp/runs") == "", "nothing is left there"
    print("seconds", training.seconds)


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(cluster, prepared, whole):
    training = Training(cluster, prepared)
    training.wait_checkpoint()
    cluster.worker.kill_process("ray::RayTrainWorker")
    assert not training.ended()
    training.wait(120)
    assert training.result() == whole
    print("seconds", training.seconds)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["cut", "kill"])
def test_a_lost_node_that_is_replaced_changes_nothing(cluster, prepared, whole, fault):
    training = Training(cluster, prepared)
    training.wait_checkpoint()
    getattr(cluster.worker, fault)()
    print("noticed", cluster.wait(nodes=1))
    assert not training.ended()
    cluster.worker.start()
    training.wait(150)
    assert training.result() == whole
    print("seconds", training.seconds)
