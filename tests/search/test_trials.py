"""What a search hands on."""

from dataclasses import replace

import pytest
import yaml

from ganops import config
from ganops.core.errors import ConfigError, TrainingError
from ganops.reports.search_page import publish
from ganops.search.trials import Search, Takeover, Trial, best, handed_on, ranked, read


def row(rung, distance):
    return {"kimg": 3.0 * rung, "loss_g": 1.0, "rung": float(rung), "distance": distance}


def trial(number, batch, score, rung, status="finished", reason=""):
    rows = tuple(row(i + 1, score) for i in range(rung)) if score is not None else ()
    return Trial(number, {"train.batch": batch}, status, reason, rung, score, 3.0 * rung, 1.0, rows)


TRIALS = (
    trial(1, 32, 5.0, 3),
    trial(2, 16, 2.0, 1, "stopped", "ASHA"),
    trial(3, 8, 4.0, 3),
    trial(4, 4, None, 0, "failed", "out of memory"),
    trial(5, 2, 1.0, 3, "pruned", "coverage 0.1 is below 0.2"),
)
SEARCH = Search("0123", "fd_domain_validation", {"name": "fd_domain_200_validation"}, {"trials": 5}, 3, TRIALS, 60.0)


def test_the_best_is_among_those_that_came_furthest():
    """And kept the limits: the smallest distance is that of a shorter trial, the second that of a pruned one."""
    assert [trial.number for trial in ranked(TRIALS)] == [3, 1, 2]
    assert best(TRIALS).number == 3


def test_all_reasons_are_told_where_there_is_no_best():
    lost = [Trial(n, {}, "failed", f"reason {n}") for n in (1, 2)]
    with pytest.raises(
        TrainingError, match=r"no trial of 2 .*\n  trial 1: failed, reason 1\n  trial 2: failed, reason 2"
    ):
        best(lost)


def test_the_best_parameters_reach_the_experiment_and_say_why(tmp_path):
    publish(SEARCH, best_params=tmp_path / "best.yaml", report=tmp_path / "tune")
    assert handed_on(config.parse({}), tmp_path / "best.yaml").train.batch == 8
    content = yaml.safe_load((tmp_path / "best.yaml").read_text())
    assert content["trial"] == 3
    assert content["reason"] == (
        "smallest fd_domain_validation of the 2 of 5 trials that count and came furthest: 4 after 9 kimg, judgement 3 "
        "of 3; next is trial 1 with 5"
    )
    assert content["protocol"]["name"] == "fd_domain_200_validation"
    assert (tmp_path / "tune" / "trials.svg").read_bytes().startswith(b"<")


def test_what_was_published_can_be_read(tmp_path):
    member = Trial(6, {"train.batch": 8}, "stopped", takeovers=(Takeover(1, 3, {"train.batch": 8}),))
    search = Search(**{**vars(SEARCH), "trials": (*TRIALS, member)})
    publish(search, best_params=tmp_path / "best.yaml", report=tmp_path / "tune")
    assert read(tmp_path / "tune") == search


def test_the_same_search_at_another_pace_changes_its_times_alone(tmp_path):
    """What later stages read must not depend on the clock."""
    rows = ({"kimg": 1.0, "images_per_second": 900.0}, {"kimg": 3.0, "rung": 1.0, "distance": 2.0})
    quick = replace(SEARCH, trials=(replace(TRIALS[0], history=rows),), hardware="a machine")
    slow_rows = tuple({**row, **({"images_per_second": 9.0} if len(row) == 2 else {})} for row in rows)
    slow = replace(
        quick, trials=(replace(TRIALS[0], history=slow_rows, seconds=99.0),), seconds=1e4, hardware="another"
    )
    for search, name in ((quick, "quick"), (slow, "slow")):
        publish(search, best_params=tmp_path / name / "best.yaml", report=tmp_path / name / "tune")
        assert read(tmp_path / name / "tune") == search
    files = {path.relative_to(tmp_path / "quick") for path in (tmp_path / "quick").rglob("*") if path.is_file()}
    same = {
        str(path)
        for path in files
        if (tmp_path / "quick" / path).read_bytes() == (tmp_path / "slow" / path).read_bytes()
    }
    assert {str(path) for path in files} - same == {"tune/times.json", "tune/report.html"}
    (tmp_path / "slow/tune/times.json").unlink()
    assert read(tmp_path / "slow/tune").trials[0].score == TRIALS[0].score, "a search is one without its times, too"


def test_no_search_hands_on_the_parameters_as_they_are(tmp_path):
    publish(None, best_params=tmp_path / "best.yaml", report=tmp_path / "tune")
    experiment = config.parse({"seed": 3})
    assert handed_on(experiment, tmp_path / "best.yaml") == experiment
    assert read(tmp_path / "tune") is None


@pytest.mark.parametrize("text", [None, "", "- 1", "parameters: 3", "{"])
def test_a_missing_or_broken_file_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "best.yaml").write_text(text)
    with pytest.raises(ConfigError, match="tune"):
        handed_on(config.parse({}), tmp_path / "best.yaml")
