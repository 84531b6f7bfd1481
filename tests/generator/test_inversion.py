"""Latents of pictures as a file, and the pictures that are drawn of them."""

import numpy as np
import pytest
import torch

from ganops.core.errors import UserError
from ganops.generator import Description, Generator, generator_network
from ganops.generator.encoder import Encoder, decoder, encoder_network
from ganops.generator.inversion import Inversion, distances, draw, invert, sheet

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 1, 16, 16), np.uint8)
LABELS = np.array([1, 0, 2, 2])


def halves(classes=3, code=6, latent=6, prior=None):
    """A generator and its encoder, untrained."""
    torch.manual_seed(1)
    names = tuple("abc"[:classes])
    description = Description(
        "mlp", {"width": 16}, latent, classes, names, (1, 16, 16), 0.0, "f", prior=prior or {}, code=code, moments=2
    )
    generator = Generator(generator_network(description), description)
    network = encoder_network(description)
    if network.label is not None:
        network.label.weight.normal_()
    return generator, Encoder(network, decoder(generator.network), description, 0.1)


def test_an_encoder_gives_codes_and_else_latents_are_sought():
    generator, encoder = halves()
    by_encoder = invert(generator, encoder, IMAGES, LABELS, names=tuple("wxyz"))
    assert (by_encoder.kind, by_encoder.by, by_encoder.fingerprint) == ("code", "its encoder", "f")
    np.testing.assert_array_equal(by_encoder.latents, encoder.encode(IMAGES, LABELS))
    np.testing.assert_array_equal(by_encoder.draw(generator), encoder.decode(by_encoder.latents, LABELS))
    sought = invert(generator, None, IMAGES, LABELS, steps=5)
    assert (sought.kind, sought.by, sought.names) == ("z", "optimisation, 5 steps", ())
    np.testing.assert_array_equal(sought.draw(generator), generator.render(sought.latents, LABELS))
    for made in (by_encoder, sought):
        errors = [
            np.sqrt(np.mean((a.astype(float) - b) ** 2)) for a, b in zip(IMAGES, made.draw(generator), strict=True)
        ]
        np.testing.assert_allclose(made.distances, errors, rtol=1e-6)


def test_an_unknown_label_is_that_of_the_nearest_reconstruction():
    generator, encoder = halves()
    found = invert(generator, encoder, IMAGES)
    each = np.stack([invert(generator, encoder, IMAGES, np.full(4, label)).distances for label in range(3)])
    np.testing.assert_array_equal(found.labels, each.argmin(0))
    np.testing.assert_array_equal(found.distances, each.min(0))
    np.testing.assert_array_equal(found.latents, encoder.encode(IMAGES, found.labels))
    assert len({*found.labels.tolist()}) > 1


@pytest.mark.parametrize(
    ("prior", "latent"), [({"name": "fitted", "components": 2}, 8), ({"name": "two_stage", "hidden": 8}, 12)]
)
def test_codes_go_to_the_decoder_and_latents_through_the_prior(prior, latent):
    generator, encoder = halves(prior=prior, latent=latent)
    code = invert(generator, encoder, IMAGES, LABELS)
    z = invert(generator, None, IMAGES, LABELS, steps=3)
    assert code.latents.shape == (4, 6)
    assert z.latents.shape == (4, latent)
    np.testing.assert_array_equal(code.draw(generator), encoder.decode(code.latents, LABELS))
    np.testing.assert_array_equal(z.draw(generator), generator.render(z.latents, LABELS))
    with pytest.raises(UserError, match=rf"takes \[N, {latent}\] of the kind z; got \[4, 6\]"):
        draw(generator, code.latents, LABELS, "z")


@pytest.mark.parametrize("classes", [0, 3])
def test_the_file_holds_all_of_it_without_pickles(classes, tmp_path):
    generator, encoder = halves(classes)
    made = invert(generator, encoder, IMAGES, LABELS if classes else None, names=("a/1.png", "ß", "x.npy[0]", ""))
    made.save(tmp_path / "latents.npz")
    with np.load(tmp_path / "latents.npz", allow_pickle=False) as file:
        fields = {"latents", "kind", "distances", "by", "fingerprint", "names", *(["labels"] if classes else [])}
        assert {*file.files} == fields
        assert str(file["kind"]) == "code"
    again = Inversion.load(tmp_path / "latents.npz")
    assert (again.kind, again.by, again.fingerprint, again.names) == (made.kind, made.by, made.fingerprint, made.names)
    np.testing.assert_array_equal(again.draw(generator), made.draw(generator))
    np.testing.assert_array_equal(again.distances, made.distances)
    assert (again.labels is None) == (classes == 0)


def test_a_file_of_another_kind_is_refused(tmp_path):
    generator, encoder = halves()
    made = vars(invert(generator, encoder, IMAGES, LABELS))
    wrong = {
        "no npz": None,
        "keys": {"latents": made["latents"]},
        "kind": {**made, "kind": "w"},
        "type": {**made, "latents": made["latents"].astype(np.float64)},
        "labels": {**made, "labels": LABELS[:2]},
        "more": {**made, "more": 1},
        "pickle": {**made, "names": np.array([object()], object)},
    }
    for name, content in wrong.items():
        path = tmp_path / f"{name}.npz"
        if content is None:
            path.write_text("no npz")
        else:
            np.savez(path, **content)
        with pytest.raises(UserError, match=f"{name}.npz: expected latents as `ganops encode` writes them"):
            Inversion.load(path)
    with pytest.raises(UserError, match="No such file"):
        Inversion.load(tmp_path / "nowhere.npz")


def test_latents_of_another_generator_are_refused():
    z = np.zeros((2, 6), np.float32)
    description = Description("mlp", {"width": 16}, 6, 0, (), (1, 16, 16), 0.0, "f")
    game = Generator(generator_network(description), description)
    with pytest.raises(UserError, match="takes no codes, it has no encoder"):
        draw(game, z, None, "code")
    with pytest.raises(UserError, match=r"takes \[N, 6\] of the kind z; got \[2, 5\]"):
        draw(game, z[:, :5], None, "z")
    with pytest.raises(UserError, match="labels: this generator takes none, got 0 to 1"):
        draw(game, z, np.array([0, 1]), "z")
    conditional, _ = halves()
    with pytest.raises(UserError, match="labels: this generator takes 0 to 2, got none"):
        draw(conditional, z, None, "z")
    with pytest.raises(UserError, match="labels: this generator takes 0 to 2, got 0 to 3"):
        draw(conditional, z, np.array([0, 3]), "code")


def test_distance_is_in_grey_levels():
    one = np.full((2, 3, 4, 4), 10, np.uint8)
    other = one + np.array([0, 30], np.uint8)[:, None, None, None]
    other[1, 0] = 10
    np.testing.assert_allclose(distances(one, other), [0, np.sqrt(2 / 3) * 30], rtol=1e-6)


def test_a_sheet_has_each_picture_above_its_reconstruction():
    images = np.arange(20, dtype=np.uint8)[:, None, None, None].repeat(4, 2)
    pictures, columns = sheet(images, images + 100)
    assert columns == 16
    rows = pictures[:, 0, 0, 0].reshape(-1, columns)
    assert rows[:2].tolist() == [list(range(16)), list(range(100, 116))]
    assert rows[2:].tolist() == [[*range(16, 20), *[255] * 12], [*range(116, 120), *[255] * 12]]
    pictures, columns = sheet(images[:3], images[3:6])
    assert pictures[:, 0, 0, 0].reshape(-1, columns).tolist() == [[0, 1, 2], [3, 4, 5]]
