"""Every architecture of the table."""

import re
from contextlib import nullcontext

import numpy as np
import onnxruntime
import pytest
import torch

from ganops.core.randomness import Draws
from ganops.generator.onnx import export_onnx, graph_inputs
from ganops.kinds import Spec
from ganops.losses import LOSSES, square_norms
from ganops.models import ARCHITECTURES
from ganops.training.objective import Player, Turn, Weights
from ganops.training.state import State
from ganops.training.step import Game, play

SMALL = {
    "began": ("began", {"width": 4}),
    "dcgan": ("dcgan", {"width": 8}),
    "infogan": ("infogan", {"width": 16, "hidden": 32}),
    "infogan-none": ("infogan", {"width": 16, "hidden": 32, "norm": "none"}),
    "infogan-autoencoder": ("infogan", {"width": 16, "hidden": 32, "critic": "autoencoder"}),
    "mlp": ("mlp", {"width": 16}),
    "mlp-autoencoder": ("mlp", {"width": 16, "critic": "autoencoder"}),
    "r3gan": ("r3gan", {"widths": 16, "groups": 2}),
    "sngan": ("sngan", {"width": 16}),
    "stylegan2": ("stylegan2", {"base": 256, "maximum": 16}),
}

SAME_G = ("infogan-none", "infogan-autoencoder", "mlp-autoencoder")
"""Variants of D."""

OTHERS = {"lstm", "mocogan", "wavegan"}
"""Architectures that draw no planes: see their own tests."""


def make(name, **given):
    architecture, options = SMALL[name]
    torch.manual_seed(given.pop("seed", 0))
    return ARCHITECTURES[architecture](**{"shape": (1, 16, 16), "classes": 3, "latent": 4} | given | options)


def test_the_table_is_walked():
    assert {architecture for architecture, _ in SMALL.values()} == set(ARCHITECTURES) - OTHERS


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("resolution", [16, 32, 64])
@pytest.mark.parametrize("name", SMALL)
def test_shapes_and_gradients(name, resolution, channels, classes):
    """The scores, and the gradient of their gradient, reach every parameter in a step with R1."""
    G, D = make(name, shape=(channels, resolution, resolution), classes=classes, latent=12)
    y = torch.tensor([0, 2, 1]) if classes else None
    x = G(torch.randn(3, 12), y)
    assert x.shape == (3, channels, resolution, resolution)
    scores = D(x, y)
    assert scores.shape == (3,)
    penalty = square_norms(x, scores)
    assert (penalty > 0).all()
    (scores.sum() + penalty.sum()).backward()
    for network in (G, D):
        for parameter_name, parameter in network.named_parameters():
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.isfinite().all()


SIDES = (*range(1, 34), 40, 47, 48, 49, 63, 64, 65, 80)


@pytest.mark.parametrize("name", SMALL)
def test_each_side_is_drawn_and_judged_or_refused_with_the_nearest_that_are(name):
    drawn, refused = set(), {}
    for side in SIDES:
        try:
            G, D = make(name, shape=(1, side, side), classes=0)
        except ValueError as error:
            got, near = re.fullmatch(r".*got (\d+) x \d+; the nearest: (.*) \(of .*", str(error)).groups()
            refused[int(got)] = [int(number) for number in near.split(" or ")]
            continue
        with torch.no_grad():
            x = G(torch.randn(2, 4))
            assert x.shape == (2, 1, side, side)
            assert D(x).shape == (2,)
        drawn.add(side)
    assert {16, 32, 64} <= drawn
    assert drawn | refused.keys() == set(SIDES)
    for side, near in refused.items():
        for other in near:
            assert make(name, shape=(1, other, other), classes=0)
            assert not {each for each in drawn if min(side, other) < each < max(side, other)}, "nothing lies between"


@pytest.mark.parametrize("resolution", [128, 256])
@pytest.mark.parametrize("name", SMALL)
def test_large_samples(name, resolution):
    G, D = make(name, shape=(1, resolution, resolution))
    y = torch.tensor([2, 0])  # two of them: single units are normalised over the batch
    with torch.no_grad():
        x = G(torch.randn(2, 4), y)
        assert x.shape == (2, 1, resolution, resolution)
        assert D(x, y).isfinite().all()


