"""An MLflow server that is away when it is needed: `register` waits for it, or the same call finishes later."""

import os
import shutil

import pytest
from mlflow_server import Server
from packages import package
from registering import GATE, NAME

from ganops.core import retry
from ganops.core.errors import RegistryError
from ganops.evaluation.gate import decide
from ganops.registry import registration, tracking

pytestmark = pytest.mark.slow
AWAY = float(os.environ.get("GANOPS_TEST_AWAY", "3"))
"""Seconds."""


@pytest.fixture
def server(empty_store, tmp_path, monkeypatch):
    shutil.copy(empty_store / "mlflow" / "mlflow.db", tmp_path / "mlflow.db")
    server = Server(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    yield server
    for timer in server.timers:
        timer.cancel()
    server.kill()


def register(folder):
    made = package(folder / "artifacts")
    return registration.register(made, name=NAME, decision=decide(GATE, made.metrics), root=folder)


def test_a_server_that_comes_and_goes_gets_everything_once(server, tmp_path, monkeypatch, capsys):
    """It is away at the start, and again between the run and the version."""
    prove = registration.prove

    def prove_and_lose_the_server(*arguments):
        if len(server.timers) == 1:
            server.kill()
            server.start_in(AWAY)
        return prove(*arguments)

    monkeypatch.setattr(registration, "prove", prove_and_lose_the_server)
    server.start_in(AWAY)
    result = register(tmp_path)
    assert (result["version"], result["champion"], result["reused"]) == (1, 1, False)
    said = capsys.readouterr().out
    assert said.count(f"no MLflow server answers at {server.url}") == 2
    assert said.count(f"the MLflow server at {server.url} went away: ") == 1
    assert said.count("it is back") == 2
    print(said)
    client = tracking.connect(tmp_path)
    (run,) = client.search_runs([client.get_experiment_by_name(NAME).experiment_id])
    assert run.data.metrics["test/fd_domain"] == 9.0
    assert run.info.status == "FINISHED"
    assert len(client.search_model_versions(f"name = '{NAME}'")) == 1


def test_after_too_long_the_same_call_finishes_later(server, tmp_path, monkeypatch):
    monkeypatch.setenv(retry.NAME, "2")
    with pytest.raises(
        RegistryError, match=r"no MLflow server .*refused.* GANOPS_RETRY_TIMEOUT says \(2\).*nothing is lost"
    ):
        register(tmp_path)
    server.start()
    server.wait()
    assert register(tmp_path)["champion"] == 1
