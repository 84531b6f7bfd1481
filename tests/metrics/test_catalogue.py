"""Each row of the catalogue is measured, shown, documented, and may be a limit or says why not."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from films import sprites

from ganops import config
from ganops.core.errors import ConfigError
from ganops.evaluation import verdict
from ganops.evaluation.comparison import Comparison
from ganops.experiment import checks
from ganops.metrics import catalogue, classifiers, sight
from ganops.metrics.catalogue import METRICS, Metric
from ganops.metrics.frechet import Statistics
from ganops.metrics.ladder import RUNGS, Rungs, Sample
from ganops.metrics.measure import Generated, compare, measure
from ganops.metrics.movement import tracks
from ganops.reports.content import Report
from ganops.reports.report import render

DOCS = Path(__file__).parents[2] / "docs/evaluation.md"
ROWS = pytest.mark.parametrize("row", METRICS, ids=lambda row: row.name)
CLASSES, DIMENSIONS = 3, 4
TEXT = {"data": {"kind": "text", "length": 8}, "model": {"architecture": "lstm", "latent": 16}}
FILM = {"data": {"kind": "video"}, "model": {"architecture": "mocogan", "latent": 112}}
OF_KIND = {"language": TEXT, "domain of films": FILM}


def drawn(seed, count, shift=0.0):
    """Features of three classes side by side, and the probabilities of a classifier that knows them."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    features = rng.normal(shift, 1, (count, DIMENSIONS)).astype(np.float32)
    features[:, 0] += 4 * labels
    return features, (0.97 * np.eye(CLASSES)[labels] + 0.01).astype(np.float32)


@dataclass
class Features:
    """A reference of drawn features in the place of real images."""

    card: dict
    blind: dict = field(default_factory=dict)

    def features(self, split):
        return drawn(["train", "validation", "test"].index(split), 300)[0]

    def statistics(self, split):
        return Statistics.of(self.features(split))

    def classes(self, split):
        return np.full(CLASSES, 100, np.int64)


def reference(published=False):
    counts = dict.fromkeys(("train", "validation", "test"), 300)
    how = {"resize": "none", "quantisation": "none"}
    name = "inception" if published else "domain"
    return Features(
        {"extractor": name, "published": published, "dimensions": DIMENSIONS, "hash": "0", "counts": counts,
         "protocol": how}
    )  # fmt: skip


@dataclass
class OfTexts(Features):
    """The same of texts."""

    def texts(self, split):
        return lines(["train", "validation", "test"].index(split))

    def nll(self, split):
        return np.ones(300)


@dataclass
class OfFilms(Features):
    """The same of films, by the extractor of motion as well."""

    @property
    def companion(self):
        return Features(self.card)

    def tracks(self, split):
        return tracks(sprites(300, seed=["train", "validation", "test"].index(split), size=16, sprite=6)[0])


def lines(seed):
    return np.random.default_rng(seed).integers(1, 9, (300, 6)).astype(np.uint16)


@pytest.fixture(scope="module")
def found():
    """Figures by an extractor of this data, by one with the published weights, by one of texts, and of films."""
    fake = Generated(*drawn(9, 300))
    found = {name: measure(fake, reference(name == "inception"), "test", seed=0) for name in ("domain", "inception")}
    card = {**reference().card, "extractor": "language", "kind": "text", "ends": True}
    written = replace(fake, texts=lines(9), nll=np.random.default_rng(9).normal(3, 1, 300))
    moving = replace(fake, motion=drawn(8, 300)[0], tracks=tracks(sprites(300, seed=9, size=16, sprite=6)[0]))
    of_films = measure(moving, OfFilms(reference().card), "test", seed=0)
    return {**found, "language": measure(written, OfTexts(card), "test", seed=0), "domain of films": of_films}


def name_of(row):
    """The figure of a row in an evaluation that has it, and the name of the extractor there."""
    of = {"published": "inception", "texts": "language", "films": "domain of films"}
    extractor = next((of[need] for need in row.needs if need in of), "domain")
    return row.name.replace("*", extractor), extractor


@ROWS
def test_each_row_is_measured(row, found):
    name, extractor = name_of(row)
    if row.panel == "classifiers":
        assert name in classifiers.NAMES
    else:
        assert isinstance(found[extractor][name], float)
    if row.compared:
        assert name in found[extractor]["intervals"]


