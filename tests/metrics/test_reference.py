import hashlib
import re
import shutil

import numpy as np
import pytest

from ganops import config
from ganops.core.errors import FeatureError, RegistryError
from ganops.core.files import read_json, write_json
from ganops.evaluation.gate import decide
from ganops.experiment import checks
from ganops.metrics.frechet import Statistics, frechet_distance
from ganops.metrics.measure import Generated, compare, distance, floors, measure, names
from ganops.metrics.memorisation import NAMES
from ganops.metrics.reference import Reference, build


def blobs(count, seed):
    """Three classes of soft blobs at different places."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, count)
    centre = np.array([[5, 5], [5, 11], [11, 8]])[labels] + generator.normal(0, 0.7, (count, 2))
    grid = np.mgrid[:16, :16][None]
    away = np.square(grid - centre[:, :, None, None]).sum(axis=1, keepdims=True)
    return (230 * np.exp(-away / generator.uniform(4, 9, (count, 1, 1, 1)))).astype(np.uint8), labels


SPLITS = {
    split: blobs(count, seed)
    for seed, (split, count) in enumerate({"train": 400, "validation": 80, "test": 90}.items())
}
IMAGES = {split: images for split, (images, _) in SPLITS.items()}
LABELS = {split: labels for split, (_, labels) in SPLITS.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features") / "reference"
    build(IMAGES, LABELS, folder, options={"kimg": 4}, seed=0)
    return folder


@pytest.fixture
def reference(folder):
    return Reference.open(folder)


def digests(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()
    }


def test_what_is_kept_is_what_the_extractor_says(reference):
    for split, images in IMAGES.items():
        features, probabilities = reference.extractor.features(images)
        np.testing.assert_allclose(reference.features(split), features, atol=1e-5)
        np.testing.assert_allclose(
            reference.statistics(split).covariance, Statistics.of(features).covariance, atol=1e-5
        )
        assert reference.statistics(split).count == len(images)
        np.testing.assert_array_equal(reference.classes(split), np.bincount(probabilities.argmax(1), minlength=3))


def test_the_card(reference):
    card = reference.card
    assert card["hash"] == reference.extractor.hash
    assert card["counts"] == {"train": 400, "validation": 80, "test": 90}
    assert card["ladder"]["noise"] > card["ladder"]["real"]
    assert card["details"]["accuracy"] > 0.9


def test_a_reference_of_sounds_states_the_spectrogram_and_what_the_vocoder_costs(tmp_path):
    facts = {"rate": 8000, "samples": 2048, "window": 256, "hop": 128, "bands": 16, "mean": [3.0] * 16}
    facts["deviation"] = [1.0] * 16
    card = build(IMAGES, LABELS, tmp_path / "sounds", extractor="pixels", seed=0, kind="sound", facts=facts)
    assert card["protocol"]["quantisation"] == "spectrogram 16 mel, 8 bit"
    assert card["ladder"]["spoken"] > 0
    assert "silence" in card["ladder"]
    assert "black" not in card["ladder"]


def test_images_keep_their_protocol(reference):
    assert reference.card["protocol"] == {"quantisation": "uint8", "resize": "none", "seed": 0}


def test_the_same_input_gives_the_same_bytes(folder, tmp_path):
    build(IMAGES, LABELS, tmp_path / "again", options={"kimg": 4}, seed=0)
    assert digests(tmp_path / "again") == digests(folder)


def test_without_labels_and_without_validation(tmp_path):
    build({"train": IMAGES["train"]}, {}, tmp_path / "plain", options={"kimg": 6}, seed=0)
    reference = Reference.open(tmp_path / "plain")
    assert reference.card["counts"] == {"train": 400}
    assert reference.card["details"]["images"] == 320
    assert reference.classes("train") is None
    with pytest.raises(FeatureError, match="split 'test'"):
        reference.features("test")


def test_without_a_network(tmp_path):
    card = build(IMAGES, LABELS, tmp_path / "pixels", extractor="pixels", seed=0)
    reference = Reference.open(tmp_path / "pixels")
    assert card["dimensions"] == reference.features("test").shape[1] == 256
    found = measure(seen(reference, blobs(120, 9)[0]), reference, "test", seed=0)
    assert "fd_pixels" in found
    assert not {"is_pixels", "class_kl"} & found.keys()
    assert found["protocol"]["singular"]


def test_its_trust_in_words(folder, reference):
    words = r"domain extractor: accuracy [01]\.\d{3}, ladder holds \(real/real \S+ \.\.\. noise \d+\)"
    assert re.fullmatch(words, reference.summary())
    card = reference.card | {"extractor": "inception_bf16", "details": {"feature_error": 0.00523}}
    assert "inception_bf16 extractor: features 0.52 % off float32, ladder" in Reference(folder, card, "cpu").summary()


def test_what_cannot_be_built_leaves_nothing_behind(tmp_path):
    with pytest.raises(FeatureError, match="expected one of"):
        build(IMAGES, LABELS, tmp_path / "out", extractor="vgg", seed=0)
    with pytest.raises(FeatureError, match="needs images in the split train"):
        build({"test": IMAGES["test"]}, {}, tmp_path / "out", seed=0)
    with pytest.raises(FeatureError, match=r"expected at least 1\.1"):
        build(IMAGES, LABELS, tmp_path / "out", options={"kimg": 0.1, "minimum_accuracy": 1.1}, seed=0)
    assert not any(tmp_path.iterdir())
    with pytest.raises(FeatureError, match="no reference features"):
        Reference.open(tmp_path)


def test_another_extractor_in_the_folder_is_refused(folder, tmp_path):
    card = read_json(folder / "card.json")
    (tmp_path / "extractor").symlink_to(folder / "extractor")
    write_json(tmp_path / "card.json", card | {"hash": "0" * 64})
    with pytest.raises(FeatureError, match=r"not the one of card\.json"):
        _ = Reference.open(tmp_path).extractor


def numbers(found):
    return {name: value for name, value in found.items() if isinstance(value, float)}


def seen(reference, images):
    return Generated(*reference.extractor.features(images))


def test_real_images_measure_well_and_noise_badly(reference, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (200, 1, 16, 16), np.uint8)
    good = measure(seen(reference, blobs(200, 9)[0]), reference, "test", seed=0)
    bad = measure(seen(reference, noise), reference, "test", seed=0)
    assert good["fd_domain"] < bad["fd_domain"] / 10
    assert good["kd_domain"] < bad["kd_domain"] / 10
    assert good["coverage"] > 0.8 > 0.1 > bad["coverage"]
    assert 1.5 < good["is_domain"] < 3
    assert good["class_kl"] < 0.1 < bad["class_kl"]
    write_json(tmp_path / "evaluation.json", good)  # finite and JSON-ready
    assert {k for k, v in good.items() if not isinstance(v, float)} == {"protocol", "intervals"}
    assert set(NAMES) < set(good)
    for name, (low, high) in good["intervals"].items():
        assert low < good[name] < high, name


def test_training_images_are_known_again(reference):
    found = {}
    for name, images in (("fresh", blobs(200, 9)[0]), ("copied", IMAGES["train"][:200])):
        found[name] = measure(seen(reference, images), reference, "test", seed=0)
    assert found["fresh"]["memorisation_verdict"] == 0
    assert found["copied"]["memorisation_verdict"] == 2
    assert found["copied"]["authenticity"] == 0


def test_few_images_have_no_figures_of_memorisation(reference):
    found = measure(seen(reference, blobs(49, 9)[0]), reference, "test", seed=0)
    assert not set(NAMES) & set(found)
    assert found["protocol"]["memorisation"] is None


def test_the_protocol_says_how_it_was_measured(reference):
    protocol = measure(seen(reference, blobs(120, 9)[0]), reference, "test", seed=3)["protocol"]
    assert protocol["name"] == "fd_domain120_test"
    assert protocol["weights"] == reference.extractor.hash
    assert (protocol["split"], protocol["real"], protocol["generated"], protocol["seed"]) == ("test", 90, 120, 3)
    assert protocol["neighbour_samples"] == protocol["kernel_subset_size"] == 90
    assert protocol["singular"] is False
    assert measure(seen(reference, blobs(64, 9)[0]), reference, "test", seed=3)["protocol"]["singular"] is True
    assert protocol["memorisation"] == {"train": 400, "samples_at_most": 10_000, "cells": 3, "closest_percent": 1}


def test_what_so_few_samples_cannot_say_is_left_out_with_the_reason(reference):
    few, many = (seen(reference, blobs(count, 9)[0]) for count in (287, 288))
    found, more = (measure(fake, reference, "test", seed=0) for fake in (few, many))
    assert "fd_domain_infinity" not in found.keys() | found["intervals"].keys()
    assert found["protocol"]["left_out"].keys() == {"fd_domain_infinity"}
    assert "64 dimensions from 287 generated samples: expected at least 288" in str(found["protocol"]["left_out"])
    assert more["intervals"]["fd_domain_infinity"][0] < more["fd_domain_infinity"]
    assert more["protocol"]["left_out"] is None
    with pytest.raises(RegistryError, match="the evaluation has no fd_domain_infinity: cannot extrapolate in 64"):
        decide({"fd_domain_infinity": {"at_most": 9}}, numbers(found), left_out=found["protocol"]["left_out"])


def test_the_labels_of_samples_reach_their_intervals(reference):
    """The halves of a conditional generator keep its shares: one that draws a class too few is so in each of them."""
    images, labels = blobs(300, 9)
    images, labels = images[labels < 2][:150], labels[labels < 2][:150]
    features, probabilities = reference.extractor.features(images)
    plain, labelled = (Generated(features, probabilities, labels=each) for each in (None, labels))
    loose, kept = (measure(fake, reference, "test", seed=0)["intervals"] for fake in (plain, labelled))
    assert np.diff(kept["fd_domain"]) < np.diff(loose["fd_domain"])
    assert np.diff(kept["class_kl"]) < np.diff(loose["class_kl"])
    assert labelled[np.arange(3)].labels.tolist() == labels[:3].tolist()
    # beside one of other classes, halves keep the shares of both
    other = Generated(features, probabilities, labels=np.arange(150) % 3)
    assert all(
        each.by.value == 0 == each.by.low for each in compare(labelled, other, reference, "test", seed=0).values()
    )


def test_measuring_twice_gives_the_same(reference):
    fake = seen(reference, blobs(60, 9)[0])
    assert measure(fake, reference, "test", seed=0) == measure(fake, reference, "test", seed=0)


def test_the_cheap_distance_is_the_measured_one(reference):
    features, _ = reference.extractor.features(blobs(60, 9)[0])
    expected = frechet_distance(reference.statistics("validation"), Statistics.of(features))
    assert distance(features, reference, "validation") == expected
    assert measure(Generated(features), reference, "validation", seed=0)["fd_domain"] == expected


def test_broken_features_are_refused_before_anything_is_computed(reference):
    features, probabilities = reference.extractor.features(blobs(60, 9)[0])
    with pytest.raises(FeatureError, match=r"expected features \[N, 64\]"):
        distance(features[:, :3], reference, "test")
    features[3, 5] = np.nan
    with pytest.raises(FeatureError, match="1 of 60 generated samples"):
        measure(Generated(features, probabilities), reference, "test", seed=0)


def test_what_a_champion_may_have_to_be_beaten_in_is_what_two_generators_are_compared_in(reference):
    one, other = (seen(reference, blobs(400, seed)[0]) for seed in (9, 10))
    assert {*compare(one, other, reference, "test", seed=0)} == {*checks.compared_metrics(config.parse({}))}


def test_only_published_weights_give_fid():
    assert names("domain", False) == ("fd_domain", "kd_domain")
    assert names("inception", False) == ("fd_inception", "kd_inception")
    assert names("inception", True) == ("fid", "kid")


def test_a_generator_beside_itself_differs_by_nothing_and_beside_a_worse_one_by_more_than_chance(reference):
    good, other = (seen(reference, blobs(200, seed)[0]) for seed in (9, 10))
    worse = seen(reference, np.clip(blobs(200, 9)[0].astype(int) + 60, 0, 255).astype(np.uint8))
    assert all(each.by.low == each.by.high == 0 for each in compare(good, good, reference, "test", seed=0).values())
    assert not compare(good, other, reference, "test", seed=0)["fd_domain"].by.excludes_zero
    by = compare(good, worse, reference, "test", seed=0)["fd_domain"].by
    assert by.low > 0
    mirrored = compare(worse, good, reference, "test", seed=0)["fd_domain"].by
    assert mirrored.ends == [-by.high, -by.low]
    with pytest.raises(FeatureError, match="as many samples of the one as of the other, got 200 and 100"):
        compare(good, good[np.arange(100)], reference, "test", seed=0)


@pytest.mark.parametrize("name", ["features.npy", "statistics.safetensors"])
def test_a_damaged_cache_is_refused(folder, tmp_path, name):
    copy = shutil.copytree(folder, tmp_path / "reference")
    content = bytearray((copy / "test" / name).read_bytes())
    content[-1] ^= 1
    (copy / "test" / name).write_bytes(content)
    with pytest.raises(FeatureError, match=rf"test/{name} is missing or damaged"):
        measure(Generated(np.zeros((60, 64), np.float32)), Reference.open(copy), "test", seed=0)
    (copy / "test" / name).unlink()
    with pytest.raises(FeatureError, match=rf"test/{name} is missing or damaged"):
        measure(Generated(np.zeros((60, 64), np.float32)), Reference.open(copy), "test", seed=0)


def test_constant_and_few_samples(reference):
    constant = seen(reference, np.full((60, 1, 16, 16), 128, np.uint8))
    found = measure(constant, reference, "test", seed=0)
    assert all(np.isfinite(value) for value in found.values() if isinstance(value, float))
    assert found["coverage"] < 0.2
    with pytest.raises(FeatureError, match="an interval needs at least 40 samples, got 39"):
        measure(constant[np.arange(39)], reference, "test", seed=0)


def test_the_card_says_which_metric_is_blind_to_what(tmp_path):
    """By the pixels of soft blobs, more of the same blobs are told from half of them, and nothing else is looked at."""
    images = {"train": blobs(300, 0)[0], "validation": blobs(200, 1)[0]}
    card = build(images, {}, tmp_path / "pixels", extractor="pixels", seed=0)
    reference = Reference.open(tmp_path / "pixels")
    assert card["sight"].keys() == {"fd_pixels", "kd_pixels", "precision", "recall", "density", "coverage"}
    assert not {"fd_pixels", "coverage"} & reference.blind.keys()
    for metric, rungs in card["sight"].items():
        assert reference.blind.get(metric, []) == [rung for rung, found in rungs.items() if not found["told"]]
    for metric, rungs in reference.blind.items():
        assert f"{metric} is blind to" in reference.summary()
        assert rungs
    old = Reference(tmp_path, {key: value for key, value in card.items() if key not in ("sight", "blind")}, "cpu")
    assert old.blind == {}


def test_the_floor_is_the_distance_of_training_images_at_the_counts_of_the_figure(reference):
    train, test = reference.features("train"), reference.statistics("test")
    all_of_them = floors(reference, "test", 10_000, seed=0)
    assert all_of_them["fd_domain"] == pytest.approx(frechet_distance(test, Statistics.of(train)))
    some = floors(reference, "test", 60, seed=0)
    assert some["fd_domain"] > all_of_them["fd_domain"]  # fewer samples, more bias: in the figure as well
    assert {"fd_domain", "kd_domain"} <= some.keys() <= {"fd_domain", "fd_domain_infinity", "kd_domain"}
    swapped = floors(reference, "train", 10_000, seed=0)
    assert swapped["fd_domain"] == pytest.approx(all_of_them["fd_domain"])


def test_a_generator_as_good_as_other_real_images_has_the_floor(reference):
    fresh = measure(seen(reference, blobs(400, 9)[0]), reference, "test", seed=0)
    floor = floors(reference, "test", 400, seed=0)
    low, high = fresh["intervals"]["fd_domain"]
    assert abs(floor["fd_domain"] - fresh["fd_domain"]) < 2 * (high - low)
