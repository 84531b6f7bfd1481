"""The embedded MLflow store is whole or absent, whatever happens while it is made."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from ganops.core.errors import RegistryError
from ganops.registry import tracking
from ganops.registry.relocation import DATABASE, ensure

CONNECT = (
    "import sys; from pathlib import Path; from ganops.registry import tracking; tracking.connect(Path(sys.argv[1]))"
)

ENSURE = """
import sqlite3, sys, time
from pathlib import Path
from ganops.registry.relocation import ensure

def make(draft):
    print("made")
    with sqlite3.connect(draft) as store:
        store.execute("CREATE TABLE experiments (name TEXT)")
        time.sleep(1)
        store.execute("INSERT INTO experiments VALUES ('x')")

ensure(Path(sys.argv[1]), make)
"""


@pytest.fixture(autouse=True)
def _embedded(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def rows(database, table):
    with closing(sqlite3.connect(database)) as store:
        return store.execute(f"SELECT * FROM {table}").fetchall()


def with_tables(database, *tables, row=None):
    """A database with tables of a column each, and a row in one of them."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(database)) as store:
        for table in tables:
            store.execute(f"CREATE TABLE {table} (name TEXT)")
        if row:
            store.execute(f"INSERT INTO {row} VALUES ('x')")
        store.commit()
    return database


def test_a_kill_while_it_is_made_leaves_none(tmp_path):
    def drafts():
        return list(tmp_path.glob("mlflow/.mlflow.db.draft-*/mlflow.db"))

    process = subprocess.Popen([sys.executable, "-c", CONNECT, tmp_path])
    deadline = time.monotonic() + 120
    while not any(path.stat().st_size for path in drafts()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / DATABASE).exists()
    assert drafts()
    client = tracking.connect(tmp_path)
    assert not drafts(), "what was left is removed"
    assert [each.name for each in client.search_experiments()] == ["Default"]
    assert ".draft-" not in client.get_experiment("0").artifact_location


def test_of_several_processes_at_once_one_makes_it(tmp_path):
    several = [
        subprocess.Popen([sys.executable, "-c", ENSURE, tmp_path / DATABASE], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert sorted(each.communicate()[0].strip() for each in several) == ["", "", "", "made"]
    assert rows(tmp_path / DATABASE, "experiments") == [("x",)]


def test_one_that_was_half_made_in_place_is_made_anew(tmp_path):
    """As at 87b22ff after a kill: tables are there, the first experiment is not."""
    with_tables(tmp_path / DATABASE, "experiments", "runs", "metrics")
    client = tracking.connect(tmp_path)
    run = client.create_run("0")
    again = tracking.connect(tmp_path)
    assert [each.info.run_id for each in again.search_runs(["0"])] == [run.info.run_id]


@pytest.mark.parametrize("table", ["experiments", "runs", "registered_models"])
def test_one_that_holds_anything_is_left_alone(tmp_path, table):
    database = with_tables(tmp_path / DATABASE, "experiments", "runs", "registered_models", row=table)
    before = database.read_bytes()
    ensure(database, lambda draft: pytest.fail("made anew"))
    assert database.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_what_is_no_store_is_told_and_kept(tmp_path, content):
    database = tmp_path / DATABASE
    database.parent.mkdir()
    database.write_bytes(content)
    with pytest.raises(RegistryError, match=r"mlflow\.db cannot be used: .*; restore a copy of it, or move it away"):
        tracking.connect(tmp_path)
    assert database.read_bytes() == content


def test_a_full_disk_while_it_is_made_is_told_and_leaves_nothing(tmp_path):
    def full(draft):
        with closing(sqlite3.connect(draft)) as store:
            store.execute("PRAGMA max_page_count = 3")
            store.execute("CREATE TABLE experiments AS SELECT zeroblob(1000000)")

    with pytest.raises(RegistryError, match=r"mlflow\.db cannot be used: .*database or disk is full\. Make room"):
        ensure(tmp_path / DATABASE, full)
    assert not list(tmp_path.rglob("*.db"))
    ensure(tmp_path / DATABASE, lambda draft: with_tables(draft, "experiments", row="experiments"))
    assert rows(tmp_path / DATABASE, "experiments") == [("x",)]


def test_a_journal_of_the_half_made_one_is_not_played_back_into_the_new_one(tmp_path):
    database = with_tables(tmp_path / DATABASE, "experiments")
    database.with_name("mlflow.db-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(1000))
    ensure(database, lambda draft: with_tables(draft, "experiments", row="experiments"))
    assert not database.with_name("mlflow.db-journal").exists()
    assert rows(database, "experiments") == [("x",)]
