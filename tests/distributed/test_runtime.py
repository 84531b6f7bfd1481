"""What `compute` means on a cluster."""

import contextlib

import pytest

from ganops.config import Compute, TrialCompute
from ganops.core.errors import TrainingError, UserError
from ganops.distributed import runtime


@pytest.fixture
def nodes(monkeypatch):
    """Pretends a cluster: one dictionary of resources for each node."""

    def pretend(*resources):
        alive = [{"Alive": True, "Resources": r} for r in resources]
        monkeypatch.setattr(runtime.ray, "nodes", lambda: [*alive, {"Alive": False, "Resources": {"CPU": 99}}])

    return pretend


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (
            "local",
            r"Ray does not start here \(The current node timed out.*\); .* run the same command again",
        ),
        ("head:6379", r"there is no cluster of Ray at head:6379 \(The current node .*\); see to RAY_ADDRESS"),
    ],
)
def test_a_ray_that_does_not_start_is_told_in_words(address, words, monkeypatch):
    def init(**_):
        raise Exception("The current node timed out during startup.\nThe GCS has become overloaded.")

    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr(runtime.ray, "init", init)
    with pytest.raises(TrainingError, match=words), runtime.cluster():
        pass


def test_without_gpus_one_worker_has_all_cores_of_its_host(nodes):
    nodes({"CPU": 2}, {"CPU": 8})
    assert runtime.plan(Compute(), 64) == runtime.Plan(workers=1, cpus=8, gpus=0)


def test_with_gpus_one_worker_for_each(nodes):
    nodes({"CPU": 16, "GPU": 4}, {"CPU": 16, "GPU": 4})
    plan = runtime.plan(Compute(), 128)
    assert (plan.workers, plan.gpus) == (8, 1)
    assert plan.cpus * 4 <= 16


