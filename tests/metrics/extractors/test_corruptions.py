import gzip
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ganops.core.errors import FeatureError
from ganops.kinds import sound
from ganops.metrics.extractors import corruptions
from ganops.metrics.extractors.corruptions import (
    blur,
    drop_classes,
    harms,
    low_rank,
    memorise,
    noise,
    repeat,
    shift,
    shuffle_patches,
    silence_band,
    smear,
    speak,
)
from ganops.metrics.frechet import Statistics, frechet_distance
from ganops.metrics.memorisation import memorisation
from ganops.metrics.neighbours import precision_recall_density_coverage

EMBEDDED = Path(__file__).parents[3] / "data" / "fashion-mnist-10k"


def embedded(kind, offset):
    with gzip.open(EMBEDDED / f"t10k-{kind}-ubyte.gz") as file:
        return np.frombuffer(file.read(), np.uint8, offset=offset)


IMAGES = np.pad(embedded("images-idx3", 16).reshape(-1, 1, 28, 28)[:3000], ((0, 0), (0, 0), (2, 2), (2, 2)))
LABELS = embedded("labels-idx1", 8)[:3000]
TRAIN, HELD_OUT, POOL = IMAGES[:1000], IMAGES[1000:2000], IMAGES[2000:]
POOL_LABELS = LABELS[2000:]
TABLE = harms(TRAIN)


def generator(seed=0):
    return np.random.default_rng(seed)


def features(images):
    """Means of 4 x 4 pixels: enough to see with, and no network to train."""
    return images.reshape(-1, 8, 4, 8, 4).mean(axis=(2, 4)).reshape(-1, 64).astype(np.float32) / 64


def fd(sample):
    return frechet_distance(Statistics.of(features(HELD_OUT)), Statistics.of(features(sample)))


def coverage(sample):
    count = min(len(sample), len(HELD_OUT))
    return -precision_recall_density_coverage(features(HELD_OUT[:count]), features(sample[:count]))["coverage"]


def near_copies(sample):
    return memorisation(features(TRAIN), features(HELD_OUT), features(sample), seed=0)["near_copies"]


def authenticity(sample):
    return -memorisation(features(TRAIN), features(HELD_OUT), features(sample), seed=0)["authenticity"]


def data_copying(sample):
    return -memorisation(features(TRAIN), features(HELD_OUT), features(sample), seed=0)["ct"]


NOTICED_BY = {
    "noise": (fd,),
    "blur": (fd,),
    "shift": (fd, coverage),
    "dropped classes": (fd,),
    "repeated images": (fd, coverage),
    "memorised images": (authenticity, data_copying, near_copies),
}
"""Metrics, worse upwards, that grow from each strength to the next."""


@pytest.mark.parametrize(("name", "metric"), [(name, m) for name, metrics in NOTICED_BY.items() for m in metrics])
def test_each_harm_is_noticed_and_more_so_the_stronger_it_is(name, metric):
    found = [metric(TABLE[name](POOL, POOL_LABELS, strength, generator())) for strength in range(5)]
    assert all(a < b for a, b in pairwise(found)), found
    assert metric(POOL) < found[2]


def test_the_frechet_distance_does_not_notice_memorised_images():
    found = [fd(TABLE["memorised images"](POOL, None, s, generator())) for s in range(5)]
    assert max(found) < fd(TABLE["dropped classes"](POOL, POOL_LABELS, 0, generator()))


def test_every_harm_was_tested():
    assert NOTICED_BY.keys() == TABLE.keys()


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_stay_images_and_the_generator_decides(name, channels):
    images = np.repeat(POOL[:64], channels, axis=1)
    harm = harms(np.repeat(TRAIN[:32], channels, axis=1))[name]
    for strength in range(5):
        damaged = harm(images, POOL_LABELS[:64], strength, generator())
        assert damaged.dtype == np.uint8
        assert damaged.shape[1:] == images.shape[1:]
        assert len(damaged) == 64 or name == "dropped classes"
        np.testing.assert_array_equal(damaged, harm(images, POOL_LABELS[:64], strength, generator()))
    np.testing.assert_array_equal(images, np.repeat(POOL[:64], channels, axis=1))  # nothing in place


def test_strengths_grow():
    assert all(list(harm.amounts) == sorted(set(harm.amounts)) for harm in TABLE.values())


