"""Ray on GPUs that compute nothing: which process takes memory of which of them, for a driver that has none."""

import gpu
import pytest

pytestmark = [
    pytest.mark.skipif(bool(gpu.missing()), reason=gpu.missing() or "nothing is missing"),
    pytest.mark.ray,
]


def run(folder, *stages):
    return gpu.run("clusters.py", *stages, NULL_GPUS=0, NULL_GPU_LOG=folder / "log", OMP_NUM_THREADS="")


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """The outcome of each stage, and [GPU, process, its name] for each process's first memory on each GPU."""
    return run(tmp_path_factory.mktemp("stages"), "features", "train", "evaluate", "halves")


def users(stage):
    """Process -> its GPU; no process has memory on two."""
    lines = [line for line in stage["gpus"] if "_gpu_trouble" not in line[2]]
    assert len({process for _, process, *_ in lines}) == len(lines)
    return {(name, process): number for number, process, name, *_ in lines}


def test_an_extractor_is_trained_on_a_gpu_and_what_is_refused_there_is_told_here(stages):
    assert stages["features"]["told"].startswith("FeatureError: the extractor domain does not deserve trust")
    assert len(users(stages["features"])) == 1


def test_two_workers_and_the_validator_have_a_gpu_each(stages):
    assert sorted(users(stages["train"]).values()) == ["0", "1", "2"]
    assert not [note for note in stages["train"]["told"]["notes"] if "judge" in note]
    assert stages["train"]["told"]["hardware"].startswith("null GPU")


def test_samples_are_looked_at_on_all_gpus_and_examined_on_one(stages):
    looked = users(stages["evaluate"])
    workers = [number for (name, _), number in looked.items() if "_Worker" in name]
    assert sorted(workers) == ["0", "1", "2"]
    assert len(looked) == len(workers) + 1
    assert {"fd_pixels", "c2st_auc"} <= set(stages["evaluate"]["told"]["results"])
    assert "samples.png" in stages["evaluate"]["told"]["files"]


def test_two_trials_share_a_gpu(stages):
    assert [*users(stages["halves"]).values()] == ["0", "0"]
    assert stages["halves"]["told"]["ended"] == ["finished", "finished"]


@pytest.mark.slow
def test_trials_of_several_workers_are_judged_on_a_gpu(tmp_path):
    found = run(tmp_path, "pairs")["pairs"]
    assert found["told"]["hardware"].startswith("null GPU")
    assert found["told"]["ended"] == ["finished", "finished"]
    assert all("precision" in row for row in found["told"]["rows"])
    assert any("Bench" in name for name, _ in users(found))


def test_a_process_believes_in_its_share_of_a_gpu_and_gets_no_more():
    found = gpu.run("shares.py", NULL_GPU_GB=24)
    assert (found["whole"]["memory"], found["quarter"]["memory"]) == (24, 6)
    assert found["whole"]["streams"] == [False, False, False, True]
    assert found["quarter"]["streams"] == [False, True, True, True]
    assert found["whole"]["batches"] == {"small": 1024, "large": 32}
    assert found["quarter"]["batches"] == {"small": 1024, "large": 8}
    assert (found["whole"]["taken"], found["quarter"]["taken"]) == (True, False)
