"""Where results come from."""

from ganops.lineage import git, lock_hashes

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
