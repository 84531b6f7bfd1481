"""What can be said of a submission without a cluster."""

import shutil
from types import SimpleNamespace

import pytest
import ray
import yaml
from ray.job_submission import JobStatus

from ganops.config import COMPUTE, Compute, load, parse
from ganops.core.errors import ClusterError, ConfigError, TrainingError
from ganops.core.git import COMMIT, DIRTY, commit
from ganops.experiment import identity
from ganops.jobs import dvc, submission


def test_the_digest_is_that_of_what_is_sent(project):
    first = submission.Tree.of(project.folder)
    assert first.size > 0
    (project.folder / "dvc.lock").write_text("stages: {}")
    (project.folder / "artifacts" / "new").write_text("ignored by git")
    assert submission.Tree.of(project.folder).digest == first.digest
    project.params(train={"kimg": 4})
    assert submission.Tree.of(project.folder).digest != first.digest
    assert submission.Tree.of(project.folder).dirty


def test_what_is_too_large_and_what_has_no_git_is_refused(project, tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "MAX_TREE_BYTES", 10**6)
    with pytest.raises(ClusterError, match=r"Ray accepts 1 MB.*largest files: data/tiny/some-images-idx3-ubyte \(1 MB"):
        submission.Tree.of(project.folder)
    with pytest.raises(ClusterError, match="expected a git repository"):
        submission.Tree.of(tmp_path / "nowhere")


def test_a_remote_is_needed_and_keeps_its_password_to_itself(project):
    with pytest.raises(ClusterError, match="there is no DVC remote"):
        dvc.remote_address(project.folder)
    project.run("dvc", "remote", "add", "--default", "near", "../elsewhere")
    assert dvc.remote_address(project.folder) == str(project.folder.parent / "elsewhere")
    project.run("dvc", "remote", "add", "--default", "far", "https://me:secret@example.com/x")
    with pytest.raises(ClusterError, match="far holds a password") as told:
        dvc.remote_address(project.folder)
    assert "secret" not in str(told.value)


def test_what_stands_in_the_settings_of_the_user_alone_overrules_and_does_not_travel(project):
    project.run("dvc", "remote", "add", "--default", "near", "../elsewhere")
    project.run("dvc", "remote", "add", "--local", "--default", "mine", "s3://bucket/dvc")
    project.run("dvc", "remote", "modify", "--local", "mine", "secret_access_key", "hidden")
    settings = dvc.settings(project.folder)
    assert dvc.Setting(dvc.CONFIG, "core.remote", "near") in settings
    assert dvc.remote_address(project.folder, settings) == "s3://bucket/dvc"
    project.run("dvc", "remote", "add", "far", "s3://bucket/other")
    project.run("dvc", "remote", "modify", "far", "secret_access_key", "hidden")
    with pytest.raises(ClusterError, match=r"remote\.far\.secret_access_key in \.dvc/config, .* holds a secret"):
        dvc.remote_address(project.folder)


NOWHERE = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("address", "said"),
    [("", "RAY_ADDRESS"), ("head:8265", "got head:8265"), (NOWHERE, f"nobody answers at {NOWHERE}")],
)
def test_an_address_that_leads_nowhere(address, said, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ClusterError, match=said):
        submission.Cluster.connect(address)


@pytest.mark.parametrize(
    ("compute", "said"),
    [
        ({"workers": 3}, "3 workers need as many cores, the nodes that are up have 2"),
        ({"device": "cuda"}, "no node that is up has a GPU"),
    ],
)
def test_too_small_a_cluster_is_refused(compute, said):
    with pytest.raises(ClusterError, match=said):
        submission.check_workers(Compute(**compute), cpus=2, gpus=0)


def test_a_cluster_without_room_for_a_trial_is_refused():
    cluster = SimpleNamespace(version=lambda: ray.__version__, nodes=lambda: [{"CPU": 2.0}], address="http://head")
    search = {"trials": 4, "space": {"loss.r1": {"uniform": [0, 1]}}}
    wide = parse({"tune": search, "compute": {"trial": {"workers": 4}}, "train": {"batch": 32}})
    with pytest.raises(TrainingError, match="a trial has 4 workers of 1 core; the cluster has 2 cores"):
        submission.check(wide, cluster)
    assert submission.check(wide.override({"tune.trials": 0}), cluster) == submission.check(
        parse({"tune": search}), cluster
    )


def test_stages_that_act_on_the_outside_are_known_by_what_dvc_does_not_cache(project):
    assert dvc.stages(project.folder, acting=True)[-2:] == ["evaluate", "register"]
    assert dvc.stages(project.folder, acting=False)[-1] == "evaluate"
    uncached = {path.as_posix() for path in dvc.uncached(project.folder)}
    assert uncached == {"dvc.lock", "metrics/decision.json", "metrics/registration.json", "reports/registration"}


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