def test_noise_has_the_deviation_it_says():
    grey = np.full((50, 1, 16, 16), 128, np.uint8)
    assert noise(grey, 0.1, generator()).std() == pytest.approx(25.5, rel=0.05)


def test_a_blur_keeps_the_sum_and_reaches_as_far_in_a_larger_image():
    point = np.zeros((1, 1, 33, 33), np.uint8)
    point[0, 0, 16, 16] = 255
    narrow, wide = (blur(np.kron(point, np.ones((1, 1, k, k), np.uint8)), 1.0) for k in (2, 4))
    assert narrow.sum() == pytest.approx(4 * 255, rel=0.1)
    means = wide.reshape(1, 1, 66, 2, 66, 2).mean(axis=(3, 5))
    np.testing.assert_allclose(means, narrow, atol=3)


def test_a_shift_moves_every_image_to_one_of_four_sides_and_repeats_the_edge():
    image = generator().integers(0, 255, (1, 1, 8, 8), np.uint8)
    moved = {found.tobytes() for found in shift(np.repeat(image, 99, axis=0), 2, generator())}
    expected = set()
    for axis in (2, 3):
        for rows in ([0, 0, *range(6)], [*range(2, 8), 7, 7]):
            expected.add(image.take(rows, axis=axis).tobytes())
    assert moved == expected


def test_dropped_classes():
    kept = drop_classes(POOL, POOL_LABELS, 0.3)
    np.testing.assert_array_equal(kept, POOL[POOL_LABELS < 7])
    assert len(drop_classes(POOL, POOL_LABELS, 1.0)) == (POOL_LABELS == 0).sum()
    for labels in (None, np.zeros(1000, int)):
        with pytest.raises(FeatureError, match="labels of at least two classes"):
            drop_classes(POOL, labels, 0.3)


@pytest.mark.parametrize("times", [2, 7, 5000])
def test_repeated_images(times):
    counts = np.unique(repeat(POOL, times, generator()), axis=0, return_counts=True)[1]
    assert len(counts) == max(1, round(1000 / times))
    assert counts.max() - counts.min() <= 1


def test_memorised_images_are_training_images():
    some = memorise(POOL, TRAIN, 0.25, generator())
    known = {image.tobytes() for image in TRAIN}
    assert [image.tobytes() in known for image in some] == [True] * 250 + [False] * 750
    assert len(memorise(POOL, TRAIN[:5], 1.0, generator())) == 1000


def test_a_low_rank_is_the_closest_of_that_rank():
    """Eckart & Young: the truncated singular value decomposition about the mean."""
    images = POOL[:50]
    x = images.reshape(50, -1).astype(float)
    u, s, v = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    expected = (u[:, :4] * s[:4]) @ v[:4] + x.mean(axis=0)
    found = low_rank(images, 4)
    assert found.shape == images.shape
    np.testing.assert_allclose(found.reshape(50, -1), expected.clip(0, 255), atol=0.51)
    np.testing.assert_array_equal(low_rank(images, 50), images)


@pytest.mark.parametrize(("size", "side"), [(32, 4), (16, 2), (18, 4)])
def test_shuffled_patches_are_the_same_patches_elsewhere(size, side):
    images = generator().integers(0, 256, (20, 3, size, size), np.uint8)
    found, whole, step = shuffle_patches(images, side, generator()), size // side * side, size // side

    def patches(image):
        corners = range(0, whole, step)
        return [image[:, i : i + step, j : j + step].tobytes() for i in corners for j in corners]

    assert all(sorted(patches(a)) == sorted(patches(b)) for a, b in zip(images, found, strict=True))
    assert sum(patches(a) == patches(b) for a, b in zip(images, found, strict=True)) < 10
    np.testing.assert_array_equal(found[:, :, whole:], images[:, :, whole:])
    np.testing.assert_array_equal(found[..., whole:], images[..., whole:])


def test_a_smear_blurs_in_time_alone_and_as_far_in_a_longer_spectrogram():
    point = np.zeros((1, 1, 9, 33), np.uint8)
    point[0, 0, 4, 16] = 255
    narrow, wide = (smear(np.kron(point, np.ones((1, 1, 1, k), np.uint8)), 1.0) for k in (2, 4))
    assert np.flatnonzero(narrow.any(axis=(0, 1, 3))).tolist() == [4]
    assert narrow.sum() == pytest.approx(2 * 255, rel=0.1)
    np.testing.assert_allclose(wide.reshape(1, 1, 9, 66, 2).mean(axis=4), narrow, atol=3)


