"""PyTorch's real CUDA code on a GPU that computes nothing: where tensors are, what is launched, when the host waits."""

import re
from functools import cache

import gpu
import pytest

pytestmark = pytest.mark.skipif(bool(gpu.missing()), reason=gpu.missing() or "nothing is missing")
RECORDED = gpu.read_budgets()
WORKERS = [(int(workers), game) for workers, games in RECORDED.items() for game in games]


@pytest.fixture(scope="module")
def played():
    """Number of workers -> the steps of each game, and the bytes in use on each of two GPUs, of which it has one."""
    return {workers: gpu.run("steps.py", workers, NULL_GPUS=2) for workers in (1, 2)}


def test_every_golden_game_takes_its_steps_and_has_a_budget(played):
    assert {str(workers): of["games"].keys() for workers, of in played.items()} == {
        workers: of.keys() for workers, of in RECORDED.items()
    }


@pytest.mark.parametrize(("workers", "game"), WORKERS)
def test_the_host_waits_for_nothing_in_a_step(workers, game, played):
    for step in played[workers]["games"][game]:
        assert (step["waits"], step["pageable"], step["to_host"]) == (0, 0, 0)


@pytest.mark.parametrize(("workers", "game"), WORKERS)
def test_a_step_keeps_its_budget_of_launches_and_collectives(workers, game, played):
    """Of a step that costs less the new budget is recorded: python tests/gpu/gpu.py."""
    budget, now = RECORDED[str(workers)][game], gpu.budget(played[workers]["games"][game])
    assert now["launches"] <= budget["launches"]
    assert now["collectives"] == budget["collectives"]
    assert now["launches"] > 0.9 * budget["launches"], "cheaper: record it"


@pytest.mark.parametrize(("workers", "game"), WORKERS)
def test_memory_is_steady_after_three_steps(workers, game, played):
    held = [step["held"] for step in played[workers]["games"][game]]
    assert min(held) == max(held) > 0


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_lies_on_the_other_gpu(workers, played):
    other, own = played[workers]["used"]
    assert other == 0
    assert own > 0


@pytest.fixture(scope="module")
def recorded():
    """Number of workers -> the steps of each game from CUDA graphs."""
    return {workers: gpu.run("steps.py", workers, "graphs", NULL_GPUS=2) for workers in (1, 2)}


@pytest.mark.parametrize(("workers", "game"), WORKERS)
def test_steps_are_recorded_and_launched_as_a_whole(workers, game, recorded):
    """Outside are the batch, the optimisers and the average; a stream that is recorded refuses what it cannot keep."""
    for step in recorded[workers]["games"][game]:
        assert 3 <= step["graphs"] <= 5, "one for each optimiser's step, and the end"
        assert step["launches"] + step["blas"] + step["dnn"] <= 25
        assert (step["waits"], step["pageable"], step["to_host"]) == (0, 0, 0)
    steps = recorded[workers]["games"][game]
    assert max(step["collectives"] for step in steps) == RECORDED[str(workers)][game]["collectives"]
    assert len({step["held"] for step in steps}) == 1
    assert recorded[workers]["used"][0] == recorded[workers]["refusals"] == 0


def test_a_step_that_cannot_be_recorded_is_told_in_words():
    found = gpu.run("refused.py")
    assert re.search("cannot be recorded as a CUDA graph: .*; compute.graphs: off plays it operation by", found["said"])
    assert found["step"] > 0
    assert found["alive"] == 0, "those before the one that was refused"


def test_a_weight_that_rises_is_played_step_by_step_until_it_stands():
    found = gpu.run("risen.py")
    assert {step["waits"] for steps in found.values() for step in steps} == {0}
    assert {step["graphs"] for step in found["rising"]} == {0}
    assert {3 <= step["graphs"] <= 5 for step in found["risen"]} == {True}
    assert len(found["risen"]) > 50


def test_a_worker_that_is_lost_is_no_fault_of_the_step():
    assert gpu.run("refused.py", "lost") == {"raised": "DistBackendError"}


def test_a_gpu_is_given_the_numbers_of_a_cpu():
    found = gpu.run("draws.py")
    assert found["different"] == 0
    assert found["tensors"] > 100
    assert found["numbers"] > 10_000  # latents, codes, points and matrices of augmentations


def test_the_domain_extractor_trains_and_looks_with_cudnn_in_ieee_float32():
    """Without it, 10 steps were 21,308 launches."""
    found = gpu.run("extractors.py")
    assert found["trained"]["dnn"] >= 10 * 10
    assert found["trained"]["launches"] < 1000
    assert found["looked"]["dnn"] > 0
    assert found["inside"] == [True, True, False, False, True]
    assert found["after"] == [True, False], "TF32 is PyTorch's default: others keep it"
    assert found["card"]["arithmetic"] == "float32, IEEE 754"


UNUSABLE = {
    "too old": (
        {"NULL_GPU_CC": 70},
        r"null GPU sm_70 \(sm_70\) has no kernels in torch .* built for sm_75 .*compute.device",
    ),
    "driver too old": ({"NULL_GPU_DRIVER": "old"}, r"driver is older than CUDA 13.*renew the driver"),
}
"""Name -> settings of the null GPU, and what is said."""


@pytest.fixture(scope="module")
def unusable():
    """Name -> what is said of it, where the driver is too old also by Ray."""
    return cache(lambda case: gpu.run("unusable.py", *["ray"] * (case == "driver too old"), **UNUSABLE[case][0]))


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_gpu_that_cannot_be_used_is_told_in_words(case, unusable):
    words, found = UNUSABLE[case][1], unusable(case)
    for asked in ("auto", "cuda"):
        assert re.search(
            f"params.compute.device: {asked}: the GPU of this machine cannot be used.*{words}", found[asked]
        )
    assert found["cpu"] == "cpu"


def test_where_there_is_no_gpu_auto_is_the_cpu_and_cuda_is_refused():
    found = gpu.run("unusable.py", NULL_GPUS=0)
    assert found["auto"] == "cpu"
    assert re.search("cuda was asked for, but torch sees no GPU", found["cuda"])


def test_a_gpu_whose_memory_is_taken_is_told_in_words():
    found = gpu.run("unusable.py", "full", NULL_GPU_GB=2)
    assert re.search(r"Of its 2 GB of memory 0.0 are free: end what has the others", found["auto"])


def test_gpus_that_ray_counts_and_torch_cannot_use_are_told_in_words(unusable):
    told = unusable("driver too old")["ray"]
    assert re.search("GPUs that Ray counts on .* cannot be used. Its driver is older", told)


@pytest.mark.slow
def test_the_script_for_a_real_gpu_comes_to_its_end():
    told = gpu.run("real.py")
    assert told["code"] == 0, told
    found = told["found"]
    assert found["parity"].keys() == {"dcgan", "vae", "ada, adaptive"}
    assert {key for each in found["bits"].values() for key in each} == {"twice", "interrupted", "graphs"}
    assert found["workers"].keys() == {"dcgan", "ada, adaptive"}
    assert all(each[way] > 0 for each in found["speed"].values() for way in ("eager", "graphs"))
    assert found["extractors"]["images_per_second"] > 0
