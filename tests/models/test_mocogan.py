"""Films of a content and a motion: what of z moves what, what D sees, and what is refused."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from ganops.data.augment import PRESETS, Augmentation
from ganops.data.batches import Batches
from ganops.generator.onnx import export_onnx, graph_inputs, run_onnx
from ganops.kinds import Spec
from ganops.losses import LOSSES, square_norms
from ganops.models import ARCHITECTURES
from ganops.training.loop import Recipe, train
from ganops.training.schedule import constant
from ganops.training.state import State
from ganops.training.step import Game

CONTENT, MOTION, FRAMES = 3, 2, 4
LATENT = CONTENT + FRAMES * MOTION


def make(shape=(1, FRAMES, 16, 16), classes=3, seed=0, **options):
    torch.manual_seed(seed)
    sizes = {"content": CONTENT, "motion": MOTION, "hidden": 5, "width": 8, **options}
    latent = sizes["content"] + shape[1] * sizes["motion"]
    return ARCHITECTURES["mocogan"](shape=shape, classes=classes, latent=latent, **sizes)


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("shape", [(1, 2, 16, 16), (3, 4, 16, 16), (1, 5, 32, 32)], ids=str)
@pytest.mark.parametrize("frame", ["dcgan", "r3gan", "sngan"])
def test_shapes_and_gradients(frame, shape, classes):
    """The scores, and the gradient of their gradient, reach every parameter in a step with R1."""
    G, D = make(shape, classes, frame=frame, width=16)
    y = torch.tensor([0, 2, 1]) if classes else None
    x = G(torch.randn(3, CONTENT + shape[1] * MOTION), y)
    assert x.shape == (3, *shape)
    scores = D(x, y)
    assert scores.shape == (3,)
    assert D.features(x).shape == (3, D.width)
    penalty = square_norms(x, scores)
    assert (penalty > 0).all()
    (scores.sum() + penalty.sum()).backward()
    for network in (G, D):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all()


def test_content_changes_all_frames_and_noise_those_from_its_own_on():
    G, _ = make()
    G.eval()
    z, y = torch.randn(1, LATENT), torch.tensor([1])
    with torch.no_grad():
        film = G(z, y)
        for at in range(LATENT):
            other = z.clone()
            other[0, at] += 1
            changed = (G(other, y) != film).flatten(3).any(3)[0, 0].tolist()
            first = 0 if at < CONTENT else (at - CONTENT) // MOTION
            assert changed == [t >= first for t in range(FRAMES)], at


def test_the_label_matters():
    G, D = make()
    z, x = torch.randn(4, LATENT), torch.randn(4, 1, FRAMES, 16, 16)
    a, b = torch.zeros(4, dtype=torch.int64), torch.full((4,), 2)
    assert not torch.allclose(G(z, a), G(z, b))
    assert not torch.allclose(D(x, a), D(x, b))


def test_d_sees_the_order_of_all_frames():
    """The frames that it looks at one by one stay where they are, so that the film's own critic notices."""
    _, D = make((1, 6, 16, 16), seen=2)
    x, y = torch.randn(4, 1, 6, 16, 16), torch.arange(4) % 3
    assert D.seen == (0, 5)
    assert not torch.allclose(D(x, y), D(x[:, :, [0, 3, 2, 1, 4, 5]], y), rtol=1e-6)
    frames, film = D.features(x).split([D.of_frame.width, D.of_film.width], 1)
    again, other = D.features(x[:, :, [0, 2, 1, 3, 4, 5]]).split([D.of_frame.width, D.of_film.width], 1)
    assert torch.equal(frames, again)
    assert not torch.allclose(film, other, rtol=1e-6)


def test_a_score_does_not_depend_on_the_rest_of_the_batch():
    G, D = make()
    z, y = torch.randn(6, LATENT, dtype=torch.float64), torch.arange(6) % 3
    for network in (G, D):
        network.double().eval()
    with torch.no_grad():
        x = G(z, y)
        assert torch.allclose(G(z[2:4], y[2:4]), x[2:4], atol=1e-12)
        assert torch.allclose(D(x[2:4], y[2:4]), D(x, y)[2:4], atol=1e-12)


def test_frames_that_are_seen_are_evenly_spread():
    assert [make((1, 9, 16, 16), seen=seen)[1].seen for seen in (1, 2, 3, 9)] == [
        (0,), (0, 8), (0, 4, 8), tuple(range(9)),
    ]  # fmt: skip


