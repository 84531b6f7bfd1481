"""What DVC shows: the plots of `dvc.yaml` for each kind of objective, and metrics on a screen."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ganops.core.files import write_json
from ganops.evaluation import verdict

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A folder of DVC's, to copy."""
    folder = tmp_path_factory.mktemp("begun")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize("losses", [("loss_d", "loss_g"), ("loss",), ("nll",)])
def test_the_losses_of_a_game_and_of_an_autoencoder_are_drawn(tmp_path, losses, begun):
    plots = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
    (chosen,) = [plot for plot in plots if isinstance(plot, dict) and "losses" in plot]
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    shutil.copytree(ROOT / ".dvc" / "plots", tmp_path / ".dvc" / "plots", dirs_exist_ok=True)
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"plots": [chosen]}))
    history = tmp_path / "reports" / "train" / "history.csv"
    history.parent.mkdir(parents=True)
    history.write_text("\n".join([",".join(["kimg", *losses]), ",".join(["4.0", *["0.5"] * len(losses)])]))
    command = [sys.executable, "-m", "dvc", "plots", "show", "losses", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    shown = json.loads(done.stdout[done.stdout.index("{") :])
    assert not shown.get("errors"), shown["errors"]
    (plot,) = shown["data"]["losses"]
    folded = next(step["fold"] for step in plot["content"]["transform"] if "fold" in step)
    (row,) = plot["content"]["data"]["values"]
    assert [name for name in folded if name in row] == sorted(losses, reverse=True)
    assert plot["content"]["encoding"]["x"]["field"] == "kimg"


RESULTS = {
    "image": {"fd_domain": 54.65451, "precision": 0.348214, "recall": 0.5123, "coverage": 0.07589, "c2st_auc": 0.98765},
    "video": {"fd_domain": 54.65451, "fd_motion": 123.4567, "precision": 0.348214, "recall": 0.5123},
    "text": {"fd_language": 123.4567, "nll_language": 36.4567, "precision": 0.348214, "recall": 0.5123},
}


def shown_of(results):
    """Return the content of metrics/summary.json, as the stage `evaluate` writes it."""
    first, value = next(iter(results.items()))
    return verdict.brief({**results, "intervals": {first: [value / 1.1, value * 1.1]}, "floors": {first: 2.23785}})


def dvc(folder, *command):
    """Run DVC on a screen that cuts nothing off, and return its lines."""
    environment = {**os.environ, "COLUMNS": "300", "DVC_NO_ANALYTICS": "1"}
    command = [sys.executable, "-m", "dvc", *command]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return [line.rstrip() for line in done.stdout.splitlines()]


@pytest.mark.parametrize("kind", RESULTS)
def test_the_metrics_of_a_result_fit_a_screen_of_120_columns(tmp_path, kind, begun):
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    files = [next(iter(each), None) if isinstance(each, dict) else each
             for stage in stages.values() for each in stage.get("metrics", ())]  # fmt: skip
    assert files == ["metrics/summary.json", "metrics/decision.json"]
    for name, content in zip(files, (shown_of(RESULTS[kind]), {"passed": False, "version": 12}), strict=True):
        write_json(tmp_path / name, content)
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"metrics": files}))
    lines = dvc(tmp_path, "metrics", "show")
    assert [line.split()[0] for line in lines] == ["Path", *files]
    assert {"fd_language" if kind == "text" else "fd_domain", "low", "high", "floor", "passed"} <= {*lines[0].split()}
    assert max(map(len, lines)) <= 120, lines


def test_two_experiments_fit_a_screen_of_120_columns_by_the_command_of_the_readme(tmp_path):
    (command,) = re.findall(r"dvc exp show [^`\n]*--drop '[^']+'", (ROOT / "README.md").read_text(encoding="utf-8"))
    params = {"train": {"kimg": 400, "learning_rate": {"generator": 4e-4}}, "seed": 0}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({
        "stages": {"train": {"cmd": "true", "params": ["seed", "train"],
                             "metrics": [{name: {"cache": False}} for name in
                                         ("metrics/summary.json", "metrics/decision.json")]}},
    }))  # fmt: skip
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    for name, value in ("user.name", "t"), ("user.email", "t@example.com"):
        subprocess.run(["git", "config", name, value], cwd=tmp_path, check=True)
    dvc(tmp_path, "init", "-q")
    for i, kimg in enumerate((400, 800)):
        changed = {**params, "train": {"kimg": kimg, "learning_rate": {"generator": 4e-4 / (i + 1)}}}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(changed))
        write_json(tmp_path / "metrics" / "summary.json", {
            name: value / (i + 1) for name, value in shown_of(RESULTS["image"]).items()})  # fmt: skip
        write_json(tmp_path / "metrics" / "decision.json", {"passed": bool(i), "version": i + 1})
        if i == 0:
            dvc(tmp_path, "commit", "-f", "-q")
            subprocess.run(["git", "add", "-A"], cwd=tmp_path, check=True)
            days_ago = {**os.environ, "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z"}
            subprocess.run(["git", "commit", "-qm", "first"], cwd=tmp_path, check=True, env=days_ago)
    dvc(tmp_path, "commit", "-f", "-q")
    dvc(tmp_path, "exp", "save")
    lines = dvc(tmp_path, *shlex.split(command)[1:], "--no-pager")
    assert any("train.learning_rate.generator" in line and "fd_domain" in line for line in lines)
    assert max(map(len, lines)) <= 120, "\n".join(lines)


def test_curves_come_first_and_once():
    content = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    assert not any(stage.get("plots") for stage in content["stages"].values()), "DVC would draw these a second time"
    kinds = [isinstance(plot, dict) for plot in content["plots"]]
    assert kinds == sorted(kinds, reverse=True), "a picture stands before a curve"
