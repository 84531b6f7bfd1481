"""Is the registry as it was left?"""

import json
from pathlib import Path

import pytest
from packages import package
from registering import GATE, NAME
from typer.testing import CliRunner

from ganops.cli import app
from ganops.core import layout
from ganops.core.files import write_json
from ganops.core.terminal import console
from ganops.evaluation.gate import decide
from ganops.registry import champions, registration, tracking
from ganops.registry import verify as audit
from ganops.registry.model import Model
from ganops.registry.verify import verify


def register(package, root):
    return registration.register(package, name=NAME, decision=decide(GATE, package.metrics), root=root)


@pytest.fixture
def at_home(root, tmp_path, monkeypatch):
    """A project whose generator is registered, seen from its folder."""
    made = package(tmp_path / "artifacts")
    write_json(root / layout.REGISTRATION, register(made, root))
    (root / "params.yaml").write_text(f"register: {{name: {NAME}}}")
    monkeypatch.chdir(root)
    return root


def found(root, **options):
    return {each.what: (each.state, each.said) for each in verify(root, NAME, **options)}


def command(*arguments):
    result = CliRunner().invoke(app, [*arguments])
    console.quiet = False
    return result


def test_what_was_left_is_fine_until_a_file_changes(at_home, monkeypatch):
    client = tracking.connect(at_home)
    assert set(found(at_home)) == {"metrics/registration.json", "champion", "version 1"}
    assert {state for state, _ in found(at_home).values()} == {"ok"}
    assert command("registry", "verify").exit_code == 0

    client.create_model_version(NAME, source=(at_home / "mlflow").as_uri())
    client.set_registered_model_alias(NAME, "champion", "2")
    state, said = found(at_home)["champion"]
    assert state == "bad"
    assert "it is version 2, the record says version 1: the alias was moved by other means" in said
    assert found(at_home, every=True)["version 2"][1].startswith("it was not registered by ganops")
    client.set_registered_model_alias(NAME, "champion", "1")

    weights = next(Path(client.get_model_version(NAME, "1").source.removeprefix("file://")).rglob("weights.*"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    assert found(at_home)["version 1"] == ("bad", "its files are no longer those that were registered: do not use it")
    told = command("registry", "verify", "--json")
    assert told.exit_code == 1
    assert [each["state"] for each in json.loads(told.stdout)] == ["ok", "ok", "bad"]
    weights.unlink()
    assert found(at_home)["version 1"][0] == "bad"


def test_a_registry_that_was_wiped_is_noticed(at_home):
    client = tracking.connect(at_home)
    client.delete_model_version(NAME, "1")
    state, said = found(at_home)["metrics/registration.json"]
    assert state == "bad"
    assert f"the registry has no version 1 any more: {audit.AGAIN}" in said
    client.delete_registered_model(NAME)
    assert [each.state for each in verify(at_home, NAME)] == ["bad", "bad"]


def test_nothing_registered_yet_is_fine(root):
    assert [each.state for each in verify(root, NAME)] == ["ok"]


def test_commands_move_the_champion_and_tell_of_it(at_home, tmp_path):
    def told(*arguments):
        result = command(*arguments, "--json")
        assert result.exit_code == 0, result.exception
        return json.loads(result.stdout)

    made = package(tmp_path / "other", 12.0, 1)
    assert not register(made, at_home)["passed"]
    assert told("promote", "challenger", "--why", "the client likes it") == {"name": NAME, "champion": 2, "former": 1}
    assert told("rollback") == {"name": NAME, "champion": 1, "former": 2}
    moves = told("history")
    assert [(move["to"], move["kind"]) for move in moves] == [(1, "gate"), (2, "promote"), (1, "rollback")]
    assert moves[1]["why"] == "the client likes it"
    assert "rollback" in command("history").stdout
    assert "its figures there are selected" in " ".join(command("history").stdout.split())
    assert "has no version 7" in str(command("promote", "7").exception)
    assert "has no alias chmpion" in str(command("promote", "chmpion").exception)
    assert "expected models:/NAME/VERSION" in str(command("promote", "models:/faces").exception)
    assert champions.current(Model(tracking.connect(at_home), NAME)) == "1"

    lineage = told("lineage")
    assert (lineage["version"], lineage["aliases"]) == (1, ["champion"])
    assert lineage["hashes"] == {"artifacts/generator": "abc.dir"}
    assert lineage["params"]["train.kimg"] == "4"
    assert lineage["metrics"]["fd_domain"] == 9.0
    assert told("lineage", "models:/faces@challenger")["decision"] == "rejected"
    assert "abc.dir" in command("lineage", "v2").stdout
    assert told("lineage", "--lock", str(tmp_path / "other" / "dvc.lock"))["version"] == 2
    lock = tmp_path / "elsewhere.lock"
    lock.write_text("stages: {train: {outs: [{path: artifacts/generator, md5: 123.dir}]}}")
    assert "no version of faces has the generator 123.dir" in str(command("lineage", "--lock", str(lock)).exception)
    assert "found no artifacts/generator" in str(command("lineage", "--lock", "params.yaml").exception)
