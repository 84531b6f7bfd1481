"""Searches on Ray, as the stage runs them."""

import json
import os
import random
import re
import signal
import subprocess
import time
from contextlib import suppress

import psutil
import pytest
import yaml

SPACE = {"train.learning_rate.generator": {"log_uniform": [1e-5, 2e-3]}, "loss.r1": {"uniform": [0, 1]}}
TRAINING = "ray::(ResourceTrainable|TrialRunner)"
"""Names of the processes in which trials train."""
TUNE = ("python", "pipeline/tune.py")


def records(project):
    """Return what the trial store of the one search of the project holds."""
    return {
        int(path.stem): json.loads(path.read_text()) for path in project.folder.glob(".ganops/tune-*/trials/*.json")
    }


def reported(project):
    return json.loads((project.folder / "reports/tune/trials.json").read_text())


def lasting(trial):
    """A trial of the store without what depends on the clock, which `reported` has not."""
    rows = [{key: value for key, value in row.items() if key != "images_per_second"} for row in trial["history"]]
    return {key: value for key, value in trial.items() if key != "seconds"} | {"history": rows}


def check_once(trials, count, rungs=3, ended=("finished",)):
    """Each trial is there once, and no part of it was counted twice. With ASHA some are stopped."""
    assert [trial["number"] for trial in trials] == list(range(1, count + 1))
    for trial in trials:
        assert trial["status"] in ended, trial
        kimg = [row["kimg"] for row in trial["history"]]
        assert kimg == sorted(set(kimg))
        assert [row["rung"] for row in trial["history"] if "rung" in row] == list(range(1, trial["rung"] + 1))
        assert (trial["status"] == "finished") == (trial["rung"] == rungs)


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def kill(process):
    """The driver alone, as the kernel does when memory is short; waits until Ray has noticed, and no trial trains."""
    family = [*of(process, r"^\S*/raylet "), *of(process, TRAINING)]
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive


def of(process, name):
    """Its children, and theirs, whose command is so named."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if re.search(name, " ".join(child.cmdline())):
                found.append(child)
        except psutil.Error:
            continue
    return found


@pytest.mark.slow
def test_an_update_of_the_code_goes_on_with_the_search(project):
    project.variables["PYTHONPATH"] = str(project.folder / "src")
    project.params(tune={"trials": 1})
    assert "goes on" not in project.run(*TUNE)
    first, before = records(project)[1], project.run("git", "rev-parse", "HEAD")[:7]
    source = project.folder / "src/ganops/losses/adversarial.py"
    source.write_text(source.read_text() + "# a comment\n")
    project.run("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qam", "a comment")
    project.params(tune={"trials": 2})
    assert f"goes on with a search of commit {before}; the mathematics is the same" in project.run(*TUNE)
    assert records(project)[1] == first, "it is not run again"
    assert len(records(project)) == 2


@pytest.mark.slow
def test_killed_and_continued_by_one_trial_more(project):
    project.params(tune={"trials": 2, "kimg": 1.5, "space": SPACE})
    process = project.start(*TUNE)
    wait_for(lambda: any(trial["rung"] for trial in records(project).values()))
    kill(process)
    before = records(project)
    assert any(trial["status"] == "running" for trial in before.values())
    project.params(tune={"trials": 3})
    text = project.run(*TUNE)
    found = reported(project)
    check_once(found, 3, ended=("finished", "stopped"))
    for number, trial in before.items():  # what had ended is as it was
        if trial["status"] != "running":
            assert found[number - 1] == lasting(trial)
            assert f"trial {number}:" not in text.replace("best trial", "")
    best = yaml.safe_load((project.folder / "artifacts/best_params.yaml").read_text())
    assert best["parameters"] == found[best["trial"] - 1]["parameters"]
    assert re.match(r"smallest fd_domain_validation of (the \d of )?3 trials", best["reason"])


@pytest.mark.slow
def test_a_process_that_is_lost_is_started_again(project):
    project.params(tune={"trials": 2, "kimg": 3, "scheduler": "none", "space": SPACE})
    process = project.start(*TUNE)
    wait_for(lambda: any(trial["rung"] for trial in records(project).values()))
    of(process, TRAINING)[0].kill()
    assert process.wait(180) == 0
    check_once(reported(project), 2)


def test_a_trial_of_more_workers_than_there_are_cores_is_refused_at_once(project):
    cores = os.cpu_count()
    project.params(
        tune={"trials": 2, "space": SPACE}, compute={"trial": {"workers": cores + 1}}, train={"batch": 6 * (cores + 1)}
    )
    text = project.run(*TUNE, fails=True)
    assert f"compute.trial: a trial has {cores + 1} workers of 1 core; the cluster has {cores} core" in text
    assert f"which is room for {cores} of them at once" in text
    assert not records(project)


@pytest.mark.slow
def test_when_all_trials_fail_it_says_why_and_keeps_them(project):
    project.params(tune={"trials": 2, "kimg": 3, "space": {"train.learning_rate.generator": {"uniform": [1e30, 2e30]}}})
    text = project.run(*TUNE, fails=True)
    assert "no trial of 2 ended with a distance that counts" in text
    assert re.search(r"trial 1: diverged, .* stopped being finite at step", text)
    assert {trial["status"] for trial in records(project).values()} == {"diverged"}
    assert not (project.folder / "artifacts/best_params.yaml").exists()
    assert "stopped being finite" in (project.folder / "reports/tune/report.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["asha", "pbt"])
def test_killed_five_times_at_random(project, scheduler):
    project.params(tune={"trials": 6, "kimg": 3, "scheduler": scheduler, "space": SPACE})
    chance = random.Random(scheduler)
    for _ in range(5):
        process = project.start(*TUNE)
        with suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(4, 14))
        if process.poll() is None:
            kill(process)
    project.run(*TUNE)
    check_once(reported(project), 6, ended=("finished", "stopped") if scheduler == "asha" else ("finished",))


@pytest.mark.slow
def test_a_trial_of_two_workers_ends_and_is_that_of_one(project):
    project.params(tune={"trials": 2, "kimg": 0.6, "scheduler": "none", "space": SPACE}, train={"precision": "fp64"})
    project.run(*TUNE)
    one = reported(project)
    project.params(tune={"seed": 0}, compute={"trial": {"workers": 2}})
    for path in project.folder.glob(".ganops/tune-*/trials/*.json"):
        path.unlink()
    project.run(*TUNE)
    two = reported(project)
    check_once(two, 2)
    for mine, theirs in zip(one, two, strict=True):
        assert mine["parameters"] == theirs["parameters"]
        assert mine["score"] == pytest.approx(theirs["score"], rel=1e-6)
        assert mine["history"][-1]["coverage"] == theirs["history"][-1]["coverage"]


@pytest.mark.slow
def test_ctrl_c_loses_nothing(project):
    project.params(tune={"trials": 3, "kimg": 3, "scheduler": "none", "space": SPACE})
    process = project.start(*TUNE)
    wait_for(lambda: any(trial["rung"] for trial in records(project).values()))
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    project.run(*TUNE)
    check_once(reported(project), 3)
