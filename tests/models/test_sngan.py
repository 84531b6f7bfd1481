import pytest
import torch

from ganops.models import sngan


def test_the_published_number_of_parameters():
    """32 pixels, unconditional: G 4.28M and D 1.05M, with the biases that batch normalisation makes void in G."""
    G, D = sngan.players(shape=(3, 32, 32), classes=0, latent=128)
    assert sum(p.numel() for p in G.parameters()) + 3 * 3 * 256 == 4_276_739
    assert sum(p.numel() for p in D.parameters()) == 1_053_825


def test_every_layer_of_d_is_normalised():
    _, D = sngan.players(shape=(3, 16, 16), classes=4, latent=8, width=16)
    weights = [name for name, parameter in D.named_parameters() if parameter.ndim > 1]
    assert all(name.endswith("parametrizations.weight.original") for name in weights)
    assert len(weights) == 3 + 2 * 2 + 2


def test_a_bias_before_batch_normalisation_is_void():
    """Why G has none: the pictures of a batch do not change."""
    torch.manual_seed(0)
    G, _ = sngan.players(shape=(1, 16, 16), classes=0, latent=8, width=8)
    z = torch.randn(6, 8)
    before = G(z)
    for block in G.blocks:
        for layer in (block.first, block.second, block.shortcut):
            layer.bias = torch.nn.Parameter(torch.randn(layer.out_channels))
    assert torch.allclose(G(z), before, atol=1e-4)


def test_an_odd_width_is_refused():
    with pytest.raises(ValueError, match="even"):
        sngan.players(shape=(1, 16, 16), classes=0, latent=8, width=7)
