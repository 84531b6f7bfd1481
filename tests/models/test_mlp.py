import pytest
import torch

from ganops.models import mlp


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("shape", [(2,), (5, 7), (1, 8, 8), (2, 3, 4, 5)])
def test_a_sample_is_any_shape(shape, classes):
    G = mlp.Generator(shape=shape, latent=4, classes=classes)
    y = torch.tensor([0, 2, 1, 0, 2, 1]) if classes else None
    x = G(torch.randn(6, 4), y)
    assert x.shape == (6, *shape)
    for D in (
        mlp.Discriminator(shape=shape, classes=classes),
        mlp.Autoencoder(shape=shape, code=2, classes=classes),
    ):
        assert D(x, y).shape == (6,)


def test_images_are_bounded_and_vectors_are_not():
    z = torch.randn(64, 4) * 100
    assert mlp.Generator(shape=(1, 8, 8), latent=4)(z).abs().max() <= 1
    assert mlp.Generator(shape=(2,), latent=4)(z).abs().max() > 1
    assert mlp.Generator(shape=(1, 8, 8), latent=4, bounded=False)(z).abs().max() > 1


@pytest.mark.parametrize("slope", [0.0, 0.2, 0.5])
def test_layers_keep_the_variance(slope):
    torch.manual_seed(0)
    G = mlp.Generator(shape=(500,), latent=300, width=1000, depth=6, slope=slope)
    assert G(torch.randn(200, 300)).square().mean().item() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("critic", ["score", "autoencoder"])
def test_biases_decide_whether_players_are_linear_along_a_ray(critic):
    def bent(bias):
        torch.manual_seed(0)
        players = mlp.players(shape=(1, 2, 2), classes=0, latent=4, critic=critic, bounded=False, bias=bias)
        body = players[1].encoder if critic == "autoencoder" else players[1].layers
        directions = torch.randn(8, 4)
        with torch.no_grad():
            return [not torch.allclose(2 * of(directions), of(2 * directions), atol=1e-4) for of in (players[0], body)]

    assert bent(0.0) == [False, False]
    assert bent(0.5) == [True, True]


@pytest.mark.parametrize("options", [{"critic": "judge"}, {"depth": 0}, {"bias": -1.0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        mlp.players(shape=(1, 16, 16), classes=0, latent=4, **options)
