"""The extractors of films: what they see of motion, and what views leave as it is."""

import numpy as np
import pytest
import torch
from films import moving, sprites

from ganops.core.errors import FeatureError
from ganops.metrics.extractors import of_kind
from ganops.metrics.extractors.corruptions import blur, freeze, low_rank, reverse, shuffle_frames, shuffle_patches
from ganops.metrics.extractors.domain import HARMS, STILL, Domain, Plan, _view, as_planes
from ganops.metrics.extractors.motion import Motion, differences
from ganops.metrics.frechet import frechet_between
from ganops.metrics.movement import tracks

TRAIN, LABELS = sprites(600, seed=0)
HELD_OUT, THEIRS = sprites(300, seed=1)
OTHERS, _ = sprites(300, seed=2)


@pytest.fixture(scope="module")
def made():
    return {each.name: each.make(TRAIN, LABELS, HELD_OUT, THEIRS, seed=0, kimg=6) for each in (Domain, Motion)}


def distance(extractor, films):
    return frechet_between(extractor.features(OTHERS)[0], extractor.features(films)[0])


def test_films_have_extractors_of_their_own():
    assert of_kind("video") == ("domain", "motion")


def test_motion_that_is_broken_is_far_away(made):
    motion, rng = made["motion"], np.random.default_rng(0)
    real, shuffled = distance(motion, HELD_OUT), distance(motion, shuffle_frames(HELD_OUT, rng))
    assert shuffled > 3 * real, "the law"
    assert shuffled > 50 * real
    assert distance(motion, freeze(HELD_OUT)) > 50 * real
    swapped = distance(motion, HELD_OUT[:, :, [0, 1, 2, 4, 3, 5, 6, 7]])
    assert swapped > 5 * real
    # what the companion is for
    domain = made["domain"]
    assert swapped / real > 2 * distance(domain, HELD_OUT[:, :, [0, 1, 2, 4, 3, 5, 6, 7]]) / distance(domain, HELD_OUT)


def test_films_backwards_are_films_where_motion_is_symmetric(made):
    assert distance(made["motion"], reverse(HELD_OUT)) < 3 * distance(made["motion"], HELD_OUT)


def test_both_are_classifiers_of_labelled_films(made):
    for extractor in made.values():
        assert extractor.card["accuracy"] > 0.8
        assert extractor.card["frames"] == 8
    assert made["domain"].card["negatives"] == list(HARMS) + list(STILL)
    assert made["motion"].card["negatives"] == list(STILL)
    assert Motion.harms(Plan(), TRAIN) == STILL, "also where labels are easy to tell"


def test_what_is_saved_gives_the_same_features(made, tmp_path):
    for name, extractor in made.items():
        extractor.save(tmp_path / name)
        again = type(extractor).load(tmp_path / name)
        assert again.hash == extractor.hash
        assert np.array_equal(again.features(OTHERS[:9])[0], extractor.features(OTHERS[:9])[0])


def test_films_are_seen_in_pieces_of_as_many_frames_as_images(made):
    assert made["domain"].batch == 256
    seen = []
    made["domain"].network.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
    whole, _ = made["domain"].features(OTHERS[:70])
    assert {tuple(shape) for shape in seen} == {(32, 8, 32, 32), (6, 8, 32, 32)}
    np.testing.assert_allclose(whole, made["domain"].features(OTHERS[:70], batch=70)[0], atol=1e-4)


def test_differences_are_exact_but_for_half_a_level():
    films = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5, 6), np.uint8))
    found = differences(films)
    assert found.dtype == torch.uint8
    assert found.shape == (2, 9, 5, 6)
    true = films.double().diff(dim=2).flatten(1, 2) / 2
    assert (found.double() - 128 - true).abs().max() <= 0.5
    assert (differences(films[:, :, :1].expand(-1, -1, 3, -1, -1)) == 128).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_view_changes_all_frames_alike(channels):
    """A film of one frame, repeated, is one in all its views; and what moves, moves as it did."""
    films, _, velocity = moving(64, channels=channels, sprite=8)
    source = torch.Generator().manual_seed(0)
    still = _view(as_planes(torch.from_numpy(freeze(films))), channels, source).unflatten(1, (channels, 8))
    assert (still == still[:, :, :1]).all()
    view = _view(as_planes(torch.from_numpy(films)), channels, torch.Generator().manual_seed(0))
    shown = ((view.unflatten(1, (channels, 8)) + 3) * 42).byte().numpy()
    found = tracks(shown)[:, 2:]
    ahead = (found * velocity).sum(1) > 0  # some are hidden, or leave the view
    assert ahead.mean() > 0.8


def test_harms_of_images_harm_all_frames_alike():
    films = freeze(OTHERS[:20])
    for harmed in (blur(films, 1), shuffle_patches(films, 4, np.random.default_rng(0)), low_rank(films, 4)):
        assert harmed.shape == films.shape
        assert np.abs(harmed[:, :, 0].astype(int) - harmed[:, :, -1]).max() <= 1
        assert not np.array_equal(harmed, films)
    np.testing.assert_array_equal(blur(films, 1)[:, :, 0], blur(films[:, :, 0], 1))


@pytest.mark.parametrize("frames", [2, 3, 8])
def test_shuffled_frames_are_the_same_frames_in_another_order(frames):
    films = np.random.default_rng(0).integers(0, 256, (200, 3, frames, 2, 2), np.uint8)
    shuffled = shuffle_frames(films, np.random.default_rng(1))
    assert (shuffled != films).any(axis=(1, 2, 3, 4)).all()
    assert np.array_equal(np.sort(shuffled, axis=2)[:, :1], np.sort(films, axis=2)[:, :1])
    assert np.array_equal(reverse(reverse(films)), films)
    assert np.array_equal(freeze(films)[:, :, -1], films[:, :, 0])


def test_what_is_no_film_is_said(made):
    expected = r"expected films uint8 \[N, C, T, H, W\], N >= 1; got uint8 \[5, 1, 32, 32\]"
    with pytest.raises(FeatureError, match=expected):
        made["motion"].features(OTHERS[:5, :, 0])
    with pytest.raises(FeatureError, match=r"domain extractor was trained on images \(1, 8, 32, 32\), got \(1, 7, 32"):
        made["domain"].features(OTHERS[:5, :, :7])
