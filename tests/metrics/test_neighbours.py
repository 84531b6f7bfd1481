import numpy as np
import pytest
from scipy.spatial.distance import cdist

from ganops.core.errors import FeatureError
from ganops.metrics import neighbours
from ganops.metrics.neighbours import nearest, precision_recall_density_coverage, realism

generator = np.random.default_rng(0)
REAL, FAKE = generator.normal(size=(80, 5)), generator.normal(0.3, 0.8, (70, 5))


def by_definition(real, fake, k):
    between = cdist(real, fake)
    real_radius, fake_radius = (np.sort(cdist(x, x), axis=1)[:, k] for x in (real, fake))
    inside = between < real_radius[:, None]
    return {
        "precision": inside.any(axis=0).mean(),
        "recall": (between < fake_radius[None]).any(axis=1).mean(),
        "density": inside.sum(axis=0).mean() / k,
        "coverage": (between.min(axis=1) < real_radius).mean(),
    }


@pytest.mark.parametrize("k", [1, 5])
def test_agrees_with_the_definition_in_blocks_of_any_size(k, monkeypatch):
    expected = by_definition(REAL, FAKE, k)
    assert precision_recall_density_coverage(REAL, FAKE, k) == pytest.approx(expected)
    monkeypatch.setattr(neighbours, "BLOCK", 200)
    assert precision_recall_density_coverage(REAL, FAKE, k) == pytest.approx(expected)


def test_equal_sets():
    found = precision_recall_density_coverage(REAL, REAL)
    assert (found["precision"], found["recall"], found["coverage"]) == (1, 1, 1)


def test_published_value_of_equal_distributions():
    """Coverage of one distribution by itself: 1 - (N-1)...(N-k) / ((2N-1)...(2N-k)) (Naeem et al. 2020, lemma 2)."""
    real, fake = generator.normal(size=(2, 2000, 64))
    found = precision_recall_density_coverage(real, fake)
    index = np.arange(1, 6)
    assert found["coverage"] == pytest.approx(1 - np.prod((2000 - index) / (4000 - index)), abs=0.02)
    assert found["density"] == pytest.approx(1, abs=0.1)


def test_narrow_fakes_are_precise_but_recall_little_and_wide_ones_the_reverse():
    wide, narrow = generator.normal(size=(500, 4)), generator.normal(0, 0.2, (500, 4))
    found, reverse = precision_recall_density_coverage(wide, narrow), precision_recall_density_coverage(narrow, wide)
    assert found["precision"] > 0.9
    assert found["recall"] < 0.3
    assert reverse["precision"] < 0.3
    assert reverse["recall"] > 0.9


def test_apart():
    assert set(precision_recall_density_coverage(REAL, FAKE + 1000).values()) == {0.0}


def test_order_does_not_matter():
    assert precision_recall_density_coverage(REAL[::-1], FAKE[::-1]) == precision_recall_density_coverage(REAL, FAKE)


def test_nearest_in_blocks(monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", 300)
    indices, distances = nearest(FAKE, REAL, 3)
    expected = cdist(FAKE, REAL)
    np.testing.assert_array_equal(indices, np.argsort(expected, axis=1)[:, :3])
    np.testing.assert_allclose(distances, np.sort(expected, axis=1)[:, :3], rtol=1e-9)


def test_a_large_common_offset_does_not_blur_small_distances():
    _, distances = nearest(REAL + 1e4, REAL + 1e4, 1)
    assert distances.max() < 1e-5


def test_equal_rows_lie_in_one_anothers_balls():
    """Balls of radius 0: rounding of distances decides nothing, whatever the rotation."""
    rng = np.random.default_rng(0)
    some = rng.standard_normal((40, 65)) * 3
    real, fake = some[rng.integers(40, size=600)], some[rng.integers(40, size=500)]
    found = precision_recall_density_coverage(real, fake)
    assert (found["precision"], found["recall"], found["coverage"]) == (1, 1, 1)
    turned = np.linalg.qr(rng.standard_normal((65, 65)))[0]
    assert precision_recall_density_coverage(real @ turned + 1, fake @ turned + 1) == found


def test_blanks_hide_nothing_of_the_other_samples():
    rng = np.random.default_rng(1)
    real, fake = rng.standard_normal((2, 500, 16))
    plain = precision_recall_density_coverage(real, fake)
    blank = np.zeros((100, 16))
    found = precision_recall_density_coverage(np.concatenate([real, blank]), np.concatenate([fake, blank]))
    for name in ("precision", "recall", "coverage"):
        assert found[name] >= plain[name]


def test_too_few():
    with pytest.raises(FeatureError, match="more than 5 samples a side, got 5 and 70"):
        precision_recall_density_coverage(REAL[:5], FAKE)
    with pytest.raises(FeatureError, match="at least 9"):
        nearest(FAKE, REAL[:8], 9)


def test_realism_is_the_ratio_of_the_radius_to_the_distance():
    real = np.array(
        [[0.0], [1.0], [2.0], [3.0], [50.0]]
    )  # radii by the nearest: 1, 1, 1, 1, 47: the outlier is left out
    values = realism(real, np.array([[3.5], [5.0], [49.0]]), k=1)
    assert values == pytest.approx([2.0, 0.5, 1 / 46])


def test_real_samples_are_more_realistic_than_distant_ones():
    generator = np.random.default_rng(0)
    real = generator.normal(size=(300, 4))
    near, far = (realism(real, generator.normal(shift, 1, (100, 4))) for shift in (0, 4))
    assert np.median(near) > 1 > np.median(far)
    with pytest.raises(FeatureError, match="5 neighbours need more than 5 real samples, got 5"):
        realism(real[:5], real)
