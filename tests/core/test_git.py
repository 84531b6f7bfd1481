"""Where results come from."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from ganops.core import git as lineage
from ganops.core.errors import LineageError
from ganops.core.git import (
    CHANGES,
    COMMIT,
    DIRTY,
    Revision,
    commit,
    git,
    lock_hashes,
    md5,
    outputs,
    packed,
    proven,
    revision,
)
from ganops.jobs import dvc

ROOT = Path(__file__).parents[2]
LOCK = """
stages:
  train:
    deps: [{path: data/prepared, md5: aa.dir}]
    outs: [{path: metrics.json, md5: bb}, {path: unhashed}]
  prepare:
    deps: [{path: ../src, md5: cc.dir}, {path: faces, md5: dd.dir}]
    outs: [{path: prepared, md5: aa.dir}]
"""


def test_paths_are_those_of_the_project_whatever_folder_a_stage_stands_in(tmp_path):
    (tmp_path / "dvc.yaml").write_text("stages: {prepare: {wdir: data}, train: {}}")
    (tmp_path / "dvc.lock").write_text(LOCK)
    assert lock_hashes(tmp_path / "dvc.lock") == {
        "data/faces": "dd.dir",
        "data/prepared": "aa.dir",
        "metrics.json": "bb",
        "src": "cc.dir",
    }


def test_absolute_sources_keep_their_path(tmp_path):
    (tmp_path / "dvc.yaml").write_text("stages: {prepare: {wdir: data}}")
    (tmp_path / "dvc.lock").write_text("stages: {prepare: {deps: [{path: /sets/faces, md5: ee}]}}")
    assert lock_hashes(tmp_path / "dvc.lock") == {"/sets/faces": "ee"}


def test_without_a_lock_or_a_repository_nothing_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert lock_hashes(tmp_path / "dvc.lock") == {}
    assert git(tmp_path, "rev-parse", "HEAD") is None
    assert revision(tmp_path) is None


PIPELINE = """
stages:
  train: {deps: [src], outs: [generator]}
  evaluate: {deps: [generator], outs: [report], metrics: [evaluation.json: {cache: false}]}
  aside: {deps: [generator], outs: [aside]}
  register: {deps: [generator, evaluation.json], outs: [registered]}
