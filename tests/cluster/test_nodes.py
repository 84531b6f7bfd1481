"""The nodes are two hosts: what they share, whom they let in, and how a loss is noticed."""

import os
import subprocess
import sys
import urllib.error

import pytest
from projects import ROOT

pytestmark = pytest.mark.ray

JOB = """
import socket, time
import ray

@ray.remote(num_cpus=1, scheduling_strategy="SPREAD")
def where():
    time.sleep(1)
    return socket.gethostname()

ray.init(log_to_driver=False)
print(open("word").read(), *sorted(ray.get([where.remote(), where.remote()])))
"""
CLIENT = """
import sys, time
from ray.job_submission import JobSubmissionClient

client = JobSubmissionClient()
job = client.submit_job(entrypoint="python job.py", runtime_env={"working_dir": sys.argv[1]})
while not client.get_job_status(job).is_terminal():
    time.sleep(0.2)
print(client.get_job_status(job), client.get_job_logs(job))
"""


@pytest.fixture
def project(tmp_path):
    """A folder to submit: a job, and a file that it reads."""
    (tmp_path / "job.py").write_text(JOB)
    (tmp_path / "word").write_text("sesame")
    return tmp_path


def submit(cluster, folder, **variables) -> subprocess.CompletedProcess:
    """Submits the folder's job from this host and waits for it."""
    environment = {**os.environ, **cluster.environment(), **variables}
    command = [sys.executable, "-c", CLIENT, folder]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_a_job_from_outside_runs_on_both_nodes(cluster, project):
    assert cluster.alive() == 2
    done = submit(cluster, project)
    assert "SUCCEEDED" in done.stdout, done.stdout + done.stderr
    assert "sesame head worker" in done.stdout


def test_a_wrong_token_is_refused(cluster, project):
    (project / "token").write_text("0" * 64)
    done = submit(cluster, project, RAY_AUTH_TOKEN_PATH=str(project / "token"))
    assert done.returncode != 0
    assert "Invalid authentication token" in done.stderr
    with pytest.raises(urllib.error.HTTPError, match="403"):
        cluster.get("/api/jobs/", token="0" * 64)


def test_nodes_share_one_folder_and_nothing_else(cluster, project):
    (cluster.shared / "word").write_text("common")
    cluster.head.run("touch", "/tmp/word")
    for node in cluster.nodes:
        assert node.run("hostname").strip() == node.name
        assert node.run("cat", cluster.shared / "word") == "common"
        assert node.run("python", "-c", "import ganops; print('found')").strip() == "found"
        assert node.run("stat", "-c", "%a", "/tmp/home/.ray/auth_token").strip() == "600"
        for path in (project / "word", ROOT / "pyproject.toml", cluster.token_path):
            assert path.exists()
            with pytest.raises(OSError, match="No such file"):
                node.run("cat", path)
    with pytest.raises(OSError, match="No such file"):
        cluster.worker.run("cat", "/tmp/word")


@pytest.mark.parametrize("fault", ["cut", "kill"])
def test_a_silent_node_is_noticed_and_can_come_back(cluster, fault):
    getattr(cluster.worker, fault)()
    assert cluster.wait(nodes=1) < 15
    assert bool(cluster.worker.pids("raylet")) == (fault == "cut")
    cluster.worker.start()
    cluster.wait(nodes=2)


def test_a_fault_that_hits_nothing_is_an_error(cluster):
    assert cluster.worker.pids("raylet")
    with pytest.raises(LookupError, match="no process of worker matches 'ray::Nobody'"):
        cluster.worker.kill_process("ray::Nobody")
