import numpy as np
import pytest
import torch

from ganops.core.errors import FeatureError
from ganops.metrics.extractors.corruptions import blur, shuffle_patches
from ganops.metrics.extractors.domain import HARMS, Domain, Network, Plan, contrast
from ganops.metrics.neighbours import precision_recall_density_coverage

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


def badges(count, seed):
    """Colour without labels: a disc, a ring or a square of a random colour on black, with a bar across."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :16][:, None] - 7.5 + generator.uniform(-1, 1, (2, count, 1, 1))
    radius, kind = generator.uniform(4, 7, (count, 1, 1)), generator.integers(0, 3, (count, 1, 1))
    away = np.where(kind == 2, np.maximum(abs(x), abs(y)), np.hypot(x, y))
    body = (away < radius) & ~((kind == 1) & (away < radius - 2))
    bar = (abs(y - generator.uniform(-3, 3, (count, 1, 1))) < 1) & body
    colours = generator.integers(60, 256, (2, count, 3, 1, 1))
    return np.where(bar[:, None], colours[0], colours[1] * body[:, None]).astype(np.uint8)


def test_without_labels_it_tells_blurred_and_shuffled_images_from_real_ones():
    """A network that only tells images apart gave them a density near that of real ones."""
    train, held_out, other = (badges(count, seed) for seed, count in enumerate((400, 200, 200)))
    extractor = Domain.make(train, None, held_out, None, seed=0, kimg=30)
    real = extractor.features(other)[0]

    def density(images):
        found = precision_recall_density_coverage(real, extractor.features(images)[0])
        return found["density"]

    assert density(held_out) > 0.8
    assert density(blur(held_out, 8)) < 0.4
    assert density(shuffle_patches(held_out, 4, np.random.default_rng(0))) < 0.4


def test_what_a_set_of_images_needs():
    easy = Plan()
    assert Plan.of(8000, 1, 10) == easy  # as the embedded images
    for hard in (Plan.of(8000, 3, 10), Plan.of(8000, 1, 0), Plan.of(500, 1, 10)):
        assert hard.negatives
    assert Plan.of(8000, 3, 10).widths > easy.widths == Plan.of(500, 3, 10).widths
    assert [Plan.of(count, 3, 10).kimg for count in (3000, 20_000, 10**6)] == [60, 120, 300]


def test_probabilities_are_those_of_the_classes_alone():
    images, labels = stripes(60, channels=3)
    extractor = Domain.make(images, labels, images, labels, seed=0, kimg=0.5, minimum_accuracy=0)
    probabilities = extractor.features(images)[1]
    assert extractor.card["negatives"] == list(HARMS)
    assert probabilities.shape == (60, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_a_folder_of_before_comes_back(tmp_path):
    """Its card knows no plan, and its head has the classes alone."""
    card = {"objective": "classification", "channels": 1, "height": 16, "width": 16, "classes": 3, "images": 9}
    old = Domain(Network((1, 16, 16), 3), "hash", card, "cpu")
    old.save(tmp_path)
    loaded = Domain.load(tmp_path)
    for one, two in zip(loaded.features(HELD_OUT), old.features(HELD_OUT), strict=True):
        np.testing.assert_array_equal(one, two)