@pytest.mark.parametrize(
    ("resources", "workers", "cpus"),
    [
        ([{"CPU": 64}, {"CPU": 8, "GPU": 4}, {"CPU": 8, "GPU": 4}], 8, 2),
        ([{"CPU": 32}, {"CPU": 8, "GPU": 4}], 4, 2),
        ([{"CPU": 64, "GPU": 1}, {"CPU": 8, "GPU": 4}], 5, 2),
        ([{"CPU": 64, "GPU": 1}, {"CPU": 8, "GPU": 4}], 2, 7),
        ([{"CPU": 8}, {"CPU": 2, "GPU": 2}], 2, 1),
    ],
)
def test_workers_with_gpus_fit_where_the_gpus_are(nodes, resources, workers, cpus):
    """Cores of hosts without GPUs are nobody's."""
    nodes(*resources)
    plan = runtime.plan(Compute(workers=workers), 64 * workers)
    assert (plan.workers, plan.gpus, plan.cpus) == (workers, 1, cpus)
    room = sum(min(node["CPU"] // plan.cpus, node.get("GPU", 0)) for node in resources)
    assert room >= workers


@pytest.mark.parametrize("validation", ["auto", "apart"])
def test_a_judge_has_room_beside_the_gpus_whatever_cores_others_have(nodes, validation):
    nodes({"CPU": 64}, {"CPU": 6, "GPU": 4})
    plan = runtime.plan(Compute(workers=3, validation=validation), 96, judged=True)
    assert plan.apart == (6 - 3 * plan.cpus >= 1)
    assert validation == "auto" or plan.cpus == 1


@pytest.mark.parametrize(
    ("batch", "group", "workers"), [(64, 1, 3), (96, 1, 3), (2, 1, 1), (0, 1, 3), (40, 4, 2), (96, 32, 3), (96, 48, 2)]
)
def test_auto_takes_all_gpus_for_which_there_are_16_samples(nodes, batch, group, workers):
    nodes({"CPU": 8, "GPU": 3})
    assert runtime.plan(Compute(), batch, group).workers == workers


@pytest.mark.parametrize(("workers", "cpus"), [(1, 8), (2, 4), (3, 2), (5, 2), (10, 1)])
def test_a_worker_does_not_span_nodes(nodes, workers, cpus):
    nodes({"CPU": 2}, {"CPU": 8})
    assert runtime.plan(Compute(workers=workers), 30 * workers).cpus == cpus


@pytest.mark.parametrize(
    ("resources", "workers", "batch", "now", "counts"),
    [
        ([{"CPU": 1}] * 4, (1, 4), 64, 4, (1, 4)),
        ([{"CPU": 1}] * 3, (1, 4), 64, 3, (1, 4)),
        ([{"CPU": 16, "GPU": 8}], (2, 6), 64, 6, (2, 6)),
        ([{"CPU": 1}] * 3, (4, 7), 64, None, (4, 7)),
        ([{"CPU": 9}], (1, 4), 0, 4, (1, 4)),
        ([{"CPU": 9}], (1, 8), 3, 3, (1, 3)),
        ([{"CPU": 1}] * 3, (1, 4), 32, 3, (1, 4)),
        ([{"CPU": 1}] * 3, (1, 10**9), 3, 3, (1, 3)),
    ],
)
def test_of_a_range_of_workers_as_many_train_as_there_is_room_for(nodes, resources, workers, batch, now, counts):
    """And none without a sample."""
    nodes(*resources)
    if now is None:
        with pytest.raises(TrainingError, match="4 workers need a core each, the cluster has 3"):
            runtime.plan(Compute(workers=workers), batch, judged=True)
        return
    plan = runtime.plan(Compute(workers=workers), batch, judged=True)
    assert (plan.workers, plan.counts, plan.bounds()) == (now, counts, counts)
    assert not plan.apart, "what is free now is for workers that come"


APART = {"validation": "apart"}


@pytest.mark.parametrize(
    ("resources", "compute", "workers", "cpus", "apart"),
    [
        ([{"CPU": 8}], Compute(), 1, 8, False),
        ([{"CPU": 9}], Compute(workers=4), 4, 2, True),
        ([{"CPU": 9}], Compute(workers=4, validation="inline"), 4, 2, False),
        ([{"CPU": 8}], Compute(**APART), 1, 7, True),
        ([{"CPU": 8}], Compute(workers=2, **APART), 2, 3, True),
        ([{"CPU": 1}, {"CPU": 8}], Compute(**APART), 1, 8, True),
        ([{"CPU": 2}], Compute(workers=1, **APART), 1, 1, True),
        ([{"CPU": 16, "GPU": 4}], Compute(), 4, 3, False),
        ([{"CPU": 16, "GPU": 3}], Compute(workers=2), 2, 7, True),
        ([{"CPU": 16, "GPU": 3}], Compute(), 3, 4, False),
        ([{"CPU": 16, "GPU": 2}], Compute(**APART), 1, 14, True),
        ([{"CPU": 16, "GPU": 4}], Compute(workers=2), 2, 7, True),
        ([{"CPU": 16, "GPU": 4}], Compute(workers=2, device="cpu", **APART), 2, 7, True),
    ],
)
def test_a_core_and_a_gpu_for_the_judge(nodes, resources, compute, workers, cpus, apart):
    nodes(*resources)
    plan = runtime.plan(compute, 64, judged=True)
    assert (plan.workers, plan.cpus, plan.apart) == (workers, cpus, apart)
    assert not runtime.plan(compute, 64).apart, "where nothing is validated, nothing is kept"


@pytest.mark.parametrize(
    ("resources", "compute", "operations", "cpus", "apart"),
    [
        ([{"CPU": 2}], {}, 0.3e9, 1, True),
        ([{"CPU": 1}], {}, 0.3e9, 1, False),
        ([{"CPU": 64}], {}, 0.3e9, 1, True),
        ([{"CPU": 2}], {"validation": "inline"}, 0.3e9, 1, False),
        ([{"CPU": 2}], {}, 100e9, 2, False),
        ([{"CPU": 2}], {"validation": "apart"}, 100e9, 1, True),
        ([{"CPU": 64}], {}, 100e9, 25, True),
        ([{"CPU": 64}], {"workers": 4}, 100e9, 6, True),
        ([{"CPU": 2}], {"threads": 2}, 0.3e9, 2, False),
        ([{"CPU": 2}], {"threads": 5}, 0.3e9, 2, False),
        ([{"CPU": 16, "GPU": 1}], {}, 0.3e9, 15, False),
    ],
)
def test_a_worker_gets_the_cores_that_its_network_keeps_busy_and_the_judge_one_of_the_others(
    nodes, resources, compute, operations, cpus, apart
):
    nodes(*resources)
    plan = runtime.plan(Compute(**compute), 64, judged=True, operations=operations)
    assert (plan.cpus, plan.apart) == (cpus, apart)


@pytest.mark.parametrize(
    ("resources", "workers", "words"),
    [
        ({"CPU": 2}, 2, r"2 workers need a core each, the judge another \(compute.validation: apart\), .* has 2"),
        ({"CPU": 1}, "auto", "1 workers need a core each, the judge another .* has 1"),
        ({"CPU": 16, "GPU": 2}, 2, "2 workers need a GPU each, the judge another .* has 2"),
        ({"CPU": 16, "GPU": 1}, "auto", "1 workers need a GPU each, the judge another .* has 1"),
    ],
)
def test_no_room_for_the_judge_is_refused_with_the_numbers(nodes, resources, workers, words):
    nodes(resources)
    with pytest.raises(TrainingError, match=words):
        runtime.plan(Compute(workers=workers, **APART), 64, judged=True)


@pytest.mark.parametrize(
    ("compute", "batch", "words"),
    [
        (Compute(workers=11), 11, "11 workers need a core each, the cluster has 10"),
        (Compute(workers=3), 2, "3 workers cannot share a batch of 2 samples: at most 2 can"),
        (Compute(device="cuda"), 64, "no node of the cluster has a GPU"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_numbers(nodes, compute, batch, words):
    nodes({"CPU": 2}, {"CPU": 8})
    with pytest.raises(UserError, match=words):
        runtime.plan(compute, batch)


@pytest.mark.parametrize(
    ("resources", "trial", "device", "plan", "at_once"),
    [
        ([{"CPU": 2}], {}, "auto", (1, 1, 0), 2),
        ([{"CPU": 2}], {"workers": 2}, "auto", (2, 1, 0), 1),
        ([{"CPU": 3}, {"CPU": 5}], {"cpus": 2}, "auto", (1, 2, 0), 3),
        ([{"CPU": 3}, {"CPU": 5}], {"workers": 2, "cpus": 2}, "auto", (2, 2, 0), 1),
        ([{"CPU": 16, "GPU": 1}], {"gpus": 0.25}, "auto", (1, 1, 0.25), 4),
        ([{"CPU": 2, "GPU": 1}], {"gpus": 0.25}, "auto", (1, 1, 0.25), 2),
        ([{"CPU": 16, "GPU": 2}, {"CPU": 16}], {}, "cuda", (1, 1, 1), 2),
        ([{"CPU": 16, "GPU": 3}], {"gpus": 0.4}, "auto", (1, 1, 0.4), 6),
        ([{"CPU": 16, "GPU": 2}], {"workers": 2}, "auto", (2, 1, 1), 1),
        ([{"CPU": 3, "GPU": 2}], {}, "cpu", (1, 1, 0), 3),
    ],
)
def test_as_many_trials_at_once_as_there_is_room_for(nodes, resources, trial, device, plan, at_once):
    nodes(*resources)
    found, places = runtime.places(TrialCompute(**trial), device)
    assert ((found.workers, found.cpus, found.gpus), places) == (plan, at_once)


@pytest.mark.parametrize(
    ("resources", "trial", "device", "words"),
    [
        (
            [{"CPU": 2}],
            {"workers": 3},
            "auto",
            "has 3 workers of 1 core; the cluster has 2 cores, which is room for 2 of",
        ),
        (
            [{"CPU": 2}, {"CPU": 2}],
            {"cpus": 3},
            "auto",
            "has 1 worker of 3 cores; the cluster has 4 cores, which is room for 0 of",
        ),
        (
            [{"CPU": 8, "GPU": 1}],
            {"workers": 2},
            "auto",
            "has 2 workers of 1 core and 1 of a GPU; the cluster has 8 cores and 1 GPU, which is",
        ),
        ([{"CPU": 8}], {}, "cuda", "no node of the cluster has a GPU"),
    ],
)
def test_a_trial_without_room_is_refused_with_the_numbers(nodes, resources, trial, device, words):
    nodes(*resources)
    with pytest.raises(TrainingError, match=words):
        runtime.places(TrialCompute(**trial), device)


@pytest.mark.parametrize(
    ("compute", "trial", "said"),
    [
        ({"workers": 64}, False, "64 workers need a core each, the cluster has 4"),
        ({"workers": (5, 9)}, False, "5 workers need a core each, the cluster has 4"),
        ({"workers": 4, "validation": "apart"}, False, r"4 workers need a core each, the judge another .* has 4"),
        ({"trial": {"workers": 5}}, True, "a trial has 5 workers of 1 core; the cluster has 4 cores"),
        ({"workers": 4}, False, ""), ({"workers": (4, 9)}, False, ""), ({"workers": "auto"}, False, ""),
        ({"workers": 64}, True, ""), ({"trial": {"workers": 5}}, False, ""),
    ],
)  # fmt: skip
def test_what_this_machine_has_no_core_for_is_refused_before_ray_starts(monkeypatch, compute, trial, said):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(runtime.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(runtime.ray, "init", lambda **kwargs: pytest.fail("Ray starts"))
    compute = Compute.model_validate(compute)
    with pytest.raises(TrainingError, match=said) if said else contextlib.nullcontext():
        runtime.check_room(compute, trial=trial)
    monkeypatch.setenv("RAY_ADDRESS", "elsewhere:6379")
    runtime.check_room(compute, trial=trial)  # what a cluster has, it tells when it is connected
