import numpy as np
import pytest
import torch

from ganops.errors import FeatureError
from ganops.metrics.extractors.domain import Domain, contrast

generator = np.random.default_rng(0)


def stripes(count, channels=1, size=16, seed=0):
    """Three classes: upright, level and slanting stripes at a random place, with noise."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, count)
    row, column = np.mgrid[:size, :size]
    along = np.stack([column, row, row + column])[labels][:, None] + generator.uniform(0, 6, (count, channels, 1, 1))
    images = 128 + 100 * np.sin(along * 1.2) + generator.normal(0, 15, (count, channels, size, size))
    return images.clip(0, 255).astype(np.uint8), labels


IMAGES, LABELS = stripes(300)
HELD_OUT, HELD_OUT_LABELS = stripes(100, seed=1)


@pytest.fixture(scope="module")
def classifier():
    return Domain.make(IMAGES, LABELS, HELD_OUT, HELD_OUT_LABELS, seed=0, kimg=4)


def test_learns_the_classes(classifier):
    features, probabilities = classifier.features(HELD_OUT)
    assert features.shape == (100, 64)
    assert features.dtype == probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (probabilities.argmax(axis=1) == HELD_OUT_LABELS).mean() == pytest.approx(classifier.card["accuracy"])
    assert classifier.card["accuracy"] > 0.9
    assert classifier.card["objective"] == "classification"


def test_the_same_seed_gives_the_same_bits_whatever_ran_before(classifier):
    torch.rand(7)
    state = torch.get_rng_state()
    again = Domain.make(IMAGES, LABELS, HELD_OUT, HELD_OUT_LABELS, seed=0, kimg=4)
    other = Domain.make(IMAGES, LABELS, HELD_OUT, HELD_OUT_LABELS, seed=1, kimg=1, minimum_accuracy=0)
    assert again.hash == classifier.hash != other.hash
    assert torch.equal(state, torch.get_rng_state())


def test_features_do_not_depend_on_the_batch_or_the_order(classifier):
    whole = classifier.features(HELD_OUT)[0]
    np.testing.assert_allclose(classifier.features(HELD_OUT, batch=7)[0], whole, atol=1e-5)
    np.testing.assert_allclose(classifier.features(HELD_OUT[::-1])[0], whole[::-1], atol=1e-5)


def test_comes_back_from_its_folder(classifier, tmp_path):
    classifier.save(tmp_path)
    loaded = Domain.load(tmp_path)
    assert (loaded.hash, loaded.card) == (classifier.hash, classifier.card)
    for one, two in zip(loaded.features(HELD_OUT), classifier.features(HELD_OUT), strict=True):
        np.testing.assert_array_equal(one, two)


def test_damaged_weights_are_refused(classifier, tmp_path):
    classifier.save(tmp_path)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(FeatureError, match=r"is not what description\.json describes"):
        Domain.load(tmp_path)
    path.unlink()
    with pytest.raises(FeatureError, match="is missing"):
        Domain.load(tmp_path)


def test_labels_without_sense_are_refused():
    shuffled, held_shuffled = np.roll(LABELS, 1), np.roll(HELD_OUT_LABELS, 1)
    with pytest.raises(FeatureError, match=r"accuracy of 0\.\d+ on 100 held-out images; expected at least"):
        Domain.make(IMAGES, shuffled, HELD_OUT, held_shuffled, seed=0, kimg=1)


def test_learns_without_labels():
    """The nearest neighbour in the features mostly has the class, which the training never saw."""
    extractor = Domain.make(IMAGES, None, HELD_OUT, None, seed=0, kimg=4)
    features, probabilities = extractor.features(IMAGES)
    similarity = features @ features.T
    np.fill_diagonal(similarity, -np.inf)
    assert (LABELS[similarity.argmax(axis=1)] == LABELS).mean() > 0.8
    assert probabilities is None
    assert extractor.card["objective"] == "contrast"


@pytest.mark.parametrize(
    ("channels", "size", "labelled"), [(3, 32, True), (3, 48, False), (1, 64, True), (3, 128, False)]
)
def test_few_images_of_any_size(channels, size, labelled):
    images, labels = stripes(12, channels, size)
    labels = labels if labelled else None
    extractor = Domain.make(images, labels, images, labels, seed=0, kimg=0.1, minimum_accuracy=0)
    assert np.isfinite(extractor.features(images)[0]).all()


def test_one_class_is_no_class():
    assert Domain.make(IMAGES[:20], LABELS[:20] * 0, IMAGES, None, seed=0, kimg=0.1).card["objective"] == "contrast"


def test_images_it_cannot_take(classifier):
    with pytest.raises(FeatureError, match="at least 10 images of 16 x 16, got 9 of 16 x 16"):
        Domain.make(IMAGES[:9], None, HELD_OUT, None, seed=0)
    with pytest.raises(FeatureError, match=r"trained on images \(1, 16, 16\), got \(3, 16, 16\)"):
        classifier.features(stripes(2, 3)[0])
    with pytest.raises(FeatureError, match="expected images uint8"):
        classifier.features(HELD_OUT.astype(np.float32))


def test_contrast_of_perfect_pairs():
    """Views that agree and N - 1 orthogonal others: -log(e^{1/t} / (e^{1/t} + 2(N - 1)))."""
    z = torch.eye(4)
    expected = np.log1p(2 * 3 * np.exp(-1 / 0.2))
    assert contrast(torch.cat([z, z])).item() == pytest.approx(expected, rel=1e-5)
    assert contrast(torch.cat([z, z.roll(1, 0)])) > 1