@pytest.mark.parametrize("name", SMALL)
def test_the_label_matters(name):
    G, D = make(name)
    z, x = torch.randn(4, 4), torch.randn(4, 1, 16, 16)
    # of one sample: what a whole batch shares, batch normalisation of single units takes away
    a, b = torch.zeros(4, dtype=torch.int64), torch.tensor([0, 0, 0, 2])
    assert not torch.allclose(G(z, a), G(z, b))
    assert not torch.allclose(D(x, a), D(x, b))


@pytest.mark.parametrize("name", SMALL)
def test_a_seed_decides_the_weights(name):
    same, again, other = ({**G.state_dict(), **D.state_dict()} for G, D in (make(name, seed=s) for s in (1, 1, 2)))
    assert all(torch.equal(tensor, again[key]) for key, tensor in same.items())
    assert any(not torch.equal(tensor, other[key]) for key, tensor in same.items())


@pytest.mark.parametrize("name", SMALL)
def test_half_precision_is_the_same_network(name):
    """bf16 has three digits: scores and samples agree to a few percent of their size."""
    G, D = make(name)
    z, y = torch.randn(8, 4), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    with torch.no_grad():
        x = G(z, y)
        exact = x, D(x, y)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = G(z, y), D(x, y)
    for one, other in zip(exact, rounded, strict=True):
        assert (one - other).abs().max() < 0.05 * one.abs().max()


def game_of(state, seed):
    """One step of a conditional game with R1."""
    source = torch.Generator().manual_seed(seed)
    x, z = torch.randn(4, 1, 16, 16, generator=source), torch.randn(4, 4, generator=source)
    for adam in (state.adam_G, state.adam_D):
        for group in adam.param_groups:
            group["lr"] = 1e-3
    G, D = (Player(network, adam) for network, adam in ((state.G, state.adam_G), (state.D, state.adam_D)))
    draws = Draws((seed, 0), len(x), slice(None), x.device, x.dtype)
    turn = Turn(x, torch.arange(4) % 3, z, draws, weights=Weights(r1=1.0, r2=1.0))
    play(G, D, Game(LOSSES["relativistic"](), square_norms, nullcontext), [turn])


@pytest.mark.parametrize("name", SMALL)
def test_a_saved_game_goes_on_where_it_was(name, tmp_path):
    state, fresh = State.fresh(*make(name)), State.fresh(*make(name, seed=5))
    game_of(state, 0)
    state.save(tmp_path / "state")
    game_of(state, 1)
    fresh.load(tmp_path / "state")
    game_of(fresh, 1)
    tensors = fresh.tensors()
    for key, tensor in state.tensors().items():
        assert torch.equal(tensor, tensors[key]), key


@pytest.mark.parametrize("name", [name for name in SMALL if name not in SAME_G])
def test_a_generator_is_served_as_it_is(name, tmp_path):
    """One ONNX file for batches of any size; `export_onnx` compares batches of 8 and 1 itself."""
    G, _ = make(name, shape=(3, 16, 16))
    for _ in range(30):  # batch normalisation learns its statistics, without which the pictures would be flat
        G(torch.randn(16, 4), torch.arange(16) % 3)
    path = tmp_path / "generator.onnx"
    export_onnx(G, path, Spec("image", (3, 16, 16), 3), latent=4)
    inputs = graph_inputs(np.arange(5), 1.0, latent=4, classes=3)
    images = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(["images"], inputs)[0]
    with torch.no_grad():
        samples = G.eval()(torch.from_numpy(inputs["z"]), torch.from_numpy(inputs["labels"]))
    eager = (samples.clamp(-1, 1).permute(0, 2, 3, 1).numpy() + 1) * 127.5
    assert np.abs(images - eager).max() < 1
    assert images.std() > 1, "a flat picture would agree with anything"
