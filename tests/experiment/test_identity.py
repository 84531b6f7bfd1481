"""Which states of the code continue what another began."""

import shutil
import subprocess
from pathlib import Path

import pytest

from ganops.core.git import COMMIT, git
from ganops.experiment import identity


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The package in a repository of its own, all of it committed."""
    monkeypatch.delenv(identity.EDITS, raising=False)
    monkeypatch.delenv(COMMIT, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    root = tmp_path / "src" / "ganops"
    shutil.copytree(Path(identity.__file__).parents[1], root, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / ".gitignore").write_text("__pycache__/\n.venv/\n")
    run(tmp_path, "init", "-q")
    commit(tmp_path)
    return root


def run(folder, *arguments):
    subprocess.run(["git", "-C", folder, "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments], check=True)


def commit(folder):
    run(folder, "add", "-A")
    run(folder, "commit", "-qm", "all")
    return git(folder, "rev-parse", "HEAD")


def comment(path):
    path.write_text(path.read_text() + "# a comment\n")


def test_what_a_commit_holds_has_no_edits(package):
    head = git(package, "rev-parse", "HEAD")
    assert identity.state(package) == identity.Code(head, "")
    comment(package / "losses" / "adversarial.py")
    edited = identity.state(package)
    assert edited == identity.Code(head, identity.content(package), ("src/ganops/losses/adversarial.py",))
    other = commit(package.parents[1])
    assert identity.state(package) == identity.Code(other, "")
    assert other != head


@pytest.mark.parametrize("place", identity.DECISIVE)
def test_an_edit_of_every_decisive_place_is_seen(package, place):
    path = package / place
    assert path.exists()
    comment(path if path.is_file() else sorted(path.rglob("*.py"))[-1])
    assert identity.state(package).edits


def test_a_new_file_in_a_decisive_folder_is_an_edit_and_a_chart_is_none(package):
    comment(package / "reports" / "plots.py")
    (package / "losses" / "notes.txt").write_text("no code")
    assert identity.state(package).edits == ""
    (package / "losses" / "mine.py").write_text("")
    assert identity.state(package).edited == ("src/ganops/losses/mine.py",)


def test_what_decides_the_best_weights_is_decisive():
    places = ("core/latents.py", "kinds", "core/randomness.py", "generator/artefact.py", "metrics/frechet.py")
    for place in (*places, "evaluation/validation.py"):
        assert place in identity.DECISIVE


def test_without_git_the_edits_are_those_that_were_told_of_these_very_files(package, monkeypatch):
    shutil.rmtree(package.parents[1] / ".git")
    assert identity.state(package) == identity.Code(None, "")
    whole = identity.content(package)
    assert identity.state(package, told=whole).edits == whole
    assert identity.state(package, told="other files").edits == ""
    monkeypatch.setenv(identity.EDITS, whole)
    monkeypatch.setenv(COMMIT, "abc")
    assert identity.state(package) == identity.Code("abc", whole)
    assert identity.state(package, told="") == identity.Code("abc", "")


def test_an_environment_inside_a_repository_is_a_release(package):
    root = package.parents[1] / ".venv" / "lib" / "ganops"
    shutil.copytree(package, root)
    comment(package / "losses" / "adversarial.py")
    assert identity.state(root) == identity.Code(None, "")


def test_where_git_refuses_no_commit_speaks_for_the_files(package):
    (package.parents[1] / ".git" / "HEAD").write_text("nonsense")
    assert identity.state(package).edits == identity.content(package)


def test_another_commit_is_told_and_the_same_is_not():
    here = identity.code().commit
    assert identity.continues(here) == ""
    line = identity.continues("abc1234def")
    assert line == f"commit abc1234; the mathematics is the same, version {identity.MATHEMATICS}"
