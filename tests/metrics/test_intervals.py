"""Intervals by half-sampling."""

import numpy as np
import pytest

from ganops.core.errors import FeatureError
from ganops.core.labels import class_labels
from ganops.metrics.frechet import Statistics, distance_to, frechet_between
from ganops.metrics.intervals import Interval, halves, replicates, subset
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


COUNTS = (60, 30, 7, 3)
LABELS = class_labels(np.arange(COUNT), COUNTS)


def test_a_stratified_half_has_half_of_each_class():
    whole = np.bincount(LABELS)
    found = [*halves(COUNT, repetitions=50, seed=0, strata=LABELS)]
    for half in found:
        assert len(set(half.tolist())) == len(half) == COUNT // 2
        assert np.abs(np.bincount(LABELS[half], minlength=4) - whole / 2).max() <= 1
    assert np.abs(np.bincount(np.concatenate(found)) - 25).max() < 20  # each sample is in about half of them
    share = subset(COUNT, 100, np.random.default_rng(0), LABELS)
    assert np.abs(np.bincount(LABELS[share], minlength=4) - whole / 3).max() <= 1
    # a class of its own for each sample: neighbours stand in for one another, as far as there can be halves at all
    assert len(next(halves(101, repetitions=1, seed=0, strata=np.arange(101)))) == 50


def test_sides_are_halved_independently():
    one, same, other = ([*halves(100, repetitions=30, seed=0, side=side)] for side in (0, 0, 1))
    assert np.array_equal(one, same)
    common = [len(np.intersect1d(a, b)) for a, b in zip(one, other, strict=True)]
    assert abs(np.mean(common) - 25) < 2


def test_the_chance_of_shares_is_no_part_of_what_a_conditional_generator_draws():
    """Classes 5 apart: the mean of stratified samples has the deviation within classes, in closed form 1/sqrt(N)."""
    x = RANDOM.normal(size=COUNT) + 5.0 * LABELS
    spread, loose = (
        replicates(lambda half: {"mean": x[half].mean()}, COUNT, repetitions=400, seed=0, strata=strata)["mean"].std()
        for strata in (LABELS, None)
    )
    assert spread == pytest.approx(COUNT**-0.5, rel=0.15)
    assert loose > 2 * spread


def moved(generator, count, direction, by=0.5):
    """Samples at a Fréchet distance of by² from the standard normal distribution, whichever the direction."""
    x = generator.normal(size=(count, 4))
    x[:, direction] += by
    return x


def both_sides(x, real, seed):
    """The distance and its replicates: halves of either side."""
    spread = replicates(
        lambda half, beside: {"fd": frechet_between(x[half], real[beside])},
        len(x),
        len(real),
        repetitions=60,
        seed=seed,
    )
    return frechet_between(x, real), spread["fd"]


def one_side(x, real, seed):
    """The same, with the real samples as they are."""
    distance = distance_to(Statistics.of(real))
    spread = replicates(lambda half: {"fd": distance(Statistics.of(x[half]))}, len(x), repetitions=40, seed=seed)
    return frechet_between(x, real), spread["fd"]


def test_an_interval_holds_the_draw_of_the_real_samples_too():
    generator = np.random.default_rng(4)
    worlds = [(moved(generator, 400, 0), generator.normal(size=(150, 4))) for _ in range(120)]
    truth = np.std([frechet_between(*world) for world in worlds])
    wide, narrow = (np.mean([spread(*world, 0)[1].std() for world in worlds[:20]]) for spread in (both_sides, one_side))
    assert 0.85 < wide / truth < 1.35
    assert narrow / truth < 0.7


def promoted(spread, repetitions):
    """How often one of two generators of equal distances, in different directions, is called better, of 2 R times."""
    found = 0
    for seed in range(repetitions):
        generator = np.random.default_rng([5, seed])
        real = generator.normal(size=(150, 4))
        (one, a), (other, b) = (spread(moved(generator, 400, axis), real, seed) for axis in (0, 1))
        found += Interval.about(other - one, b - a).excludes_zero
    return found / (2 * repetitions)


def test_of_two_equal_distances_in_different_directions_neither_is_better_19_times_in_20():
    assert promoted(both_sides, 120) <= 0.035
    assert promoted(one_side, 40) > 0.06  # what the draw of the real samples does where no interval holds it
