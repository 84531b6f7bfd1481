"""The library in one object."""

import numpy as np
import pytest

from ganops import GAN
from ganops.core.errors import ConfigError, UserError
from ganops.generator import Generator

SMALL = {
    "train.batch": 8,
    "train.tick_kimg": 0.08,
    "train.checkpoint_kimg": 0.08,
    "model.latent": 8,
    "train.learning_rate.generator": 0.02,
}
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 16, 16), np.uint8)


def small(architecture="dcgan", loss="non_saturating", options=None, seed=0):
    params = {**SMALL, "model.options": options or {"width": 4}}
    return GAN(architecture, loss, kimg=0.2, seed=seed, params=params)


def test_fit_and_predict():
    gan = small("r3gan", "relativistic", {"widths": 8, "groups": 2}).fit(IMAGES)
    pictures = gan.predict(16)
    assert pictures.shape == (16, 16, 16, 1)
    assert pictures.dtype == np.uint8
    assert np.array_equal(gan.predict([3])[0], pictures[3])
    assert [row["kimg"] for row in gan.history] == pytest.approx([0.08, 0.16, 0.2])


def test_labels_make_it_conditional():
    colour = np.repeat(IMAGES[..., None], 3, axis=-1)
    gan = small().fit(colour, np.arange(20) % 3)
    assert gan.predict(2).shape == (2, 16, 16, 3)
    assert not np.array_equal(gan.predict([1], labels=0), gan.predict([1], labels=2))
    assert np.array_equal(gan.predict([4]), gan.predict([4], labels=[1]))  # the seed modulo the classes
    assert gan.generator.class_counts == (7, 7, 6)


def test_the_same_seed_learns_the_same():
    a, b = (small().fit(IMAGES).predict(4) for _ in range(2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, small(seed=1).fit(IMAGES).predict(4))


def test_saved_and_loaded_it_draws_the_same(tmp_path):
    gan = small().fit(IMAGES)
    gan.save(tmp_path / "generator")
    loaded = Generator.load(tmp_path / "generator")
    assert np.array_equal(loaded.sample(np.arange(3)).transpose(0, 2, 3, 1), gan.predict(3))


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (IMAGES.astype(np.float32), None, "expected uint8"),
        (IMAGES[:, :15], None, "squares"),
        (IMAGES[:, :12, :12], None, "16, 32, 64, 128, 256 pixels"),
        (IMAGES[:1], None, "at least 2"),
        (IMAGES, np.zeros(3, int), "expected 20 integers"),
        (IMAGES, np.full(20, -1), "from 0 on"),
    ],
)
def test_what_it_cannot_learn_from_is_refused(images, labels, words):
    with pytest.raises(UserError, match=words):
        small().fit(images, labels)


def test_misspelt_parameters_are_refused():
    with pytest.raises(ConfigError, match="did you mean batch"):
        GAN(params={"train.bach": 3})


def test_it_must_learn_before_it_draws():
    with pytest.raises(UserError, match="call fit"):
        GAN().predict(3)
