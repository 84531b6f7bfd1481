"""The doctor's screen: what is wrong is named with what to do, and one fault hides no other."""

import sys

import pytest
import torch
from metal import NAME, mac

from ganops.jobs import doctor, dvc
from ganops.registry import tracking


@pytest.fixture
def patient(project, monkeypatch):
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(project.folder)
    return project


def examine(patient, **options):
    return {each.what: each for each in doctor.examine(patient.folder, **options)}


def test_a_healthy_project_has_nothing_to_mend(patient):
    found = examine(patient)
    assert [each.what for each in found.values() if each.state == "bad"] == []
    assert "torch 2." in found["versions"].text
    assert found["DVC remote"].state == "note"
    assert "cluster" not in found
    patient.run("ganops", "doctor")


def test_dvc_is_asked_once_and_the_registry_elsewhere(patient, monkeypatch):
    asked, call = [], dvc.call
    monkeypatch.setattr(dvc, "call", lambda root, *words: asked.append(words) or call(root, *words))
    monkeypatch.setattr(tracking, "connect", None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    found = examine(patient)
    assert asked == [("config", "--list", "--show-origin")]
    assert found["MLflow"].state == "bad"
    assert "no MLflow server answers at http://127.0.0.1:9" in found["MLflow"].text
    assert "the registry cannot be asked for the champion" in found["parameters"].text


def test_a_process_that_the_system_ends_is_a_finding(patient, monkeypatch):
    monkeypatch.setattr(doctor, "CONSULT", (sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"))
    found = examine(patient)
    assert (found["MLflow"].state, found["MLflow"].text) == ("bad", "the process that asks MLflow ended with -9")
    assert found["telemetry"].state in ("good", "note"), "the looks after it go on"


def test_it_writes_nothing(patient):
    def content():
        files = (path for path in patient.folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return {path.relative_to(patient.folder).as_posix(): path.read_bytes() for path in files}

    before = content()
    examine(patient)
    after = content()
    assert {name for name in before | after if before.get(name) != after.get(name)} == set()


def test_each_fault_is_named_and_hides_no_other(patient, tmp_path, monkeypatch):
    token = tmp_path / "token"
    token.write_text("secret")
    token.chmod(0o644)
    patient.params(train={"kimgs": 3})
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    monkeypatch.setattr(doctor, "MIN_FREE_BYTES", 2**80)
    found = examine(patient, address="http://127.0.0.1:9")
    expected = {
        "parameters": "did you mean kimg",
        "source": "did you mean kimg",
        "disk": "make room",
        "DVC remote": "dvc remote add",
        "token": f"chmod 600 {token}",
        "cluster": "did you mean kimg",
        "storage": "did you mean kimg",
    }
    assert {what for what, each in found.items() if each.state == "bad"} == set(expected)
    for what, text in expected.items():
        assert text in found[what].text
    assert "secret" not in str(found)
    patient.run("ganops", "doctor", "--address", "http://127.0.0.1:9", fails=True)


def test_a_cluster_that_does_not_answer_and_a_token_that_is_not_sent(patient):
    found = examine(patient, address="http://127.0.0.1:9")
    assert "nobody answers at http://127.0.0.1:9" in found["cluster"].text
    assert found["token"].state == "bad"
    assert "RAY_AUTH_MODE=token is not set" in found["token"].text
    assert "the registration to this machine" in found["MLflow"].text


@pytest.mark.parametrize(("mode", "state"), [("disabled", "note"), ("token", "bad")])
def test_a_token_that_others_can_read_is_told_wherever_it_lies(mode, state, tmp_path, monkeypatch):
    """Ray makes the file readable for all, and takes another one, or a variable, before it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("1" * 64)
    token.chmod(0o644)
    found, text = doctor._token(needed=False)
    assert found == state
    assert f"others can read the cluster's token: chmod 600 {token}" in text
    assert doctor._token(needed=True)[0] == "bad"
    token.chmod(0o600)
    assert "chmod" not in doctor._token(needed=True)[1]


def test_a_gpu_of_apple_is_told_and_that_it_waits_to_be_asked_for():
    with mac():
        state, text = doctor._devices()
    assert state == "good"
    assert f"{NAME} (only where compute.device: mps asks for it: ganops was never tried on a Mac)" in text


def test_a_gpu_of_apple_that_cannot_be_used_is_told(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert "Apple's GPU cannot be used. Metal says: " in doctor._devices()[1]