def test_what_it_cannot_draw_is_said():
    players = ARCHITECTURES["mocogan"]
    given = {"shape": (1, 8, 16, 16), "classes": 0}
    with pytest.raises(ValueError, match=r"latent: expected 112 for films of 8 frames: content 48 .* got 128"):
        players(**given, latent=128)
    with pytest.raises(ValueError, match="latent: expected 26 for films of 8 frames"):
        players(**given, latent=112, content=10, motion=2)
    with pytest.raises(ValueError, match=r"films .* not images of \[1, 16, 16\]"):
        players(shape=(1, 16, 16), classes=0, latent=112)
    with pytest.raises(ValueError, match=r"draws squares .* not samples of \[1, 16, 8\]"):
        players(shape=(1, 8, 16, 8), classes=0, latent=112)
    for name, value in (("seen", 0), ("seen", 9), ("hidden", 0), ("frame", "began")):
        with pytest.raises(ValueError, match=f"^{name}: expected .*, got"):
            players(**given, latent=112, **{name: value})
    with pytest.raises(ValueError, match="of films, architecture: mocogan does"):
        ARCHITECTURES["dcgan"](**given, latent=112)


@pytest.mark.parametrize("classes", [0, 3])
def test_a_generator_is_served_as_it_is(classes, tmp_path):
    """One ONNX file for batches of any size; `export_onnx` compares batches of 8 and 1 itself."""
    G, _ = make(classes=classes)
    with torch.no_grad():
        G.frame.layers[-2].weight.mul_(20)  # at the start its frames are nearly grey
    for _ in range(30):  # batch normalisation learns its statistics
        G(torch.randn(16, LATENT), torch.arange(16) % 3 if classes else None)
    path, spec = tmp_path / "generator.onnx", Spec("video", (1, FRAMES, 16, 16), classes, {"fps": 8})
    export_onnx(G, path, spec, latent=LATENT)
    films = run_onnx(path, graph_inputs(np.arange(5), 1.0, latent=LATENT, classes=classes))
    assert films.shape == (5, FRAMES, 16, 16, 1)
    assert films.dtype == np.uint8
    assert films.std() > 1, "a flat film would agree with anything"


def test_half_precision_is_the_same_network():
    G, D = make()
    z, y = torch.randn(8, LATENT), torch.arange(8) % 3
    with torch.no_grad():
        x = G(z, y)
        exact = x, D(x, y)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = G(z, y), D(x, y)
    for one, other in zip(exact, rounded, strict=True):
        assert (one - other).abs().max() < 0.05 * one.abs().max()


def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path):
    """Bit for bit, with penalties, augmentation and labels."""
    stored = np.random.default_rng(0).integers(0, 256, (40, 1, FRAMES, 16, 16), np.uint8)
    spec = Spec("video", stored.shape[1:], 3, {"fps": 8})
    batches = Batches(samples=stored, labels=np.arange(40) % 3, size=8, seed=1, spec=spec)

    def steps(state, until):
        augment = Augmentation.on(torch.device("cpu"), PRESETS["diffaugment"])
        game = Game(LOSSES["relativistic"](), square_norms, nullcontext, augment=augment)
        recipe = Recipe(
            steps=6, tick_steps=1, batch=8, latent=LATENT, learning_rate_G=constant(1e-3), r1=constant(0.5),
            learning_rate_D=constant(1e-3), beta1=0.5, beta2=constant(0.9), r2=constant(0.5), interval=2,
            half_life=constant(100), strength=constant(0.5),
        )  # fmt: skip
        for tick in train(state, batches, game, recipe, seed=3):
            if tick.step == until:
                break
        return state

    def fresh(seed=0):
        return State.fresh(*make(seed=seed))

    whole, half = steps(fresh(), 6), steps(fresh(), 3)
    half.save(tmp_path / "state")
    again = fresh(seed=5)
    again.load(tmp_path / "state")
    tensors = steps(again, 6).tensors()
    for name, tensor in whole.tensors().items():
        assert torch.equal(tensor, tensors[name]), name


def test_mlp_draws_films_as_well():
    G, D = ARCHITECTURES["mlp"](shape=(1, 4, 16, 16), classes=3, latent=6, width=16)
    y = torch.tensor([0, 1])
    x = G(torch.randn(2, 6), y)
    assert x.shape == (2, 1, 4, 16, 16)
    assert x.abs().max() <= 1
    assert D(x, y).shape == (2,)
