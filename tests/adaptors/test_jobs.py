"""What can be said of a submission without a cluster."""

import pytest

from ganops import job
from ganops.adaptors import jobs
from ganops.config import COMPUTE, Compute, load
from ganops.errors import ClusterError, ConfigError
from ganops.lineage import COMMIT, DIRTY, commit


def test_the_digest_is_that_of_what_is_sent(project):
    first = jobs.Tree.of(project.folder)
    assert first.size > 0
    (project.folder / "dvc.lock").write_text("stages: {}")
    (project.folder / "artifacts" / "new").write_text("ignored by git")
    assert jobs.Tree.of(project.folder).digest == first.digest
    project.params(train={"kimg": 4})
    assert jobs.Tree.of(project.folder).digest != first.digest
    assert jobs.Tree.of(project.folder).dirty


def test_what_is_too_large_and_what_has_no_git_is_refused(project, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "LARGEST", 10**6)
    with pytest.raises(ClusterError, match=r"Ray accepts 1 MB.*largest files: data/tiny/some-images-idx3-ubyte \(1 MB"):
        jobs.Tree.of(project.folder)
    with pytest.raises(ClusterError, match="expected a git repository"):
        jobs.Tree.of(tmp_path / "nowhere")


def test_a_remote_is_needed_and_keeps_its_password_to_itself(project):
    with pytest.raises(ClusterError, match="there is no DVC remote"):
        jobs.remote_address(project.folder)
    project.run("dvc", "remote", "add", "--default", "near", "../elsewhere")
    assert jobs.remote_address(project.folder) == str(project.folder.parent / "elsewhere")
    project.run("dvc", "remote", "add", "--default", "far", "https://me:secret@example.com/x")
    with pytest.raises(ClusterError, match="far holds a password") as told:
        jobs.remote_address(project.folder)
    assert "secret" not in str(told.value)


NOWHERE = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("address", "said"),
    [("", "RAY_ADDRESS"), ("head:8265", "got head:8265"), (NOWHERE, f"nobody answers at {NOWHERE}")],
)
def test_an_address_that_leads_nowhere(address, said, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ClusterError, match=said):
        jobs.Cluster.connect(address)


@pytest.mark.parametrize(
    ("compute", "said"),
    [
        ({"workers": 3}, "3 workers need as many cores, the nodes that are up have 2"),
        ({"device": "cuda"}, "no node that is up has a GPU"),
    ],
)
def test_too_small_a_cluster_is_refused(compute, said):
    with pytest.raises(ClusterError, match=said):
        jobs.check_workers(Compute(**compute), cpus=2, gpus=0)


def test_stages_that_act_on_the_outside_are_known_by_what_dvc_does_not_cache(project):
    assert job.stages(acting=True, root=project.folder)[-2:] == ["evaluate", "register"]
    assert job.stages(acting=False, root=project.folder)[-1] == "evaluate"
    uncached = {path.as_posix() for path in job.uncached(project.folder)}
    assert uncached == {"dvc.lock", "metrics/registration.json", "reports/registration"}


def test_where_a_run_happens_can_be_changed_from_outside(project, monkeypatch):
    monkeypatch.setenv(COMPUTE, '{"workers": 2}')
    assert load(project.folder / "params.yaml").compute.workers == 2
    monkeypatch.setenv(COMPUTE, "two")
    with pytest.raises(ConfigError, match=f"{COMPUTE}: expected a JSON object"):
        load(project.folder / "params.yaml")


def test_a_job_knows_the_commit_it_came_from(tmp_path, monkeypatch):
    assert commit(tmp_path) is None
    monkeypatch.setenv(COMMIT, "abc")
    monkeypatch.setenv(DIRTY, "true")
    assert commit(tmp_path) == ("abc", True)
