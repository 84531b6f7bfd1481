"""The services of infra/mlflow, started as the compose file says, serve the registry and the pipeline."""

import json
import os
import shutil
import subprocess
import sys
import time
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import boto3
import numpy as np
import pytest
import requests
import servers
import yaml
from packages import package
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image
from projects import Project
from registering import PROCESSES, all_at_once, check_whole, enter_at_once, move_at_once

from ganops.core.errors import RegistryError
from ganops.core.pictures import grid
from ganops.evaluation.gate import decide
from ganops.registry import registration as registry
from ganops.registry import tracking
from ganops.registry.champions import history, promote, rollback
from ganops.registry.model import Model
from ganops.registry.packing import REQUIREMENTS

NAME = "faces"
AT_ONCE = 60
"""Seconds, on a busy machine; trying again, as MLflow does where a server is away, takes four minutes."""


def register(package, root):
    decision = decide({"fd_domain": {"at_most": 10}}, package.metrics)
    return registry.register(package, name=NAME, decision=decision, root=root)


def login(patch, variables):
    for key, value in variables.items():
        patch.setenv(key, value)


def stored(services, bucket):
    s3 = services.s3_client()
    client = boto3.client(
        "s3", endpoint_url=s3["AWS_ENDPOINT_URL_S3"], region_name=s3["AWS_DEFAULT_REGION"],
        aws_access_key_id=s3["AWS_ACCESS_KEY_ID"], aws_secret_access_key=s3["AWS_SECRET_ACCESS_KEY"],
    )  # fmt: skip
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


# --- the file ---


def test_services_start_in_the_order_of_their_conditions(services):
    assert list(services.processes) == ["postgres", "store", "buckets", "mlflow"]
    assert services.log("buckets").splitlines() == ["made mlflow", "made dvc"]
    assert not services.healthy_too_early, "a database that is still being made must not count as healthy"


def test_no_variable_no_start():
    compose = yaml.safe_load((servers.INFRA / "compose.yaml").read_text())
    given = servers.filled_in((servers.INFRA / ".env.example").read_text())
    for key in given:
        with pytest.raises(ValueError, match=rf"{key}: fill in"):
            servers.interpolate(compose, given | {key: ""})


def test_nothing_listens_beyond_loopback(services):
    assert services.listening() == {("postgres", "127.0.0.1"), ("store", "127.0.0.1"), ("mlflow", "127.0.0.1")}
    ports = [port for service in services.services.values() for port in service.get("ports", [])]
    assert {servers.Services.published(port)[0] for port in ports} == {"127.0.0.1"}


# --- who may ---

DOORS = [
    "/", "/version", "/metrics", "/graphql", "/get-artifact", "/model-versions/get-artifact",
    "/api/2.0/mlflow/experiments/search?max_results=1", "/ajax-api/2.0/mlflow/experiments/search?max_results=1",
    "/api/2.0/mlflow/registered-models/search", "/api/2.0/mlflow-artifacts/artifacts", "/api/2.0/mlflow/users/list",
]  # fmt: skip


@pytest.mark.parametrize("who", [None, ("admin", "password1234"), ("nobody", "x")])
def test_strangers_are_refused_everywhere(services, who):
    for door in DOORS:
        assert requests.get(services.uri + door, auth=who, timeout=30).status_code == 401, door


def test_the_administrator_gets_in(services, monkeypatch, tmp_path):
    login(monkeypatch, services.client())
    assert tracking.connect(tmp_path).search_experiments()[0].artifact_location.startswith("mlflow-artifacts:/")
    assert list(tmp_path.iterdir()) == []


def test_a_name_in_the_address_gets_in(services, monkeypatch, tmp_path):
    password = services.variables["MLFLOW_ADMIN_PASSWORD"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", services.uri.replace("//", f"//admin:{password}@"))
    assert tracking.connect(tmp_path).search_experiments()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "asks who calls: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        ({"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": "guess"}, "refuses the name admin"),
    ],
)
def test_a_refusal_is_said_at_once_and_in_words(services, monkeypatch, tmp_path, variables, message):
    login(monkeypatch, {"MLFLOW_TRACKING_URI": services.uri, **variables})
    started = time.monotonic()
    with pytest.raises(RegistryError, match=message) as caught:
        tracking.connect(tmp_path)
    assert time.monotonic() - started < AT_ONCE
    assert "guess" not in str(caught.value)


def test_a_name_that_the_server_was_not_told_is_refused_in_words(services, monkeypatch, tmp_path):
    login(monkeypatch, services.client())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", services.uri.replace("127.0.0.1", "127.1"))
    with pytest.raises(RegistryError, match=r"does not answer to this name.*MLFLOW_HOSTS"):
        tracking.connect(tmp_path)


