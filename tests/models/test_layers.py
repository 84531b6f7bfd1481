import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call

from ganops.models.layers import GroupedConv2d, as_maps, as_rows, blur, downsample, spectral, upsample


def test_resampling_keeps_constants_and_means():
    x = torch.ones(1, 2, 8, 8)
    assert torch.allclose(upsample(x)[..., 2:-2, 2:-2], torch.ones(1))
    assert torch.allclose(downsample(x)[..., 1:-1, 1:-1], torch.ones(1))
    assert torch.allclose(blur(x, 2)[..., 2:-2, 2:-2], torch.ones(1))


def test_upsampling_is_the_adjoint_of_downsampling():
    x, y = torch.randn(1, 3, 8, 8), torch.randn(1, 3, 4, 4)
    assert torch.allclose((downsample(x) * y).sum(), (x * upsample(y) / 4).sum(), atol=1e-5)


def test_upsampling_is_bilinear_in_the_interior():
    """[1, 3, 3, 1] at stride 2 is bilinear interpolation with half-pixel centres."""
    x = torch.randn(1, 1, 8, 8)
    reference = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    assert torch.allclose(upsample(x)[..., 2:-2, 2:-2], reference[..., 2:-2, 2:-2], atol=1e-6)


def test_resampling_is_the_convolution_it_says():
    taps = torch.tensor([1, 3, 3, 1], dtype=torch.float64) / 8
    kernel = (taps[:, None] * taps).expand(3, 1, 4, 4)
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    up = F.conv_transpose2d(x, kernel * 4, stride=2, padding=1, groups=3)
    assert torch.allclose(upsample(x), up, rtol=0, atol=1e-12)
    assert torch.allclose(downsample(x), F.conv2d(x, kernel, stride=2, padding=1, groups=3), rtol=0, atol=1e-12)
    assert torch.allclose(blur(x, 2), F.conv2d(x, kernel, padding=2, groups=3), rtol=0, atol=1e-12)


@pytest.mark.parametrize("resample", [upsample, downsample, lambda x: blur(x, 1), lambda x: blur(x, 2)])
def test_gradients_of_resampling_to_the_second_order(resample):
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(resample, x)
    assert gradgradcheck(resample, x)


@pytest.mark.parametrize("resample", [upsample, downsample, lambda x: blur(x, 1)])
def test_autocast_does_not_touch_resampling(resample):
    x = torch.randn(1, 2, 4, 4)
    plain = resample(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(resample(x), plain)
        assert resample(x.bfloat16()).dtype == torch.bfloat16


def iterate(layer):
    """Each look at the weight is one power iteration, as each pass is."""
    for _ in range(500):
        _ = layer.weight


def largest_singular_value(layer):
    return torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2).item()


@pytest.mark.parametrize("make", [lambda: nn.Conv2d(6, 12, 3), lambda: nn.Linear(30, 7), lambda: nn.Embedding(5, 9)])
@pytest.mark.parametrize("half", [False, True])
def test_spectral_norm_makes_the_largest_singular_value_one(make, half):
    torch.manual_seed(0)
    layer = spectral(make())
    assert largest_singular_value(layer) == pytest.approx(1, abs=0.1)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        iterate(layer)
    assert largest_singular_value(layer) == pytest.approx(1, abs=1e-5)


def test_spectral_norm_has_the_gradient_of_w_over_sigma():
    torch.manual_seed(0)
    layer = spectral(nn.Linear(5, 4).double())
    iterate(layer)
    W = layer.parametrizations.weight.original
    outer = torch.randn(4, 5, dtype=torch.float64)
    (ours,) = torch.autograd.grad((layer.weight * outer).sum(), W)
    exact = W.detach().clone().requires_grad_()
    (reference,) = torch.autograd.grad((exact / torch.linalg.matrix_norm(exact, 2) * outer).sum(), exact)
    assert torch.allclose(ours, reference, rtol=0, atol=1e-9)


def test_a_copy_of_a_normalised_layer_is_another_layer():
    layer = spectral(nn.Linear(5, 4))
    copied = copy.deepcopy(layer)
    x = torch.randn(3, 5)
    assert torch.equal(layer.eval()(x), copied.eval()(x))
    with torch.no_grad():
        copied.parametrizations.weight.original.mul_(torch.randn(4, 5))
    assert not torch.allclose(layer(x), copied(x))


def test_spectral_norm_rests_in_evaluation():
    layer = spectral(nn.Linear(5, 4)).eval()
    assert torch.equal(layer.weight, layer.weight)
    u = layer.parametrizations.weight[0].u.clone()
    iterate(layer)
    assert torch.equal(layer.parametrizations.weight[0].u, u)


@pytest.mark.parametrize("groups", [1, 2])
def test_convolution_is_torchs_to_any_order(groups):
    torch.manual_seed(0)
    ours = GroupedConv2d(4, 6, 3, stride=2, padding=1, groups=groups).double()
    theirs = torch.nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=groups).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64, requires_grad=True)
    gradients = []
    for layer in (ours, theirs):
        y = layer(x).tanh().sum()  # tanh: so that the second gradient has all its terms
        (g,) = torch.autograd.grad(y, x, create_graph=True)
        gradients.append([y, g, *torch.autograd.grad(g.square().sum(), [x, layer.weight, layer.bias])])
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, rtol=1e-12)
    assert torch.autograd.gradgradcheck(lambda x, w: functional_call(ours, {"weight": w}, x), (x, ours.weight))


def test_rows_and_maps_are_inverse_views_of_channels_last_memory():
    x = torch.randn(3, 5, 4, 4).contiguous(memory_format=torch.channels_last).requires_grad_()
    rows = as_rows(x)
    maps = as_maps(rows, 4)
    assert torch.equal(maps, x)
    assert rows.data_ptr() == maps.data_ptr() == x.data_ptr()
    rows.square().sum().backward()
    assert x.grad.is_contiguous(memory_format=torch.channels_last)
