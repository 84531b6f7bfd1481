import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu, norm

from ganops.core.errors import FeatureError
from ganops.metrics import memorisation as module
from ganops.metrics.memorisation import SIGNS, Near, data_copying, examine, memorisation, verdict
from ganops.metrics.neighbours import nearest

MODES = np.random.default_rng(7).normal(0, 4, (5, 6))


def draw(count, seed):
    """A mixture of five Gaussians in six dimensions."""
    generator = np.random.default_rng(seed)
    return (MODES[generator.integers(0, 5, count)] + generator.normal(size=(count, 6))).astype(np.float32)


TRAIN, HELD_OUT, FRESH = draw(2000, 0), draw(500, 1), draw(1000, 2)


def mixed(share, rest=FRESH):
    """Fresh samples, a share of them replaced by training samples."""
    count = round(share * len(rest))
    return np.concatenate([TRAIN[:count], rest[count:]])


def test_fresh_samples_are_like_held_out_ones():
    found = memorisation(TRAIN, HELD_OUT, FRESH, seed=0)
    assert found["authenticity"] == pytest.approx(found["authenticity_held_out"], abs=0.06)
    assert abs(found["ct"]) < 3
    assert abs(found["ct_held_out"]) < 3
    assert found["near_copies"] == pytest.approx(0.01, abs=0.015)
    assert (found["copied_share"], found["memorisation_verdict"]) == (0, 0)
    assert found["ct_cells"] == 3


def test_the_training_set_itself_is_copied():
    found = memorisation(TRAIN, HELD_OUT, TRAIN, seed=0)
    assert found["authenticity"] == found["authenticity_copied"] == 0
    assert found["ct"] == pytest.approx(found["ct_copied"], rel=0.02)
    assert found["ct"] < -20
    assert found["near_copies"] == 1
    assert (found["copied_share"], found["memorisation_verdict"]) == (1, 2)


def test_every_sign_is_linear_in_the_share_of_copies():
    """C_T only nearly: its cells are weighted by held-out samples, whatever share of the copies they hold."""
    ends = [memorisation(TRAIN, HELD_OUT, mixed(share), seed=0) for share in (0, 1)]
    for share in (0.3, 0.6):
        found = memorisation(TRAIN, HELD_OUT, mixed(share), seed=0)
        for sign in SIGNS:
            expected = (1 - share) * ends[0][sign] + share * ends[1][sign]
            assert found[sign] == pytest.approx(expected, abs=0.06 * abs(ends[1][sign] - ends[0][sign]))
        assert found["copied_share"] == pytest.approx(share, abs=0.05)
        assert found["memorisation_verdict"] == (1 if share < 0.5 else 2)


def test_copies_stand_out_among_bad_samples():
    """Bad samples are far from the training set: authenticity and C_T say that all is well."""
    found = memorisation(TRAIN, HELD_OUT, mixed(0.3, rest=FRESH + 3), seed=0)
    assert found["authenticity"] > found["authenticity_held_out"]
    assert found["ct"] > 0
    assert found["copied_share"] == pytest.approx(0.3, abs=0.03)
    assert found["memorisation_verdict"] == 1


def test_samples_pulled_towards_training_ones_are_noticed_without_near_copies():
    indices, _ = nearest(FRESH, TRAIN)
    pulled = 0.75 * FRESH + 0.25 * TRAIN[indices[:, 0]]
    found = memorisation(TRAIN, HELD_OUT, pulled, seed=0)
    assert found["near_copies"] < 0.1
    assert found["memorisation_verdict"] >= 1


def test_chance_is_not_taken_for_copies():
    verdicts = [memorisation(draw(300, i), draw(60, i + 50), draw(200, i + 99), seed=i) for i in range(20)]
    assert {found["memorisation_verdict"] for found in verdicts} == {0}


def z_of(x, y):
    """By scipy: the quantile of the one-sided p-value is the z-score."""
    p = mannwhitneyu(x, y, alternative="less", method="asymptotic", use_continuity=False).pvalue
    return norm.ppf(p)


def test_in_one_cell_it_is_the_test_of_mann_and_whitney():
    found = memorisation(TRAIN, HELD_OUT, mixed(0.2), seed=0, cells=1)["ct"]
    x, y = (cdist(side, TRAIN).min(axis=1) for side in (mixed(0.2), HELD_OUT))
    m, n = len(x), len(y)
    wins = (x[:, None] > y).sum()
    assert found == pytest.approx((wins - m * n / 2) / (m * n * (m + n + 1) / 12) ** 0.5)
    assert found == pytest.approx(z_of(x, y), rel=0.01)  # which corrects for the ties of the copies