# --- a generator goes the whole way, registered by someone who is no administrator ---


@pytest.fixture(scope="module")
def trainer(services):
    return services.new_user("trainer")


@pytest.fixture(scope="module")
def registered(trainer, tmp_path_factory):
    base = tmp_path_factory.mktemp("registered")
    (base / "project").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        login(patch, trainer)
        return base, register(package(base / "artifacts"), base / "project")


CONSUMER = """
import sys
from importlib.machinery import PathFinder
absent = set(sys.argv[1].split(","))
class Present(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in absent else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Present
import mlflow, numpy as np
model = mlflow.pyfunc.load_model("models:/faces@champion")
seeds = np.arange(64)
images = model.predict(seeds)
order = np.random.default_rng(0).permutation(64)
assert model.predict(order).tobytes() == images[order].tobytes()
assert b"".join(model.predict(seeds[i : i + 9]).tobytes() for i in range(0, 64, 9)) == images.tobytes()
np.save("images.npy", images)
mlflow.artifacts.download_artifacts("models:/faces@champion/artifacts/samples.png", dst_path=".")
"""


def beyond(*names: str) -> set[str]:
    """The installed modules that come with none of these packages, nor with what they need."""
    needed, wanted = set(), [*names]
    while wanted:
        name = canonicalize_name(wanted.pop())
        if name not in needed:
            needed.add(name)
            found = [Requirement(line) for line in requires(name) or []]
            wanted += [each.name for each in found if not each.marker or each.marker.evaluate({"extra": ""})]
    owners = packages_distributions().items()
    absent = {module for module, found in owners if not needed & {canonicalize_name(each) for each in found}}
    return absent | {"ganops"}  # an editable installation names no module


