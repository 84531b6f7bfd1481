"""The charts of a search."""

import math
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from searches import LR, asha, population, scored
from test_plots import SVG, texts

from ganops.reports import plots, search_charts
from ganops.search.analysis import best_so_far, importance

ASHA, PBT = asha().trials, population().trials
GOAL = "fd_domain_validation"
DRAWINGS = {
    "curves": lambda trials: search_charts.distance_curves(trials, GOAL),
    "parallel": lambda trials: search_charts.parallel(trials, GOAL),
    "budget": lambda trials: search_charts.budget_curve(best_so_far(trials), sum(t.kimg for t in trials), GOAL),
    "population": lambda trials: search_charts.population_curve(trials, GOAL),
    "lineage": lambda trials: search_charts.lineage(trials),
}
HOSTILE = "</text><script>alert(1)</script> & $\\frac{$ \x00"


@pytest.mark.parametrize("trials", [ASHA, PBT, ASHA[:1], asha(200, noise=6).trials], ids=len)
@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_svg_without_a_number_that_is_none_and_the_same_each_time(name, trials):
    svg = DRAWINGS[name](trials)
    if not svg:
        assert name == "lineage"
        assert not any(trial.takeovers for trial in trials)
        return
    assert ElementTree.fromstring(svg).tag == f"{SVG}svg"
    assert not re.search(rb"\b(nan|inf)\b", svg)
    assert b"prefers-color-scheme:dark" in svg
    assert len(svg) < 400_000
    if len(trials) <= 6:
        assert DRAWINGS[name](trials) == svg


@pytest.mark.parametrize("name", DRAWINGS)
@pytest.mark.parametrize(
    "trials", [[], scored([None, None]), scored([math.nan, math.inf])], ids=["none", "failed", "nan"]
)
def test_nothing_is_drawn_of_nothing(name, trials):
    assert DRAWINGS[name](trials) == b""


def test_the_best_is_marked_and_lost_trials_end_in_a_cross():
    svg = DRAWINGS["curves"](ASHA)
    number = min((t for t in ASHA if t.status == "finished"), key=lambda t: t.score).number
    assert any(text.startswith(f"best: trial {number}, ") for text in texts(svg))
    without = [replace(trial, status="stopped") if trial.status == "diverged" else trial for trial in ASHA]
    assert svg != DRAWINGS["curves"](without)


def test_axes_lie_below_one_another_with_the_score_last():
    shown = texts(DRAWINGS["parallel"](ASHA))
    names = ["learning_rate.generator.start", "loss.r1", "model.architecture", "loss.relativistic", "betas"]
    places = [shown.index(name) for name in [*names, "model.options.blocks", f"{GOAL}, lower is better"]]
    assert places == sorted(places)
    assert {"dcgan", "r3gan", "True", "not used", "none"} <= set(shown)
    assert any(text.endswith("(log)") for text in shown)


def test_far_apart_values_stand_by_their_logarithm_and_names_in_equal_steps():
    def places(values):
        place, ticks = search_charts._line(values)
        return [round(place(value), 3) for value in values], [text for _, text in ticks]

    assert places([1e-4, 1e-3, 1e-2]) == ([0, 0.5, 1], ["1e-4", "0.001 (log)", "0.01"])
    assert places([1.0, 2.0, 5.0]) == ([0, 0.25, 1], ["1", "3", "5"])
    assert places(["b", "a", "c"]) == ([0.5, 0, 1], ["a", "b", "c"])
    assert places([True, False]) == ([1, 0], ["False", "True"])
    assert places([4, 4]) == ([0.5, 0.5], ["4"])
    assert len(search_charts._line([str(i) for i in range(99)])[1]) <= search_charts.MOST_WORDS


def test_whatever_a_parameter_is_called_it_can_be_drawn():
    values = ["$a", HOSTILE, None]
    trials = [replace(t, parameters={HOSTILE: v}) for t, v in zip(scored([3.0, 4.0, 5.0]), values, strict=True)]
    for svg in (search_charts.parallel(trials, HOSTILE), plots.trials_plot([vars(trial) for trial in trials])):
        assert not list(ElementTree.fromstring(svg).iter(f"{SVG}script"))
    many = [replace(trial, parameters={HOSTILE: trial.score}) for trial in scored([float(i) for i in range(9)])]
    assert b"<script" not in search_charts.importance_bar(importance(many))


def test_an_open_band_reaches_the_top_and_a_closed_one_does_not():
    lost = best_so_far(scored([3.0, 4.0, None]))
    assert math.isinf(lost.high[0])
    assert not re.search(rb"\b(nan|inf)\b", search_charts.budget_curve(lost, 9.0, GOAL))


def test_lineage_shows_each_takeover_as_an_arrow():
    def arrows(trials):
        return search_charts.lineage(trials).decode().count(f"fill: {plots.SERIES[3]}")

    takeovers = sum(len(trial.takeovers) for trial in PBT)
    assert takeovers > 1
    assert arrows(PBT) - arrows([replace(t, takeovers=t.takeovers[:1]) for t in PBT]) == takeovers - sum(
        bool(trial.takeovers) for trial in PBT
    )
    assert {f"trial {i}" for i in range(1, 7)} <= set(texts(search_charts.lineage(PBT)))


def test_a_conditional_number_stays_a_number_in_the_panels():
    trials = [vars(t) for t in scored([3.0, 4.0, 5.0, 6.0])]
    for trial, value in zip(trials, [0.001, 0.1, 10.0, None], strict=True):
        trial["parameters"] = {} if value is None else {LR: value}
    shown = texts(plots.trials_plot(trials))
    assert "None" not in shown
    assert "0.1" in shown
