"""Latents from integers."""

import numpy as np
import pytest

from ganops.core.latents import latents, normal_table, philox

TABLE = normal_table()


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (0x00000000, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        (0xFFFFFFFF, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    ],
)
def test_philox_gives_the_known_answers_of_random123(word, expected):
    counter, key = np.full((4, 1), word, np.uint64), np.full((2, 1), word, np.uint64)
    assert philox(counter, key)[:, 0].tolist() == expected


def test_one_latent_for_one_seed_in_any_batch():
    seeds = np.array([5, -1, 2**62, 0])
    together = latents(seeds, 37, TABLE)
    assert together.shape == (4, 37)
    assert together.dtype == np.float32
    for seed, row in zip(seeds, together, strict=True):
        assert np.array_equal(latents([seed], 37, TABLE)[0], row)


def test_fewer_dimensions_are_a_prefix():
    assert np.array_equal(latents([3], 5, TABLE), latents([3], 64, TABLE)[:, :5])


def test_they_are_normal():
    z = latents(np.arange(4000), 100, TABLE).astype(np.float64)
    assert abs(z.mean()) < 0.01
    assert z.var() == pytest.approx(1, abs=0.01)
    assert (z**4).mean() == pytest.approx(3, abs=0.1)
    correlations = np.corrcoef(z.T) - np.eye(100)
    assert np.abs(correlations).max() < 0.08


def test_the_table_is_odd_and_sorted():
    assert np.array_equal(TABLE, -TABLE[::-1])
    assert (np.diff(TABLE) > 0).all()
