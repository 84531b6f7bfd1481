import numpy as np
import pytest
import torch
from pytorch_fid.fid_score import calculate_frechet_distance
from scipy import linalg
from torchmetrics.image.fid import _compute_fid

from ganops.core.errors import FeatureError
from ganops.metrics import frechet
from ganops.metrics.frechet import (
    Statistics,
    Sums,
    distance_to,
    frechet_between,
    frechet_distance,
    frechet_infinity,
    infinity_smallest,
)


def draw(count, dimensions, seed, mean=0.0, scale=1.0):
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(dimensions, dimensions))
    return (generator.normal(mean, scale, (count, dimensions)) @ mixing).astype(np.float32)


def by_square_root(a, b):
    """The definition, by scipy's Schur method."""
    root = linalg.sqrtm(a.covariance @ b.covariance)
    return np.square(a.mean - b.mean).sum() + np.trace(a.covariance + b.covariance - 2 * root.real)


def by_eigenvalues(a, b):
    """The definition, by the eigenvalues of the product itself, which is not symmetric."""
    values = linalg.eigvals(a.covariance @ b.covariance).astype(complex)
    spread = np.trace(a.covariance + b.covariance) - 2 * np.sqrt(values).real.sum()
    return np.square(a.mean - b.mean).sum() + spread


@pytest.fixture
def eigenvectors(monkeypatch):
    """Sizes of the matrices whose eigenvectors were asked for: the slow way."""
    sizes, eigh = [], linalg.eigh
    monkeypatch.setattr(frechet.linalg, "eigh", lambda matrix: (sizes.append(len(matrix)), eigh(matrix))[1])
    return sizes


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


@pytest.mark.filterwarnings("ignore:The `disp` argument:DeprecationWarning")
def test_agrees_with_pytorch_fid(eigenvectors):
    """At full rank, which needs no eigenvectors."""
    a, b = Statistics.of(draw(600, 256, 11)), Statistics.of(draw(500, 256, 12, mean=0.1))
    expected = calculate_frechet_distance(a.mean, a.covariance, b.mean, b.covariance)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert not a.singular
    assert eigenvectors == []


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


@pytest.mark.parametrize("one", [2, 7, 40, 41, 90])
@pytest.mark.parametrize("two", [2, 7, 40, 41, 90])
def test_any_ranks_agree_with_scipy(one, two):
    a, b = Statistics.of(draw(one, 40, 13)), Statistics.of(draw(two, 40, 14, mean=1))
    assert (a.singular, b.singular) == (one <= 40, two <= 40)
    assert frechet_distance(a, b) == pytest.approx(by_eigenvalues(a, b), rel=1e-6)


def test_singular_covariances_take_the_slow_way_once(eigenvectors):
    few, many = Statistics.of(draw(8, 8, 15)), Statistics.of(draw(90, 8, 16))
    frechet_distance(many, few)
    assert eigenvectors == []
    distance = distance_to(few)
    assert distance(many) == distance(many) == pytest.approx(frechet_distance(many, few), rel=1e-9)
    assert eigenvectors == [8]


@pytest.mark.parametrize("broken", [0.0, 1e-9])
def test_enough_samples_may_still_have_a_singular_covariance(eigenvectors, broken):
    """One feature is constant, or almost the sum of the others."""
    x, y = draw(90, 8, 17).astype(np.float64), Statistics.of(draw(90, 8, 18))
    x[:, 3] = broken and x[:, 4:].sum(axis=1) + broken * x[:, 3]
    flat = Statistics.of(x)
    assert not flat.singular
    assert frechet_distance(flat, y) == pytest.approx(by_eigenvalues(flat, y), rel=1e-6)
    assert eigenvectors == [8]


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


@pytest.mark.parametrize("samples", [4.88, 10])
def test_extrapolation_of_few_samples_a_dimension_misses_the_limit_by_little(samples):
    """4.88 samples a dimension are 10,000 in 2,048; a tenth of them would be fewer than dimensions."""
    d, missed, distances = 40, [], []
    reference = Statistics(10**9, np.zeros(d), np.eye(d))
    for seed in range(8):
        x = np.random.default_rng(seed).normal(size=(int(samples * d), d))
        distances.append(frechet_distance(reference, Statistics.of(x)))
        missed.append(frechet_infinity(x, reference, seed=seed))
    print(f"{np.mean(missed):+.2f} ± {np.std(missed):.2f} where the plain distance is {np.mean(distances):.2f}")
    assert np.sqrt(np.mean(np.square(missed))) < 0.2 * np.mean(distances)
    assert abs(np.mean(missed)) < 0.1 * np.mean(distances)


def test_extrapolation_from_too_few_samples_a_dimension_is_refused():
    reference = Statistics(10**9, np.zeros(40), np.eye(40))
    x = np.random.default_rng(0).normal(size=(180, 40))
    assert infinity_smallest(180, 40) == 120
    assert infinity_smallest(10_000, 64) == 1000
    assert np.isfinite(frechet_infinity(x, reference, seed=0))
    with pytest.raises(FeatureError, match=r"in 40 dimensions from 179 generated samples: expected at least 180"):
        frechet_infinity(x[1:], reference, seed=0)
    assert np.isfinite(frechet_infinity(x[1:], reference, smallest=60, seed=0))  # for whoever asks for it


def test_what_cannot_be_computed_is_refused():
    with pytest.raises(FeatureError, match="at least 2 samples"):
        Statistics.of(np.zeros((1, 3)))
    with pytest.raises(FeatureError, match=r"expected \[N, d\]"):
        Statistics.of(np.zeros(3))
    with pytest.raises(FeatureError, match="3 and of 4 dimensions"):
        frechet_distance(Statistics.of(np.eye(3)), Statistics.of(np.eye(4)))
    with pytest.raises(FeatureError, match="cannot extrapolate"):
        frechet_infinity(np.zeros((2, 3)), Statistics.of(np.eye(3)), seed=0)


@pytest.mark.parametrize("counts", [(12, 15), (12, 90), (90, 12), (30, 31), (90, 80)])
def test_of_features_it_is_the_distance_of_their_statistics(counts):
    """With fewer samples than the 30 dimensions on both sides, on one, as many, and more."""
    x, y = (draw(count, 30, seed, mean=seed, scale=1 + seed / 5) for seed, count in enumerate(counts))
    expected = frechet_distance(Statistics.of(x), Statistics.of(y))
    assert frechet_between(x, y) == pytest.approx(expected, rel=1e-9)
    assert frechet_between(x, x) == pytest.approx(0, abs=1e-9 * expected)


def test_of_one_sample_there_is_no_distance():
    with pytest.raises(FeatureError, match="at least 2 samples, got 1"):
        frechet_between(draw(1, 3, 0), draw(9, 3, 1))
