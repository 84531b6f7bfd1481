"""A study runs to its end whatever becomes of a model, and continues where it was."""

import json
import shutil
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch
import yaml

from ganops import config
from ganops.core.errors import DivergenceError, TrainingError
from ganops.data import Prepared
from ganops.experiment.run import Progress
from ganops.search.trials import Trial
from ganops.studies import runner, study

CONTENT = {
    "title": "A small study",
    "reference": "nobody",
    "metric": "FID",
    "values_from": "thin air",
    "configurations": 100,
    "seeds": 50,
    "least": {"kimg": 2, "configurations": 3, "seeds": 2, "samples": 100},
    "base": {
        "data": {"source": "tiny", "resolution": 16, "fit": "crop", "validation": 0.15, "test": 0.15},
        "features": {"minimum_accuracy": 0.3},
        "model": {
            "architecture": "infogan", "latent": 4, "conditional": False, "options": {"width": 16, "hidden": 64},
        },
        "loss": {"r1": 0, "interval": 1},
        "train": {
            "kimg": 100, "tick_kimg": 25, "checkpoint_kimg": 50, "batch": 50, "validation_samples": 10000,
            "ema_kimg": 0,
        },
        "tune": {"search": "random", "scheduler": "none"},
        "compute": {"launcher": "local"},
    },
    "space": {"train.learning_rate": {"log_uniform": [1e-4, 1e-2]}},
    "models": {
        "one": {"title": "One", "published": {"mean": 2, "deviation": 1}, "authors": {"train.learning_rate": 1e-3}},
        "two": {
            "title": "Two", "published": {"mean": 1, "deviation": 1}, "authors": {"train.learning_rate": 1e-3},
            "parameters": {"loss.name": "hinge"},
        },
    },
}  # fmt: skip
CPU = torch.device("cpu")
PLAN = study.plan(study.Study.model_validate(CONTENT), 0.001)


class Engines:
    """In place of Ray and of the trainings: what they were asked for, and what they answer."""

    def __init__(self, monkeypatch):
        self.tried, self.searched, self.seeds, self.failing = [], [], [], set()
        self.authors = 7.0
        monkeypatch.setattr(runner, "search", self.search)
        monkeypatch.setattr(runner, "fit", self.fit)
        monkeypatch.setattr(runner, "evaluate", self.evaluate)
        monkeypatch.setattr(runner._Model, "_authors", lambda model: self.of_authors(model))
        monkeypatch.setattr(runner.runtime, "cluster", nullcontext)

    def of_authors(self, model):
        self.tried.append(model.name)
        return {"trial": runner._row(Trial(0, dict(model.contender.authors), "finished", score=self.authors))}

    def search(self, experiment, prepared, features, watch):
        self.searched.append(experiment.loss.name)
        if experiment.loss.name in self.failing:
            raise TrainingError("no trial of 2 reached a score")
        return SimpleNamespace(
            trials=(
                Trial(1, {"train.learning_rate": 2e-3}, "finished", score=3.0),
                Trial(2, {"train.learning_rate": 5e-3}, "diverged", "at step 3", score=float("nan")),
            )
        )

    @contextmanager
    def fit(self, experiment, prepared, features, listen):
        loss, seed = experiment.loss.name, experiment.seed
        self.seeds.append((loss, seed, experiment.train.learning_rate.generator))
        if (loss, seed) in self.failing:
            raise DivergenceError("loss_d stopped being finite")
        if seed in self.failing:
            raise KeyboardInterrupt
        yield SimpleNamespace(best_generator=lambda: SimpleNamespace(save=lambda folder: None))

    def evaluate(self, experiment, generator, features):
        seed = int(generator.parent.name.removeprefix("seed-"))
        return 10.0 * seed + (experiment.loss.name == "hinge"), {"split": "test"}


@pytest.fixture
def engines(monkeypatch):
    return Engines(monkeypatch)


@pytest.fixture
def out(featured, tmp_path, monkeypatch):
    """A study's folder whose data and features are ready."""
    for name, source in (("prepared", "data/prepared"), ("features", "artifacts/features")):
        shutil.copytree(featured.folder / source, tmp_path / "study" / name)
    monkeypatch.setattr(runner, "_make_ready", lambda *given: None)
    return tmp_path / "study"


def run(out, plan=PLAN):
    lines = []
    return runner.run(plan, out, lines.append), lines


def test_the_best_configuration_is_trained_under_each_seed(engines, out):
    outcome, _ = run(out)
    assert engines.searched == ["non_saturating", "hinge"]
    assert engines.seeds == [(loss, seed, 2e-3) for loss in ("non_saturating", "hinge") for seed in (1, 2)]
    one, two = outcome.results
    assert (one.values, two.values) == ((10, 20), (11, 21))
    assert (one.failed_configurations, one.failed_seeds, one.by_authors, one.reason) == (1, 0, False, "")
    assert outcome.agreement().tau == -1
    assert json.loads((out / "results.json").read_text())["models"][0]["name"] == "one"
    assert {"report.html", "table.md", "one", "two"} <= {path.name for path in out.iterdir()}


def test_the_configuration_of_the_authors_may_win(engines, out):
    engines.authors = 2.0
    outcome, _ = run(out)
    assert {rate for _, _, rate in engines.seeds} == {1e-3}
    assert all(result.by_authors for result in outcome.results)


