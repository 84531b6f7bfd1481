"""Lessons of linear networks, against the closed forms of principal component analysis."""

import math
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from ganops.losses import LESSONS
from ganops.models.coded import TwoStage
from ganops.training.lesson import Lesson
from ganops.training.loop import Phase, Recipe, train
from ganops.training.schedule import constant, cosine
from ganops.training.state import State

NUMBERS, CODE, SAMPLES = 5, 2, 60
DEVIATIONS = torch.tensor([2.0, 1.2, 0.6, 0.5, 0.4], dtype=torch.float64)


def data():
    """Samples [N, 5] of mean not 0, whose principal components are known to `eigenvalues`."""
    source = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(NUMBERS, NUMBERS, dtype=torch.float64, generator=source))[0]
    noise = torch.randn(SAMPLES, NUMBERS, dtype=torch.float64, generator=source)
    return (noise * DEVIATIONS) @ turn + torch.arange(NUMBERS)


X = data()
EIGENVALUES = torch.linalg.eigvalsh(X.T.cov(correction=0)).flip(0)
DISCARDED = EIGENVALUES[CODE:]


class Decoder(nn.Linear):
    def forward(self, z, y=None):
        return super().forward(z)


class Encoder(nn.Module):
    """Means are linear in x; the variances are the same for all."""

    def __init__(self, deterministic=False):
        super().__init__()
        self.mean = nn.Linear(NUMBERS, CODE)
        self.log_variance = None if deterministic else nn.Parameter(torch.zeros(CODE))

    def forward(self, x, y=None):
        mean = self.mean(x)
        return mean if self.log_variance is None else torch.cat([mean, self.log_variance.expand_as(mean)], 1)


def taught(name, E, steps):
    torch.manual_seed(0)
    G = Decoder(CODE, NUMBERS).double()
    (loss,) = LESSONS[name]().stages
    lesson = Lesson(loss, nullcontext)
    state = State.fresh(G, E.double(), lesson.memory)
    recipe = Recipe(
        steps=steps, tick_steps=steps // 4, batch=SAMPLES, latent=CODE, learning_rate_G=cosine(0.05, 1e-4),
        learning_rate_D=cosine(0.05, 1e-4), beta1=0.9, beta2=constant(0.99),
    )  # fmt: skip
    *_, last = train(state, lambda turn: (X, None), lesson, recipe, seed=0)
    return state, last.metrics


def test_a_linear_vae_finds_what_probabilistic_pca_knows():
    """(Tipping & Bishop 1999, equations 7, 8; Lucas et al. 2019, "Don't blame the ELBO!", section 4.)

    Its bound is tight: at the optimum the ELBO is the largest likelihood of probabilistic PCA.
    """
    torch.manual_seed(1)
    state, last = taught("vae", Encoder(), 2400)
    variance = DISCARDED.mean()
    kept = EIGENVALUES[:CODE]
    largest = -0.5 * (
        NUMBERS * math.log(2 * math.pi) + kept.log().sum() + (NUMBERS - CODE) * variance.log() + NUMBERS
    ).item()  # fmt: skip
    assert state.memory["error"].item() == pytest.approx(variance.item(), rel=0.02)
    assert -NUMBERS * last["loss"] == pytest.approx(largest, rel=0.005)
    # a code's mean has variance 1 - v / eigenvalue and its noise v / eigenvalue, so KL = ln(eigenvalue / v) / 2
    assert last["divergence"] == pytest.approx(0.5 * (kept / variance).log().sum().item(), rel=0.01)
    assert last["error"] == pytest.approx(variance.item(), rel=0.02)
    with torch.no_grad():
        error = (state.G(state.D.mean(X)) - X).square().mean().item()
    expected = (DISCARDED.sum() + (variance.square() / kept).sum()) / NUMBERS  # shrunk: v / eigenvalue is missing
    assert error == pytest.approx(expected.item(), rel=0.02)
    loadings = torch.linalg.svdvals(state.G.weight.detach()).square()
    assert torch.allclose(loadings, kept - variance, rtol=0.03)


def test_a_linear_autoencoder_is_as_good_as_pca():
    torch.manual_seed(1)
    state, _ = taught("autoencoder", Encoder(deterministic=True), 800)
    with torch.no_grad():
        error = (state.G(state.D(X)) - X).square().mean().item()
    assert error == pytest.approx(DISCARDED.sum().item() / NUMBERS, rel=0.01)


