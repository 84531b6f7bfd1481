"""The stages on a set in shards: on an object store through a cache, as in data/prepared."""

import json
import shutil
import tempfile
from pathlib import Path

import pytest
import s3
from projects import Project, new_project

pytestmark = [pytest.mark.ray, pytest.mark.slow]

WEIGHTS = "artifacts/generator/generator.safetensors"


@pytest.fixture
def home():
    """A temporary folder with a short path, as Ray's sockets need one."""
    with tempfile.TemporaryDirectory(prefix="ganops-") as folder:
        yield Path(folder)


@pytest.fixture
def project(tmp_path, home) -> Project:
    """A project whose set will be in shards of 20; its machine's temporary folder is its own."""
    project = new_project(tmp_path / "project")
    project.variables |= {"PYTHONPATH": str(project.folder / "src"), "TMPDIR": str(home)}
    project.params(data={"shard": 20}, tune={"trials": 0}, compute={"launcher": "ray", "workers": 2})
    return project


def trained(project: Project) -> bytes:
    project.run("dvc", "repro", "train")
    project.forget_training()
    return (project.folder / WEIGHTS).read_bytes()


def test_two_workers_end_in_the_same_weights_from_a_bucket_and_leave_nothing(project, home):
    here = trained(project)
    digest = json.loads((project.folder / "data/prepared/manifest.json").read_text())["sha256"]
    with s3.serving() as server:
        project.params(data={"storage": server.address("sets")}, compute={"cache": "250 kB"})
        assert trained(project) == here
    prepared = project.folder / "data/prepared"
    assert [path.name for path in prepared.rglob("*") if path.is_file()] == ["manifest.json"]
    assert json.loads((prepared / "manifest.json").read_text())["sha256"] == digest
    assert list(home.glob("ganops-*/shards-*")) == []


def test_a_stage_without_its_storage_says_so(project, tmp_path, home):
    project.params(data={"storage": str(tmp_path / "shared")}, compute={"launcher": "local", "workers": 1})
    project.run("dvc", "repro", "prepare")
    shutil.rmtree(tmp_path / "shared")
    said = project.run("python", "pipeline/features.py", fails=True)
    assert "features   data.storage: " in said
    assert "cannot be read" in said
    assert "Traceback" not in said
    assert list(home.glob("ganops-*/shards-*/*")) == []