def load_and_compare(variables, folder):
    """Loads the champion as whoever installed its requirements does: its pictures are those of the grid beside it."""
    absent = beyond(*REQUIREMENTS)
    assert {"torch", "sqlalchemy", "flask", "boto3", "onnx"} <= absent
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", CONSUMER, ",".join(absent)],
        cwd=folder, env={**clean, **variables, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    images = np.load(folder / "images.npy")
    assert images.std() > 10
    with Image.open(folder / "artifacts" / "samples.png") as stored_grid:
        drawn = grid(images.transpose(0, 3, 1, 2))
        assert (drawn.size, drawn.mode) == (stored_grid.size, stored_grid.mode)
        assert drawn.tobytes() == stored_grid.tobytes()


def test_register_promote_roll_back_load(services, trainer, registered, tmp_path, monkeypatch):
    base, outcome = registered
    assert (outcome["version"], outcome["champion"]) == (1, 1)

    def quick(package, name, folder):
        folder.mkdir()
        (folder / "MLmodel").write_text("{}")

    monkeypatch.setattr(registry, "build", quick)
    monkeypatch.setattr(registry, "prove", lambda package, folder: 100.0)
    login(monkeypatch, trainer)
    other = package(tmp_path / "other", fd=12.0, seed=1)
    rejected = register(other, base / "project")
    assert (rejected["version"], rejected["passed"], rejected["champion"]) == (2, False, 1)
    assert register(other, base / "project") == {**rejected, "reused": True}
    client = tracking.connect(base)
    assert promote(Model(client, NAME), "2", why="by hand") == "1"
    assert client.get_model_version_by_alias(NAME, "champion").version in (2, "2")
    assert rollback(Model(client, NAME)) == "1"
    assert [(move.kind, move.to, move.over, move.by) for move in history(Model(client, NAME))] == [
        ("gate", 1, None, "trainer"), ("promote", 2, 1, "trainer"), ("rollback", 1, 2, "trainer"),
    ]  # fmt: skip
    load_and_compare(trainer, tmp_path / "consumer")


def test_artefacts_lie_in_the_bucket_and_nowhere_else(services, trainer, registered, monkeypatch):
    base, _ = registered
    login(monkeypatch, trainer)
    source = tracking.connect(base).get_model_version(NAME, "1").source
    keys = set(stored(services, "mlflow"))
    assert f"{source.removeprefix('mlflow-artifacts:/')}/artifacts/generator.onnx" in keys
    assert {"pictures/grid.png", "report/report.html", "lineage/dvc.lock"} <= {
        "/".join(key.split("/")[-2:]) for key in keys
    }
    assert list((base / "project").rglob("*")) == []
    assert [path.name for path in (services.folder / "users").iterdir()] == ["users.db"]


def test_who_may_only_read_cannot_register_and_hears_why(services, registered, tmp_path, monkeypatch):
    base, _ = registered
    login(monkeypatch, services.new_user("reader"))
    started = time.monotonic()
    with pytest.raises(RegistryError, match="does not allow reader to do this"):
        register(package(tmp_path, 5.0, 2), base / "project")
    assert time.monotonic() - started < AT_ONCE


def test_a_model_that_is_not_there_is_no_question_of_permission(services, monkeypatch, tmp_path):
    """MLflow tells whoever is no administrator 403 in both cases."""
    login(monkeypatch, services.new_user("visitor"))
    client = tracking.connect(tmp_path)
    with pytest.raises(RegistryError, match="the registry has no model unheard-of"):
        rollback(Model(client, "unheard-of"))
    with pytest.raises(RegistryError, match="the registry has no alias champion of unheard-of"):
        Model(client, "unheard-of").resolve("champion")


@pytest.mark.slow
def test_sixteen_at_once(services, tmp_path, monkeypatch):
    """Registrations, of every generator two, and then promotions and rollbacks."""
    variables = services.new_user("crowd")
    login(monkeypatch, variables)
    (tmp_path / "project").mkdir()
    root, start = tmp_path / "project", PROCESSES.Barrier(16)
    all_at_once(
        enter_at_once,
        *((root, tmp_path / f"{i}", 9.0 - i // 2, i // 2, start, variables, "crowded") for i in range(16)),
    )
    client = tracking.connect(root)
    check_whole(client, "crowded")
    versions = [int(version.version) for version in client.search_model_versions("name = 'crowded'")]
    assert len(versions) == 8
    assert float(Model(client, "crowded").resolve("champion").tags["metric.fd_domain"]) == 2.0

    before, start, done = len(history(Model(client, "crowded"))), PROCESSES.Barrier(16), PROCESSES.SimpleQueue()
    wanted = [0, 0, 0, 0, *versions, *versions[:4]]
    all_at_once(move_at_once, *((root, version, start, done, variables, "crowded") for version in wanted))
    check_whole(client, "crowded")
    moved = sum(done.get() for _ in wanted)
    assert 5 < moved == len(history(Model(client, "crowded"))) - before, (
        "each move that was made is recorded, and no other"
    )


# --- the pipeline ---


@pytest.mark.ray
@pytest.mark.slow
def test_the_pipeline_ends_on_the_server(services, finished, tmp_path):
    variables = services.new_user("pipeline")
    folder = shutil.copytree(finished.folder, tmp_path / "project", symlinks=True)
    shutil.rmtree(folder / "mlflow")
    project = Project(folder, variables | {"MLFLOW_TRACKING_PASSWORD": "guess"})
    project.params(register={"name": "piped", "gate": {"fd_domain": {"at_most": 1e6}}})
    told = project.run(sys.executable, "pipeline/register.py", fails=True)
    assert "refuses the name pipeline" in told
    assert "Traceback" not in told
    before = set(stored(services, "mlflow"))
    project.variables = variables
    assert "models:/piped@champion" in project.run("dvc", "repro")
    registration = json.loads((folder / "metrics/registration.json").read_text())
    assert (registration["champion"], registration["passed"]) == (1, True)
    new = {Path(key).name for key in set(stored(services, "mlflow")) - before}
    assert {"generator.onnx", "weights.safetensors", "report.html", "dvc.lock", "MODEL_CARD.md"} <= new
    assert not (folder / "mlflow").exists()
    assert "up to date" in project.run("dvc", "status")


@pytest.mark.slow
@pytest.mark.ray
def test_the_champion_of_the_server_is_measured_again(services, finished, tmp_path):
    folder = shutil.copytree(finished.folder, tmp_path / "project", symlinks=True)
    project = Project(folder, services.new_user("challenger"))
    project.params(register={"name": "contested", "gate": {}})
    project.run("dvc", "repro")
    project.params(evaluate={"samples": 350})
    project.run("dvc", "repro")
    registration = json.loads((folder / "metrics/registration.json").read_text())
    assert registration["version"] == 2
    assert registration["beside_champion"]["version"] == 1


def test_the_store_keeps_what_dvc_puts_there(services, finished, tmp_path):
    pytest.importorskip("dvc_s3", reason="dvc-s3 is not installed: infra/images/cluster.lock")
    folder = shutil.copytree(finished.folder, tmp_path / "project", symlinks=True)
    project = Project(folder, services.s3_client())
    project.run("dvc", "remote", "add", "--default", "store", "s3://dvc/ganops")
    project.run("dvc", "push")
    keys = stored(services, "dvc")
    assert keys
    shutil.rmtree(folder / ".dvc/cache")
    shutil.rmtree(folder / "artifacts/generator")
    project.run("dvc", "pull", "artifacts/generator")
    assert (folder / "artifacts/generator/generator.safetensors").is_file()
