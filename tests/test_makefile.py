"""What `make` does before it does anything: an environment that holds the path of another folder is made anew."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def planned(folder: Path, *words: str) -> str:
    """The commands of `make repro`, or of other words, none of which is run."""
    # another make, in which the tests may run, would have this one tell its folders
    command = ["make", "--no-print-directory", "-n", *(words or ["repro"])]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def project(tmp_path):
    """A project with an environment, as far as `make` looks at it."""
    folder = tmp_path / "project"
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        folder.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder)
    subprocess.run(["python", "-m", "venv", "--without-pip", ".venv"], cwd=folder, check=True)
    (folder / ".venv" / ".ready").touch()
    return folder


def test_an_environment_is_made_once(project):
    assert planned(project).split() == ["ganops", "check", "--quick", "dvc", "repro"]
    (project / "requirements.lock").touch()
    assert "-m venv  .venv" in planned(project)
    shutil.rmtree(project / ".venv")
    assert "-m venv --clear .venv" in planned(project)


def test_that_of_a_moved_or_copied_project_is_made_anew(project, tmp_path):
    copy = shutil.copytree(project, tmp_path / "copy", symlinks=True)
    assert "-m venv --clear .venv" in planned(copy), "else it would run the code of the original"
    assert "venv" not in planned(project)
    moved = project.rename(tmp_path / "moved")
    assert "-m venv --clear .venv" in planned(moved)
    subprocess.run(["python", "-m", "venv", "--clear", "--without-pip", ".venv"], cwd=moved, check=True)
    (moved / ".venv" / ".ready").touch()
    assert "venv" not in planned(moved)


def test_one_environment_may_serve_several_folders(project, tmp_path):
    other = tmp_path / "worktree"
    shutil.copytree(project, other, ignore=shutil.ignore_patterns(".venv"))
    (other / ".venv").symlink_to(project / ".venv")
    (project / ".venv" / ".ready").touch()
    assert "venv" not in planned(other)


def test_an_environment_without_cuda_has_all_the_rest_with_hashes(project):
    (project / ".venv" / ".ready").unlink()
    lines = planned(project, "setup", "TORCH=cpu", "TORCH_INDEX=https://wheels.example.com/cpu").splitlines()
    (pair,) = (line for line in lines if line.startswith("pip") and "torchvision==" in line)
    assert "--index-url https://wheels.example.com/cpu " in pair
    lock = (project / "requirements.lock").read_text()
    versions = {name: re.search(rf"^{name}==([^ ]+)", lock, re.MULTILINE)[1] for name in ("torch", "torchvision")}
    assert re.findall(r"(\w+==\S+)", pair) == [f"{name}=={version}+cpu" for name, version in versions.items()]
    (rest,) = (line for line in lines if "requirements.lock" in line)
    kept, install = rest.rsplit("|", 1)
    assert "--require-hashes" in install
    found = subprocess.run(kept, shell=True, cwd=project, capture_output=True, text=True, check=True).stdout
    entries = [set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE)) for text in (lock, found)]
    left_out = entries[0] - entries[1]
    assert entries[1] < entries[0]
    assert {"torch", "torchvision", "triton", "nvidia-cudnn-cu13", "nvidia-nccl-cu13"} <= left_out
    assert all(re.match("torch$|torchvision$|triton$|nvidia-|cuda-", name) for name in left_out)
    # on a machine that has no such wheels nothing with CUDA is installed in their place
    assert "--index-url" not in planned(project, "setup", "TORCH=cpu")
    assert "+cpu" not in planned(project, "setup")


def test_modules_are_compiled_by_whoever_may_write_them(project, monkeypatch):
    (project / ".venv" / ".ready").unlink()
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    assert planned(project).count("--no-compile") == 2, "Python does it as it imports them"
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert "--no-compile" not in planned(project), "else it would do it again in each process"


def test_the_audit_reads_every_lock():
    """Short of asking the service: all of them are read, with the packages of this platform."""
    locks = [ROOT / "requirements.lock", *sorted((ROOT / "infra").rglob("*.lock"))]
    command = ["make", "--no-print-directory", "-n", "-o", "setup", "audit"]
    planned = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert [ROOT / word for word in planned if word.endswith(".lock")] == locks
    dry = subprocess.run([*planned, "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert dry.returncode == 0, dry.stderr
    names = {
        name for lock in locks for name in re.findall(r"^([a-z0-9-]+)==[^;\n]+\\$", lock.read_text(), re.MULTILINE)
    }
    counted = int(re.search(r"would have audited (\d+) packages", dry.stderr)[1])
    assert counted >= len(names), "packages without conditions are read on every platform"
