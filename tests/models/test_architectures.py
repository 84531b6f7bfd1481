"""Every architecture of the table."""

import pytest
import torch
import torch.nn.functional as F

from ganops.models import ARCHITECTURES, r3gan
from ganops.models.layers import downsample, upsample

SMALL = {"dcgan": {"width": 8}, "r3gan": {"widths": 16, "groups": 2}}


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resolution", [16, 64])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_shapes_and_gradients(name, resolution, channels, classes):
    G, D = ARCHITECTURES[name](channels=channels, resolution=resolution, classes=classes, latent=12, **SMALL[name])
    y = torch.tensor([0, 2, 1]) if classes else None
    x = G(torch.randn(3, 12), y)
    assert x.shape == (3, channels, resolution, resolution)
    scores = D(x, y)
    assert scores.shape == (3,)
    scores.sum().backward()
    for network in (G, D):
        for parameter_name, parameter in network.named_parameters():
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.isfinite().all()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_label_matters(name):
    G, D = ARCHITECTURES[name](channels=1, resolution=16, classes=3, latent=4, **SMALL[name])
    z = torch.randn(4, 4)
    a, b = torch.zeros(4, dtype=torch.int64), torch.full((4,), 2)
    assert not torch.allclose(G(z, a), G(z, b))
    assert not torch.allclose(D(torch.randn(4, 1, 16, 16), a), D(torch.randn(4, 1, 16, 16), b))


def test_r3gan_has_the_published_number_of_parameters():
    """CIFAR-10 preset: G 20.73M, D 20.68M."""
    with torch.device("meta"):
        G, D = r3gan.players(channels=3, resolution=32, classes=0, latent=64, widths=768, depth=2, groups=96)
    assert round(sum(p.numel() for p in G.parameters()) / 1e6, 2) == 20.73
    assert round(sum(p.numel() for p in D.parameters()) / 1e6, 2) == 20.68


def test_r3gan_blocks_start_as_the_identity():
    block = r3gan.Block(8, 2, 2, blocks=4)
    x = torch.randn(2, 8, 5, 5)
    assert torch.equal(block(x), x)


def test_resampling_keeps_constants_and_means():
    x = torch.ones(1, 2, 8, 8)
    assert torch.allclose(upsample(x)[..., 2:-2, 2:-2], torch.ones(1))
    assert torch.allclose(downsample(x)[..., 1:-1, 1:-1], torch.ones(1))


def test_upsampling_is_the_adjoint_of_downsampling():
    x, y = torch.randn(1, 3, 8, 8), torch.randn(1, 3, 4, 4)
    assert torch.allclose((downsample(x) * y).sum(), (x * upsample(y) / 4).sum(), atol=1e-5)


def test_upsampling_is_bilinear_in_the_interior():
    """[1, 3, 3, 1] at stride 2 is bilinear interpolation with half-pixel centres."""
    x = torch.randn(1, 1, 8, 8)
    reference = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    assert torch.allclose(upsample(x)[..., 2:-2, 2:-2], reference[..., 2:-2, 2:-2], atol=1e-6)
