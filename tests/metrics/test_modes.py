import numpy as np
import pytest
from scipy.stats import entropy

from ganops.core.errors import FeatureError
from ganops.metrics.inception_score import class_histogram
from ganops.metrics.modes import mode_coverage

MNIST = np.array([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
"""Digits of the training set by class."""


def combinations(classes, parts):
    return np.stack(np.meshgrid(*[np.arange(classes)] * parts), -1).reshape(-1, parts)


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_even_counts_are_all_modes_at_no_divergence(parts):
    assert mode_coverage(np.tile(combinations(10, parts), (26, 1)), 10) == (10**parts, pytest.approx(0, abs=1e-12))


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_one_mode_is_as_far_as_it_gets(parts):
    assert mode_coverage(np.full((50, parts), 7), 10) == (1, pytest.approx(parts * np.log(10)))


def test_half_of_the_modes_evenly_is_log_2():
    assert mode_coverage(combinations(10, 3)[::2], 10) == (500, pytest.approx(np.log(2)))


def test_equals_scipy_on_the_histogram_of_all_modes():
    classes = np.random.default_rng(0).integers(0, 7, (300, 2)) ** 2 // 6
    histogram = class_histogram(np.eye(49)[classes @ [7, 1]])
    expected = (histogram > 0).sum(), pytest.approx(entropy(histogram, np.ones(49)))
    assert mode_coverage(classes, 7) == expected


def test_names_order_and_place_do_not_matter():
    source = np.random.default_rng(0)
    classes = source.integers(0, 5, (200, 3)) // 2
    changed = source.permutation(source.permutation(5)[classes])[:, [2, 0, 1]]
    assert mode_coverage(changed, 5) == pytest.approx(mode_coverage(classes, 5))


def test_divergences_of_independent_parts_add_up():
    a, b = np.array([0, 0, 0, 1]), np.array([0, 1, 1, 2, 2])
    both = np.stack(np.meshgrid(a, b), -1).reshape(-1, 2)
    assert mode_coverage(both, 3)[1] == pytest.approx(mode_coverage(a[:, None], 3)[1] + mode_coverage(b[:, None], 3)[1])


def test_floor_of_an_ideal_sampler_of_stacked_mnist():
    source = np.random.default_rng(0)
    draws = [mode_coverage(source.choice(10, (26000, 3), p=MNIST / MNIST.sum()), 10) for _ in range(20)]
    modes, divergences = np.transpose(draws)
    assert modes.tolist() == [1000] * 20
    assert divergences.mean() == pytest.approx(0.0236, abs=3 * 0.0011 / 20**0.5)
    assert divergences.std() == pytest.approx(0.0011, rel=0.5)


@pytest.mark.parametrize("classes", [np.zeros(5, int), np.zeros((0, 3), int), np.array([[0, 3]]), np.array([[-1, 0]])])
def test_what_is_no_class_is_refused(classes):
    with pytest.raises(FeatureError, match=r"expected classes \[N, S\] in \[0, 3\)"):
        mode_coverage(classes, 3)