def near(distances, cells):
    distances = np.asarray(distances, np.float64)
    return Near(distances, np.ones(len(distances)), np.asarray(cells))


def test_cells_weigh_by_held_out_samples_and_small_ones_are_left_out():
    """In cell 0 the samples are closer than all held-out ones, in cell 1 farther; cell 2 lacks samples."""
    sample = near([0.1] * 20 + [9] * 20 + [0.1] * 5, [0] * 20 + [1] * 20 + [2] * 5)
    held_out = near([1] * 30 + [2] * 10 + [3] * 90, [0] * 30 + [1] * 10 + [2] * 90)
    deviations = [(20 * n * (21 + n) / 12) ** 0.5 for n in (30, 10)]
    low, high = -300 / deviations[0], 100 / deviations[1]
    assert data_copying(sample, held_out) == pytest.approx((30 * low + 10 * high) / 40)


def test_where_no_cell_has_enough_all_are_one():
    sample, held_out = near([0.1, 9] * 9, [0, 1] * 9), near([1, 2] * 30, [0, 1] * 30)
    assert data_copying(sample, held_out) == 0  # half of them are closer than all, half farther


def test_the_control_of_copies_is_what_a_search_would_find():
    found = examine(TRAIN, HELD_OUT, FRESH, seed=0)["copied"]
    rows = np.arange(200)
    _, distances = nearest(TRAIN[rows], TRAIN, 2)
    direction = np.random.default_rng(0).normal(size=(200, 6))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    moved, away = nearest(TRAIN[rows] + module.COPY * distances[:, 1:] * direction, TRAIN)
    np.testing.assert_array_equal(moved[:, 0], rows)
    np.testing.assert_allclose(away[:, 0], module.COPY * distances[:, 1], rtol=1e-5)
    np.testing.assert_allclose(found.distance, module.COPY * found.own)


def test_equal_seeds_equal_results_and_any_order_of_training_samples_equal_neighbours():
    found = memorisation(TRAIN, HELD_OUT, FRESH, seed=3)
    assert memorisation(TRAIN, HELD_OUT, FRESH, seed=3) == found
    assert all(isinstance(value, float) for value in found.values())
    other = memorisation(TRAIN[::-1], HELD_OUT, FRESH, seed=3)
    assert [other[sign] for sign in ("authenticity", "near_copies")] == [found["authenticity"], found["near_copies"]]


def test_more_samples_than_are_looked_at(monkeypatch):
    monkeypatch.setattr(module, "SAMPLES", 200)
    near = examine(TRAIN, HELD_OUT, FRESH, seed=0)
    assert {name: len(side) for name, side in near.items()} == {"generated": 200, "held_out": 200, "copied": 200}
    assert memorisation(TRAIN, HELD_OUT, mixed(0.5), seed=0)["copied_share"] == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("signs", "share", "level"),
    [
        ((0.6, 0.0, 0.01), 0, 0),
        ((0.6, 0.0, 0.208), 0.2, 1),
        ((0.3, 0.0, 0.01), 0, 0),  # authenticity alone
        ((0.3, -20.0, 0.01), 0.4, 1),  # the lesser of the two
        ((0.0, -50.0, 0.01), 1, 2),
        ((0.9, 10.0, 0.703), 0.7, 2),
        ((0.55, -3.0, 0.02), 0, 0),  # within three standard errors
    ],
)
def test_the_rule(signs, share, level):
    honest, copies = (0.6, 0.0, 0.01), (0.0, -50.0, 1.0)
    found = verdict(*(dict(zip(SIGNS, side, strict=True)) for side in (signs, honest, copies, (0.02, 1.4, 0.01))))
    assert found["copied_share"] == pytest.approx(share, abs=1e-9)
    assert found["memorisation_verdict"] == level


def test_what_cannot_be_measured():
    with pytest.raises(FeatureError, match="at least 50 held-out samples, got 49"):
        memorisation(TRAIN, HELD_OUT[:49], FRESH, seed=0)
    with pytest.raises(FeatureError, match="at least 50 generated samples, got 10"):
        memorisation(TRAIN, HELD_OUT, FRESH[:10], seed=0)
    with pytest.raises(FeatureError, match=r"generated features: expected \[N, 6\] as of train, got \[1000, 5\]"):
        memorisation(TRAIN, HELD_OUT, FRESH[:, :5], seed=0)
    broken = FRESH.copy()
    broken[4, 2] = np.nan
    with pytest.raises(FeatureError, match="1 of 1000 generated samples have features that are not finite"):
        memorisation(TRAIN, HELD_OUT, broken, seed=0)