"""


def an_entry(deps, outs):
    return {"deps": [{"path": p, "md5": h} for p, h in deps.items()],
            "outs": [{"path": p, "md5": h} for p, h in outs.items()]}  # fmt: skip


@pytest.fixture
def second_run(tmp_path):
    """`dvc.lock` while a stage runs for the second time: its entry, and those after it, are of the first."""
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    stages = {
        "train": an_entry({"src": "bb"}, {"generator": "22"}),
        "evaluate": an_entry({"generator": "22"}, {"report": "33", "evaluation.json": "33"}),
        "aside": an_entry({"generator": "ff"}, {"aside": "ff"}),
        "register": an_entry({"generator": "ff", "evaluation.json": "ff"}, {"registered": "ff"}),
    }
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": stages}))
    return tmp_path / "dvc.lock"


def test_the_hash_of_a_path_is_that_of_the_stage_that_made_it(second_run):
    assert lock_hashes(second_run)["generator"] == "22"
    assert lock_hashes(second_run)["evaluation.json"] == "33"


def test_while_a_stage_runs_only_what_it_depends_on_counts(second_run):
    run = {"src": "bb", "generator": "22"}
    assert lock_hashes(second_run, "evaluate") == run
    assert lock_hashes(second_run, "register") == run | {"report": "33", "evaluation.json": "33"}
    assert lock_hashes(second_run, "train") == {}


def test_no_hash_is_told_that_the_files_contradict(tmp_path):
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "src").mkdir()
    (tmp_path / "src/loss.py").write_text("loss = 1")
    (tmp_path / "generator").write_text("weights")
    hashes = {name: md5(tmp_path / name) for name in ("src", "generator")}
    stages = {"train": an_entry({"src": hashes["src"]}, {"generator": hashes["generator"]})}
    lock = tmp_path / "dvc.lock"
    lock.write_text(yaml.safe_dump({"stages": stages}))
    assert proven(lock, "evaluate") == hashes

    (tmp_path / "generator").write_text("other weights")
    with pytest.raises(LineageError, match=rf"generator: the stage train made {hashes['generator']}.*`dvc repro`"):
        proven(lock, "evaluate")
    assert proven(lock, "train") == {}, "what it will write is not there yet"

    (tmp_path / "generator").write_text("weights")
    (tmp_path / "src/loss.py").write_text("loss = 2")
    with pytest.raises(LineageError, match=r"src: the stage train ran with"):
        proven(lock, "evaluate")
    (tmp_path / "src/loss.py").unlink()
    (tmp_path / "src").rmdir()
    assert proven(lock, "evaluate") == hashes, "what is elsewhere cannot be looked at"


def test_hashes_are_those_of_dvc(tmp_path):
    folder = tmp_path / "set"
    for name, content in {
        "a": "1",
        "sub/b": "2",
        "sub/c/d": "",
        "ü \n.txt": "ä",
        "x.pyc": "3",
        "__pycache__/y": "4",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (folder / "empty").mkdir()
    (folder / "link").symlink_to("sub/b")
    (folder / "linked").symlink_to("sub")
    (tmp_path / "one").write_bytes(b"\r\n\0")
    (tmp_path / ".dvcignore").write_text("# of Python\n__pycache__/\n\n*.pyc\n")
    for command in (("init", "-q", "--no-scm", "-f"), ("add", "-q", "set", "one")):
        done = dvc.call(tmp_path, *command)
        assert done.returncode == 0, done.stderr
    known = {path: yaml.safe_load((tmp_path / f"{path}.dvc").read_text())["outs"][0]["md5"] for path in ("set", "one")}
    lock = yaml.safe_dump({"stages": {"train": an_entry(known, {})}})
    (tmp_path / "dvc.lock").write_text(lock)
    assert proven(tmp_path / "dvc.lock") == known
    assert md5(tmp_path / "one") == known["one"]


@pytest.fixture
def tree(tmp_path):
    """A project, in a folder of a repository, with a commit."""
    root = tmp_path / "repository" / "project"
    (root / "src").mkdir(parents=True)
    (root / "dvc.yaml").write_text(
        "stages: {a: {wdir: data, cmd: b, outs: [made], metrics: [../m.json: {cache: false}]}}"
    )
    (root / "src/code.py").write_bytes(b"one\ntwo\nthree\n")
    (root / "src/run.sh").write_text("true\n")
    (root / "src/gone.py").write_text("gone\n")
    (root / "src/__init__.py").touch()
    (root / "src/image.bin").write_bytes(bytes(range(256)))
    (root / ".gitignore").write_text("secret.env\n")
    run(root, "git", "init", "-q", "..")
    committed(root)
    return root


def run(folder, *command):
    done = subprocess.run(command, cwd=folder, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def committed(root):
    run(root, "git", "add", "-A", "..")
    run(root, "git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "some")


def make(root):
    """What a run of the pipeline writes."""
    (root / "data/made").mkdir(parents=True, exist_ok=True)
    (root / "data/made/images").write_text("many")
    (root / "m.json").write_text("{}")
    (root / "dvc.lock").write_text("stages: {}")


def change(root):
    """Changes of every kind."""
    (root / "src/code.py").write_bytes(b"one\nt\xffwo\r\nthree")
    (root / "src/run.sh").chmod(0o755)
    (root / "src/gone.py").unlink()
    (root / "src/image.bin").write_bytes(bytes(range(255, -1, -1)))
    (root / "src/staged.py").write_text("staged\n")
    run(root, "git", "add", "src/staged.py")
    (root / "src/new ü [1].py").write_text("new\n")
    (root / "src/empty.py").touch()
    (root / "secret.env").write_text("password")


def files(root):
    paths = [path for path in root.rglob("*") if path.is_file() and path.name != "secret.env"]
    return {str(path.relative_to(root)): (path.read_bytes(), os.access(path, os.X_OK)) for path in paths}


def test_what_the_pipeline_makes_is_no_change(tree):
    make(tree)
    head = git(tree, "rev-parse", "HEAD")
    assert commit(tree) == (head, False)
    assert revision(tree) == Revision(head, False)
    assert revision(tree).save(tree) is None
    run(tree, "git", "add", "-f", "m.json", "dvc.lock")
    committed(tree)
    (tree / "m.json").write_text("{1: 2}")
    (tree / "dvc.lock").write_text("stages: {other: {}}")
    assert commit(tree)[1] is False
    (tree / "new.py").touch()
    assert commit(tree)[1] is True


def test_a_clone_with_the_patch_is_the_tree(tree, tmp_path):
    """Whatever a person's settings of git are, and without a trace in the repository."""
    change(tree)
    expected = files(tree)
    make(tree)
    for key, value in {"diff.noprefix": "true", "color.ui": "always", "diff.external": "false"}.items():
        run(tree, "git", "config", key, value)
    before = run(tree, "git", "status", "--porcelain"), run(tree, "git", "count-objects")
    known = revision(tree)
    assert (run(tree, "git", "status", "--porcelain"), run(tree, "git", "count-objects")) == before
    assert known.changed
    assert b"password" not in known.patch

    run(tmp_path, "git", "clone", "-q", "repository", "clone")
    clone = tmp_path / "clone" / "project"
    saved = known.save(clone)
    run(clone, "git", "checkout", "-q", known.commit)
    run(clone, "git", "apply", "--index", saved.name)
    saved.unlink()
    assert files(clone) == expected
    assert revision(clone).patch == known.patch
    assert revision(clone).name == known.name == saved.name


def test_of_changes_that_are_too_large_it_is_said_that_there_are_some(tree, monkeypatch):
    (tree / "new.py").write_bytes(b"x" * 2000)
    monkeypatch.setattr(lineage, "MAX_PATCH_BYTES", 1999)
    assert revision(tree) == Revision(git(tree, "rev-parse", "HEAD"), changed=True, patch=b"")
    monkeypatch.setattr(lineage, "MAX_PATCH_BYTES", 2000)
    assert b"+" + b"x" * 2000 in revision(tree).patch


def test_a_patch_travels_with_a_job(tmp_path, monkeypatch):
    patch = b"diff\xff" * 1000
    monkeypatch.setenv(COMMIT, "abc")
    monkeypatch.setenv(DIRTY, "true")
    monkeypatch.setenv(CHANGES, packed(patch))
    assert revision(tmp_path) == Revision("abc", changed=True, patch=patch)
    monkeypatch.setenv(CHANGES, packed(os.urandom(100_000)))
    assert revision(tmp_path) == Revision("abc", changed=True, patch=b""), "too large for a variable"
    monkeypatch.setenv(CHANGES, "what is this")
    assert revision(tmp_path).patch == b""


CLOCK = {"metrics/train.json", "reports/train/speed.csv", "reports/tune/times.json", "reports/tune/report.html"}
"""Files with times and speeds."""


def test_no_stage_depends_on_the_clock():
    stages = lineage.stages(ROOT)
    read = {
        os.path.normpath(Path(stage.get("wdir", ".")) / path) for stage in stages.values() for path in stage["deps"]
    }
    assert all(any(Path(clock).is_relative_to(path) for path in outputs(ROOT)) for clock in CLOCK)
    assert not {path for path in read for clock in CLOCK if Path(clock).is_relative_to(path)}
