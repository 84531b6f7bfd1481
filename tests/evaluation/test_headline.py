"""What is said of a generator's figures, and which of them decides."""

import re

import pytest

from ganops import config
from ganops.core.errors import ConfigError
from ganops.evaluation import verdict
from ganops.experiment import checks

RESULTS = {
    "fd_domain": 1.12, "fd_domain_infinity": 1.1, "kd_domain": 0.01, "precision": 0.8, "recall": 0.7, "density": 0.9,
    "coverage": 0.85, "authenticity": 0.5,
    "intervals": {"fd_domain": [1.03, 1.21], "coverage": [0.8, 0.9]},
    "floors": {"fd_domain": 0.6, "kd_domain": 0.001},
    "blind": {},
    "protocol": {"name": "fd_domain10k_test"},
}  # fmt: skip
BLIND = {"precision": ["low_rank", "shuffled_patches"]}


def test_the_headline_has_the_distance_with_interval_and_floor():
    words = "fd_domain 1.12 [1.03, 1.21] (floor 0.6)  precision 0.8  recall 0.7  coverage 0.85"
    assert verdict.summary(RESULTS) == words


def test_a_blind_metric_leaves_the_headline_and_is_named():
    assert verdict.headline(RESULTS | {"blind": BLIND}).keys() == {"fd_domain", "recall", "coverage"}
    words = verdict.summary(RESULTS | {"blind": BLIND})
    assert "precision 0.8" not in words
    assert words.endswith("precision is blind to low rank, shuffled patches on these images")
    assert "fd_domain 1.12" not in verdict.summary(RESULTS | {"blind": {"fd_domain": ["few"]}})


def test_figures_of_before_have_no_floor_and_no_blindness():
    old = {key: value for key, value in RESULTS.items() if key not in ("floors", "blind")}
    assert verdict.summary(old).startswith("fd_domain 1.12 [1.03, 1.21]  precision 0.8")
    assert verdict.with_intervals(old)["precision"] == 0.8


def test_the_report_is_told_floor_and_blindness():
    shown = verdict.with_intervals(RESULTS | {"blind": BLIND})
    assert shown["fd_domain"] == {"value": 1.12, "interval": [1.03, 1.21], "floor": 0.6}
    assert shown["precision"] == {"value": 0.8, "blind": "blind to low rank, shuffled patches on these images"}
    assert shown["recall"] == 0.7
    assert not {"protocol", "intervals", "floors", "blind", "authenticity"} & shown.keys()


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"register": {"gate": {"precision": {"at_least": 0.5}}}}, r"register\.gate\.precision: precision is"),
        ({"register": {"improve": "precision"}}, r"register\.improve: precision is"),
        ({"tune": {"limits": {"precision": {"at_least": 0.5}}}}, r"tune\.limits\.precision: precision is"),
    ],
)
def test_a_blind_metric_decides_nothing(params, path):
    experiment = config.parse(params)
    checks.check_sight(experiment, {})
    checks.check_sight(experiment, {"recall": ["half"]})
    with pytest.raises(ConfigError, match=rf"params\.{path} blind to low rank, shuffled patches on these images"):
        checks.check_sight(experiment, BLIND)


TEXT = {
    "data": {"kind": "text", "length": 8}, "model": {"architecture": "lstm", "latent": 16},
    "features": {"extractor": "language"},
}  # fmt: skip
DISTANCE = {"fd_language": {"at_most": 9}}
DEAF = {"nll_language": ["few", "repeated"]}


@pytest.mark.parametrize(
    "entry", [{"gate": {"nll_language": {"at_most": 40}}}, {"improve": "nll_language"}], ids=("gate", "improve")
)
def test_a_likelihood_decides_beside_the_distance_alone(entry):
    """One likely text has the best of all: without a limit of the distance it is no gate, whatever it has seen."""
    alone = config.parse({**TEXT, "register": entry})
    with pytest.raises(ConfigError, match=r"nll_language cannot decide alone.*limit of fd_language"):
        checks.check(alone)
    with pytest.raises(ConfigError, match="nll_language is blind to few repeated texts, one repeated text on these"):
        checks.check_sight(alone, DEAF)
    both = config.parse({**TEXT, "register": {**entry, "gate": {**entry.get("gate", {}), **DISTANCE}}})
    checks.check(both)
    checks.check_sight(both, DEAF)
    with pytest.raises(ConfigError, match=r"_language is blind to noise|nll_language is blind"):
        checks.check_sight(both, {**DEAF, "fd_language": ["noise"]})