def test_a_killed_study_continues_where_it_was(engines, out):
    engines.failing = {2}
    with pytest.raises(KeyboardInterrupt):
        run(out)
    assert engines.seeds == [("non_saturating", 1, 2e-3), ("non_saturating", 2, 2e-3)]
    engines.failing = set()
    first, _ = run(out)
    again, lines = run(out)
    assert (engines.tried, len(engines.searched)) == (["one", "two"], 2), "each search once"
    assert len(engines.seeds) == 5, "each seed once, but for the one that was killed"
    assert again.results == first.results
    assert (
        again.finished == first.finished == json.loads((out / "two" / "seed-2" / "record.json").read_text())["finished"]
    )
    assert lines == []


def test_other_parameters_are_another_study(engines, out):
    run(out)
    content = {**CONTENT, "space": {"train.learning_rate": {"log_uniform": [1e-3, 1e-2]}}}
    run(out, study.plan(study.Study.model_validate(content), 0.001))
    assert len(engines.searched) == 4
    assert len(engines.seeds) == 4, "the winner is the same, and so is its training"


def test_a_failed_model_is_a_row_with_its_reason(engines, out):
    engines.failing, engines.authors = {"hinge"}, float("nan")
    outcome, lines = run(out)
    one, two = outcome.results
    assert (two.mean, two.reason, two.failed_configurations) == (None, "no trial of 2 reached a score", 3)
    assert one.mean == 15
    assert "no trial of 2 reached a score" in (out / "table.md").read_text()
    assert "Two: no trial of 2 reached a score" in lines
    engines.failing = set()
    mended, _ = run(out)
    assert mended.results[1].mean == 16, "a search that failed as a whole is tried again"


def test_a_seed_that_diverges_is_left_out_and_counted(engines, out):
    engines.failing = {("hinge", 1)}
    outcome, _ = run(out)
    two = outcome.results[1]
    assert (two.values, two.failed_seeds, two.mean) == ((21,), 1, None)
    assert "loss_d stopped being finite" in two.reason
    count = len(engines.seeds)
    run(out)
    assert len(engines.seeds) == count, "it would diverge again"


def test_a_study_prepares_its_data_as_the_stages_do(featured, tmp_path, monkeypatch):
    monkeypatch.chdir(featured.folder)
    features = featured.folder / "artifacts/features"
    monkeypatch.setattr(runner.features, "make", lambda *paths, out, **how: shutil.copytree(features, out))
    experiment, lines = next(iter(PLAN.experiments.values())), []
    same = config.load().data.model_copy(update={"name": "Mine", "licence": "CC0"})
    runner._make_ready(experiment.override({"data": same.model_dump()}), tmp_path, lines.append)
    assert Prepared.open(tmp_path / "prepared").hash == Prepared.open(featured.folder / "data/prepared").hash
    assert len(lines) == 2


def test_the_course_of_a_training_is_heard_tick_by_tick():
    """Seconds are those of the steps; what is judged later stands at the kimg that it belongs to."""
    course = runner._Course()
    first, second = ({"kimg": kimg, "images_per_second": speed} for kimg, speed in ((1.0, 500.0), (2.0, 250.0)))
    course(Progress(1, 2, first, True))
    judged = tuple({**row, "fd_domain_validation": distance} for row, distance in ((first, 9.0), (second, 4.0)))
    course(Progress(2, 2, second, True, judged=judged))
    assert course.points == [(1.0, 3.0, 9.0), (2.0, 6.0, 4.0)]


def test_the_mean_course_is_of_the_ticks_that_all_seeds_have():
    courses = [[(1.0, 2.0, 8.0), (2.0, 4.0, 6.0)], [(2.0, 8.0, 4.0)]]
    assert runner._mean_course(courses) == ((2.0, 6.0, 5.0),)
    assert runner._mean_course([]) == ()


def test_an_estimate_grows_with_the_plan():
    shorter, longer = (runner.estimate(study.plan(PLAN.study, scale, models=["one"])) for scale in (0.001, 0.9))
    assert 0 < shorter < longer


@pytest.mark.slow
def test_a_small_study_runs_from_the_command_line(project):
    """Searches on Ray, the extractor, seeds and reports: a minute on two cores."""
    folder = project.folder / "experiments" / "small"
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(yaml.safe_dump(CONTENT))
    command = ("ganops", "study", "small", "--scale", "0.001")
    told = project.run(*command, "--dry-run")
    assert "2 models, each with 3 configurations and 2 seeds of the best: 10 trainings of 2 kimg" in told
    assert not (project.folder / "reports/studies").exists()
    told = project.run(*command)
    assert "One: seed 2: " in told
    kept = json.loads((project.folder / "reports/studies/small-0.001/results.json").read_text())
    assert sorted(row["rank"] for row in kept["models"]) == [1, 2]
    assert kept["protocol"]["split"] == "test"
    assert kept["figure"] == "fd_domain"
    assert not (project.folder / "reports/studies/small-0.001/unfinished").exists()
    again = project.run(*command)
    assert not any(told in again for told in ("seed 1:", "trial", "accuracy")), "nothing is made again"
