"""What `compute` means on a cluster."""

import pytest

from ganops.adaptors import runtime
from ganops.config import Compute
from ganops.errors import TrainingError


@pytest.fixture
def nodes(monkeypatch):
    """Pretends a cluster: one dictionary of resources for each node."""

    def pretend(*resources):
        alive = [{"Alive": True, "Resources": r} for r in resources]
        monkeypatch.setattr(runtime.ray, "nodes", lambda: [*alive, {"Alive": False, "Resources": {"CPU": 99}}])

    return pretend


def test_without_gpus_one_worker_has_all_cores_of_its_host(nodes):
    nodes({"CPU": 2}, {"CPU": 8})
    assert runtime.plan(Compute(), 64) == runtime.Plan(workers=1, cpus=8, gpus=0)


def test_with_gpus_one_worker_for_each(nodes):
    nodes({"CPU": 16, "GPU": 4}, {"CPU": 16, "GPU": 4})
    plan = runtime.plan(Compute(), 64)
    assert (plan.workers, plan.gpus) == (8, 1)
    assert plan.cpus * 4 <= 16


def test_auto_takes_a_number_that_shares_the_batch_equally(nodes):
    nodes({"CPU": 8, "GPU": 3})
    assert runtime.plan(Compute(), 64).workers == 2
    assert runtime.plan(Compute(), 96).workers == 3
    assert runtime.plan(Compute(), 96, group=16).workers == 3
    assert runtime.plan(Compute(), 96, group=24).workers == 2


@pytest.mark.parametrize(("workers", "cpus"), [(1, 8), (2, 4), (3, 2), (5, 2), (10, 1)])
def test_a_worker_does_not_span_nodes(nodes, workers, cpus):
    nodes({"CPU": 2}, {"CPU": 8})
    assert runtime.plan(Compute(workers=workers), 30 * workers).cpus == cpus


@pytest.mark.parametrize(
    ("compute", "batch", "words"),
    [
        (Compute(workers=11), 11, "11 workers need a core each, the cluster has 10"),
        (Compute(workers=3), 64, "64 samples cannot be shared equally by 3 workers"),
        (Compute(device="cuda"), 64, "no node of the cluster has a GPU"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_numbers(nodes, compute, batch, words):
    nodes({"CPU": 2}, {"CPU": 8})
    with pytest.raises(TrainingError, match=words):
        runtime.plan(compute, batch)
