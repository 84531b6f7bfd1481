"""The ladder of waves: what the extractor of the domain sees of each harm."""

import numpy as np
import pytest

from ganops.core.errors import FeatureError
from ganops.kinds import Spec
from ganops.metrics import reference, sight
from ganops.metrics.classifiers import Side, judge
from ganops.metrics.extractors import Domain, of_kind
from ganops.metrics.extractors.corruptions import low_pass, low_rank, noise, overdrive, shuffle_pieces
from ganops.metrics.ladder import climb, look

FACTS = {"rate": 8000, "samples": 512}
SHAPES = 3


def tones(count, seed):
    """Waves int16 [N, 1, 512] of three pitches that fade, in noise, and which they are."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % SHAPES
    pitch = np.array([0.02, 0.05, 0.12])[labels] * generator.uniform(0.9, 1.1, count)
    time = np.arange(512)
    fade = np.exp(-time / generator.uniform(100, 300, (count, 1)))
    x = np.sin(2 * np.pi * (pitch[:, None] * time + generator.random((count, 1)))) * fade
    x = 0.8 * x + 0.01 * generator.normal(size=x.shape)
    return np.rint(x * 32767).clip(-32768, 32767).astype(np.int16)[:, None], labels


WAVES, LABELS = tones(1200, 0)
HELD_OUT, HELD_OUT_LABELS = tones(300, 1)


@pytest.fixture(scope="module")
def domain():
    return Domain.make(WAVES, LABELS, HELD_OUT, HELD_OUT_LABELS, seed=0, kimg=6)


def test_it_classifies_waves_and_its_ladder_holds(domain):
    assert domain.card["accuracy"] > 0.9
    assert (domain.card["channels"], domain.card["length"], domain.card["negatives"]) == (1, 512, [])
    ladder = climb(domain, WAVES, HELD_OUT, HELD_OUT_LABELS, seed=0, kind="wave", facts=FACTS)
    assert ladder["real"] < ladder["faint_noise"] < ladder["strong_noise"] < ladder["noise"]
    assert ladder["real"] < ladder["faint_low_pass"] < ladder["strong_low_pass"]
    assert ladder["real"] < min(ladder[rung] for rung in ("clipped", "low_rank", "shuffled_pieces", "silence"))


def test_the_distance_tells_every_harm(domain):
    """But for a few repeated tones: so simple ones are told by three pitches."""
    rungs = look(domain, WAVES, HELD_OUT, HELD_OUT_LABELS, seed=0, kind="wave", facts=FACTS)
    assert {*sight.blind(sight.examine(rungs, seed=0)).get("fd", ())} <= {"few"}


def test_a_wave_has_the_same_features_in_any_batch_and_from_the_disk(domain, tmp_path):
    features, probabilities = domain.features(HELD_OUT[:9])
    assert features.shape == (9, 64)
    assert probabilities.shape == (9, SHAPES)
    apart = np.concatenate([domain.features(HELD_OUT[i : i + 1])[0] for i in range(9)])
    np.testing.assert_allclose(features, apart, atol=1e-5)
    domain.save(tmp_path)
    assert np.array_equal(Domain.load(tmp_path).features(HELD_OUT[:9])[0], features)


def test_without_labels_two_views_are_contrasted():
    made = Domain.make(WAVES[:200], None, HELD_OUT, None, seed=0, kimg=1)
    assert made.card["objective"] == "contrast"
    assert made.card["negatives"] == ["low_pass", "noise", "low_rank", "shuffled_pieces"]
    features, probabilities = made.features(HELD_OUT[:5])
    assert probabilities is None
    assert np.isfinite(features).all()
    assert Domain.make(WAVES[:200], None, HELD_OUT, None, seed=0, kimg=1).hash == made.hash


def test_other_arrays_are_refused_in_words(domain):
    expected = r"expected images uint8 \[N, C, H, W\] or .* or waves int16 \[N, 1, T\], N >= 1; got"
    with pytest.raises(FeatureError, match=expected):
        domain.features(HELD_OUT[:, 0])
    with pytest.raises(FeatureError, match=r"was trained on images \(1, 512\), got \(1, 256\)"):
        domain.features(HELD_OUT[:, :, :256])
    with pytest.raises(FeatureError, match="at least 10 waves of 64, got 1200 of 32"):
        Domain.make(WAVES[:, :, :32], None, HELD_OUT, None, seed=0)


def test_only_some_extractors_hear_waves():
    assert of_kind("wave") == ("domain",)


def test_the_protocol_says_that_they_are_waves(tmp_path):
    card = reference.build(
        {"train": WAVES, "validation": HELD_OUT}, {"train": LABELS, "validation": HELD_OUT_LABELS},
        tmp_path / "features", options={"kimg": 6}, seed=0, kind="wave", facts=FACTS,
    )  # fmt: skip
    assert card["protocol"]["quantisation"] == "waveform, 16 bit"


def test_networks_tell_waves_from_noise_and_not_from_their_like():
    like = Side(*(x[0] for x in (tones(300, 2), tones(100, 3))))
    hiss = Side(*(noise(x, 0.2, np.random.default_rng(0)) for x in (like.learnt, like.judging)))
    real = Side(WAVES[:300], HELD_OUT[:100])
    assert judge(real, hiss, seed=0)["c2st_auc"].value > 0.95
    assert judge(real, like, seed=0)["c2st_auc"].value < 0.75


def power(x):
    return np.square(np.abs(np.fft.rfft(x.astype(float)[:, 0], axis=1)))


@pytest.mark.parametrize("share", [0.5, 0.125])
def test_a_low_pass_halves_the_power_at_its_share_of_half_the_rate(share):
    hiss = np.random.default_rng(0).integers(-9000, 9000, (200, 1, 512), np.int16)
    passed = power(low_pass(hiss, share)).mean(0) / power(hiss).mean(0)
    assert passed[round(share * 256)] == pytest.approx(0.5, abs=0.06)
    assert passed[:9].min() > 0.95


def test_harms_of_waves_keep_their_type_and_stay_in_range():
    generator = np.random.default_rng(0)
    loud = overdrive(WAVES[:8], 8)
    assert loud.dtype == np.int16
    assert (loud[:, :, :50] == np.int16(32767)).any()
    assert np.array_equal(overdrive(WAVES[:8], 1), WAVES[:8])
    quiet = np.zeros((50, 1, 512), np.int16)
    assert noise(quiet, 0.01, generator).std() == pytest.approx(655.35, rel=0.02)
    assert np.linalg.matrix_rank(low_rank(WAVES[:40], 4)[:, 0].astype(float) - WAVES[:40].mean(0)[0], tol=300) <= 5
    assert Spec("wave", (1, 512)).empty(1).dtype == low_rank(WAVES[:40], 4).dtype


@pytest.mark.parametrize("count", [4, 16, 5])
def test_pieces_change_places_and_stay_whole(count):
    waves = np.arange(3 * 512, dtype=np.int16).reshape(3, 1, 512)
    shuffled = shuffle_pieces(waves, count, np.random.default_rng(0))
    length = 512 // count
    assert not np.array_equal(shuffled, waves)
    assert np.array_equal(np.sort(shuffled, axis=2), waves)
    steps = np.diff(shuffled[0, 0, : length * count].reshape(count, length), axis=1)
    assert (steps == 1).all()
    assert np.array_equal(shuffled[:, :, length * count :], waves[:, :, length * count :])
