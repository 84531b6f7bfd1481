"""A project's folder may move, be copied or be mounted elsewhere: its store follows, whole or not at all."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from packages import package
from registering import GATE, NAME, measured

from ganops.core.errors import RegistryError
from ganops.evaluation.gate import decide
from ganops.registry import champions, lineage, registration, tracking
from ganops.registry.model import Model
from ganops.registry.model_version import Registered
from ganops.registry.relocation import BACKUP, DATABASE, relocate
from ganops.registry.verify import verify


@pytest.fixture
def unpacked(monkeypatch):
    """Versions whose files are quickly made, and do not load."""

    def build(made, name, folder):
        folder.mkdir()
        (folder / "MLmodel").write_text("{}")

    monkeypatch.setattr(registration, "build", build)
    monkeypatch.setattr(registration, "prove", lambda made, folder: 100.0)


def register(root, folder, fd=9.0, seed=0):
    made = package(folder, fd, seed)
    rival = None if seed == 0 else measured(1, 9.0, fd)
    return registration.register(made, name=NAME, decision=decide(GATE, made.metrics, rival=rival), root=root)


def pictures(root, version):
    with Registered.opened(Model(tracking.connect(root), NAME).resolve(version), root) as model:
        return model.sample(np.arange(3))


def addresses(root) -> list[tuple[str, str, str]]:
    """Brute force: each value of each column of each table that names a folder, wherever MLflow keeps it."""
    with closing(sqlite3.connect(root / DATABASE)) as store:
        tables = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [
            (table, column, str(value))
            for table in tables
            for (_, column, *_) in store.execute(f"PRAGMA table_info('{table}')").fetchall()
            for (value,) in store.execute(f'SELECT "{column}" FROM "{table}"')
            if "/" in str(value)
        ]


def naming(root, folder) -> list[tuple[str, str, str]]:
    inside = (f"{folder}/", f"{folder.as_uri()}/")
    return [found for found in addresses(root) if any(each in f"{found[2]}/" for each in inside)]


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def with_history(empty_store, tmp_path_factory):
    """A project with one version, whose folder nobody changes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        base = tmp_path_factory.mktemp("with history")
        root = shutil.copytree(empty_store, base / "project")
        patch.chdir(root)
        register(root, base / "artifacts")
    return root


