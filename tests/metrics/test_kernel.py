import numpy as np
import pytest
import torch
from torchmetrics.image.kid import poly_mmd

from ganops.core.errors import FeatureError
from ganops.metrics import kernel
from ganops.metrics.intervals import halves
from ganops.metrics.kernel import kernel_distance, kernel_replicates, subset_size

generator = np.random.default_rng(0)
X, Y = generator.normal(size=(60, 8)), generator.normal(0.5, 1.5, (60, 8))


def test_the_whole_set_agrees_with_torchmetrics():
    values = kernel_distance(X, Y, subsets=3, size=60, seed=0)
    assert values.mean() == pytest.approx(poly_mmd(torch.from_numpy(X), torch.from_numpy(Y)).item(), rel=1e-9)
    assert values.std() < 1e-12


def test_the_definition_pair_by_pair():
    def kernel(a, b):
        return (a @ b / 8 + 1) ** 3

    x, y = X[:5], Y[:5]
    within = np.mean([kernel(a[i], a[j]) for a in (x, y) for i in range(5) for j in range(5) if i != j])
    between = np.mean([kernel(a, b) for a in x for b in y])
    assert kernel_distance(x, y, subsets=1, seed=0)[0] == pytest.approx(2 * within - 2 * between)


def test_is_unbiased():
    """The mean over many subsets of one distribution is 0 within its error; with the diagonal it would not be."""
    x, y = generator.normal(size=(4000, 4)), generator.normal(size=(4000, 4))
    values = kernel_distance(x, y, subsets=200, size=40, seed=1)
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(200)


def test_more_samples_than_there_are():
    assert subset_size(X, Y[:30]) == 30
    with pytest.raises(FeatureError, match="got 60 and 1"):
        kernel_distance(X, Y[:1], seed=0)


def test_the_seed_draws_the_subsets():
    same, again, other = (kernel_distance(X, Y, subsets=5, size=20, seed=seed).tolist() for seed in (0, 0, 1))
    assert same == again != other


def test_halves_are_what_the_distance_says_of_each_half(monkeypatch):
    monkeypatch.setattr(kernel, "BLOCK", 60 * 7)  # in blocks of rows, the last one shorter
    members = [*halves(60, repetitions=6, seed=0)]
    expected = [poly_mmd_of_unequal(X, Y[half]) for half in members]
    found = kernel_replicates(X, Y, members)
    np.testing.assert_allclose(found - found[0], np.array(expected) - expected[0], rtol=1e-9)


def poly_mmd_of_unequal(x, y):
    def k(a, b):
        return (a @ b.T / a.shape[1] + 1) ** 3

    within = sum((k(a, a).sum() - np.trace(k(a, a))) / (len(a) * (len(a) - 1)) for a in (x, y))
    return within - 2 * k(x, y).mean()


def test_halves_spread_as_much_as_fresh_samples_do():
    def fresh():
        return generator.normal(0.3, 1.1, (200, 4))

    x = generator.normal(size=(400, 4))
    spread = np.std([poly_mmd_of_unequal(x, fresh()) for _ in range(150)])
    found = [kernel_replicates(x, y, halves(200, repetitions=60, seed=0)).std() for y in (fresh() for _ in range(6))]
    assert np.mean(found) == pytest.approx(spread, rel=0.25)
