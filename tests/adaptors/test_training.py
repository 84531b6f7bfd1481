"""Training through its launchers: interrupted equals uninterrupted, and any number of workers."""

import os
import signal
import time

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.ray

WEIGHTS = "artifacts/generator/generator.safetensors"


def result(project):
    """What a training leaves: the weights' bytes, and the curve without its speeds."""
    history = (project.folder / "reports/train/history.csv").read_text().splitlines()
    speed = history[0].split(",").index("images_per_second")
    curve = [[v for i, v in enumerate(line.split(",")) if i != speed] for line in history]
    return (project.folder / WEIGHTS).read_bytes(), curve


def kill_after_a_checkpoint(project) -> None:
    """SIGKILL to all processes of the stage as soon as a checkpoint is there."""
    process = project.start("python", "pipeline/train.py")
    deadline = time.monotonic() + 180
    while not list((project.folder / ".ganops").glob("train-*/*checkpoint*/state.safetensors")):
        assert process.poll() is None, "the stage ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("launcher", ["local", "ray"])
def test_killed_and_run_again_equals_uninterrupted(project, launcher):
    project.params(tune={"trials": 0}, train={"kimg": 8}, compute={"launcher": launcher})
    project.run("python", "pipeline/tune.py")
    project.run("python", "pipeline/train.py")
    whole = result(project)
    assert not list((project.folder / ".ganops").glob("train-*")), "a finished run keeps no checkpoints"
    kill_after_a_checkpoint(project)
    assert (project.folder / WEIGHTS).read_bytes() == whole[0], "a killed run leaves the former result alone"
    project.run("python", "pipeline/train.py")
    assert result(project) == whole


def test_two_ray_workers_train_what_one_does(project):
    project.params(tune={"trials": 0}, train={"kimg": 1, "precision": "fp64"}, compute={"launcher": "local"})
    project.run("python", "pipeline/tune.py")
    project.run("python", "pipeline/train.py")
    one = load_file(project.folder / WEIGHTS)
    project.params(compute={"launcher": "ray", "workers": 2})
    project.run("python", "pipeline/train.py")
    two = load_file(project.folder / WEIGHTS)
    for name in one:
        assert torch.allclose(one[name], two[name], rtol=0, atol=1e-9), name


def test_a_game_that_diverges_is_told_at_once_and_not_tried_again(project):
    rates = {"generator": 1e30, "discriminator": 1e30}
    project.params(tune={"trials": 0}, train={"learning_rate": rates}, compute={"launcher": "ray", "workers": 2})
    project.run("python", "pipeline/tune.py")
    log = project.run("python", "pipeline/train.py", fails=True)
    assert "stopped being finite at step" in log
    assert "Traceback" not in log
    (folder,) = (project.folder / ".ganops").glob("train-*")
    assert not list(folder.glob("checkpoint*")), "a broken state is no checkpoint"


def test_more_workers_than_cores_are_refused(project):
    project.params(tune={"trials": 0}, train={"batch": 64 * 50}, compute={"launcher": "ray", "workers": 64})
    project.run("python", "pipeline/tune.py")
    log = project.run("python", "pipeline/train.py", fails=True)
    assert "compute.workers: 64 workers need a core each, the cluster has" in log
    assert "Traceback" not in log
