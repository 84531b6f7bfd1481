import math

import pytest
import torch
import torch.nn.functional as F

from ganops.models import stylegan2
from ganops.models.layers import upsample
from ganops.models.stylegan2 import Linear, Modulated, minibatch_deviation


def test_the_published_number_of_parameters():
    """256 pixels, half the channels (config of StyleGAN2-ADA): G 24.77M less 13 strengths of the noise, D 24.00M."""
    with torch.device("meta"):
        G, D = stylegan2.players(shape=(3, 256, 256), classes=0, latent=512, base=16384, maximum=512, mapping=8)
    assert sum(p.numel() for p in G.parameters()) == 24_767_458 - 13
    assert sum(p.numel() for p in D.parameters()) == 24_001_089


@pytest.mark.parametrize("demodulates", [True, False])
def test_modulated_convolution_is_one_with_weights_of_each_sample(demodulates):
    """Karras et al. 2020, eqs. 1 and 3, as a grouped convolution with one group for each sample."""
    torch.manual_seed(0)
    N, C, K, H = 3, 5, 4, 6
    layer = Modulated(C, K, 3, 7, demodulates=demodulates)
    x, w = torch.randn(N, C, H, H), torch.randn(N, 7)
    weights = layer.weight / math.sqrt(9 * C) * layer.style(w)[:, None, :, None, None]
    if demodulates:
        weights = weights / (weights.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    reference = F.conv2d(x.reshape(1, N * C, H, H), weights.reshape(N * K, C, 3, 3), padding=1, groups=N)
    assert torch.allclose(layer(x, w), reference.reshape(N, K, H, H), rtol=0, atol=1e-5)


def test_a_doubling_convolution_is_upsampling_and_then_a_convolution():
    """In the interior: at the edge they differ in what is beyond it."""
    torch.manual_seed(0)
    double, flat = Modulated(3, 4, 3, 2, doubles=True), Modulated(3, 4, 3, 2)
    flat.load_state_dict(double.state_dict())
    with torch.no_grad():
        flat.weight.copy_(double.weight.flip(2, 3))  # a transposed convolution reads its kernel backwards
    x, w = torch.randn(2, 3, 8, 8), torch.randn(2, 2)
    assert torch.allclose(double(x, w)[..., 3:-3, 3:-3], flat(upsample(x), w)[..., 3:-3, 3:-3], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("count", "group", "size"), [(8, 4, 4), (6, 4, 3), (7, 4, 1), (2, 4, 2)])
def test_minibatch_deviation_in_closed_form(count, group, size):
    x = torch.randn(count, 3, 2, 2, dtype=torch.float64)
    found = minibatch_deviation(x, group)
    assert found.shape == (count, 1, 2, 2)
    for start in range(0, count, size):
        samples = x[start : start + size]
        expected = ((samples - samples.mean(0)).square().mean(0) + 1e-8).sqrt().mean()
        assert torch.allclose(found[start : start + size], expected, rtol=0, atol=1e-12)


def test_groups_do_not_see_one_another():
    """So slices that are multiples of a group give what the whole batch gives."""
    x = torch.randn(12, 3, 4, 4)
    parts = torch.cat([minibatch_deviation(part, 3) for part in x.split(6)])
    assert torch.equal(minibatch_deviation(x, 3), parts)


def test_the_mapping_learns_a_hundred_times_slower():
    """Adam moves each stored weight by its learning rate; what is used moves by rate * gain."""
    fast, slow = Linear(16, 8), Linear(16, 8, rate=0.01)
    x = torch.zeros(1, 16)
    x[0, 0] = 1.0
    moves = []
    for layer in (fast, slow):
        before = layer(x).detach()
        with torch.no_grad():
            layer.weight += 1.0
        moves.append((layer(x) - before).mean().item())
    assert moves[0] == pytest.approx(1 / 4, rel=1e-4)
    assert moves[1] == pytest.approx(0.01 / 4, rel=1e-3)


def test_the_length_of_a_latent_matters():
    """A served model multiplies z by its truncation."""
    G, _ = stylegan2.players(shape=(1, 16, 16), classes=0, latent=8, base=64, maximum=8)
    z = torch.randn(4, 8)
    assert not torch.allclose(G(z), G(z * 0.5), atol=1e-3)


def test_the_score_is_the_product_with_the_mapped_label_as_it_is():
    """As in StyleGAN2-ADA, D normalises the embedding but not the mapped label: twice as long is twice the score."""
    torch.manual_seed(0)
    _, D = stylegan2.players(shape=(1, 16, 16), classes=3, latent=8, base=128, maximum=16)
    x, y = torch.randn(6, 1, 16, 16), torch.tensor([0, 1, 2, 0, 1, 2])
    with torch.no_grad():
        scores = D(x, y)
        for parameter in D.mapping.layers[-1].parameters():
            parameter.mul_(2)  # a leaky ReLU passes factors on
        assert torch.allclose(D(x, y), 2 * scores, rtol=1e-5, atol=0)
