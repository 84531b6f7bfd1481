"""Batches depend on (seed, step) alone."""

import numpy as np
import pytest
import torch

from ganops.data.batches import Batches

IMAGES = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)


def seen(batches, steps):
    return [round((v.item() + 1) * 127.5) for step in steps for v in batches(step)[0].flatten()]


def test_each_epoch_shows_every_sample_once():
    order = seen(Batches(IMAGES, None, size=4, seed=1), range(5))  # 20 samples: two epochs, one batch straddles
    assert sorted(order[:10]) == sorted(order[10:]) == list(range(10))
    assert order[:10] != order[10:]


def test_a_batch_larger_than_the_data():
    assert sorted(seen(Batches(IMAGES, None, size=20, seed=1), [3])) == sorted([*range(10)] * 2)


@pytest.mark.parametrize("workers", [1, 3, 4, 5, 6])
def test_slices_of_the_workers_make_the_batch(workers):
    one = Batches(IMAGES, np.arange(10), size=6, seed=1)
    parts = [Batches(IMAGES, np.arange(10), size=6, seed=1, rank=r, workers=workers) for r in range(workers)]
    for step in (0, 1, 7):
        x, y = one(step)
        assert torch.equal(x, torch.cat([part(step)[0] for part in parts]))
        assert torch.equal(y, torch.cat([part(step)[1] for part in parts]))


def test_any_step_can_be_asked_for_first():
    a, b = Batches(IMAGES, None, size=4, seed=1), Batches(IMAGES, None, size=4, seed=1)
    assert seen(a, [9]) == seen(b, range(10))[-4:]
    assert seen(a, [2]) == seen(b, [2])


def test_seeds_differ_and_pixels_span_the_range():
    assert seen(Batches(IMAGES, None, size=10, seed=1), [0]) != seen(Batches(IMAGES, None, size=10, seed=2), [0])
    x, _ = Batches(np.array([0, 255], np.uint8).reshape(2, 1, 1, 1), None, size=2, seed=0)(0)
    assert sorted(x.flatten().tolist()) == [-1.0, 1.0]


def test_streamed_batches_are_those_that_were_held(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    held = Batches(IMAGES, np.arange(10), size=4, seed=1)
    streamed = Batches(mapped, np.arange(10), size=4, seed=1, streamed=True)
    for turn in (0, 1, 2, 9, 4):  # ahead, and out of order
        for one, other in zip(held(turn), streamed(turn), strict=True):
            assert torch.equal(one, other)


def test_an_error_while_reading_ahead_reaches_the_training():
    class Gone(np.ndarray):
        def __getitem__(self, index):
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        Batches(IMAGES.view(Gone), None, size=4, seed=1, streamed=True)(0)