class Second(Encoder):
    """The encoder of the first stage, and one of its codes."""

    def __init__(self):
        super().__init__()
        self.trunk, self.second = nn.Identity(), nn.Linear(CODE, 2 * CODE)
        self.head = nn.Linear(NUMBERS, 2 * CODE)
        del self.mean, self.log_variance

    def forward(self, x, y=None, *, second=False):
        return self.second(x) if second else self.head(x)


def two_stages(steps, tick_steps=4):
    torch.manual_seed(0)
    family = LESSONS["two_stage_vae"](hidden=4)
    lessons = [Lesson(stage, nullcontext) for stage in family.stages]
    memory = {name: value for lesson in lessons for name, value in lesson.memory.items()}
    state = State.fresh(TwoStage(Decoder(CODE, NUMBERS), CODE, 0, 4).double(), Second().double(), memory)
    recipe = Recipe(
        steps=steps // 2, tick_steps=tick_steps, batch=SAMPLES, latent=2 * CODE, learning_rate_G=cosine(0.05, 1e-3),
        learning_rate_D=cosine(0.05, 1e-3), beta1=0.9, beta2=constant(0.99), half_life=constant(100), d_steps=2,
    )  # fmt: skip
    return state, Phase(lessons[0], recipe), Phase(lessons[1], recipe)


def play(state, first, last, until=None):
    return list(
        train(state, lambda turn: (X, None), last.objective, last.recipe, seed=0, until=until, before=[first])
    )  # fmt: skip


def copied(state):
    return {name: tensor.clone() for name, tensor in state.tensors().items()}


def test_the_first_stage_rests_in_the_second_to_the_bit():
    state, first, last = two_stages(16)
    play(state, first, last, until=8)
    before = copied(state)
    assert torch.equal(before["G.prior.layers.6.weight"], torch.zeros(2, 4).double()), (
        "it learns in its own stage alone"
    )
    play(state, first, last)
    after = copied(state)
    for name in before:
        if name.startswith(("G.decoder", "D.head")):
            assert torch.equal(before[name], after[name]), name
    assert not torch.equal(before["G.prior.layers.6.weight"], after["G.prior.layers.6.weight"])
    assert not torch.equal(before["D.second.weight"], after["D.second.weight"])


def test_the_second_stage_is_the_first_one_until_it_has_learnt():
    """A code of the standard normal distribution is decoded as the plain VAE would."""
    state, *_ = two_stages(4)
    z = torch.randn(3, 2 * CODE, dtype=torch.float64)
    assert torch.equal(state.G(z), state.G.decoder(z[:, :CODE]))


def test_two_stages_draw_codes_that_are_distributed_as_those_of_samples():
    """(Dai & Wipf 2019, section 4): where the codes of a first VAE are not standard normal."""
    state, _, last = two_stages(2000, tick_steps=1000)
    with torch.no_grad():
        state.D.head.weight.zero_()
        state.D.head.weight[:CODE] = torch.linalg.svd(X - X.mean(0), full_matrices=False)[2][:CODE] / 2
        state.D.head.bias.copy_(torch.tensor([3.0, -1.0, -5.0, -5.0]))
        codes = state.D.head(X)[:, :CODE]
    list(train(state, lambda turn: (X, None), last.objective, last.recipe, seed=0))
    z = torch.randn(20_000, 2 * CODE, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        drawn = state.G.prior(z[:, :CODE], None) + state.G.deviation * z[:, CODE:]
    assert torch.allclose(drawn.mean(0), codes.mean(0), atol=0.15)
    assert torch.allclose(drawn.std(0), codes.std(0), rtol=0.15)


@pytest.mark.parametrize("step", [1, 3, 4, 5, 7])
def test_interrupted_equals_uninterrupted_through_the_border(step, tmp_path):
    whole = two_stages(8)
    ticks = play(*whole)
    first = two_stages(8)
    play(*first, until=step)
    first[0].save(tmp_path / "state")
    second = two_stages(8)
    second[0].load(tmp_path / "state")
    more = play(*second)
    assert all(torch.equal(tensor, second[0].tensors()[name]) for name, tensor in whole[0].tensors().items())
    assert second[0].tensors().keys() == whole[0].tensors().keys()
    assert more[-1].metrics.keys() == ticks[-1].metrics.keys()
