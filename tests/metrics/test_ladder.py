import numpy as np
import pytest

from ganops.core.errors import FeatureError
from ganops.kinds import KINDS, sound
from ganops.metrics.ladder import CHAINS, RUNGS, UNCERTAIN, climb, look


def shapes(count, seed):
    """Smooth images of four classes: a bright square in one of four corners, somewhat moved."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 4, count)
    images = np.full((count, 1, 16, 16), 20, np.uint8)
    for image, label in zip(images, labels, strict=True):
        top, left = generator.integers(0, 3, 2) + 8 * np.array(divmod(label, 2))
        image[:, top : top + 5, left : left + 5] = generator.integers(180, 250)
    return images, labels


class Pixels:
    """The image itself, as a feature vector."""

    name = "pixels"

    def features(self, images, batch=None):
        return (images.reshape(len(images), -1) / 255).astype(np.float32), None


class Constant(Pixels):
    def features(self, images, batch=None):
        return np.ones((len(images), 4), np.float32), None


class Blind(Pixels):
    """Features that have nothing to do with the image."""

    def features(self, images, batch=None):
        return np.random.default_rng(len(images)).normal(size=(len(images), 4)).astype(np.float32), None


class Undefined(Pixels):
    def features(self, images, batch=None):
        return np.full((len(images), 4), np.nan, np.float32), None


REAL, HELD_OUT, LABELS = shapes(300, 0)[0], *shapes(300, 1)


@pytest.mark.parametrize(
    "labels", [LABELS, None, np.zeros_like(LABELS), (LABELS > 0) * 1, (LABELS == 0) * 1],
    ids=["labels", "none", "one class", "most last", "most first"],
)  # fmt: skip
def test_pixels_hold(labels):
    ladder = climb(Pixels(), REAL, HELD_OUT, labels, seed=0)
    assert ladder["real"] < ladder["faint_noise"] < ladder["strong_noise"] < ladder["noise"]
    assert ladder["real"] < ladder["faint_blur"] < ladder["strong_blur"]
    assert ladder["half"] > 1.5 * ladder["half_control"]
    assert ladder["few_coverage"] < ladder["few_control_coverage"] - 0.1
    assert ladder == climb(Pixels(), REAL, HELD_OUT, labels, seed=0)


@pytest.mark.parametrize("extractor", [Constant(), Blind()])
def test_an_extractor_that_does_not_see_is_refused_with_its_ladder(extractor):
    with pytest.raises(FeatureError, match=r"does not deserve trust(.|\n)*is not below(.|\n)*strong_blur  "):
        climb(extractor, REAL, HELD_OUT, seed=0)


def test_features_that_are_not_finite():
    with pytest.raises(FeatureError, match="not finite"):
        climb(Undefined(), REAL, HELD_OUT, seed=0)


def test_too_few_images():
    with pytest.raises(FeatureError, match="12 images a side, got 300 and 11"):
        climb(Pixels(), REAL, HELD_OUT[:11], seed=0)


def test_few_images_do_not_judge_the_subtle_rungs():
    """An extractor that does not see faint noise is refused by 300 held-out images and not by 60."""

    class Coarse(Pixels):
        def features(self, images, batch=None):
            return (images.reshape(len(images), -1) > 100).astype(np.float32), None

    with pytest.raises(FeatureError, match="not below faint_noise"):
        climb(Coarse(), REAL, HELD_OUT, seed=0)
    climb(Coarse(), REAL, HELD_OUT[:60], seed=0)


@pytest.mark.parametrize(
    ("rung", "see"),
    [
        ("shuffled_patches", lambda x: np.sort(x.reshape(len(x), -1))[:, ::16]),  # which pixels, not where
        ("black", lambda x: x.reshape(len(x), -1) * (x.max(axis=(1, 2, 3)) > 0)[:, None] * 0 + 1),
    ],
)
def test_what_generators_really_make_is_on_the_ladder(rung, see):
    class Eye(Pixels):
        def features(self, images, batch=None):
            return see(images).astype(np.float32), None

    with pytest.raises(FeatureError, match=rf"is not below {rung}"):
        climb(Eye(), REAL, HELD_OUT, seed=0)


def test_shapeless_images_are_further_than_real_ones():
    ladder = climb(Pixels(), REAL, HELD_OUT, LABELS, seed=0)
    assert ladder["real"] < min(ladder[rung] for rung in ("low_rank", "shuffled_patches", "heavy_blur", "black"))


FACTS = {"rate": 8000, "samples": 4096, "window": 256, "hop": 128, "bands": 32}
FACTS |= {"mean": [4.5] * 32, "deviation": [1.6] * 32}


def tones(count, seed):
    """Spectrograms of plucked tones of four pitches, with harmonics, in a faint noise."""
    generator = np.random.default_rng(seed)
    labels, time = generator.integers(0, 4, count), np.arange(4096) / 8000
    clips = np.empty((count, 4096), np.int16)
    for clip, label in zip(clips, labels, strict=True):
        phase = 2 * np.pi * 200 * 1.4**label * generator.uniform(0.95, 1.05) * time
        since = time - generator.uniform(0.1, 0.15)
        pluck = np.where(since > 0, np.exp(-np.maximum(since, 0) / 0.05), 0) * generator.uniform(2000, 8000)
        x = sum(np.sin(k * phase) / k for k in range(1, 5)) * pluck
        clip[:] = np.rint(x + generator.normal(0, 10, 4096))
    return sound.quantised(sound.spectrogram(clips, FACTS), FACTS), labels


def test_each_kind_has_rungs_and_each_chain_is_of_a_kind():
    """A chain with a name that no kind has would hold for any extractor."""
    assert RUNGS.keys() == KINDS.keys()
    assert all(any({*chain} <= {*rungs} for rungs in RUNGS.values()) for chain in CHAINS)
    assert {*UNCERTAIN} <= {"half", *(rung for rungs in RUNGS.values() for rung in rungs)}
    judged = {rung for chain in CHAINS for rung in chain}
    assert {rung for rungs in RUNGS.values() for rung in rungs} - judged == {"spoken", "backwards"}


def test_spectrograms_climb_a_ladder_of_their_own():
    (real, _), (held_out, labels) = tones(260, 0), tones(260, 1)
    ladder = climb(Pixels(), real, held_out, labels, seed=0, kind="sound", facts=FACTS)
    assert ladder["real"] < ladder["faint_smear"] < ladder["strong_smear"] < ladder["heavy_smear"]
    assert ladder["real"] < ladder["missing_band"] < ladder["silence"]
    assert not {"faint_blur", "strong_blur", "heavy_blur", "black"} & ladder.keys()
    assert 0 < ladder["spoken"] < ladder["strong_noise"]  # what the vocoder alone costs


def test_spoken_clips_are_those_that_readers_hear():
    seen = []

    class Eye(Pixels):
        def features(self, images, batch=None):
            seen.append(images)
            return super().features(images)

    real, held_out = tones(12, 0)[0], tones(12, 1)[0]
    look(Eye(), real, held_out, seed=0, kind="sound", facts=FACTS)
    spoken = sound.quantised(sound.spectrogram(sound.shown(held_out, FACTS), FACTS), FACTS)
    assert any(np.array_equal(np.sort(images, axis=0), np.sort(spoken, axis=0)) for images in seen)


@pytest.mark.parametrize(
    ("rung", "see"),
    [
        ("faint_smear", lambda x: x.mean(axis=(1, 3)).argmax(axis=1)[:, None]),  # the loudest band, whenever
        ("missing_band", lambda x: x.mean(axis=(1, 2)) * 0 + 1),
        ("silence", lambda x: x.reshape(len(x), -1) * (x.max(axis=(1, 2, 3)) > 0)[:, None] * 0 + 1),
    ],
)
def test_an_extractor_that_is_deaf_to_a_rung_of_sounds_is_refused(rung, see):
    class Ear(Pixels):
        def features(self, images, batch=None):
            return see(images).astype(np.float32), None

    with pytest.raises(FeatureError, match=rf"is not below {rung}"):
        climb(Ear(), tones(260, 0)[0], tones(260, 1)[0], seed=0, kind="sound", facts=FACTS)
