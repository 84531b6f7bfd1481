import numpy as np
import pytest

from ganops.core.errors import FeatureError
from ganops.metrics.inception_score import class_divergence, class_histogram, inception_score


def softmax(logits):
    p = np.exp(logits)
    return p / p.sum(axis=1, keepdims=True)


def test_published_value():
    score, deviation = inception_score(softmax(np.array([[1, 2, 3], [-1, 5, 3.1]])), splits=1)
    assert score == pytest.approx(1.24357, abs=1e-5)
    assert deviation == 0


def test_sure_and_balanced_is_the_number_of_classes():
    assert inception_score(np.tile(np.eye(5), (20, 1)), splits=10)[0] == pytest.approx(5)


def test_unsure_or_collapsed_is_one():
    assert inception_score(np.full((50, 5), 0.2))[0] == pytest.approx(1)
    assert inception_score(np.tile(np.eye(5)[0], (50, 1)))[0] == pytest.approx(1)


def test_mean_and_deviation_are_over_the_splits():
    p = np.concatenate([np.tile(np.eye(4), (5, 1)), np.tile(np.eye(4)[:1], (20, 1))])  # 4 classes, then 1
    assert inception_score(p, splits=2) == pytest.approx((2.5, 1.5))


def test_fewer_samples_than_splits():
    with pytest.raises(FeatureError, match="at least 10 samples, got 3"):
        inception_score(np.eye(3))


def test_histogram_counts_the_most_probable_class():
    assert class_histogram(np.array([[0.2, 0.8, 0], [0.9, 0.1, 0], [0.3, 0.7, 0]])).tolist() == [1, 2, 0]


def test_divergence_of_histograms():
    even = np.array([1000, 1000])
    assert class_divergence(even, even * 7) == pytest.approx(0, abs=1e-9)
    assert class_divergence(np.array([2000, 0]), even) == pytest.approx(np.log(2), abs=0.01)
    assert 1 < class_divergence(even, np.array([2000, 0])) < np.inf
