"""The list of moves: that of the last time where nothing has written to the store, and never another one."""

import subprocess
import sys
from pathlib import Path

import pytest
from registering import NAME

from ganops.registry import champions, tracking
from ganops.registry.model import Model
from ganops.registry.moves import LISTED, listed, relist

HISTORY = "import sys; sys.argv[1:] = ['history', '--name', '{name}', '--json']; from ganops.cli import main; main()"


@pytest.fixture
def model(root):
    """A store with three versions that hold nothing, the first of which is the champion."""
    model = Model(tracking.connect(root), NAME)
    model.client.create_registered_model(NAME)
    for _ in range(3):
        model.client.create_model_version(NAME, source=(root / "mlflow").as_uri())
    champions.promote(model, "1", why="the first")
    return model


@pytest.fixture
def asked(root, model):
    """Lists the moves; returns them and whether the store was asked."""

    def ask(name=NAME):
        calls = []
        found = listed(root, name, lambda: calls.append(1) or champions.history(Model(model.client, name)))
        assert found == champions.history(Model(model.client, name))
        return [move.to for move in found], bool(calls)

    return ask


def test_a_store_that_nobody_wrote_to_is_not_asked_again(asked):
    assert asked() == ([1], True)
    assert asked() == ([1], False)


def test_each_move_is_in_the_next_list(asked, model):
    asked()
    champions.promote(model, "2")
    assert asked() == ([1, 2], True)
    champions.rollback(model)
    assert asked() == ([1, 2, 1], True)
    assert asked() == ([1, 2, 1], False)


def test_whatever_else_is_written_makes_the_list_old(asked, model):
    asked()
    model.client.set_registered_model_tag(NAME, "colour", "blue")
    assert asked() == ([1], True)


def test_a_list_is_of_one_model(asked, model):
    model.client.create_registered_model("other")
    assert asked() == ([1], True)
    assert asked("other") == ([], True)
    assert asked() == ([1], True)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"name": "tiny", "store": [], "moves": 1}', "[" * 10_000])
def test_a_file_that_is_no_list_is_passed_over(asked, root, content):
    asked()
    (root / LISTED).write_text(content)
    assert asked() == ([1], True)
    assert asked() == ([1], False)


def test_a_writer_amid_the_asking_makes_no_list(root, model):
    def ask():
        found = champions.history(model)
        champions.promote(model, "2")
        return found

    assert [move.to for move in listed(root, NAME, ask)] == [1]
    assert not (root / LISTED).is_file()


def test_a_folder_that_cannot_be_written_costs_the_list_alone(asked, root):
    (root / ".ganops").write_text("a file in the folder's place")
    assert asked() == asked() == ([1], True)


def test_a_store_that_cannot_be_asked_ends_nothing_that_was_written(root, model):
    def locked():
        raise RuntimeError("database is locked")

    relist(root, NAME, locked)
    assert not (root / LISTED).is_file()


def test_a_journal_that_goes_meanwhile_is_no_error(asked, root, monkeypatch):
    """A writer's file, which is there when it is looked for and gone when it is looked at."""
    asked()
    monkeypatch.setattr(Path, "is_file", lambda path: True)
    assert asked() == ([1], False)


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"])
def test_another_store_is_asked_each_time(root, model, monkeypatch, variable):
    relist(root, NAME, lambda: champions.history(model))
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    assert listed(root, NAME, list) == []
    relist(root, NAME, lambda: pytest.fail("a server that is away would end a registration that was made"))


def test_the_command_imports_no_mlflow_where_the_list_holds(asked, root):
    """`ganops history` takes less than a second then: `benchmarks/start.py`."""
    asked()
    program = HISTORY.format(name=NAME) + "\n"
    command = [sys.executable, "-X", "importtime", "-c", program]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert '"why": "the first"' in done.stdout
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "ganops.registry.moves" in modules
    assert not {"mlflow", "torch", "sqlalchemy", "ray"} & modules