@pytest.fixture
def copied(with_history, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return shutil.copytree(with_history, tmp_path / "copy")


def test_a_moved_project_goes_on_with_its_history(copied, unpacked, tmp_path, capfd):
    drawn, known = pictures(copied, "1"), lineage.lineage(Model(tracking.connect(copied), NAME), "1")
    capfd.readouterr()
    moved = Path(shutil.move(copied, tmp_path / "a place with spaces, 100 % ünusual"))
    client = tracking.connect(moved)
    assert f"mlflow: this project was at {copied}; its store is up to date" in capfd.readouterr().err
    assert naming(moved, copied) == []
    assert (pictures(moved, "champion") == drawn).all()
    assert lineage.lineage(Model(client, NAME), "1") == known
    assert [(move.to, move.kind) for move in champions.history(Model(client, NAME))] == [(1, "gate")]

    result = register(moved, tmp_path / "second", 5.0, 1)
    assert (result["version"], result["champion"], result["former_champion"]) == (2, 2, 1)
    assert champions.rollback(Model(client, NAME)) == "1"
    assert {each.what: each.state for each in verify(moved, NAME, every=True)} == {
        "champion": "ok", "version 1": "ok", "version 2": "ok",
    }  # fmt: skip
    assert not copied.exists(), "nothing is written to the former place"
    assert capfd.readouterr().err == "", "it moved once"


def test_a_copy_never_writes_to_the_original(with_history, copied, unpacked, tmp_path):
    before = contents(with_history)
    register(copied, tmp_path / "second", 5.0, 1)
    assert contents(with_history) == before
    assert naming(copied, with_history) == []


def test_moving_back_or_being_mounted_changes_nothing_else(copied, tmp_path):
    tracking.connect(copied)
    before = addresses(copied)
    moved = copied.rename(tmp_path / "elsewhere")
    tracking.connect(moved)
    link = tmp_path / "link"
    link.symlink_to(moved)
    tracking.connect(link)  # another name of the same folder is no move
    there = addresses(moved)
    assert [(table, column, value.replace("/elsewhere/", "/copy/")) for table, column, value in there] == before
    assert there != before
    tracking.connect(moved.rename(copied))
    assert addresses(copied) == before


def test_what_lies_elsewhere_stays(copied, tmp_path):
    client = tracking.connect(copied)
    places = {
        "bucket": "s3://bucket/mlflow/artifacts",
        "neighbour": f"{copied.as_uri()}2/data",
        "outside": (tmp_path / "outside").as_uri(),
    }
    made = {name: client.create_experiment(name, artifact_location=place) for name, place in places.items()}
    runs = {name: client.create_run(experiment).info.run_id for name, experiment in made.items()}
    moved = copied.rename(tmp_path / "elsewhere")
    client = tracking.connect(moved)
    for name, place in places.items():
        assert client.get_experiment(made[name]).artifact_location == place
        assert client.get_run(runs[name]).info.artifact_uri.startswith(place)


def test_a_database_that_is_named_and_no_projects_is_left_alone(copied, tmp_path, monkeypatch):
    named = copied.rename(tmp_path / "elsewhere")
    before = (named / DATABASE).read_bytes()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{named / DATABASE}")
    tracking.connect(tmp_path / "another project")
    assert (named / DATABASE).read_bytes() == before
    tracking.connect(named)  # the project's own store, also where it is named
    assert naming(named, copied) == naming(named, tmp_path / "project") == []


@pytest.mark.parametrize("table", ["runs", "model_versions"])
def test_a_change_that_fails_leaves_all_as_it_was(copied, table, tmp_path):
    tracking.connect(copied)
    moved = copied.rename(tmp_path / "elsewhere")
    before = addresses(moved)
    with closing(sqlite3.connect(moved / DATABASE)) as store:
        store.execute(f"CREATE TRIGGER full BEFORE UPDATE ON {table} BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    with pytest.raises(RegistryError, match=r"was moved.*cannot be brought up to date: disk full.*or move the project"):
        relocate(moved)
    assert addresses(moved) == before
    with closing(sqlite3.connect(moved / DATABASE)) as store:
        store.execute("DROP TRIGGER full")
    assert relocate(moved) == [copied]
    assert naming(moved, copied) == []


DYING = """
import os, signal, sys
from pathlib import Path
from ganops.registry import relocation
prefixes = relocation._prefixes
def half(folder, here):
    yield prefixes(folder, here)[0]
    os.kill(os.getpid(), signal.SIGKILL)
relocation._prefixes = half
relocation.relocate(Path(sys.argv[1]))
"""


def test_a_process_that_is_killed_halfway_leaves_all_as_it_was(copied, tmp_path):
    tracking.connect(copied)
    moved = copied.rename(tmp_path / "elsewhere")
    before = addresses(moved)
    assert subprocess.run([sys.executable, "-c", DYING, moved]).returncode == -signal.SIGKILL
    assert addresses(moved) == before
    assert relocate(moved) == [copied]
    assert naming(moved, copied) == []


ONE_OF_SEVERAL = """
import sys
from pathlib import Path
from ganops.registry.relocation import relocate
print(*relocate(Path(sys.argv[1])))
"""


def test_of_several_processes_at_once_one_changes_it(copied, tmp_path):
    tracking.connect(copied)
    moved = copied.rename(tmp_path / "elsewhere")
    command = [sys.executable, "-c", ONE_OF_SEVERAL, moved]
    several = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = [each.communicate()[0].strip() for each in several]
    assert sorted(said) == ["", "", "", str(copied)]
    assert naming(moved, copied) == []


def test_the_database_as_it_was_is_kept(copied, tmp_path):
    tracking.connect(copied)
    before = addresses(copied)
    moved = copied.rename(tmp_path / "elsewhere")
    tracking.connect(moved)
    shutil.copy(moved / BACKUP, moved / DATABASE)
    assert addresses(moved) == before
