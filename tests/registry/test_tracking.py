import socket
import subprocess
from urllib.parse import parse_qs

import pytest
from typer.testing import CliRunner

from ganops.cli import app
from ganops.cli import registry as cli
from ganops.core.errors import RegistryError
from ganops.registry import pages, tracking

LOCK = """
schema: '2.0'
stages:
  prepare:
    cmd: python pipeline/prepare.py
    deps:
    - {path: data/raw, hash: md5, md5: aa.dir, size: 5, nfiles: 2}
    params:
      params.yaml: {seed: 0}
    outs:
    - {path: data/prepared, hash: md5, md5: bb.dir, size: 7}
  train@0:
    cmd: python pipeline/train.py
    deps:
    - {path: data/prepared, hash: md5, md5: bb.dir}
    - {path: s3://bucket/(x), etag: '1'}
    outs:
    - {path: 'artifacts/generator(0)', hash: md5, md5: cc}
"""


@pytest.fixture
def client(root):
    return tracking.connect(root)


def ensure(client, root, fingerprint="f1", **changes):
    content = {
        "name": "dcgan-f1",
        "tags": {"colour": "blue"},
        "params": {"seed": 0, "train": {"kimg": 4, "learning_rate": {"generator": 4e-4}}, "data": {"source": "faces"}},
        "history": [{"step": 1000 * i, "G": i / 2, "D": 1.0 - i} for i in range(1, 4)],
        "metrics": {"fd_domain": 7.9},
        "artifacts": {},
    }
    experiment = tracking.ensure_experiment(client, "faces", root)
    return tracking.ensure_run(client, experiment, fingerprint, **{**content, **changes})


def test_store_is_embedded_unless_a_server_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    assert tracking.store_uri(tmp_path / "x" / "..") == f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example")
    assert tracking.store_uri(tmp_path) == "https://mlflow.example"


def test_missing_server_is_said_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    with pytest.raises(RegistryError, match=r"no MLflow server answers at http://127\.0\.0\.1:9") as caught:
        tracking.connect(tmp_path)
    assert "secret" not in str(caught.value)


def test_store_of_an_unknown_kind_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "carrier-pigeon://nest")
    with pytest.raises(RegistryError, match="carrier-pigeon"):
        tracking.connect(tmp_path)


