"""One stream for one key, the same on every machine, and never the same for two."""

import hashlib

import numpy as np
import pytest
import torch

from ganops.core.randomness import Ahead, Draws, generator, seed_of


def draws(turn, part=slice(None), ahead=None):
    return Draws((0, turn), 4, part, torch.device("cpu"), torch.float32, ahead)


def test_turns_whose_seeds_agree_in_32_bits_have_different_latents():
    """Turns 2,758 and 175,495 of seed 0 had the same when torch's CPU generator was seeded with them."""
    one, other = draws(2_758), draws(175_495)
    seeds = [seed_of(*each.key, "latents") for each in (one, other)]
    assert seeds[0] != seeds[1]
    assert seeds[0] % 2**32 == seeds[1] % 2**32
    a, b = (each.normal("latents", 128) for each in (one, other))
    assert not torch.equal(a, b)
    assert abs(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]) < 0.2


@pytest.mark.slow
def test_no_two_of_400_000_streams_begin_alike():
    """With their first 64 bits: two names at each of 200,000 turns."""

    def first(*key):
        return torch.empty((), dtype=torch.int64).random_(-(2**63), None, generator=generator(*key)).item()

    assert len({first(0, turn, name) for turn in range(200_000) for name in ("latents", "augment real")}) == 400_000


def test_a_stream_is_that_of_a_mersenne_twister_whose_state_is_the_hash_of_the_key():
    """NumPy's makes the same numbers of the same words; a float of torch holds the lower 24 bits of one."""
    words = np.frombuffer(hashlib.shake_256(b"(7, 'any')").digest(4 * 624), "<u4")
    twister = np.random.MT19937()
    twister.state = {"bit_generator": "MT19937", "state": {"key": words, "pos": 624}}
    expected = (twister.random_raw(3000) % 2**24 / 2**24).tolist()
    assert torch.rand(3000, generator=generator(7, "any")).tolist() == expected


def test_a_key_decides_the_stream():
    def numbers(*key):
        return torch.rand(9, generator=generator(*key)).tolist()

    keys = [(0, 1), (1, 0), (0, "1"), (0,), (0, 1, 2)]
    assert len({tuple(numbers(*key)) for key in keys}) == len(keys)
    assert all(numbers(*key) == numbers(*key) for key in keys)


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_workers_draw_slices_of_the_same_numbers(kind):
    whole = getattr(draws(3), kind)("latents", 5)
    parts = [getattr(draws(3, part=slice(i, i + 2)), kind)("latents", 5) for i in (0, 2)]
    assert torch.equal(torch.cat(parts), whole)


def test_numbers_drawn_ahead_are_those_that_are_drawn_when_they_are_asked_for():
    ahead = Ahead(2)
    for turn in range(5):
        now, later = draws(turn, ahead=ahead), draws(turn + 1, ahead=ahead)
        ahead.expect(later)
        names = ["latents", "new"] if turn == 3 else ["latents"]  # one that could not be foreseen
        for name in names:
            assert torch.equal(now.normal(name, 5), draws(turn).normal(name, 5))


def test_an_error_in_drawing_ahead_is_raised_when_the_numbers_are_asked_for():
    def make(source):
        raise MemoryError("no room")

    ahead = Ahead(2)
    with pytest.raises(MemoryError):
        draws(0, ahead=ahead).of("latents", make)
    ahead.expect(draws(1, ahead=ahead))
    with pytest.raises(MemoryError):
        draws(1, ahead=ahead).normal("latents", 5)
