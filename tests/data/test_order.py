"""The order of samples: laws of its permutations, and closed forms of what chance gives."""

import time
import tracemalloc

import numpy as np
import pytest
import torch

from ganops.core.randomness import generator
from ganops.data.order import Order, Permutation
from ganops.data.shards import WINDOW

SIZES = (1, 2, 3, 4, 5, 7, 16, 17, 100, 255, 256, 257, 1000)


@pytest.mark.parametrize("count", SIZES)
def test_a_keyed_permutation_takes_each_number_once_and_its_inverse_leads_back(count):
    for key in (0, 2**62 + 12345):
        found = Permutation(count, key)(np.arange(count))
        assert sorted(found) == list(range(count))
        assert np.array_equal(Permutation(count, key).inverse(found), np.arange(count))


def test_an_entry_does_not_depend_on_those_beside_it():
    permutation = Permutation(1000, 7)
    assert permutation(np.array([3, 999])).tolist() == permutation(np.arange(1000))[[3, 999]].tolist()


@pytest.mark.parametrize("count", [2, 3, 5, 13])
def test_over_keys_each_number_comes_to_each_place_equally_often(count):
    """Pearson's statistic of the table of places and numbers.

    Its rows and columns both have fixed sums, so that for uniform permutations it has the mean (n - 1)^2, and about the
    variance 2 (n - 1)^2.
    """
    keys = 2000
    table = np.zeros((count, count))
    for key in range(keys):
        table[np.arange(count), Permutation(count, key)(np.arange(count))] += 1
    # of the n expected deviations, n - 1 are free: a permutation matrix has variance 1 / (n - 1) more than n cells say
    statistic = ((table - keys / count) ** 2).sum() / (keys / count) * (count - 1) / count
    freedom = (count - 1) ** 2
    assert abs(statistic - freedom) < 4 * np.sqrt(2 * freedom)


def test_over_keys_pairs_of_neighbours_come_as_often_as_chance_has_it():
    """Two neighbours stay neighbours, in this order, with probability 1 / n: n - 1 of the n (n - 1) pairs are such."""
    count, keys = 50, 1000
    stay = [(np.diff(Permutation(count, key)(np.arange(count))) == 1).sum() for key in range(keys)]
    mean = (count - 1) / count
    assert abs(np.mean(stay) - mean) < 4 * np.sqrt(mean / keys)


def test_fixed_points_come_as_often_as_chance_has_it():
    """Their number has mean 1 and variance 1 (de Montmort)."""
    keys = 2000
    fixed = np.array([(Permutation(100, key)(np.arange(100)) == np.arange(100)).sum() for key in range(keys)])
    assert abs(fixed.mean() - 1) < 4 / np.sqrt(keys)
    assert abs(fixed.var() - 1) < 4 * np.sqrt(3 / keys)


@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 99, 100, 101])
@pytest.mark.parametrize("shard", [1, 3, 10, 100, 1000])
@pytest.mark.parametrize("window", [1, 8])
def test_each_epoch_shows_every_sample_once(count, shard, window):
    order = Order(count, shard, seed=3, window=window)
    sequence = order(torch.arange(3 * count)).view(3, count)
    for epoch in sequence:
        assert epoch.sort().values.tolist() == list(range(count))
    if count > 20:
        assert not torch.equal(sequence[0], sequence[1])


@pytest.mark.parametrize(("count", "shard", "window"), [(250, 10, 2), (251, 10, 3), (99, 100, 8), (37, 5, 8)])
def test_any_position_can_be_asked_for_first(count, shard, window):
    whole = Order(count, shard, seed=1, window=window)(torch.arange(3 * count))
    for chosen in (torch.tensor([0]), torch.arange(2 * count - 3, 2 * count + 4), torch.tensor([3 * count - 1, 5])):
        assert torch.equal(Order(count, shard, seed=1, window=window)(chosen), whole[chosen])


