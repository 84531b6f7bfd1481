"""The whole pipeline twice, with different content: what stands beside a version is true of it."""

import html
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from projects import Project

from ganops.core.git import lock_hashes, md5

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def walked(featured, tmp_path_factory):
    """From the data set to a champion."""
    folder = tmp_path_factory.mktemp("walked") / "project"
    project = Project(shutil.copytree(featured.folder, folder, symlinks=True))
    project.run("dvc", "repro")
    return project


@pytest.fixture(scope="module")
def again(walked):
    """Another experiment in it, without a search, with a file that no commit holds."""
    (walked.folder / "notes.md").write_text("later\n")
    before = lineage(walked, "1")
    walked.run("dvc", "exp", "run", "-S", "train.kimg=2", "-S", "tune.trials=0")
    walked.first = before
    return walked


def lineage(project, *which):
    return json.loads(project.run("ganops", "lineage", *which, "--json"))


def generator(project) -> str:
    return md5(project.folder / "artifacts/generator")


def commands(project, report="reports/registration/report.html") -> list[str]:
    """The lines that the report tells to run."""
    page = (project.folder / report).read_text()
    return html.unescape(re.search(r"<h3>Commands</h3>.*?<pre>(.*?)</pre>", page, re.DOTALL).group(1)).splitlines()


def followed(project, folder: Path, lines: list[str]) -> Project:
    """A clone of a project in which the lines of its report were run."""
    project.run("git", "clone", "-q", ".", str(folder))
    for patch in (project.folder / "reports/registration").glob("*.patch"):
        shutil.copy(patch, folder)
    clone = Project(folder)
    for line in lines:
        clone.run("sh", "-euc", line)
    return clone


def test_what_was_trained_is_shown_and_where_it_was_found(walked):
    handed = yaml.safe_load((walked.folder / "artifacts/best_params.yaml").read_text())
    ((path, value),) = handed["parameters"].items()
    found = lineage(walked, "1")
    assert found["params"][path] == str(value)
    assert {key: found["search"][key] for key in ("search", "trial")} == {
        "search": handed["search"], "trial": str(handed["trial"]),
    }  # fmt: skip
    (card,) = walked.folder.glob("mlflow/artifacts/**/MODEL_CARD.md")
    assert f"| {path} | {value} |" in card.read_text()
    assert f"Trial {handed['trial']} of the search `{handed['search']}` found `{path}` {value}" in card.read_text()
    for report in ("evaluation", "registration"):
        page = html.unescape((walked.folder / f"reports/{report}/report.html").read_text())
        assert f"generator: {value}" in page
        assert f"Trial {handed['trial']} of the search <code>{handed['search']}</code>" in page


def test_the_same_again_leaves_the_later_stages_with_nothing_to_do(walked):
    """Whatever the clock says."""
    assert "up to date" in walked.run("dvc", "status")
    before = (walked.folder / "dvc.lock").read_bytes()
    for stage in ("tune", "train"):
        walked.run("dvc", "repro", "--force", "--single-item", stage)
    assert (walked.folder / "dvc.lock").read_bytes() != before, "speeds are kept"
    assert "up to date" in walked.run("dvc", "status")


def test_a_clean_tree_is_clean_after_a_run(walked):
    assert lineage(walked, "1")["changes"] is False
    assert not [*walked.folder.glob("reports/*/*.patch")]


def test_a_clone_that_follows_the_report_gets_the_same_generator(walked, tmp_path):
    clone = followed(walked, tmp_path / "clone", commands(walked))
    assert generator(clone) == generator(walked)


def test_a_version_has_its_own_hashes(again):
    lock = again.folder / "dvc.lock"
    second = lineage(again, "2")
    assert second["hashes"]["artifacts/generator"] == generator(again) == lock_hashes(lock)["artifacts/generator"]
    assert second["hashes"]["metrics/evaluation.json"] == md5(again.folder / "metrics/evaluation.json")
    assert lineage(again, "--lock", "dvc.lock")["version"] == 2
    first = lineage(again, "1")
    assert first["hashes"] == again.first["hashes"]
    assert first["hashes"]["artifacts/generator"] != second["hashes"]["artifacts/generator"]
    assert (first["params"]["train.kimg"], second["params"]["train.kimg"]) == ("3.0", "2.0")
    assert second["search"] == {}


def test_changes_are_kept_and_a_clone_with_them_gets_the_same_generator(again, tmp_path):
    second = lineage(again, "2")
    assert second["changes"] is True
    (patch,) = (again.folder / "reports/registration").glob("*.patch")
    assert second["patch"] == f"report/{patch.name}"
    assert [*again.folder.glob(f"mlflow/artifacts/**/{second['patch']}")]
    clone = followed(again, tmp_path / "clone", commands(again))
    assert (clone.folder / "notes.md").read_text() == "later\n"
    assert generator(clone) == generator(again)