def test_a_job_is_told_of_edits_of_the_code_that_decides_the_weights(project, monkeypatch):
    sent = []
    client = SimpleNamespace(submit_job=lambda **job: sent.append(job["runtime_env"]["env_vars"]))
    cluster = SimpleNamespace(address="http://head", client=client, jobs=list)
    project.params(train={"kimg": 4})
    source = project.folder / "src/ganops/losses/adversarial.py"
    for text in (source.read_text(), source.read_text() + "# a comment\n"):
        source.write_text(text)
        tree = submission.Tree.of(project.folder)
        assert tree.dirty
        submission.submit(project.folder, cluster, tree, compute={}, variables={}, remote="s3://home")
    package = project.folder / "src/ganops"
    assert [variables[identity.EDITS] for variables in sent] == ["", identity.content(package)]
    (project.folder / ".git").rename(project.folder.parent / "git")  # as the tree arrives
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.folder.parent))
    for variables in sent:
        for name in (identity.EDITS, COMMIT):
            monkeypatch.setenv(name, variables[name])
        there = identity.state(package)
        assert (there.commit, there.edits) == (tree.commit, variables[identity.EDITS])


class FakeCluster:
    """A cluster that knows one job and its log."""

    address = "http://head:8265"

    def __init__(self, log, digest):
        self.log, self.digest = log, digest
        self.client = SimpleNamespace(get_job_logs=lambda name: self.log)

    def job(self, name):
        return SimpleNamespace(status=JobStatus.SUCCEEDED, metadata={submission.DIGEST: self.digest})


@pytest.fixture
def sent(project):
    """A project and what a job sends home of it; the outputs of `prepare` and `features` are in its remote."""
    project.run("dvc", "remote", "add", "--default", "near", str(project.folder.parent / "remote"))
    project.run("dvc", "push")
    home = project.folder / dvc.HOME
    (home / "metrics").mkdir(parents=True)
    (home / "dvc.lock").write_bytes((project.folder / "dvc.lock").read_bytes())
    (home / "metrics/registration.json").write_text("{}")
    (home / ".git/hooks").mkdir(parents=True)
    (home / ".git/hooks/post-commit").write_text("evil")
    (home / "src").mkdir()
    (home / "src/sitecustomize.py").write_text("evil")
    project.run("dvc", "add", dvc.HOME)
    project.run("dvc", "push", f"{dvc.HOME}.dvc")
    digest = yaml.safe_load((project.folder / f"{dvc.HOME}.dvc").read_text())["outs"][0]["md5"]
    shutil.rmtree(home)
    (project.folder / f"{dvc.HOME}.dvc").unlink()
    project.run("git", "checkout", "-q", ".gitignore")
    for made in ("data/prepared", "artifacts/features", ".dvc/cache"):
        shutil.rmtree(project.folder / made)
    older = f"{dvc.MARK} {'0' * 32}.dir prepare"
    log = f"much\n{older}\n{dvc.MARK} {digest} prepare features own-stage\nmore\n"
    return project, FakeCluster(log, submission.Tree.of(project.folder).digest)


def test_what_comes_home_are_the_results_and_nothing_else(sent):
    project, cluster = sent
    (project.folder / "dvc.lock").unlink()
    assert submission.fetch(project.folder, cluster, "job") == ["prepare", "features", "own-stage"]
    assert (project.folder / "data/prepared/manifest.json").is_file()
    assert (project.folder / "artifacts/features/card.json").is_file()
    assert (project.folder / "metrics/registration.json").read_text() == "{}"
    assert not (project.folder / ".git/hooks/post-commit").exists()
    assert not (project.folder / "src/sitecustomize.py").exists()
    assert not list(project.folder.glob(f"{dvc.HOME}*"))


def test_what_cannot_come_home_whole_leaves_everything_as_it_was(sent):
    project, cluster = sent
    (project.folder / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    for file in (project.folder.parent / "remote").rglob("*"):
        if file.is_file() and file.stat().st_size > 100_000:  # the images are gone from the remote
            file.unlink()
    with pytest.raises(ClusterError, match="`dvc pull"):
        submission.fetch(project.folder, cluster, "job")
    assert (project.folder / "dvc.lock").read_text() == "schema: '2.0'\nstages: {}\n"
    assert not (project.folder / "metrics/registration.json").exists()
    assert not list(project.folder.glob(f"{dvc.HOME}*"))


def test_a_job_that_finished_nothing_brings_nothing(sent):
    project, cluster = sent
    cluster.log = "only words\n"
    with pytest.raises(ClusterError, match="has finished no stage yet"):
        submission.fetch(project.folder, cluster, "job")