@pytest.mark.parametrize(("share", "count"), [(0.25, 8), (0.01, 1), (1, 32)])
def test_a_missing_band_is_a_share_of_the_bands_side_by_side_anywhere(share, count):
    spectra = generator().integers(1, 256, (200, 1, 32, 5), np.uint8)
    found = silence_band(spectra, share, generator())
    silent = (found == 0).all(axis=(1, 3))
    assert np.array_equal(found == 0, np.broadcast_to(silent[:, None, :, None], found.shape))
    assert np.array_equal(found[found > 0], spectra[found > 0])
    assert (silent.sum(axis=1) == count).all()
    first = silent.argmax(axis=1)
    assert (32 - silent[:, ::-1].argmax(axis=1) - first == count).all()
    assert {*first} == {*range(33 - count)}


def test_what_is_spoken_is_what_the_clip_sounds_like():
    facts = {"rate": 8000, "samples": 2048, "window": 256, "hop": 128, "bands": 32}
    facts |= {"mean": [4.5] * 32, "deviation": [1.6] * 32}
    spectra = generator().integers(0, 256, (2, 1, 32, 16), np.uint8)
    clips = sound.shown(spectra, facts)
    assert np.array_equal(speak(spectra, facts), sound.quantised(sound.spectrogram(clips, facts), facts))


FACTS = {"words": ["", *(f"w{i}" for i in range(30))], "by": "words"}
ENDLESS = {"words": [f"w{i}" for i in range(31)], "by": "words"}


def written(count=400, length=12, seed=0):
    """Texts of words 1 to 30 and of 3 to 12 places, padded by 0."""
    rng = np.random.default_rng(seed)
    texts = rng.integers(1, 31, (count, length)).astype(np.uint16)
    return np.where(np.arange(length) < rng.integers(3, length + 1, (count, 1)), texts, 0).astype(np.uint16)


TEXT_HARMS = {
    "replaced": lambda x, g, facts: corruptions.replace_words(x, 0.2, g, facts),
    "uniform": lambda x, g, facts: corruptions.replace_words(x, 1, g, facts),
    "shuffled": corruptions.shuffle_words,
    "mixed": corruptions.mix_words,
}


@pytest.mark.parametrize("harm", TEXT_HARMS)
def test_harms_of_texts_leave_their_padding(harm):
    texts = written()
    harmed = TEXT_HARMS[harm](texts, np.random.default_rng(1), FACTS)
    assert harmed.dtype == np.uint16
    assert ((harmed == 0) == (texts == 0)).all()
    assert (harmed != texts).any()


def test_words_are_replaced_in_their_share():
    texts = written(4000)
    for share in (0.05, 0.2):
        harmed = corruptions.replace_words(texts, share, np.random.default_rng(0), FACTS)
        words = texts > 0
        # one of 30 is replaced by itself
        assert (harmed != texts)[words].mean() == pytest.approx(share * 29 / 30, abs=0.01)


def test_shuffled_texts_keep_their_words_and_mixed_ones_those_of_all():
    texts = written()
    shuffled = corruptions.shuffle_words(texts, np.random.default_rng(1), FACTS)
    mixed = corruptions.mix_words(texts, np.random.default_rng(1), FACTS)
    assert (np.sort(shuffled, axis=1) == np.sort(texts, axis=1)).all()
    assert (np.sort(mixed, axis=None) == np.sort(texts, axis=None)).all()
    assert (np.sort(mixed, axis=1) != np.sort(texts, axis=1)).any(axis=1).mean() > 0.9


def test_where_no_word_ends_a_text_zero_is_a_word_like_the_others():
    texts = written()
    harmed = corruptions.replace_words(texts, 1, np.random.default_rng(1), ENDLESS)
    assert (harmed == 0).mean() == pytest.approx(1 / 31, abs=0.01)
    shuffled = corruptions.shuffle_words(texts, np.random.default_rng(1), ENDLESS)
    assert ((shuffled == 0) != (texts == 0)).any()


def test_the_repeated_text_is_that_of_the_commonest_words():
    texts = np.array([[1, 2, 0], [3, 3, 3], [3, 3, 0], [3, 4, 0]], np.uint16)
    repeated = corruptions.repeat_likeliest(texts, FACTS)
    assert (repeated == [3, 3, 3]).all()
    assert repeated.shape == texts.shape
