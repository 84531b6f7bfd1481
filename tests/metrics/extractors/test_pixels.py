import numpy as np
import pytest

from ganops.core.errors import FeatureError
from ganops.metrics.extractors.pixels import Pixels
from ganops.metrics.ladder import climb


def made(images):
    return Pixels.make(images, None, images, None, seed=0)


def squares(count, seed, channels=1, size=32):
    """A bright square in one of four corners, somewhat moved, with detail of a sixteenth of the image and finer."""
    generator = np.random.default_rng(seed)
    images = np.full((count, channels, size, size), 20, np.uint8)
    for image in images:
        top, left = (generator.uniform(0, 0.2, 2) * size + size // 2 * generator.integers(0, 2, 2)).astype(int)
        image[:, top : top + size // 3, left : left + size // 3] = generator.integers(180, 250, (channels, 1, 1))
    return images


def test_features_are_means_of_areas():
    images = squares(3, 0, channels=3, size=64)
    features, probabilities = made(images).features(images)
    means = images.reshape(3, 3, 16, 4, 16, 4).mean(axis=(3, 5)) / 127.5 - 1
    np.testing.assert_allclose(features, means.reshape(3, -1), atol=1e-5)
    assert probabilities is None


@pytest.mark.parametrize(("channels", "size"), [(1, 16), (3, 32), (1, 50)])
def test_it_climbs_the_ladder(channels, size):
    real, held_out = squares(400, 0, channels, size), squares(400, 1, channels, size)
    ladder = climb(made(real), real, held_out, seed=0)
    assert ladder["real"] < ladder["noise"] / 10


def test_few_images_whose_detail_it_cannot_see_are_refused():
    """A checkerboard and plain gray are one image to it, so blur brings nothing further away."""
    fine = (np.indices((128, 128)).sum(axis=0) % 2 * 255).astype(np.uint8)
    images = np.where(np.random.default_rng(0).random((300, 1, 1, 1)) < 0.5, fine, 128).astype(np.uint8)
    with pytest.raises(FeatureError, match="does not deserve trust"):
        climb(made(images), images, images[::-1], seed=0)


def test_the_hash_says_the_rule_not_the_data():
    assert made(squares(2, 0)).hash == made(squares(5, 3, channels=3)).hash
