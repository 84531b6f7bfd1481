"""Who takes over whom."""

import pytest

from ganops import config
from ganops.search.population import FACTORS, explored, succession
from ganops.search.trials import Trial

SPACE = {
    "loss.r1": {"log_uniform": [0.1, 10]},
    "train.beta1": {"uniform": [0, 0.9]},
    "loss.interval": {"integer": [1, 16]},
    "train.beta2": {"choice": [0.9, 0.99, 0.999]},
}
TUNE = config.parse({"tune": {"space": SPACE, "scheduler": "pbt", "trials": 8}}).tune


def population(*scores, rung=1):
    return [
        Trial(
            i,
            {"loss.r1": 0.5 + i / 10, "train.beta1": 0.5, "loss.interval": 4, "train.beta2": 0.99},
            rung=rung,
            score=score,
        )
        for i, score in enumerate(scores, 1)
    ]


def test_the_worst_quarter_goes_on_as_the_best_quarter():
    found = succession(population(5, 1, 8, 2, 7, 3, 4, 6), 1, TUNE)
    assert {number: takeover.source for number, takeover in found.items()} == {3: 2, 5: 4}


def test_one_of_two_goes_on_as_the_other():
    assert {n: t.source for n, t in succession(population(5, 1), 1, TUNE).items()} == {1: 2}


def test_those_that_ended_for_good_are_replaced_first():
    members = population(5, 1, 8, 2)
    members[0] = Trial(1, {}, "diverged", "a loss", rung=0)
    assert {n: t.source for n, t in succession(members, 1, TUNE).items()} == {1: 2}
    lost = [Trial(n, {}, "pruned", "a limit", rung=1, score=0.1) for n in (1, 2, 3)]
    assert {n: t.source for n, t in succession([*lost, members[3]], 1, TUNE).items()} == {1: 4, 2: 4, 3: 4}


def test_nobody_is_left_to_take_over_from():
    assert succession([Trial(n, {}, "diverged") for n in (1, 2, 3)], 1, TUNE) == {}


def test_it_follows_from_the_seed_alone():
    members = population(5, 1, 8, 2, 7, 3, 4, 6)
    assert succession(members[::-1], 1, TUNE) == succession(members, 1, TUNE)
    assert succession(members, 1, TUNE)[3] != succession(population(*(m.score for m in members), rung=2), 2, TUNE)[3]


def test_null_has_neighbours_as_any_choice_has():
    space = {"loss.warm_up": config.Space(choice=(None, "a", "b", "c", "d"))}
    moves = [explored({"loss.warm_up": None}, space, number)["loss.warm_up"] for number in range(200)]
    assert moves.count("a") + moves.count(None) > 0.75 * len(moves)


def test_parameters_stay_near_those_of_the_source_and_within_the_space():
    source = {"loss.r1": 9.0, "train.beta1": 0.5, "loss.interval": 4, "train.beta2": 0.99}
    moved, anew = 0, 0
    for number in range(400):
        values = explored(source, TUNE.space, number)
        assert set(values) == set(source)
        assert 0.1 <= values["loss.r1"] <= 10
        assert 0 <= values["train.beta1"] <= 0.9
        assert values["loss.interval"] in range(1, 17)
        assert values["train.beta2"] in (0.9, 0.99, 0.999)
        near = values["train.beta1"] in [pytest.approx(0.5 * factor) for factor in FACTORS]
        moved, anew = moved + near, anew + (not near)
    assert 0.65 < moved / 400 < 0.85  # the others were drawn anew
    assert anew
