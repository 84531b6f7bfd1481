"""Labels from seeds, in the shares of the training samples."""

import numpy as np
import pytest

from ganops.core.labels import BY_FREQUENCY, IN_TURN, Labelling, class_labels, in_turn

IMBALANCED = (2000, 1433, 1027, 736, 528, 378, 271, 194, 139, 100)


@pytest.mark.parametrize("counts", [IMBALANCED, (1,) * 10, (5, 0, 3), (0, 1, 0), (10**15, 1, 10**15), (3,)])
@pytest.mark.parametrize("first", [0, 10**6, -700, 2**62, -(2**63)])
@pytest.mark.parametrize("length", [10, 997, 10_000])
def test_any_run_of_seeds_has_each_class_in_its_share(counts, first, length):
    found = np.bincount(class_labels(first + np.arange(length), counts), minlength=len(counts))
    expected = length * np.array(counts, float) / sum(counts)
    assert np.abs(found - expected).max() <= 3  # by chance the largest class of 10,000 would be off by 40
    assert not found[np.array(counts) == 0].any()


def test_a_seed_has_one_label_in_any_batch_and_order():
    seeds = np.random.default_rng(0).integers(-(2**62), 2**62, 500)
    together = class_labels(seeds, IMBALANCED)
    assert np.array_equal(together[::-1], class_labels(seeds[::-1], IMBALANCED))
    assert [class_labels(np.array([seed]), IMBALANCED)[0] for seed in seeds] == together.tolist()
    assert class_labels(np.array([], np.int64), IMBALANCED).shape == (0,)


def by_hand(seed, counts):
    """The definition, in whole numbers of any length."""
    place, end = seed * 11400714819323198485 % 2**64, 0
    for label, count in enumerate(counts):
        end += count
        if place * sum(counts) < end * 2**64:
            return label
    raise AssertionError


def test_labels_are_those_of_the_definition_for_ever():
    seeds = [*range(12), 10**6, -1, -(2**63), 2**63 - 1]
    for counts in (IMBALANCED, (4, 2, 1), (10**15, 1, 10**15)):
        assert class_labels(np.array(seeds), counts).tolist() == [by_hand(seed, counts) for seed in seeds]
    assert class_labels(np.arange(8), (4, 2, 1)).tolist() == [0, 1, 0, 1, 0, 0, 1, 0]


def test_labels_do_not_know_the_latents():
    """The share of a class is the same among seeds of either parity, and among multiples of 10."""
    seeds = np.arange(50_000)
    labels = class_labels(seeds, IMBALANCED)
    for part in (seeds % 2 == 0, seeds % 10 == 0, seeds < 500):
        shares = np.bincount(labels[part], minlength=10) / part.sum()
        np.testing.assert_allclose(shares, np.array(IMBALANCED) / sum(IMBALANCED), atol=0.01)


def test_what_draws_says_how_it_is_labelled():
    class Drawer:
        classes, class_counts = 3, (4, 2, 1)

    seeds = np.arange(7)
    assert Labelling.of(Drawer()).name == BY_FREQUENCY
    assert np.array_equal(Labelling.of(Drawer())(seeds), class_labels(seeds, (4, 2, 1)))
    Drawer.class_counts = ()
    assert Labelling.of(Drawer()).name == IN_TURN
    assert Labelling.of(Drawer())(seeds).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert Labelling.of(object()).name is None
    assert Labelling.of(object())(seeds) is None


def test_classes_in_turn():
    seeds = np.array([-1, 0, 1, 9, 10, 2**53], np.int64)
    assert in_turn(seeds, 10).tolist() == Labelling(10)(seeds).tolist() == [9, 0, 1, 9, 0, 2]
    assert in_turn(seeds, 0).tolist() == [0] * 6
    assert in_turn([3], 2).dtype == np.int64
