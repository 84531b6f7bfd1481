"""Known motion: speed, direction and steadiness of sprites whose velocity is known."""

import numpy as np
import pytest
from films import FASTEST, SLOWEST, moving, sprites

from ganops.core.errors import FeatureError
from ganops.metrics import movement
from ganops.metrics.extractors.corruptions import freeze, reverse, shuffle_frames


@pytest.mark.parametrize("channels", [1, 3])
def test_speed_and_direction_are_those_of_the_sprite(channels):
    films, _, velocity = moving(300, channels=channels)
    found = movement.tracks(films)
    assert found[:, 0] == pytest.approx(np.hypot(*velocity.T), abs=0.05)
    assert found[:, 2:] == pytest.approx(velocity, abs=0.05)
    assert found[:, 1] == pytest.approx(1, abs=0.05)
    assert found[:, 0].min() > SLOWEST - 0.05
    assert found[:, 0].max() < FASTEST


def test_a_light_ground_and_a_dark_sprite_move_likewise():
    films, _, velocity = moving(50)
    assert movement.tracks(255 - films)[:, 2:] == pytest.approx(velocity, abs=0.05)
    grain = np.random.default_rng(0).integers(0, 20, films.shape)
    noisy = np.clip(films.astype(int) // 2 + 60 + grain, 0, 255).astype(np.uint8)
    assert movement.tracks(noisy)[:, 2:] == pytest.approx(velocity, abs=0.1)


def test_the_whole_and_its_pieces_are_followed_alike():
    films, _ = sprites(2 * movement.PIECE + 3)
    assert np.array_equal(movement.tracks(films)[-5:], movement.tracks(films[-5:]))
    assert movement.tracks(films[:0]).shape == (0, 4)


def test_real_films_lie_within_the_range_and_broken_motion_does_not():
    (train, _), (other, _) = sprites(2000, seed=0), sprites(1000, seed=1)
    of_train = movement.tracks(train)
    generator = np.random.default_rng(0)
    assert movement.in_range(of_train, movement.tracks(other)) > 0.97
    assert movement.in_range(of_train, movement.tracks(reverse(other))) > 0.97
    assert movement.in_range(of_train, movement.tracks(freeze(other))) == 0
    shuffled = movement.tracks(shuffle_frames(other, generator))
    assert movement.as_straight(of_train, movement.tracks(other)) > 0.97
    assert movement.as_straight(of_train, shuffled) < 0.05
    assert movement.in_range(of_train, shuffled) < 0.6
    assert movement.as_straight(of_train, movement.tracks(np.zeros_like(other))) == 0
    assert movement.in_range(of_train, movement.tracks(np.zeros_like(other))) == 0
    assert movement.in_range(of_train, movement.tracks(other[:, :, ::2])) < 0.6  # twice as fast


def test_directions_are_apart_by_the_share_that_goes_elsewhere():
    (one, _), (other, _, velocity) = sprites(4000, seed=0), moving(4000, seed=1)
    real, fake = movement.tracks(one), movement.tracks(other)
    assert movement.directions_apart(real, real) == 0
    assert movement.directions_apart(real, fake) < 0.05
    right = np.abs(np.arctan2(*velocity.T)) < 0.1  # one direction of eight
    assert movement.directions_apart(real, fake[right]) == pytest.approx(7 / 8, abs=0.02)
    assert movement.directions_apart(real, movement.tracks(freeze(other[:100]))) == 1


def test_what_is_no_film_is_said():
    with pytest.raises(FeatureError, match=r"expected films uint8 \[N, C, T, H, W\]; got uint8 \[3, 1, 16, 16\]"):
        movement.tracks(np.zeros((3, 1, 16, 16), np.uint8))