@pytest.mark.parametrize(("count", "shard", "window"), [(250, 10, 2), (251, 10, 3), (37, 5, 8)])
def test_a_window_holds_the_samples_of_its_shards_and_of_no_other(count, shard, window):
    order = Order(count, shard, seed=5, window=window)
    positions = torch.arange(3 * count)
    samples, windows = order(positions), order.window_of(positions)
    assert windows.unique().tolist() == list(range(3 * order.windows))
    for number in windows.unique().tolist():
        here = samples[windows == number]
        shards = order.shards_of(number)
        assert len(shards) <= window
        whole = [i for s in shards for i in range(s * shard, min((s + 1) * shard, count))]
        assert sorted(here.tolist()) == sorted(whole)


def test_the_next_use_of_a_shard_is_the_first_window_that_has_it():
    order = Order(251, 10, seed=5, window=3)
    for now in (0, 4, 8, 9, 17):
        for shard, found in enumerate(order.next_use(np.arange(order.shards), now)):
            assert found == next(w for w in range(now, now + 3 * order.windows) if shard in order.shards_of(w))


@pytest.mark.parametrize(("count", "shard", "window"), [(250, 10, 2), (251, 10, 3), (37, 5, 8), (40, 40, 8)])
@pytest.mark.parametrize("size", [7, 16, 300])
def test_a_batch_holds_what_chance_chose_in_the_order_of_the_shards(count, shard, window, size):
    order = Order(count, shard, seed=5, window=window)
    for turn in range(6):
        positions = torch.arange(turn * size, turn * size + size)
        chosen, batch = order(positions), order.batch(turn, size)
        assert sorted(batch.tolist()) == sorted(chosen.tolist())
        if order.shards == 1:
            assert torch.equal(batch, chosen)
        if size < count // 4 and order.window_of(positions[:1]) == order.window_of(positions[-1:]):
            places = [order.shards_of(int(order.window_of(positions[:1]))).index(i // shard) for i in batch.tolist()]
            assert places == sorted(places)


def test_one_array_is_shuffled_as_it_was_before_there_were_shards():
    before = [torch.randperm(10, generator=generator(1, "epoch", epoch)) for epoch in range(2)]
    for shard in (10, 11, 10**6):
        assert torch.equal(Order(10, shard, seed=1)(torch.arange(20)), torch.cat(before))


def test_seeds_and_epochs_have_orders_of_their_own():
    first, other = (Order(1000, 10, seed=seed)(torch.arange(2000)) for seed in (1, 2))
    assert (first[:1000] == first[1000:]).sum() < 10
    assert (first == other).sum() < 20


def test_a_batch_is_a_fair_draw_of_the_shards():
    """The mean place of the first half of an epoch: that of shards drawn without replacement, in closed form."""
    shards, size, seeds = 64, 5, 200
    means = [Order(shards * size, size, seed=s)(torch.arange(160)).double().mean().item() for s in range(seeds)]
    # the mean of 32 of the 64 shards: variance (n + 1) / 12 shards^2 for half of n, times that of the places
    deviation = size * np.sqrt((shards + 1) / 12)
    assert abs(np.mean(means) - (shards * size - 1) / 2) < 4 * deviation / np.sqrt(seeds)
    assert 0.8 < np.std(means) / deviation < 1.2


def test_a_thousand_million_samples_take_the_memory_and_time_of_a_window():
    tracemalloc.start()
    start = time.process_time()
    order = Order(10**9, 5000, seed=0)
    for first in (0, 5 * 10**8, 10**9 - 512, 7 * 10**11):
        found = order(torch.arange(first, first + 1024))
        assert int(found.min()) >= 0
        assert int(found.max()) < 10**9
        assert len(found.unique()) == 1024
    assert time.process_time() - start < 2
    assert tracemalloc.get_traced_memory()[1] < 2**20  # of numpy; torch holds a window
    tracemalloc.stop()
    assert sum(window.shuffled.numel() for window in order._opened.values()) <= 5 * WINDOW * 5000