def test_the_pair_is_the_headline_though_one_of_it_is_blind():
    results = {"fd_language": 2.0, "nll_language": 35.0, "precision": 0.9, "blind": DEAF}
    assert {*verdict.headline(results)} == {"fd_language", "nll_language", "precision"}
    assert "nll_language" not in verdict.headline({**results, "blind": {**DEAF, "fd_language": ["noise"]}})


@pytest.mark.parametrize(
    ("extractor", "kind", "expected"),
    [("domain", "text", "language or oracle"), ("language", "image", "domain or inception")],
)
def test_an_extractor_of_another_kind_is_refused(extractor, kind, expected):
    section = TEXT if kind == "text" else {}
    experiment = config.parse({**section, "features": {"extractor": extractor}})
    with pytest.raises(
        ConfigError, match=rf"params\.features\.extractor: expected {expected}.*where data.kind is {kind}, got"
    ):
        checks.check(experiment)


def test_the_automatic_improvement_is_by_the_distance():
    with pytest.raises(ConfigError, match=r"register\.improve: fd_domain is blind to few repeated images"):
        checks.check_sight(config.parse({}), {"fd_domain": ["few"]})


def test_the_refusal_names_metrics_that_see():
    with pytest.raises(ConfigError, match="such as fd_domain, fd_domain_infinity, kd_domain") as refused:
        checks.check_sight(config.parse({"register": {"gate": {"precision": {"at_least": 0.5}}}}), BLIND)
    assert "recall" in str(refused.value)
    assert "authenticity" not in str(refused.value)


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"register": {"improve": "precision"}}, "register.improve"),
        ({"register": {"gate": {"precision": {"at_least": 0.5}}}}, "register.gate"),
        ({"tune": {"limits": {"precision": {"at_least": 0.5}}}}, "tune.limits"),
    ],
)
def test_metrics_that_the_refusal_names_are_taken(params, path):
    with pytest.raises(ConfigError) as refused:
        checks.check_sight(config.parse(params), BLIND)
    names = re.search("such as (.*); or another", str(refused.value))[1].split(", ")
    assert len(names) >= 2
    for name in names:
        section, key = path.split(".")
        checks.check(config.parse({section: {key: name if key == "improve" else {name: {"at_least": 0.0}}}}))


@pytest.mark.parametrize(
    ("section", "metric", "bound", "words"),
    [
        ("gate", "fd_domain", {"at_most": 5, "at_least": 10}, "nothing is at least 10 and at most 5"),
        ("gate", "coverage", {"at_least": 50}, r"coverage goes from 0 \(worst\) to 1 \(best\), so nothing keeps"),
        ("gate", "memorisation_verdict", {"at_most": -1}, "memorisation_verdict goes from 2"),
        ("gate", "density", {"at_least": -1, "at_most": -0.5}, "density goes from 0"),
        ("limits", "coverage", {"at_least": 1.5}, "coverage goes from 0"),
    ],
)
def test_a_limit_that_nothing_keeps_is_refused(section, metric, bound, words):
    within = {"register": {"gate": {metric: bound}}} if section == "gate" else {"tune": {"limits": {metric: bound}}}
    with pytest.raises(ConfigError, match=words):
        checks.check(config.parse(within))


@pytest.mark.parametrize(
    ("metric", "bound"),
    [
        ("density", {"at_least": 1.2}),
        ("c2st_auc", {"at_most": 0.45}),
        ("coverage", {"at_least": 1}),
        ("memorisation_verdict", {"at_most": 0}),
    ],
)
def test_a_limit_that_something_keeps_is_taken(metric, bound):
    checks.check(config.parse({"register": {"gate": {metric: bound}}}))


def test_a_limit_of_what_so_few_samples_cannot_give_is_refused():
    gate = {"c2st_auc": {"at_most": 0.9}}
    checks.check(config.parse({"evaluate": {"samples": 200}, "register": {"gate": gate}}))
    with pytest.raises(
        ConfigError, match=r"gate\.c2st_auc: a quarter .* expected evaluate\.samples: 200 or more, got 199"
    ):
        checks.check(config.parse({"evaluate": {"samples": 199}, "register": {"gate": gate}}))