def test_each_figure_that_is_measured_has_a_row(found):
    for figures in found.values():
        names = {name for name, value in figures.items() if isinstance(value, float)}
        assert {name for name in names if catalogue.of(name) is None} == set()
    assert {name for name in classifiers.NAMES if catalogue.of(name) is None} == set()
    assert catalogue.of("perplexity") is None


@ROWS
def test_each_row_is_shown(row):
    name, _ = name_of(row)
    sentence = row.sentence.replace("'", "&#39;")
    page = render(Report("a generator", metrics={name: 0.5}))
    assert f"{sentence} {row.better.capitalize()} is better." in page


@ROWS
def test_each_row_is_documented(row):
    section = DOCS.read_text(encoding="utf-8").partition("## The metrics")[2].partition("\n## ")[0]
    table = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert any(f"`{row.name.replace('*', name_of(row)[1])}`" in cell for cell in table)


@ROWS
def test_each_row_may_be_a_limit_or_says_why_not(row):
    name, extractor = name_of(row)
    gate = {each: {"at_most": 1} for each in (name, row.beside.replace("*", extractor)) if each}
    limit = {"features": {"extractor": extractor.split()[0]}, "register": {"gate": gate}}
    limit |= OF_KIND.get(extractor, {})
    experiment = config.parse(limit)
    if row.ungated:
        with pytest.raises(ConfigError, match=rf"register\.gate\.{name}: unknown"):
            checks.check(experiment)
    else:
        checks.check(experiment)
        assert row.rungs or row.distance or row.panel != "extractor", "it must tell rungs before it may decide"


@pytest.mark.parametrize("need", ["published", "classifier", "labels", "pixels", "texts", "films"])
def test_what_a_metric_needs_is_asked_for(need):
    rows = [row for row in METRICS if need in row.needs]
    without = {"published": {"features": {"extractor": "domain"}}, "classifier": {"features": {"extractor": "pixels"}},
               "labels": {"data": {"labels": "none"}}, "pixels": {"features": {"extractor": "language"}, **TEXT},
               "texts": {}, "films": {}}[need]  # fmt: skip
    experiment = config.parse(without)
    extractor = experiment.features.extractor
    assert rows
    assert not {row.name.replace("*", extractor) for row in rows} & {*checks.known_metrics(experiment)}


def test_the_closest_name_is_the_row():
    names = {
        "fid": "fid", "fid_infinity": "fid_infinity", "fd_domain": "fd_*", "fd_pixels_infinity": "fd_*_infinity",
        "kd_domain_std": "kd_*", "cas_real": "cas_real", "cas": "cas", "ct_held_out": "ct",
        "near_copies_copied": "near_copies",
    }  # fmt: skip
    assert {name: catalogue.of(name).name for name in names} == names
    assert len({row.name for row in METRICS}) == len(METRICS)


def test_the_headline_begins_with_the_distance_whatever_the_order():
    names = ["c2st_auc", "coverage", "recall", "kid", "precision", "density", "fid_infinity", "fid"]
    assert catalogue.headline(names) == ("fid", "precision", "recall", "coverage", "c2st_auc")


def shift(real, generated):
    return float(np.linalg.norm(real.mean(0) - generated.mean(0)))


def test_a_metric_is_added_by_a_row(monkeypatch):
    """It is measured with its interval, compared, shown, known to the gate, and examined on the ladder."""
    row = Metric("shift", "lower", "How far the means are apart.", figure=shift, rungs=("noise",), headline=True)
    monkeypatch.setattr(catalogue, "METRICS", (*METRICS, row))
    near, far = (Generated(*drawn(9, 300, by)) for by in (0.0, 2.0))
    results = measure(far, reference(), "test", seed=0)
    low, high = results["intervals"]["shift"]
    assert 3 < low < results["shift"] < high < 5
    figures = compare(near, far, reference(), "test", seed=0)
    assert Comparison(figures, 300, "test", False).verdict("shift") == "worse"
    assert verdict.headline(results)["shift"] == results["shift"]
    assert "How far the means are apart. Lower is better." in render(Report("a generator", metrics={"shift": 1.0}))
    checks.check(config.parse({"register": {"gate": {"shift": {"at_most": 1}}, "improve": "shift"}}))

    monkeypatch.setitem(sight.DUTIES, "shift", sight.Duty(row.rungs, "", row.better))
    real, same, harmed = (Sample(*drawn(seed, 300, by)) for seed, by in ((0, 0), (1, 0), (2, 30)))
    rungs = Rungs(real, {name: harmed if name == "noise" else replace(same) for name in RUNGS["image"]})
    assert sight.examine(rungs, seed=0)["shift"]["noise"].told
