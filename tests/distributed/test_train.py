"""Training through its launchers: interrupted equals uninterrupted, and any number of workers."""

import contextlib
import errno
import json
import os
import platform
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
from concurrent.futures import Future
from itertools import cycle, islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import ray
import torch
from projects import Project
from safetensors import safe_open
from safetensors.torch import load_file

from ganops.core.errors import TrainingError
from ganops.distributed import judge_apart, on_ray, runtime
from ganops.distributed.node_copy import NodeCopy
from ganops.experiment import identity
from ganops.generator import Description, Generator, generator_network

pytestmark = pytest.mark.ray

WEIGHTS = "artifacts/generator/generator.safetensors"
HISTORY = "reports/train/history.csv"


def result(project):
    """What a training leaves: the weights' bytes, and the curve."""
    return (project.folder / WEIGHTS).read_bytes(), (project.folder / HISTORY).read_text()


@pytest.fixture(scope="module")
def trained(featured, tmp_path_factory):
    """A project that trained in the stage's own process, never interrupted, and what that left and said."""
    project = Project(shutil.copytree(featured.folder, tmp_path_factory.mktemp("trained") / "project", symlinks=True))
    project.variables["PYTHONPATH"] = str(project.folder / "src")
    project.params(tune={"trials": 0}, train={"kimg": 8}, compute={"launcher": "local"})
    project.run("python", "pipeline/tune.py")
    project.log = project.run("python", "pipeline/train.py")
    project.forget_training()
    return project


@pytest.fixture
def again(trained, tmp_path):
    """A copy of it, to train again by any launcher."""
    project = Project(shutil.copytree(trained.folder, tmp_path / "project", symlinks=True))
    project.variables["PYTHONPATH"] = str(project.folder / "src")
    return project


def checkpoints(project) -> set[Path]:
    """Names of those that lie in the storage."""
    return set((project.folder / ".ganops").glob("train-*/*checkpoint*/state.safetensors"))


def train_to_a_checkpoint(project, *command: str, count: int = 1) -> subprocess.Popen:
    """The stage, running, as soon as so many new checkpoints are there: Ray counts one a little later."""
    before = checkpoints(project)
    process = project.start(*(command or ("python", "pipeline/train.py")))
    deadline = time.monotonic() + 180
    while len(checkpoints(project) - before) < count:
        assert process.poll() is None, "the stage ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


def kill_after_a_checkpoint(project, *command: str, count: int = 1) -> set[str]:
    """SIGKILL to all processes of the stage as soon as a checkpoint is there; returns what they were.

    Ray's workers are in groups of their own, and end when they miss the others: they are waited for.
    """
    process = train_to_a_checkpoint(project, *command, count=count)
    running = {child: " ".join(child.cmdline()) for child in psutil.Process(process.pid).children(recursive=True)}
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs([child for child, name in running.items() if "ray::RayTrain" in name], timeout=60)
    assert not alive
    return set(running.values())


@pytest.mark.parametrize("launcher", [pytest.param("local", marks=pytest.mark.slow), "ray"])
def test_killed_and_run_again_equals_uninterrupted(trained, again, launcher):
    whole = result(trained)
    again.params(compute={"launcher": launcher})
    running = kill_after_a_checkpoint(again)
    actors = {name.removeprefix("ray::").split()[0].split(".")[0] for name in running if name.startswith("ray::")}
    assert actors <= (OF_RAY | {"Board", "Bench"} if launcher == "ray" else set()), "each more takes its time"
    assert result(again) == whole, "a killed run leaves the former result alone"
    for made in (WEIGHTS, HISTORY):
        (again.folder / made).unlink()
    if launcher == "ray":
        process = train_to_a_checkpoint(again)
        children = psutil.Process(process.pid).children(recursive=True)
        (worker,) = [child for child in children if "ray::RayTrainWorker" in " ".join(child.cmdline())]
        worker.kill()
        assert process.wait(120) == 0, "a lost worker is replaced, and nobody need do anything"
    else:
        again.run("python", "pipeline/train.py")
    assert result(again) == whole
    (again.folder / WEIGHTS).unlink()  # as DVC does before it begins a stage whose outputs it could not commit
    log = again.run("python", "pipeline/train.py")
    assert result(again) == whole
    assert re.search(r"^train +kimg", log, re.MULTILINE) is None, "its end was there"
    assert "Without that folder it is trained again" in " ".join(log.split())
    again.forget_training()
    assert not list((again.folder / ".ganops").glob("train-*")), "what is safe elsewhere has no checkpoints"


