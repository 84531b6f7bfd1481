import itertools

import numpy as np
import pytest

from ganops.metrics.curve import Point, domination
from ganops.metrics.intervals import Interval

NOISE = np.random.default_rng(0).normal(size=(2, 100))
AXES = ("fd", "nll")


def point(truncation, fd, nll, spread=0.0):
    figures = {"fd": fd, "nll": nll}
    return Point(truncation, figures, {name: figures[name] + spread * NOISE[i] for i, name in enumerate(AXES)})


ONE = [point(1.0, 2.0, 4.0), point(0.8, 3.0, 3.0), point(0.6, 5.0, 2.0)]


def by(curve, other):
    return [each.by for each in domination(curve, other, AXES)]


def test_a_point_is_dominated_by_one_that_is_lower_in_both():
    """The other is better at 1 and at 0.8, in each by the point beside it; at 0.6 it buys nats by distance alone."""
    other = [point(1.0, 1.5, 3.5), point(0.8, 2.5, 2.5), point(0.6, 6.0, 1.0)]
    assert by(ONE, other) == [1.0, 0.8, None]
    assert by(other, ONE) == [None, None, None]


def test_no_curve_dominates_itself():
    """No temperature of one model is better in both: that is why one number is bought with the other."""
    assert by(ONE, ONE) == [None, None, None]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_point_that_is_the_same_hides_none_that_is_better(order):
    other = [point(1.0, 2.0, 4.0), point(0.9, 1.5, 3.5), point(0.8, 3.0, 3.0)]
    assert by([point(1.0, 2.0, 4.0)], [other[i] for i in order]) == [0.9]


def test_a_point_may_be_dominated_at_another_truncation():
    assert by([point(1.0, 3.5, 3.5)], ONE) == [0.8]


@pytest.mark.parametrize(("spread", "expected"), [(0.0, 1.0), (0.1, 1.0), (10.0, 1.0)])
def test_what_two_points_have_in_common_does_not_blur_their_difference(spread, expected):
    assert by([point(1.0, 2.1, 4.1, spread)], [point(1.0, 2.0, 4.0, spread)]) == [expected]


def test_what_chance_explains_dominates_nothing():
    """Deviations of 1 about a difference of 0.1: the interval is -0.1 +- 1.98."""
    (found,) = domination([point(1.0, 2.1, 4.1, 1.0)], [point(0.9, 2.0, 4.0)], AXES)
    assert found.by is None
    expected = Interval.about(-0.1, -NOISE[0]).ends
    assert found.differences["fd"].ends == pytest.approx(expected)
    assert found.content()["differences"]["fd"]["interval"] == pytest.approx(expected)


def test_a_point_is_plain_values_with_intervals():
    content = point(0.9, 2.0, 4.0, 1.0).content()
    assert (content["truncation"], content["fd"], content["nll"]) == (0.9, 2.0, 4.0)
    low, high = content["intervals"]["fd"]
    assert low < 2.0 < high