def test_artefacts_lie_in_the_project_whatever_the_working_directory(client, root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture = tmp_path / "grid.png"
    picture.write_bytes(b"a picture")
    report = tmp_path / "evaluation"
    (report / "pictures").mkdir(parents=True)
    (report / "pictures" / "a.png").write_bytes(b"another")
    run = ensure(client, root, artifacts={"pictures": [picture], "report": [report]})
    kept = {path.relative_to(root / "mlflow" / "artifacts" / run).as_posix() for path in root.rglob("*.png")}
    assert kept == {"artifacts/pictures/grid.png", "artifacts/report/pictures/a.png"}


def test_files_of_a_named_database_lie_in_the_project_too(client, root, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.store_uri(root))
    monkeypatch.chdir(tmp_path)
    experiment = client.get_experiment(tracking.ensure_experiment(client, "faces", root))
    assert experiment.artifact_location == (root / "mlflow" / "artifacts").as_uri()
    assert tracking.ensure_experiment(client, "faces", tmp_path / "another project") == experiment.experiment_id


def test_deleted_experiment_is_refused(client, root):
    client.delete_experiment(tracking.ensure_experiment(client, "faces", root))
    with pytest.raises(RegistryError, match="was deleted"):
        tracking.ensure_experiment(client, "faces", root)


def test_run_holds_all_that_was_given(client, root):
    run = client.get_run(ensure(client, root))
    assert run.info.status == "FINISHED"
    assert run.data.params == {
        "seed": "0", "train.kimg": "4", "train.learning_rate.generator": "0.0004", "data.source": "faces",
    }  # fmt: skip
    assert (run.data.tags["ganops.fingerprint"], run.data.tags["colour"]) == ("f1", "blue")
    history = client.get_metric_history(run.info.run_id, "train/G")
    assert [(point.step, point.value) for point in history] == [(1000, 0.5), (2000, 1.0), (3000, 1.5)]
    assert run.data.metrics["test/fd_domain"] == 7.9


def test_a_run_tells_its_data_as_mlflow_shows_data_sets(client, root):
    run = ensure(client, root)
    for _ in range(2):
        tracking.log_data(client, run, name="faces", digest="a" * 64, source="s3://key:secret@bucket/faces")
    (found,) = client.get_run(run).inputs.dataset_inputs
    assert (found.dataset.name, found.dataset.digest) == ("faces", "a" * tracking.DIGEST)
    assert "bucket/faces" in found.dataset.source
    assert "secret" not in found.dataset.source
    assert [(tag.key, tag.value) for tag in found.tags] == [("mlflow.data.context", "training")]
    tracking.log_data(client, run, name="faces", digest="b" * 64, source="faces")
    assert len(client.get_run(run).inputs.dataset_inputs) == 2


def test_a_run_tells_who_made_it(monkeypatch):
    monkeypatch.setenv("LOGNAME", "ada")
    assert tracking.made_by() == {
        "mlflow.source.name": "dvc repro", "mlflow.source.type": "PROJECT", "mlflow.user": "ada",
    }  # fmt: skip
    monkeypatch.setattr(tracking.getpass, "getuser", lambda: {}["nobody"])
    assert "mlflow.user" not in tracking.made_by()


def test_long_history_is_kept_whole(client, root):
    run = ensure(client, root, history=[{"step": i, "G": float(i), "D": 0.5} for i in range(1200)])
    assert len(client.get_metric_history(run, "train/G")) == len(client.get_metric_history(run, "train/D")) == 1200


def test_one_training_is_one_run(client, root):
    first = ensure(client, root)
    again = ensure(
        client, root, params={"seed": 1}, metrics={"fd_domain": 7.9, "coverage": 0.5}, tags={"colour": "red"}
    )
    assert again == first
    assert ensure(client, root, fingerprint="f2") != first
    run = client.get_run(first)
    assert (run.data.params["seed"], run.data.tags["colour"]) == ("0", "blue"), "what made the run stays"
    assert len(client.get_metric_history(first, "train/G")) == 3
    assert len(client.get_metric_history(first, "test/fd_domain")) == 1, "an equal value is no new point"
    assert run.data.metrics["test/coverage"] == 0.5


@pytest.mark.parametrize("interrupted_at", ["log_batch", "set_terminated"])
def test_interrupted_run_is_completed(client, root, monkeypatch, interrupted_at):
    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(client, interrupted_at, die)
        with pytest.raises(KeyboardInterrupt):
            ensure(client, root)
    run = client.get_run(ensure(client, root))
    assert len(client.search_runs([run.info.experiment_id])) == 1
    assert run.info.status == "FINISHED"
    assert run.data.params["train.kimg"] == "4"
    assert len(client.get_metric_history(run.info.run_id, "train/G")) == 3, "points that were there are not doubled"


def test_lineage_is_the_hash_of_every_file_of_the_pipeline(client, root):
    lock = root / "dvc.lock"
    lock.write_text(LOCK)
    run = ensure(client, root)
    tracking.set_lineage(client, run, lock)
    tags = {key: value for key, value in client.get_run(run).data.tags.items() if key.startswith("dvc.")}
    assert tags == {"dvc.data/raw": "aa.dir", "dvc.data/prepared": "bb.dir", "dvc.artifacts/generator_0_": "cc"}


def test_code_tags_name_the_commit_and_whether_files_differ(tmp_path):
    def git(*arguments):
        subprocess.run(["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments], check=True)

    assert tracking.code_tags(tmp_path) == {}
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    tags = tracking.code_tags(tmp_path)
    assert len(tags["mlflow.source.git.commit"]) == 40
    assert tags["ganops.git_dirty"] == "false"
    (tmp_path / "new.py").touch()
    assert tracking.code_tags(tmp_path)["ganops.git_dirty"] == "true"


def test_absent_git_is_tolerated(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DVC_EXP_NAME", "sunny-owl")
    assert tracking.code_tags(tmp_path) == {"ganops.dvc_experiment": "sunny-owl"}


def test_flatten_and_numbers():
    nested = {"a": 1, "b": {"c": [0.1, 2], "d": {}, "e": {"f": None}}, "g": "x"}
    assert tracking.flatten(nested) == {"a": "1", "b.c": "[0.1, 2]", "b.d": "{}", "b.e.f": "null", "g": "x"}
    mixed = {
        "fid": 3,
        "is": 2.5,
        "ok": True,
        "bad": float("nan"),
        "protocol": {"samples": 9},
        "note": "x",
        "none": None,
    }
    assert tracking.numbers(mixed) == {"fid": 3.0, "is": 2.5}


def test_the_page_of_runs_is_that_of_machine_learning_with_the_best_run_first(client, root):
    experiment = tracking.ensure_experiment(client, "faces", root)
    assert pages.runs(client, experiment) == f"#/experiments/{experiment}/runs?workflowType=machine_learning"
    ensure(client, root, metrics={"coverage": 0.5, "fd_domain": 7.9})
    asked = parse_qs(pages.runs(client, experiment).partition("?")[2])
    assert (asked["orderByKey"], asked["orderByAsc"]) == (["metrics.`test/fd_domain`"], ["true"])


def test_an_experiment_that_others_made_is_told_to_be_of_machine_learning(client, root):
    client.create_experiment("faces")
    experiment = tracking.ensure_experiment(client, "faces", root)
    assert client.get_experiment(experiment).tags.items() >= tracking.KIND.items()


def test_ui_prints_the_address_of_the_runs_and_serves_the_store(root, monkeypatch):
    served = []
    monkeypatch.chdir(root)
    monkeypatch.setattr(cli.subprocess, "run", lambda command, env, **_: served.append((command, env)))
    (root / "params.yaml").write_text("register: {name: faces}\n")
    said = CliRunner().invoke(cli.app, ["ui", "--port", "5001"]).output
    assert "http://127.0.0.1:5001/#/experiments/1/runs?workflowType=machine_learning" in said
    ((command, environment),) = served
    assert environment["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{root}/mlflow/mlflow.db"
    assert not [word for word in command if "mlflow.db" in word], "an address may hold a password, and all see commands"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = CliRunner().invoke(cli.app, ["ui", "--port", str(port)])
    assert str(told.exception).endswith("in use; choose another --port")
    assert "http://" not in told.output
    assert len(served) == 1


@pytest.mark.parametrize("command", [["promote", "3"], ["rollback"], ["lineage"], ["sample", "--model", "champion"]])
def test_no_store_is_made_where_there_is_no_project(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(app, command)
    assert "params.yaml is missing" in str(told.exception)
    assert not [*tmp_path.iterdir()]
