"""What a search hands on."""

import pytest
import yaml

from ganops import config
from ganops.errors import ConfigError
from ganops.trials import Trial, best, handed_on, publish

TRIALS = [
    Trial(1, {"train.batch": 32}, 5.0, 9.0, "finished"),
    Trial(2, {"train.batch": 16}, 2.0, 3.0, "stopped after 1 of 3 rungs"),
    Trial(3, {"train.batch": 8}, 4.0, 9.0, "finished"),
    Trial(4, {"train.batch": 4}, None, 0.0, "failed: out of memory"),
    Trial(5, {"train.batch": 2}, float("nan"), 9.0, "finished"),
]


def test_the_best_is_among_those_that_came_furthest():
    assert best(TRIALS).number == 3


def test_the_best_parameters_reach_the_experiment(tmp_path):
    publish(TRIALS[:4], best_params=tmp_path / "best.yaml", report=tmp_path / "tune")
    assert handed_on(config.parse({}), tmp_path / "best.yaml").train.batch == 8
    assert "4 trials" in yaml.safe_load((tmp_path / "best.yaml").read_text())["reason"]
    assert (tmp_path / "tune" / "trials.svg").read_bytes().startswith(b"<")


def test_no_search_hands_on_the_parameters_as_they_are(tmp_path):
    publish([], best_params=tmp_path / "best.yaml", report=tmp_path / "tune")
    experiment = config.parse({"seed": 3})
    assert handed_on(experiment, tmp_path / "best.yaml") == experiment


@pytest.mark.parametrize("text", [None, "", "- 1", "parameters: 3", "{"])
def test_a_missing_or_broken_file_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "best.yaml").write_text(text)
    with pytest.raises(ConfigError, match="tune"):
        handed_on(config.parse({}), tmp_path / "best.yaml")