def stopped(project, number: int, seconds: float) -> int:
    """Trains for some seconds after its first tick, sends a signal; returns the step that was saved."""
    with subprocess.Popen(
        ["python", "-u", "pipeline/train.py"], cwd=project.folder, env=project.environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    ) as process:  # fmt: skip
        log = ""
        for line in process.stdout:
            log += line
            if re.search(r" kimg [\d.]+/", line):  # a tick: now it hears signals
                break
        time.sleep(seconds)
        process.send_signal(number)
        log += process.stdout.read()
    assert process.returncode == 128 + number, log
    (step,) = re.findall(r"stopped, and saved after step ([\d,]+); the same command goes on from there", log)
    return int(step.replace(",", ""))


def newest_step(project) -> int:
    """The number of steps that the newest checkpoint holds."""
    found = []
    for path in checkpoints(project):
        with safe_open(path, "pt") as file:
            found.append(int(file.metadata()["step"]))
    return max(found)


@pytest.mark.parametrize(
    ("launchers", "workers", "times"),
    [
        (["local", "ray"], 1, 2),
        pytest.param(["local"], 1, 20, marks=pytest.mark.slow),
        pytest.param(["ray"], 2, 5, marks=pytest.mark.slow),
    ],
)
def test_stopped_by_signals_at_random_moments_no_step_is_lost(trained, again, launchers, workers, times):
    """Between ticks as well as at them: the next attempt has all steps that were done, and the bits are the same.

    Each launcher goes on where the other was stopped.
    """
    rng, steps = random.Random(times), [0]
    kimg = 8 if times < 20 else 20
    moments = islice(zip(cycle([signal.SIGTERM, signal.SIGINT]), cycle(launchers), strict=False), times)
    for number, launcher in moments:
        again.params(train={"kimg": kimg}, compute={"launcher": launcher, "workers": workers})
        step = stopped(again, number, rng.uniform(0, 0.3))
        assert step == newest_step(again) > steps[-1]
        steps.append(step)
    if times >= 5:  # fewer moments may all be at ticks, which are ten steps
        assert any(step % 10 for step in steps), "some moment was between two ticks"
    again.params(compute={"launcher": launchers[0]})
    again.run("python", "pipeline/train.py")
    if (workers, kimg) == (1, 8):
        assert result(again) == result(trained)
        (again.folder / WEIGHTS).unlink()
        again.params(compute={"launcher": launchers[1]})  # whose own checkpoints are of the moment when it was stopped
        log = again.run("python", "pipeline/train.py")
        assert result(again) == result(trained)
        assert re.search(r"^train +kimg", log, re.MULTILINE) is None, "the other's end was there"
    else:
        cut = result(again)
        again.forget_training()
        again.run("python", "pipeline/train.py")
        assert cut == result(again)


