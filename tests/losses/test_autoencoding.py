"""The objectives of autoencoders, against closed forms."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal, kl_divergence

from ganops.core.randomness import Draws
from ganops.losses import ALONE, LESSONS, LOSSES, OBJECTIVES, OF_GAMES
from ganops.losses.autoencoding import LOG_VARIANCES, PACE, SILENT, divergence, moments, normal_nats, sampled


@dataclass
class Turn:
    x: torch.Tensor
    y: torch.Tensor | None = None

    @property
    def draws(self) -> Draws:
        return Draws((0, 0), len(self.x), slice(None), self.x.device, self.x.dtype)


class Same(nn.Module):
    """Returns what it is given: a decoder of codes that are samples."""

    def forward(self, x, y=None):
        return x


class Blind(nn.Module):
    """An encoder that says the same of every sample."""

    def __init__(self, mean, log_variance):
        super().__init__()
        self.out = torch.tensor([mean] * 4 + [log_variance] * 4, dtype=torch.float64)

    def forward(self, x, y=None):
        return self.out.expand(len(x), -1)


X = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_divergence_is_that_of_torch():
    mean, log_variance = X, X.flip(0)
    code = Independent(Normal(mean, (log_variance / 2).exp()), 1)
    standard = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
    assert torch.allclose(divergence(mean, log_variance), kl_divergence(code, standard))


def test_nats_are_those_of_torch():
    around, variance = X.flip(0), torch.tensor(0.3, dtype=torch.float64)
    errors = (X - around).square().mean(1)
    expected = -Independent(Normal(around, variance.sqrt()), 1).log_prob(X)
    assert torch.allclose(normal_nats(errors, variance, 4), expected)


def test_codes_have_the_moments_they_are_drawn_with():
    out = torch.tensor([[1.0, -2.0, -1.0, 0.5]], dtype=torch.float64).expand(100_000, -1)
    code, _ = sampled(out, Turn(out[:, :2]).draws, "code")
    assert torch.allclose(code.mean(0), out[0, :2], atol=0.02)
    assert torch.allclose(code.var(0).log(), out[0, 2:], atol=0.02)


def test_variances_stay_within_their_bounds():
    mean, log_variance = moments(torch.tensor([[0.0, 0.0, -100.0, 100.0]]))
    assert (log_variance[0].tolist(), mean.tolist()) == (list(LOG_VARIANCES), [[0.0, 0.0]])


@pytest.mark.parametrize("beta", [0.5, 1.0, 4.0])
def test_the_loss_of_a_vae_is_its_weighted_bound_over_the_numbers_of_a_sample(beta):
    (loss,) = LESSONS["vae"](beta=beta).stages
    out = torch.cat([X / 2, -X], 1)
    code, nats = sampled(out, Turn(X).draws, "code")

    class Encoder(nn.Module):
        def forward(self, x, y=None):
            return out

    found, terms = loss(Same(), Encoder(), Turn(X))
    variance = (code - X).square().mean()
    bound = Independent(Normal(code, variance.sqrt()), 1).log_prob(X) - beta * nats
    assert torch.allclose(found, -bound / 4)
    assert torch.allclose(torch.stack([terms["error"], terms["divergence"]]), torch.stack([variance, nats.mean()]))


def test_the_loss_of_an_autoencoder_is_its_squared_error():
    (loss,) = LESSONS["autoencoder"]().stages
    found, terms = loss(Same(), Same(), Turn(X))
    assert torch.equal(found, torch.zeros(5).double())
    assert terms.keys() == {"error", "loss"}
    assert not loss.memory


def test_the_variance_of_the_decoder_is_the_running_error():
    (loss,) = LESSONS["vae"]().stages
    blind = Blind(0.0, -100.0)
    loss(Same(), blind, Turn(X))
    first = X.square().mean()
    assert loss.memory["error"].item() == pytest.approx(first.item(), rel=0.01)
    before = loss.memory["error"].clone()
    loss(Same(), blind, Turn(10 * X))
    code, _ = sampled(blind(X), Turn(X).draws, "code")
    assert torch.allclose(loss.memory["error"], before.lerp((code - 10 * X).square().mean(), PACE))


def test_a_perfect_decoder_has_a_variance_above_0():
    (loss,) = LESSONS["vae"]().stages
    zeros = torch.zeros(3, 4, dtype=torch.float64)

    class Zero(nn.Module):
        def forward(self, code, y=None):
            return zeros

    found, _ = loss(Zero(), Blind(0.0, 0.0), Turn(zeros))
    assert found.isfinite().all()


@pytest.mark.parametrize("name", ["vae", "two_stage_vae"])
def test_a_silent_code_raises_the_alarm(name):
    first = LESSONS[name]().stages[0]
    assert first.alarms({"divergence": SILENT / 2}) == (
        "the code says nothing of its sample: its divergence is near 0",
    )
    assert not first.alarms({"divergence": 2 * SILENT})
    assert not LESSONS["autoencoder"]().stages[0].alarms({"error": 1.0})


def test_each_family_says_what_it_needs():
    kinds = {name: make() for name, make in LESSONS.items()}
    assert {name: kind.moments for name, kind in kinds.items()} == {"autoencoder": 1, "two_stage_vae": 2, "vae": 2}
    assert {name: kind.fitted for name, kind in kinds.items()} == {
        "autoencoder": True, "two_stage_vae": False, "vae": False,
    }  # fmt: skip
    assert all(sum(kind.shares) == pytest.approx(1) for kind in kinds.values())
    assert LESSONS["two_stage_vae"](second=0.25).shares == (0.75, 0.25)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("vae", {"beta": 0}, "beta: expected a weight above 0, got 0"),
        ("vae", {"beta": -1}, "beta: expected a weight above 0, got -1"),
        ("vae", {"beta": float("nan")}, "beta: expected a weight above 0, got nan"),
        ("vae", {"beta": float("inf")}, "beta: expected a weight above 0, got inf"),
        ("two_stage_vae", {"beta": 0}, "beta: expected a weight above 0, got 0"),
        ("two_stage_vae", {"second": 0}, "second: expected a share between 0 and 1, got 0"),
        ("two_stage_vae", {"second": 1}, "second: expected a share between 0 and 1, got 1"),
        ("two_stage_vae", {"hidden": 0}, "hidden: expected at least 1, got 0"),
    ],
)
def test_what_cannot_be_is_refused_in_words(name, options, words):
    with pytest.raises(ValueError, match=f"^{words}$"):
        LESSONS[name](**options)


def test_no_name_means_two_objectives():
    assert OBJECTIVES.keys() == LOSSES.keys() | LESSONS.keys() | ALONE.keys()
    assert len(OBJECTIVES) == len(LOSSES) + len(LESSONS) + len(ALONE)
    assert len(set(OF_GAMES)) == len(OF_GAMES)
