import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torchmetrics.image.fid import _compute_fid

from ganops.errors import FeatureError
from ganops.metrics.frechet import Statistics, Sums, frechet_distance, frechet_infinity


def draw(count, dimensions, seed, mean=0.0, scale=1.0):
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(dimensions, dimensions))
    return (generator.normal(mean, scale, (count, dimensions)) @ mixing).astype(np.float32)


def by_square_root(a, b):
    """The definition, by scipy's Schur method."""
    root = sqrtm(a.covariance @ b.covariance)
    return np.square(a.mean - b.mean).sum() + np.trace(a.covariance + b.covariance - 2 * root.real)


def test_statistics_are_those_of_numpy():
    x = draw(200, 5, 0, mean=10)
    statistics = Statistics.of(x)
    np.testing.assert_allclose(statistics.mean, x.astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(statistics.covariance, np.cov(x.astype(np.float64), rowvar=False), rtol=1e-9, atol=1e-9)


def test_partial_sums_add_up_to_the_whole():
    x = draw(100, 6, 1)
    parts = Sums.of(x[:10]).add(x[10:11]) + Sums.of(x[11:])
    whole = Statistics.of(x)
    assert parts.statistics().count == whole.count == 100
    np.testing.assert_allclose(parts.statistics().covariance, whole.covariance, rtol=1e-10, atol=1e-12)


def test_published_value():
    """Means 4 and 8 apart, variances 0.25 and 12.25 on one axis: 89, and 89.0909 with the unbiased covariance."""
    a, b = np.ones((100, 2)), np.full((100, 2), 9.0)
    a[:50, 0], b[50:, 0] = 2, 2
    assert frechet_distance(Statistics.of(a), Statistics.of(b)) == pytest.approx(89.0909, abs=1e-4)


def test_equal_covariance_leaves_the_distance_of_the_means():
    covariance = np.cov(draw(50, 8, 2), rowvar=False)
    a, b = Statistics(50, np.zeros(8), covariance), Statistics(50, np.full(8, 2.0), covariance)
    assert frechet_distance(a, b) == pytest.approx(32, rel=1e-9)


@pytest.mark.parametrize("dimensions", [1, 4, 16])
def test_agrees_with_scipy_and_torchmetrics(dimensions):
    a, b = Statistics.of(draw(300, dimensions, 3)), Statistics.of(draw(200, dimensions, 4, mean=1, scale=2))
    assert frechet_distance(a, b) == pytest.approx(by_square_root(a, b), rel=1e-8)
    tensors = [torch.from_numpy(x) for x in (a.mean, a.covariance, b.mean, b.covariance)]
    assert frechet_distance(a, b) == pytest.approx(_compute_fid(*tensors).item(), rel=1e-6)


def test_is_symmetric_and_zero_of_itself():
    a, b = Statistics.of(draw(300, 16, 5)), Statistics.of(draw(200, 16, 6))
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)
    assert 0 <= frechet_distance(a, a) < 1e-9 * np.trace(a.covariance)


@pytest.mark.parametrize("count", [2, 5, 20])
def test_fewer_samples_than_dimensions(count):
    """Both covariances are singular. Flat sets in orthogonal subspaces have no fidelity: the traces add."""
    a, b = np.zeros((count, 60)), np.zeros((count, 60))
    a[:, :30], b[:, 30:] = draw(count, 30, 7), draw(count, 30, 8)
    one, two = Statistics.of(a), Statistics.of(b)
    apart = np.square(one.mean - two.mean).sum() + np.trace(one.covariance + two.covariance)
    assert frechet_distance(one, two) == pytest.approx(apart, rel=1e-9)
    assert 0 <= frechet_distance(one, one) < 1e-5 * np.trace(one.covariance)


def test_constant_features():
    a, b = Statistics.of(np.ones((10, 3))), Statistics.of(np.zeros((10, 3)))
    assert frechet_distance(a, b) == 3


def test_order_of_the_samples_does_not_matter():
    x, y = draw(100, 8, 9), Statistics.of(draw(100, 8, 10))
    assert frechet_distance(Statistics.of(x), y) == pytest.approx(
        frechet_distance(Statistics.of(x[::-1]), y), rel=1e-10
    )


def test_extrapolation_removes_the_bias_of_few_samples():
    """Samples of the reference's own distribution: the distance of 2,000 is far above 0, extrapolated it is not."""
    generator = np.random.default_rng(0)
    reference = Statistics(10**9, np.zeros(32), np.eye(32))
    x = generator.normal(size=(2000, 32))
    plain = frechet_distance(reference, Statistics.of(x))
    infinite = frechet_infinity(x, reference, seed=0)
    assert plain > 0.1
    assert abs(infinite) < plain / 5
    assert infinite == frechet_infinity(x, reference, seed=0) != frechet_infinity(x, reference, seed=1)


def test_what_cannot_be_computed_is_refused():
    with pytest.raises(FeatureError, match="at least 2 samples"):
        Statistics.of(np.zeros((1, 3)))
    with pytest.raises(FeatureError, match=r"expected \[N, d\]"):
        Statistics.of(np.zeros(3))
    with pytest.raises(FeatureError, match="3 and of 4 dimensions"):
        frechet_distance(Statistics.of(np.eye(3)), Statistics.of(np.eye(4)))
    with pytest.raises(FeatureError, match="cannot extrapolate"):
        frechet_infinity(np.zeros((2, 3)), Statistics.of(np.eye(3)), seed=0)
