"""Latents that are found for pictures by optimisation."""

import numpy as np
import pytest
import torch

from ganops.core.errors import UserError
from ganops.core.latents import latents, normal_table
from ganops.generator import Description, Generator, generator_network, projection
from ganops.generator.projection import project

SEEDS = np.array([10**6, 10**6 + 4, 10**6 + 8])
"""Seeds of pictures that are no candidates."""


def generator(classes=0, channels=1, **more):
    """A generator whose pictures differ by some thirty grey levels, as those of a trained one do."""
    torch.manual_seed(1)
    description = Description(
        "mlp", {"width": 16}, 6, classes, tuple("abc"[:classes]), (channels, 16, 16), 0.0, "f", **more
    )
    return Generator(generator_network(description), description)


def rms(a, b):
    return np.sqrt(np.square(a.astype(float) - b).mean((1, 2, 3)))


@pytest.mark.parametrize("classes", [0, 3])
def test_what_a_generator_drew_is_found_again(classes):
    g = generator(classes)
    labels = SEEDS % 3 if classes else None
    drawn = g.sample(SEEDS, labels)
    found = project(g, drawn, labels, steps=80)
    assert found.latents.shape == (3, 6)
    assert found.distances.shape == (3, 81)
    candidates = np.stack([g.sample(np.arange(512), None if labels is None else np.full(512, y))
                           for y in ([0, 0, 0] if labels is None else labels)])  # fmt: skip
    nearest = np.array([rms(each, picture).min() for each, picture in zip(candidates, drawn, strict=True)])
    assert (found.distances[:, 0] >= nearest - 0.1).all()  # but for the rounding to whole grey levels
    assert (found.distances[:, -1] < nearest / 4).all()
    np.testing.assert_array_equal(g.render(found.latents, labels), found.pictures)
    np.testing.assert_allclose(rms(found.pictures, drawn), found.distances[:, -1], atol=0.5)  # they are rounded
    # at the least of error and prior the latent is at least as likely as the one that was drawn, whose error is 0
    assert (np.linalg.norm(found.latents, axis=1) < np.linalg.norm(latents(SEEDS, 6, normal_table()), axis=1)).all()


@pytest.mark.parametrize("labels", [None, np.array([2, 0, 1])])
def test_a_picture_gets_the_same_latent_alone_and_beside_others(labels):
    g = generator(3, channels=3)
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 16, 16), np.uint8)
    together = project(g, images, labels, steps=12)
    for i in (2, 0, 1):
        alone = project(g, images[i : i + 1], None if labels is None else labels[i : i + 1], steps=12)
        np.testing.assert_array_equal(alone.latents[0], together.latents[i])
        np.testing.assert_array_equal(alone.distances[0], together.distances[i])
        assert alone.labels[0] == together.labels[i]
    np.testing.assert_array_equal(project(g, images, labels, steps=12).latents, together.latents)
    other = project(g, images, labels, steps=12, seed=1)
    assert not np.array_equal(other.latents, together.latents)


def test_an_unknown_class_is_found():
    g = generator(3)
    labels = np.array([2, 0, 1])
    found = project(g, g.sample(SEEDS, labels), steps=60)
    np.testing.assert_array_equal(found.labels, labels)
    assert (found.distances[:, -1] < found.distances[:, 0] / 2).all()


def test_the_longer_the_search_the_nearer_the_picture():
    g = generator()
    image = np.random.default_rng(3).integers(0, 256, (1, 1, 16, 16), np.uint8)
    ends = [project(g, image, steps=steps).distances[0, -1] for steps in (1, 20, 100)]
    assert ends[0] > ends[1] >= ends[2]


def test_latents_of_strange_pictures_stay_plausible(monkeypatch):
    g = generator()
    image = np.random.default_rng(3).integers(0, 256, (1, 1, 16, 16), np.uint8)
    length = [np.linalg.norm(project(g, image, steps=100).latents)]
    monkeypatch.setattr(projection, "VARIANCE", 1e-9)
    length += [np.linalg.norm(project(g, image, steps=100).latents)]
    assert length[0] < length[1]


def test_numbers_that_choose_a_component_stay():
    """They have no gradient, and their density would pull them to zero: another component would be drawn on the way."""
    g = generator(prior={"name": "fitted", "components": 4}, code=4)
    density = g.network.density
    density.means.copy_(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)) * 3)
    density.edges.copy_(torch.tensor([[-1.0, 0.0, 1.0]]))
    found = project(g, g.sample(SEEDS), steps=40)
    candidates = latents(np.arange(512), 6, normal_table())
    for z in found.latents:
        assert (z[:2] == candidates[:, :2]).all(1).any()
        assert not (z[2:] == candidates[:, 2:]).all(1).any()


def test_features_count_beside_pixels():
    g = generator()
    image = np.random.default_rng(5).integers(0, 256, (1, 1, 16, 16), np.uint8)

    def brightness(x):
        return 30 * x.mean((2, 3))

    plain, watched = project(g, image, steps=60), project(g, image, steps=60, features=brightness)
    miss = [abs(each.pictures.mean() - image.mean()) for each in (plain, watched)]
    assert miss[1] < miss[0] / 4
    assert watched.distances[0, -1] >= plain.distances[0, -1]


@pytest.mark.parametrize(
    ("images", "options", "words"),
    [
        (np.zeros((1, 1, 8, 8), np.uint8), {}, r"expected uint8 \[N, 1, 16, 16\].* got uint8 \[1, 1, 8, 8\]"),
        (np.zeros((0, 1, 16, 16), np.uint8), {}, "got uint8"),
        (np.zeros((1, 1, 16, 16), np.float32), {}, "got float32"),
        (np.zeros((1, 1, 16, 16), np.uint8), {"steps": 0}, "steps: expected at least 1, got 0"),
        (np.zeros((1, 1, 16, 16), np.uint8), {"seed": -1}, "seed: expected at least 0, got -1"),
    ],
)
def test_what_cannot_be_projected_is_refused(images, options, words):
    with pytest.raises(UserError, match=words):
        project(generator(), images, **options)
