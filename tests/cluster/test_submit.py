"""A run on a cluster of two hosts that share nothing with this one but a folder, as its user sees it."""

import contextlib
import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from stage import ON_TWO_CORES, WEIGHTS, newest_step, ticks

pytestmark = pytest.mark.ray
COMMAND = str(Path(sys.executable).with_name("ganops"))


@pytest.fixture
def home(cluster, project):
    """A project at home, whose data and features are ready, with a DVC remote that the cluster reaches."""
    project.params(
        tune={"trials": 0},
        train={"kimg": 1},
        evaluate={"samples": 200},
        register={"gate": {"coverage": {"at_least": 0}}},
    )
    project.run("dvc", "remote", "add", "--default", "shared", str(cluster.shared / "dvc"))
    return project


def ganops(cluster, home, *words, **variables):
    """Runs a command at home as a client of the cluster; returns its exit code and what it printed."""
    environment = {**home.environment(), **cluster.environment(), **variables}
    done = subprocess.run([COMMAND, *words], cwd=home.folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def latest(cluster, home):
    return json.loads(ganops(cluster, home, "jobs", "--json")[1])[0]


def hashes(home):
    """Stage -> output -> hash."""
    lock = yaml.safe_load((home.folder / "dvc.lock").read_text())
    return {name: {out["path"]: out["md5"] for out in stage["outs"]} for name, stage in lock["stages"].items()}


def test_a_run_comes_home_as_if_it_had_run_here(cluster, home):
    """Two workers on two hosts, and the same weights as two of this one."""
    commit = home.run("git", "rev-parse", "HEAD").strip()
    code, text = ganops(cluster, home, "submit", "--workers", "2", "--storage", str(cluster.shared / "runs"))
    assert code == 0, text
    assert re.search(r"submit +http\S+: Ray 2\S+, 2 nodes, 2 cores, 0 GPUs", text)
    assert "Running stage 'prepare'" not in text  # it had run here, and travelled
    assert "train      1 kimg, best fd_domain" in text
    assert "register   tiny v1: passed the gate, champion" in text  # here, where the registry is
    assert home.run("dvc", "status").strip() == "Data and pipelines are up to date."
    assert latest(cluster, home)["status"] == "succeeded"
    assert latest(cluster, home)["commit"] == commit[:8]
    weights = (home.folder / WEIGHTS).read_bytes()
    home.params(compute={"workers": 2})
    home.run("python", "-c", ON_TWO_CORES)
    assert (home.folder / WEIGHTS).read_bytes() == weights


@pytest.mark.slow
def test_a_failed_run_brings_home_what_it_finished(cluster, home):
    home.params(data={"validation": 0.2}, features={"minimum_accuracy": 0.99})
    code, text = ganops(cluster, home, "submit")
    assert code == 255  # DVC's
    assert "features failed; the stages before it are kept" in text
    manifest = json.loads((home.folder / "data/prepared/manifest.json").read_text())
    assert manifest["splits"]["validation"]["samples"] > 250
    assert "prepare:" not in home.run("dvc", "status")
    name = latest(cluster, home)["id"]
    home.params(train={"kimg": 2})
    code, text = ganops(cluster, home, "fetch", name)
    assert code == 1
    assert "the files here are no longer those that" in text
    assert ganops(cluster, home, "fetch", name, "--force")[0] == 0


@pytest.mark.slow
def test_who_leaves_the_log_leaves_the_job_running(cluster, home):
    home.params(train={"kimg": 5000})
    environment = {**home.environment(), **cluster.environment(), "PYTHONUNBUFFERED": "1"}
    client = subprocess.Popen(
        [COMMAND, "submit", "--storage", str(cluster.shared / "runs")], cwd=home.folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        # who starts the tests in the background has told them to ignore it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    next(line for line in client.stdout if "train      kimg" in line)
    client.send_signal(signal.SIGINT)
    said, _ = client.communicate()
    assert client.wait(30) == 130, said
    name = latest(cluster, home)["id"]
    assert f"{name} goes on: `ganops logs {name}`, `ganops stop {name}`" in said
    time.sleep(1)
    assert latest(cluster, home)["status"] == "running"
    code, text = ganops(cluster, home, "submit")
    assert code == 1
    assert f"these very files run already: `ganops logs {name}`" in " ".join(text.split())
    code, text = ganops(cluster, home, "stop", name)
    assert code == 0
    assert f"{name}: stopped" in text
    assert "train      kimg" in ganops(cluster, home, "logs", name)[1]
    assert ganops(cluster, home, "fetch", name)[0] == 0
    assert "tune" in hashes(home)
    assert "train" not in hashes(home)


@pytest.mark.slow
def test_a_job_that_is_stopped_goes_on_from_that_very_step(cluster, home):
    """The next submission of the same files loses no step and no bit."""
    home.params(train={"kimg": 12, "precision": "fp64"})
    storage = cluster.shared / "stopped"
    words = ["submit", "--workers", "2", "--storage", str(storage)]
    environment = {**home.environment(), **cluster.environment(), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [COMMAND, *words], cwd=home.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as client:
        next(line for line in client.stdout if "train      kimg" in line)
        time.sleep(random.uniform(0, 1))
        (name,) = [job["submission_id"] for job in cluster.get("/api/jobs/") if job["status"] == "RUNNING"]
        # what `ganops stop` and `ray job stop` ask for, without the seconds in which they start
        cluster.get(f"/api/jobs/{name}/stop", method="POST")
        client.stdout.read()
    assert client.returncode
    log = ganops(cluster, home, "logs", name)[1]
    found = re.search(r"stopped, and saved after step ([\d,]+); the same command goes on from there", log)
    assert found, log
    step = int(found[1].replace(",", ""))
    assert step == newest_step(storage) < 240
    code, text = ganops(cluster, home, *words)
    assert code == 0, text
    print(f"stopped after step {step} ({ticks(log)[-1]} kimg told), went on with {ticks(text)[0]} kimg")
    assert ticks(text)[0] == (step // 10 + 1) * 0.5, "the first line is that of the tick that was under way"
    weights = (home.folder / WEIGHTS).read_bytes()
    home.params(compute={"workers": 2})
    home.run("python", "-c", ON_TWO_CORES)
    assert (home.folder / WEIGHTS).read_bytes() == weights


def test_what_is_wrong_is_told_before_anything_is_sent(cluster, home, tmp_path):
    (tmp_path / "token").write_text("0" * 64)
    before = ganops(cluster, home, "jobs", "--json")[1]
    for words, variables, said in (
        ([], {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}, "refuses the token"),
        ([], {"RAY_AUTH_MODE": "disabled"}, "refuses the token"),
        (["--workers", "5"], {}, "5 workers need as many cores, the nodes that are up have 2"),
        (["--env", "NOT_SET"], {}, "--env: NOT_SET: not set here"),
    ):
        code, text = ganops(cluster, home, "submit", *words, **variables)
        assert code == 1, text
        assert said in " ".join(text.split())
    assert ganops(cluster, home, "jobs", "--json")[1] == before


@pytest.mark.slow
def test_the_doctor_asks_every_node_for_the_storage(cluster, home):
    home.run("dvc", "push")
    for place, fails, said in (
        (str(cluster.shared / "runs"), False, "2 nodes read and write there"),
        ("/tmp/runs", True, f"compute.storage: node worker ({cluster.worker.address}) does not see /tmp/runs"),
        (".ganops", True, "name one that the 2 nodes share"),
    ):
        home.params(compute={"storage": place})
        code, text = ganops(cluster, home, "doctor", "--json")
        found = {each["what"]: each for each in json.JSONDecoder().raw_decode(text)[0]}
        assert said in found["storage"]["text"]
        assert bool(code) == fails
        assert [each["what"] for each in found.values() if each["state"] == "bad"] == ["storage"] * fails


@contextlib.contextmanager
def full_disk(node, left: int):
    """A node's disk with so many bytes left, for the block."""
    used = int(node.run("df", "--output=used", "-B1", "/tmp").split()[-1])
    before = int(node.run("df", "--output=size", "-B1", "/tmp").split()[-1])
    node.run("mount", "-o", f"remount,size={used + left}", "/tmp")
    try:
        yield
    finally:
        node.run("mount", "-o", f"remount,size={before}", "/tmp")


@pytest.mark.slow
def test_a_head_whose_disk_is_full(cluster, home):
    with full_disk(cluster.head, 300_000):
        code, text = ganops(cluster, home, "submit", "--storage", str(cluster.shared / "runs"))
        assert code == 1
        assert "No space left on device" in text
        assert "Traceback" not in text
    code, text = ganops(cluster, home, "submit", "--storage", str(cluster.shared / "runs"))
    assert code == 0, text
