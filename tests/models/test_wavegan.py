"""WaveGAN: its lengths, its layers against the paper's, and what every architecture must do, on waves."""

import copy

import numpy as np
import onnxruntime
import pytest
import torch
from torch.nn import functional as F

from ganops.generator.onnx import export_onnx, graph_inputs
from ganops.kinds import Spec
from ganops.losses import square_norms
from ganops.models import wavegan


def make(samples=512, classes=3, seed=0, **options):
    torch.manual_seed(seed)
    return wavegan.players(shape=(1, samples), classes=classes, latent=6, **{"width": 4, **options})


def inputs(count=3, classes=3):
    torch.manual_seed(1)
    return torch.randn(count, 6), torch.arange(count) % classes if classes else None


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("samples", [32, 100, 512, 4096, 12288])
@pytest.mark.parametrize("kernel", [5, 25])
def test_shapes_and_gradients(samples, classes, kernel):
    """The scores, and the gradient of their gradient, reach every parameter in a step with R1."""
    G, D = make(samples, classes, kernel=kernel)
    z, y = inputs(classes=classes)
    x = G(z, y)
    assert x.shape == (3, 1, samples)
    assert x.abs().max() <= 1
    assert D.features(x).shape == (3, D.width)
    scores = D(x, y)
    assert scores.shape == (3,)
    penalty = square_norms(x, scores)
    assert (penalty > 0).all()
    (scores.sum() + penalty.sum()).backward()
    for network in (G, D):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all()


def test_the_layers_are_those_of_the_paper():
    """Tables 3 and 4 of Donahue et al. 2019, for d = 64 and 16,384 samples: shapes of the weights, but for labels."""
    with torch.device("meta"):
        G, D = wavegan.players(shape=(1, 16384), classes=0, latent=100, width=64)
    shapes = [tuple(p.shape) for p in G.parameters() if p.ndim > 1]
    assert shapes == [(16 * 1024, 100), (1024, 512, 25), (512, 256, 25), (256, 128, 25), (128, 64, 25), (64, 1, 25)]
    shapes = [tuple(p.shape) for p in D.parameters() if p.ndim > 1]
    assert shapes == [(64, 1, 25), (128, 64, 25), (256, 128, 25), (512, 256, 25), (1024, 512, 25), (1, 16 * 1024)]


def test_a_layer_of_the_generator_is_an_upsampling_by_zeros_and_a_filter():
    G, _ = make()
    layer, x = G.layers[1], torch.randn(1, G.layers[1].in_channels, 8)
    spread = F.pad(torch.stack([x, *[torch.zeros_like(x)] * 3], -1).flatten(2), (13, 12))
    expected = F.conv1d(spread, layer.weight.flip(2).transpose(0, 1), layer.bias)[..., :32]
    assert torch.allclose(layer(x), expected, atol=1e-5)


def test_the_variance_is_kept_at_the_start():
    G, D = make(4096, width=16)
    z, y = torch.randn(64, 6), torch.arange(64) % 3
    assert 0.2 < G(z, y).std() < 0.9
    assert 0.1 < D.features(torch.randn(64, 1, 4096)).std() < 3


@pytest.mark.parametrize(
    ("samples", "near"),
    [(8000, "7936 or 8192"), (16, "32"), (1, "32"), (33, "32 or 36"), (4100, "4096 or 4352")],
)
def test_other_lengths_are_refused_with_the_nearest_ones(samples, near):
    with pytest.raises(ValueError, match=rf"8 to 31 times a power of 4 samples, got {samples}; .*: {near}$"):
        make(samples)
    for number in map(int, near.split(" or ")):
        assert wavegan.layers(number) > 0


def test_other_samples_and_kernels_are_refused():
    with pytest.raises(ValueError, match=r"draws waves \[1, T\], not samples of \[1, 16, 16\]"):
        wavegan.players(shape=(1, 16, 16), classes=0, latent=4)
    for kernel in (3, 24):
        with pytest.raises(ValueError, match=f"kernel: expected an odd number from 5 on, got {kernel}"):
            make(kernel=kernel)


def test_a_sample_does_not_depend_on_the_others():
    G, D = make()
    z, y = inputs(8)
    with torch.no_grad():
        together = G(z, y)
        apart = torch.cat([G(z[i : i + 1], y[i : i + 1]) for i in range(8)])
        assert torch.allclose(together, apart, atol=1e-6)
        alone = torch.cat([D(together[i : i + 1], y[i : i + 1]) for i in range(8)])
        assert torch.allclose(D(together, y), alone, atol=1e-5)


def test_the_label_and_the_seed_decide():
    G, _ = make()
    z, y = inputs()
    assert not torch.equal(G(z, y), G(z, (y + 1) % 3))
    assert torch.equal(G(z, y), make()[0](z, y))
    assert not torch.equal(G(z, y), make(seed=1)[0](z, y))


def test_half_precision_is_the_same_network():
    G, D = make()
    z, y = inputs()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = G(z, y).float()
    assert torch.allclose(half, G(z, y), atol=0.05)
    assert D(half, y).isfinite().all()


@pytest.mark.parametrize("classes", [0, 3])
def test_a_generator_is_served_as_it_is(tmp_path, classes):
    """A graph has a free batch, and its clips are the same int16 alone and in a batch."""
    G, _ = make(classes=classes)
    spec = Spec("wave", (1, 512), classes, {"rate": 8000, "samples": 512})
    before = copy.deepcopy(G.state_dict())
    export_onnx(G, tmp_path / "G.onnx", spec, latent=6)
    assert all(torch.equal(value, before[name]) for name, value in G.state_dict().items())
    session = onnxruntime.InferenceSession(tmp_path / "G.onnx", providers=["CPUExecutionProvider"])
    (output,) = session.get_outputs()
    assert (output.name, output.type, output.shape[1:]) == ("clips", "tensor(int16)", [1, 512])
    given = graph_inputs(np.arange(9), 0.8, latent=6, classes=classes)
    together = session.run(None, given)[0]
    apart = [session.run(None, {name: value[i : i + 1] for name, value in given.items()})[0] for i in range(9)]
    assert np.array_equal(together, np.concatenate(apart))
    assert len(np.unique(together[0])) > 50
