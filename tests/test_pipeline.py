"""The whole pipeline through DVC, Ray and MLflow, as its user runs it."""

import csv
import json
import shutil
import subprocess
import sys

import pytest
import yaml
from projects import Project

from ganops.registry import tracking

pytestmark = pytest.mark.ray

CONSUMER = """
import sys
for name in ("ganops", "torch", "ray", "dvc"):
    sys.modules[name] = None
import mlflow, numpy as np
model = mlflow.pyfunc.load_model("models:/tiny@champion")
some = model.predict(np.arange(5), params={"truncation": 0.8, "labels": [3]})
assert some.shape == (5, 16, 16, 1) and some.dtype == np.uint8, (some.shape, some.dtype)
assert (model.predict(np.array([4]), params={"truncation": 0.8, "labels": [3]})[0] == some[4]).all()
assert (model.predict(np.array([4]), params={"labels": [5]})[0] != some[4]).any()
"""


def test_it_ends_with_a_champion(finished):
    registration = json.loads((finished.folder / "metrics/registration.json").read_text())
    assert registration["passed"]
    assert registration["champion"] == registration["version"] == 1
    assert "models:/tiny@champion" in finished.log


def test_the_champion_loads_without_the_project(finished, tmp_path):
    store = f"sqlite:///{finished.folder}/mlflow/mlflow.db"
    environment = {**finished.environment(), "MLFLOW_TRACKING_URI": store}
    done = subprocess.run(
        [sys.executable, "-I", "-c", CONSUMER], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_second_run_finds_nothing_to_do(finished):
    assert "Data and pipelines are up to date" in finished.run("dvc", "repro")
    assert "up to date" in finished.run("dvc", "status")


def test_metrics_and_plots(finished):
    shown = finished.run("dvc", "metrics", "show", "--json")
    metrics = json.loads(shown[: shown.rindex("}") + 1])
    values = json.dumps(metrics)
    assert all(f'"{name}"' in values for name in ("fd_domain", "low", "high", "floor", "passed", "version"))
    assert max(map(len, finished.run("dvc", "metrics", "show").splitlines())) <= 120
    evaluation = json.loads((finished.folder / "metrics/evaluation.json").read_text())
    assert "fd_domain_infinity" in evaluation
    assert evaluation["protocol"]["labels"] == "training frequencies"
    training = json.loads((finished.folder / "metrics/train.json").read_text())
    assert "fd_domain_validation" in training
    page = (finished.folder / "reports/registration/report.html").read_text()
    assert f"<dt>trained</dt><dd>{training['finished'][:10]}</dd>" in page
    assert "<dt>version</dt><dd>1</dd>" in page
    counts = json.loads((finished.folder / "artifacts/generator/generator.json").read_text())["class_counts"]
    assert sum(counts) == json.loads((finished.folder / "artifacts/features/card.json").read_text())["counts"]["train"]
    assert "static" in finished.run("dvc", "plots", "show") or (finished.folder / "dvc_plots/index.html").is_file()
    with (finished.folder / "reports/train/history.csv").open() as file:
        kimg = [float(row["kimg"]) for row in csv.DictReader(file)]
    assert kimg == sorted(set(kimg))
    assert kimg[-1] == 3.0


def test_evaluation_carries_its_protocol(finished):
    evaluation = json.loads((finished.folder / "metrics/evaluation.json").read_text())
    assert evaluation["protocol"]["split"] == "test"
    assert evaluation["protocol"]["generated"] == 300
    assert "fid" not in evaluation
    assert evaluation["memorisation_verdict"] == 0
    for name in ("c2st_auc", "cas", "cas_real", "cas_gap"):
        low, high = evaluation["intervals"][name]
        assert low <= evaluation[name] <= high
    assert evaluation["protocol"]["classifiers"]["split"] == "test"


def test_the_report_is_whole(finished):
    page = (finished.folder / "reports/evaluation/report.html").read_text()
    assert "data:image/png;base64," in page
    assert all(f'id="{name}"' in page for name in ("data", "training", "pictures", "numbers", "memorisation"))
    assert "tells generated from real ones" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_the_search_hands_on_its_best_trial(finished):
    handed = yaml.safe_load((finished.folder / "artifacts/best_params.yaml").read_text())
    trials = json.loads((finished.folder / "reports/tune/trials.json").read_text())
    assert [trial["number"] for trial in trials] == [1, 2]
    winner = trials[handed["trial"] - 1]
    assert winner["parameters"] == handed["parameters"]
    assert winner["score"] == min(trial["score"] for trial in trials if trial["kimg"] == winner["kimg"])


def test_the_trials_are_runs_below_that_of_the_search(finished, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    client = tracking.connect(finished.folder)
    (experiment,) = [each for each in client.search_experiments() if each.name == "tiny"]
    runs = client.search_runs([experiment.experiment_id], "tags.`ganops.search` != ''")
    (search,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    trials = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == search.info.run_id]
    assert {run.data.tags["ganops.trial"] for run in trials} == {"1", "2"}


def test_a_change_runs_only_what_depends_on_it(finished):
    """Dry: which stages would run; the parameters are put back afterwards."""
    before = (finished.folder / "params.yaml").read_text()

    def stages(**change):
        finished.params(**change)
        log = finished.run("dvc", "status")
        (finished.folder / "params.yaml").write_text(before)
        return [
            line.rstrip(":") for line in log.splitlines() if line.endswith(":") and not line.startswith(("\t", " "))
        ]

    assert stages(compute={"workers": 2, "launcher": "local"}) == []
    assert stages(register={"gate": {"fd_domain": {"at_most": 3}}}) == ["register"]
    assert stages(evaluate={"samples": 400}) == ["evaluate"]
    assert stages(data={"max_rejected": 0.5}) == ["prepare"]
    assert stages(tune={"trials": 0, "space": {}}) == ["tune"]


def test_a_licence_belongs_to_the_source_and_trains_nothing_again(finished, tmp_path):
    def card(project):
        (card,) = (project.folder / "mlflow/artifacts/models").rglob("MODEL_CARD.md")
        return card.read_text()

    assert "The licence of the training images, `tiny`, is not stated." in card(finished)
    page = (finished.folder / "reports/evaluation/report.html").read_text()
    assert "not stated" in page
    assert "Zalando" not in page

    project = Project(shutil.copytree(finished.folder, tmp_path / "copy", symlinks=True))
    lock = project.folder / "dvc.lock"
    before = lock.read_text()
    project.params(data={"licence": "CC BY 4.0", "name": "Tiny garments"})
    assert "register.name" not in project.run("dvc", "repro", "prepare"), "another name is no other data"
    status = project.run("dvc", "status")
    changed = [line.rstrip(":") for line in status.splitlines() if line.endswith(":") and not line[0].isspace()]
    assert changed == ["evaluate", "register"]
    outs = [yaml.safe_load(text)["stages"]["prepare"]["outs"] for text in (before, lock.read_text())]
    old, new = ({out["path"]: out["md5"] for out in each} for each in outs)
    assert {path for path in old if old[path] != new[path]} == {"../reports/prepare"}, "the prepared set is the same"
    about = json.loads((project.folder / "reports/prepare/about.json").read_text())
    assert about == {"name": "Tiny garments", "licence": "CC BY 4.0"}


@pytest.mark.slow
def test_a_moved_project_goes_on_with_its_history(finished, tmp_path):
    """A copy, so that the others keep theirs; to the store it is the same whether the original is still there."""
    copy = shutil.copytree(finished.folder, tmp_path / "copy", symlinks=True)
    project = Project(copy.rename(tmp_path / "a moved project"))
    assert "up to date" in project.run("dvc", "status")
    project.params(register={"gate": {"fd_domain": {"at_most": 5e5}}})
    log = project.run("dvc", "repro")
    assert "tiny v1 (known): passed the gate, champion" in log
    assert "Running stage 'train'" not in log
    verified = json.loads(project.run("ganops", "registry", "verify", "--all", "--json"))
    assert {each["state"] for each in verified} == {"ok"}
    assert [move["to"] for move in json.loads(project.run("ganops", "history", "--json"))] == [1]
    assert json.loads(project.run("ganops", "lineage", "--lock", "dvc.lock", "--json"))["version"] == 1
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{project.folder}/mlflow/mlflow.db"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", CONSUMER],
        cwd=tmp_path, env={**project.environment(), **store}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_blind_metric_is_refused_before_anything_is_trained(project):
    """As the card of the features says which it is; `ganops check` warns, because the features may be of other data."""
    card = json.loads((project.folder / "artifacts/features/card.json").read_text())
    card["blind"] = {"precision": ["low_rank", "black"]}
    (project.folder / "artifacts/features/card.json").write_text(json.dumps(card))
    project.params(register={"gate": {"precision": {"at_least": 0.5}}})
    words = "params.register.gate.precision: precision is blind to low rank, black images on these images"
    for stage in ("tune", "train", "register"):
        assert words in project.run(sys.executable, f"pipeline/{stage}.py", fails=True)
    assert f"the stages will refuse {words}" in " ".join(project.run("ganops", "check").split())
    assert not (project.folder / "artifacts/generator").exists()


def test_a_failed_gate_keeps_the_champion(finished):
    finished.params(register={"name": "tiny", "gate": {"fd_domain": {"at_most": 0}}})
    log = finished.run("dvc", "repro")
    assert "is not at most 0" in log
    registration = json.loads((finished.folder / "metrics/registration.json").read_text())
    assert registration["reused"]
    assert not registration["passed"]
    assert registration["champion"] == 1
    page = (finished.folder / "reports/registration/report.html").read_text()
    assert "It did not pass the gate: fd_domain" in page
    assert registration["standing"]
    assert f"It is the champion already: {registration['standing']}" in page

    finished.params(register={"fail_on_reject": True})
    log = finished.run("dvc", "repro", fails=True)
    assert "register.fail_on_reject: the generator did not pass the gate" in log
    assert json.loads((finished.folder / "metrics/registration.json").read_text()) == registration
