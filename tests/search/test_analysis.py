"""What the trials of a search say together."""

import math
from dataclasses import replace

import numpy as np
import pytest
from searches import asha, population, scored

from ganops.search import analysis
from ganops.search.analysis import best_so_far, counted, importance
from ganops.search.trials import Trial, best, ranked


def test_the_best_counts_with_the_smallest_distance_and_nothing_early_counts_as_better():
    early = Trial(9, {}, "stopped", "", rung=1, score=1.0)
    trials = [*scored([5.0, 3.0, 4.0], rung=3), early, replace(early, number=10, score=70.0)]
    assert counted(trials) == {2: 3.0, 3: 4.0, 1: 5.0, 9: 5.0, 10: 70.0}
    for seed in range(20):
        found = counted(asha(seed=seed).trials)
        assert min(found, key=lambda number: (found[number], number)) == best(asha(seed=seed).trials).number


def test_best_so_far_is_the_limit_of_resampling():
    trials = scored([9.0, 4.0, None, 7.0, 5.0, 12.0, None, 30.0])
    found = best_so_far(trials)
    scores = np.array([math.inf if trial.score is None else trial.score for trial in trials])
    draws = np.random.default_rng(0).choice(scores, (100_000, len(scores)))
    smallest = np.minimum.accumulate(draws, axis=1)
    for k in range(len(scores)):
        drawn = smallest[:, k]
        assert found.mean[k] == pytest.approx(drawn[np.isfinite(drawn)].mean(), rel=0.01)
        for share, ours in ((0.025, found.low[k]), (0.975, found.high[k])):
            # the quantile of a distribution of few values: as much lies below it as has to, and not more
            assert (drawn < ours).mean() <= share + 0.004
            assert (drawn <= ours).mean() >= share - 0.004


def test_more_trials_are_never_worse():
    for seed in range(30):
        found = best_so_far(asha(seed=seed).trials)
        for curve in (found.mean, found.low, found.high, found.actual):
            assert (np.diff(curve[np.isfinite(curve)]) <= 1e-9).all()
            assert np.isfinite(curve[int(np.isfinite(curve).argmax()) :]).all()
        scores = counted(asha(seed=seed).trials)
        assert min(scores.values()) == found.actual[-1] <= found.mean[-1] <= np.mean(list(scores.values()))


def test_the_mean_of_one_draw_is_the_mean_of_the_trials():
    assert best_so_far(scored([3.0, 4.0, 8.0])).mean[0] == pytest.approx(5)


def test_the_band_of_one_trial_is_a_point():
    found = best_so_far(scored([7.0]))
    assert [curve.tolist() for curve in (found.mean, found.low, found.high, found.actual)] == [[7.0]] * 4


@pytest.mark.parametrize("scores", [[], [None], [None, None, None]])
def test_without_a_score_there_is_no_best(scores):
    found = best_so_far(scored(scores))
    assert len(found.mean) == len(scores)
    assert not np.isfinite([*found.mean, *found.low, *found.high, *found.actual]).any()


def test_trials_that_still_run_are_no_draws_yet():
    assert len(best_so_far([*scored([3.0, 4.0]), Trial(9, {})]).mean) == 2


