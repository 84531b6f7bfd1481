import pytest
import torch
from torch import nn

from ganops.metrics.extractors.domain import scale
from ganops.metrics.extractors.extractor import laid_out, planar


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 4, 5), (2, 3, 4, 5, 6)])
def test_samples_of_any_rank_are_scaled_and_planes_have_their_channels_last(shape):
    x = torch.arange(torch.Size(shape).numel(), dtype=torch.uint8).reshape(shape)
    for found in (laid_out(x), scale(x)):
        assert found.shape == x.shape
        assert found.is_contiguous(memory_format=torch.channels_last) == (len(shape) == 4)
    assert torch.equal(scale(x), x.float() / 127.5 - 1)
    assert torch.equal(laid_out(x), x)


def test_kernels_of_planes_have_their_channels_last_and_others_stay_as_they_are():
    assert planar(nn.Conv2d(3, 4, 3)).weight.is_contiguous(memory_format=torch.channels_last)
    for network in (nn.Conv1d(3, 4, 3), nn.Conv3d(3, 4, 3), nn.Linear(3, 4)):
        weights = network.weight.clone()
        assert torch.equal(planar(network).weight, weights)
        assert network.weight.is_contiguous()
