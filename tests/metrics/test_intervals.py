"""Intervals by half-sampling."""

import numpy as np
import pytest

from ganops.errors import FeatureError
from ganops.metrics.frechet import Statistics, distance_to
from ganops.metrics.intervals import Interval, halves, replicates
from ganops.metrics.neighbours import precision_recall_density_coverage

DIMENSIONS, COUNT = 8, 300
RANDOM = np.random.default_rng(0)
REAL = RANDOM.normal(size=(COUNT, DIMENSIONS))
DISTANCE = distance_to(Statistics.of(RANDOM.normal(size=(3000, DIMENSIONS))))


def draw(generator, shift=0.2):
    return generator.normal(shift, 1.1, (COUNT, DIMENSIONS))


def distances(x, seed=0):
    spread = replicates(lambda half: {"fd": DISTANCE(Statistics.of(x[half]))}, len(x), seed=seed)
    return DISTANCE(Statistics.of(x)), spread["fd"]


def test_a_half_has_no_sample_twice_and_follows_from_count_and_seed():
    first, second = ([*halves(101, repetitions=5, seed=1)] for _ in range(2))
    assert all(len(set(half.tolist())) == len(half) == 50 for half in first)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], next(halves(101, repetitions=5, seed=2)))
    with pytest.raises(FeatureError, match="at least 40 samples, got 39"):
        next(halves(39, seed=0))


def test_halves_of_a_mean_have_the_error_of_the_mean():
    x = RANDOM.normal(size=2000)
    spread = replicates(lambda half: {"mean": x[half].mean()}, len(x), repetitions=400, seed=0)["mean"]
    assert spread.std() == pytest.approx(x.std() / len(x) ** 0.5, rel=0.1)


def test_halves_spread_as_much_as_fresh_samples_do():
    generator = np.random.default_rng(1)

    def figures(x):
        return {"fd": DISTANCE(Statistics.of(x)), **precision_recall_density_coverage(REAL[:150], x)}

    fresh = [figures(draw(generator)[:150]) for _ in range(100)]
    samples = [draw(generator)[:150] for _ in range(5)]
    found = [replicates(lambda half, x=x: figures(x[half]), 150, repetitions=40, seed=0) for x in samples]
    for name in fresh[0]:
        ratio = np.mean([each[name].std() for each in found]) / np.std([each[name] for each in fresh])
        # half as many samples cover less and move more where nearly all is covered: too wide, never too narrow
        assert 0.75 < ratio < (2 if name in ("recall", "coverage") else 1.3), name


def test_one_generator_under_two_seeds_shows_no_difference_19_times_in_20():
    generator = np.random.default_rng(2)
    excluded = 0
    for repetition in range(100):
        (one, spread_one), (other, spread_other) = (distances(draw(generator), repetition) for _ in range(2))
        excluded += Interval.about(other - one, spread_other - spread_one).excludes_zero
    assert 1 <= excluded <= 10  # 5 are expected; more than 10, or none at all, has a chance of 1 %


def test_pairing_finds_a_difference_that_is_smaller_than_the_noise_of_either_side():
    x = draw(np.random.default_rng(3))
    (one, spread_one), (other, spread_other) = distances(x), distances(x + 0.02)
    alone, paired = Interval.about(one, spread_one), Interval.about(other - one, spread_other - spread_one)
    assert alone.low < other < alone.high
    assert paired.excludes_zero