def trials_of(count, score, seed=0, **more):
    """Trials of four parameters, of which `score` looks at what it likes."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(1, count + 1):
        parameters = {"lr": float(10 ** rng.uniform(-4, -2)), "name": ["a", "b"][rng.integers(2)]}
        parameters |= {"idle": float(rng.uniform()), "flag": bool(rng.integers(2))}
        if parameters["name"] == "b":
            parameters["only_b"] = float(rng.uniform())
        found.append(Trial(i, parameters, "finished", rung=1, score=float(score(parameters, rng))))
    return found


def test_a_parameter_that_alone_decides_has_all_the_importance():
    found = importance(trials_of(40, lambda p, _: -math.log(p["lr"])))
    assert next(iter(found.shares)) == "lr"
    assert 0.85 < found.shares["lr"][0] <= 1.05
    assert all(abs(share) < 0.05 for name, (share, *_) in found.shares.items() if name != "lr")
    assert found.explained > 0.9
    assert all(low <= share <= high for share, low, high in found.shares.values())


def test_a_name_that_alone_decides_has_all_the_importance():
    trials = trials_of(40, lambda p, rng: 10 * (p["name"] == "a") + rng.uniform())
    found = importance(trials)
    part = np.mean([trial.parameters["name"] == "a" for trial in trials])
    # of the order, which of two names decides so much, and chance the rest: three quarters where both are as frequent
    assert found.shares["name"][0] == pytest.approx(3 * part * (1 - part), abs=0.12)
    assert found.shares["idle"][0] < 0.05


@pytest.mark.parametrize("others", [[0.5], [0.2, 0.5, 0.9]])
def test_null_is_a_value_as_any_word_is(others):
    def decided(off):
        rng = np.random.default_rng(0)
        drawn = [[off, *others][rng.integers(1 + len(others))] for _ in range(40)]
        scores = [10 * (value == off) + rng.uniform() for value in drawn]
        return importance(
            [
                Trial(i, {"ema": v}, "finished", rung=1, score=s)
                for i, (v, s) in enumerate(zip(drawn, scores, strict=True), 1)
            ]
        )

    assert decided(None) == decided("None")
    assert decided(None).shares["ema"][0] > 0.4


def test_a_parameter_of_some_trials_can_decide_among_these():
    found = importance(trials_of(60, lambda p, _: p.get("only_b", 0.5)))
    assert next(iter(found.shares)) == "only_b"
    assert found.shares["only_b"][0] > 0.4


def test_chance_has_no_importance():
    for seed in range(3):
        found = importance(trials_of(24, lambda _, rng: rng.uniform(), seed))
        assert found.explained < 0.25
        assert all(share < 0.15 for share, *_ in found.shares.values())


def test_what_makes_trials_diverge_is_important():
    trials = trials_of(40, lambda _, rng: rng.uniform())
    lost = [replace(t, status="diverged", score=None) if t.parameters["lr"] > 2e-3 else t for t in trials]
    found = importance(lost)
    assert next(iter(found.shares)) == "lr"
    assert found.shares["lr"][0] > 0.3


def test_the_same_trials_say_the_same():
    trials = trials_of(12, lambda p, rng: p["lr"] + rng.uniform())
    assert importance(trials) == importance(trials)


def test_too_few_trials_say_nothing():
    trials = trials_of(analysis.MIN_TRIALS, lambda p, _: p["lr"])
    assert importance(trials)
    assert importance(trials[:-1]) is None
    assert importance([*trials[:-1], replace(trials[-1], status="failed", score=None)]) is None


def test_neither_a_population_nor_equal_parameters_say_anything():
    assert importance(population(12).trials) is None
    assert importance(scored([float(i) for i in range(12)])) is None
    assert importance([replace(t, parameters={"a": 1}) for t in scored([float(i) for i in range(12)])]) is None


def test_values_that_were_drawn_by_their_logarithm_are_told_from_others():
    rng = np.random.default_rng(0)
    assert analysis.is_logarithmic((10 ** rng.uniform(-4, -2, 20)).tolist())
    assert analysis.is_logarithmic([0.001, 0.01, 0.1])
    assert not analysis.is_logarithmic(rng.uniform(0, 1, 20).tolist())
    assert not analysis.is_logarithmic([0.0, 0.01, 1.0])
    assert not analysis.is_logarithmic([1.0, 2.0, 10.0])
    assert not analysis.is_logarithmic([])


def test_odd_values_are_names():
    trials = trials_of(12, lambda p, _: p["lr"])
    odd = [replace(t, parameters=t.parameters | {"odd": [math.nan, math.inf, "1", 1, [1]][i % 5]}) for i, t in
           enumerate(trials)]  # fmt: skip
    assert "odd" in importance(odd).shares
    assert len(ranked(odd)) == 12