def test_a_node_without_room_is_named_and_keeps_no_drafts(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    class Full:
        def save(self, folder, log):
            (folder / "half").write_bytes(b"x")
            cause = OSError(errno.ENOSPC, "No space left on device")
            raise TrainingError("Make room, or name another folder in compute.storage") from cause

    with pytest.raises(TrainingError, match=rf"on node {platform.node()}: .*No space left on device.* set TMPDIR"):
        on_ray._drafted(Full(), "1.5")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"]


@pytest.mark.parametrize("launcher", ["local", pytest.param("ray", marks=pytest.mark.slow)])
def test_a_damaged_checkpoint_is_passed_over_for_the_whole_one_beside_it(trained, again, launcher):
    again.params(compute={"launcher": launcher})
    kill_after_a_checkpoint(again, count=2)
    (unfinished,) = (again.folder / ".ganops").glob("train-*")
    there = [path.parent for path in unfinished.glob("checkpoint*/state.safetensors")]
    newest = max(there, key=lambda path: json.loads((path / "run.json").read_text())["history"][-1]["kimg"])
    content = bytearray((newest / "state.safetensors").read_bytes())
    content[len(content) // 2] ^= 1
    (newest / "state.safetensors").write_bytes(content)
    damaged = "state.safetensors"
    if launcher == "ray":  # it writes its list in place, and a journal, which its driver looks for, may be cut as well
        (unfinished / on_ray.LIST).write_text('{"ray_ver')
        (newest / "run.json").write_bytes(b"")
        damaged = "JSONDecodeError"
    log = again.run("python", "pipeline/train.py").replace("\n", " ")
    # the kill may have come amid the upload of the newest: then other files of it are missing as well
    assert re.search(rf"the checkpoint {newest} is damaged \(.*{damaged}.*\); it goes on from", log), log
    assert ("Ray's list of the checkpoints" in log) == (launcher == "ray")
    assert result(again) == result(trained)


@pytest.mark.parametrize("launcher", ["local", pytest.param("ray", marks=pytest.mark.slow)])
def test_an_update_of_the_code_continues_and_edits_that_no_commit_holds_do_not(trained, again, launcher):
    assert "continues" not in trained.log
    assert "begins anew" not in trained.log
    again.params(compute={"launcher": launcher})
    kill_after_a_checkpoint(again, count=2 if launcher == "ray" else 1)
    (unfinished,) = (again.folder / ".ganops").glob("train-*")
    before = again.run("git", "rev-parse", "HEAD")[:7]
    source = again.folder / "src/ganops/losses/adversarial.py"
    source.write_text(source.read_text() + "# a comment\n")
    log = again.run("python", "pipeline/train.py")
    assert f"begins anew beside the unfinished training {unfinished}" in log
    assert "src/ganops/losses/adversarial.py here has edits that no commit holds" in log.replace("\n", " ")
    assert unfinished.is_dir()
    again.run("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qam", "a comment")
    log = again.run("python", "pipeline/train.py")
    line = f"continues a checkpoint of commit {before}; the mathematics is the same, version {identity.MATHEMATICS}"
    assert log.count(line) == 1
    assert result(again) == result(trained)
    again.forget_training()
    assert not unfinished.is_dir()
    first = float(log.partition(" kimg ")[2].partition("/")[0])
    assert first > 0.5, "the ticks before the checkpoint are not played again"


@pytest.mark.parametrize("launcher", ["local", pytest.param("ray", marks=pytest.mark.slow)])
def test_more_kimg_go_on_from_the_end_of_a_finished_training(trained, again, launcher):
    again.params(train={"kimg": 5}, compute={"launcher": launcher})
    again.run("python", "pipeline/train.py")
    again.params(train={"kimg": 8})
    log = again.run("python", "pipeline/train.py")
    assert "goes on from the end of the finished training of 5 kimg" in log
    assert float(log.partition(" kimg ")[2].partition("/")[0]) > 5
    assert result(again) == result(trained)
    assert len(list((again.folder / ".ganops").glob("train-*"))) == 1, "one finished training has checkpoints at most"


OF_RAY = {
    "RayTrainWorker", "SynchronizationActor", "TrainController", "PlacementGroupCleaner", "DatasetManager",
    "_AutoscalingCoordinatorActor", "DashboardAgent", "RuntimeEnvAgent", "IDLE",
}  # fmt: skip
"""Processes that Ray and Ray Train start on a machine of our own; one that is to become an actor is still IDLE."""

ON_TWO_CORES = (
    "python",
    "-c",
    "import ray, runpy; ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False); "
    "runpy.run_path('pipeline/train.py', run_name='__main__')",
)
"""The stage with a core for the worker and one for the judge, whatever this machine has."""


def train_and_kill_a_judge(project) -> str:
    """Trains to the end, with SIGKILL to the judge's actor as soon as there is one; returns what was printed."""
    with (project.folder / "log").open("w+") as log:
        process = subprocess.Popen(
            ON_TWO_CORES, cwd=project.folder, env=project.environment(), stdout=log, stderr=subprocess.STDOUT
        )
        killed = False
        while process.poll() is None:
            for each in [] if killed else psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if "ray::Bench" in " ".join(each.cmdline()):
                        each.kill()
                        killed = True
            time.sleep(0.02)
        log.seek(0)
        text = log.read()
        assert process.returncode == 0, text
        assert killed, "there was a judge apart"
        return text


@pytest.mark.slow
def test_judged_apart_equals_judged_in_line_whatever_is_killed(trained, again):
    validation = again.folder / "reports/train/validation.csv"
    whole = (*result(trained), validation.read_text())
    again.params(compute={"launcher": "ray", "workers": 1, "validation": "apart"})
    kill_after_a_checkpoint(again, *ON_TWO_CORES)
    validation.unlink()
    text = train_and_kill_a_judge(again)
    assert (*result(again), validation.read_text()) == whole
    assert "judge failed" not in text, "an actor that dies once is started again"


def test_a_judge_apart_that_is_dead_for_good_fails_and_does_not_hang(featured, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    features = NodeCopy(str(featured.folder / "artifacts/features"))
    description = Description("dcgan", {"width": 16}, 8, 10, tuple("0123456789"), (1, 16, 16), 0.0, "f")
    generator, seeds = Generator(generator_network(description), description), np.arange(300)
    with runtime.cluster() as ours, runtime.cluster() as again:
        assert (ours, again) == (True, False)
        judge = judge_apart.JudgeApart(features, torch.device("cpu"))
        found = judge.submit(generator, seeds).result(60)
        assert found == pytest.approx(judge.distance(generator, seeds), rel=1e-6)
        ray.kill(judge.bench)
        with pytest.raises(ray.exceptions.RayActorError):
            judge.submit(generator, seeds).result(60)
        monkeypatch.setattr(judge_apart, "PLACEMENT_SECONDS", 0.1)
        crowd = [judge_apart.JudgeApart(features, torch.device("cpu")) for _ in range(os.cpu_count() + 1)]
        with pytest.raises(TrainingError, match="no core or GPU free"):
            crowd[-1].submit(generator, seeds).result(60)


def test_a_judge_apart_that_does_not_answer_is_asked_nothing_more_until_it_does(monkeypatch):
    judge, answers = object.__new__(judge_apart.JudgeApart), []
    asking = SimpleNamespace(
        remote=lambda *asked: SimpleNamespace(future=lambda: answers.append(Future()) or answers[-1])
    )
    judge.bench, judge.placed, judge.patience, judge.asked = SimpleNamespace(distance=asking), None, 0.0, []
    monkeypatch.setattr(judge_apart.ray, "wait", lambda placed, timeout: (placed, []))
    monkeypatch.setattr(judge_apart.time, "monotonic", lambda: now)
    description = Description("dcgan", {"width": 16}, 8, 10, tuple("0123456789"), (1, 16, 16), 0.0, "f")
    generator, now = Generator(generator_network(description), description), 0.0
    first = judge.submit(generator, np.arange(3))
    now = judge_apart.ANSWER_SECONDS + 1
    with pytest.raises(TrainingError, match="it has not answered for 600 s"):
        judge.submit(generator, np.arange(3)).result(0)
    first.set_result(1.0)
    assert not judge.submit(generator, np.arange(3)).done()
    assert len(answers) == 2


def threads(project) -> int:
    """Those that torch had in the process that trained."""
    return json.loads((project.folder / "metrics/train.json").read_text())["threads"]


@pytest.mark.slow
@pytest.mark.parametrize(("asked", "had"), [("auto", 1), (2, 2)])
def test_a_ray_worker_computes_with_the_threads_of_the_rule_whatever_torch_would_take(project, asked, had):
    project.variables["OMP_NUM_THREADS"] = "2"
    project.params(tune={"trials": 0}, train={"kimg": 2}, compute={"launcher": "ray", "threads": asked})
    project.run("python", "pipeline/tune.py")
    project.run("python", "pipeline/train.py")
    assert threads(project) == had


@pytest.mark.slow
def test_a_training_goes_on_with_the_threads_it_began_with_to_the_same_bits(project):
    def place(number):
        project.params(tune={"trials": 0}, train={"kimg": 8}, compute={"launcher": "local", "threads": number})

    place(2)
    project.run("python", "pipeline/tune.py")
    project.run("python", "pipeline/train.py")
    whole = result(project)
    project.forget_training()
    kill_after_a_checkpoint(project)
    place("auto")
    text = project.run("python", "pipeline/train.py")
    assert threads(project) == 2
    assert result(project) == whole
    assert "threads: 2 as it began, on fewer cores (1): the same bits, but slow" in text


@pytest.mark.slow
def test_two_ray_workers_train_what_one_does(project):
    project.params(tune={"trials": 0}, train={"kimg": 1, "precision": "fp64"}, compute={"launcher": "local"})
    project.run("python", "pipeline/tune.py")
    project.run("python", "pipeline/train.py")
    one = load_file(project.folder / WEIGHTS)
    project.forget_training()
    project.params(compute={"launcher": "ray", "workers": 2})
    project.run("python", "pipeline/train.py")
    two = load_file(project.folder / WEIGHTS)
    for name in one:
        assert torch.allclose(one[name], two[name], rtol=0, atol=1e-9), name


def test_a_game_that_diverges_is_told_at_once_and_not_tried_again(again):
    rates = {"generator": 1e30, "discriminator": 1e30}
    again.params(train={"learning_rate": rates}, compute={"launcher": "ray", "workers": 2})
    log = again.run("python", "pipeline/train.py", fails=True)
    assert "stopped being finite at step" in log
    assert "Traceback" not in log
    (folder,) = (again.folder / ".ganops").glob("train-*")
    assert not list(folder.glob("checkpoint*")), "a broken state is no checkpoint"


def test_more_workers_than_cores_are_refused(again):
    again.params(train={"batch": 64 * 50}, compute={"launcher": "ray", "workers": 64})
    log = again.run("python", "pipeline/train.py", fails=True)
    assert "compute.workers: 64 workers need a core each, the cluster has" in log
    assert "Traceback" not in log
