"""The VAE of texts (Bowman et al. 2016), against likelihoods, divergences and gradients that are known."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from ganops.core.randomness import Draws
from ganops.losses import LESSONS
from ganops.losses.autoencoding import COLLAPSED, SILENT_TEXT
from ganops.losses.likelihood import nll
from ganops.models import ARCHITECTURES, coded

LENGTH, WORDS = 2, 3
NUMBERS = torch.cartesian_prod(torch.arange(WORDS), torch.arange(WORDS))
TEXTS = nn.functional.one_hot(NUMBERS, WORDS).double()
"""All nine texts that there are."""


@dataclass
class Turn:
    x: torch.Tensor
    y: torch.Tensor | None = None
    progress: float = 1.0
    seed: int = 0

    @property
    def draws(self) -> Draws:
        return Draws((self.seed, 0), len(self.x), slice(None), self.x.device, self.x.dtype)


class Told(nn.Module):
    """An encoder that says of each text what it is told."""

    def __init__(self, mean, log_variance):
        super().__init__()
        self.out = torch.cat([mean, log_variance], 1)

    def forward(self, x, y=None):
        return self.out


def decoder(code=1, sharper=4.0):
    """A language of a code, whose words are far from equally likely."""
    torch.manual_seed(3)
    latent = code + 2 * LENGTH
    G, _ = ARCHITECTURES["lstm"](shape=(LENGTH, WORDS), classes=0, latent=latent, width=6, embedding=4, code=code)
    with torch.no_grad():
        for each in (G.writer.weight, G.beside.weight, G.states.weight):
            each.mul_(sharper)
    return G.double()


def nats(G, code, texts):
    """-log p(text | code) of one text for each code."""
    with torch.no_grad():
        return nll(G(code, given=texts), texts)


def quadrature(mean=0.0, variance=1.0, nodes=80):
    """Nodes and weights of an integral over N(mean, variance) (Gauss & Hermite)."""
    at, weights = np.polynomial.hermite_e.hermegauss(nodes)
    return torch.from_numpy(mean + variance**0.5 * at), torch.from_numpy(weights / weights.sum())


def marginal(G):
    """log p of all texts: the integral over the code."""
    at, weights = quadrature()
    chances = [weights @ (-nats(G, at[:, None], text.expand(len(at), -1, -1))).exp() for text in TEXTS]
    return torch.stack(chances).log()


def lesson(**options):
    (loss,) = LESSONS["vae"](**options).of_texts().stages
    return loss


def test_the_probabilities_of_all_texts_sum_to_one_and_depend_on_the_code():
    G = decoder()
    assert marginal(G).exp().sum().item() == pytest.approx(1, abs=1e-9)
    one, other = (nats(G, torch.full((9, 1), at).double(), TEXTS) for at in (-1.0, 1.0))
    assert (one - other).abs().max() > 0.5, "otherwise the code says nothing"


def test_the_bound_is_below_the_likelihood_by_the_divergence_from_the_true_posterior():
    """-bound <= log p for every text and encoder; its mean over codes is the integral."""
    G, log_p = decoder(), marginal(decoder())
    gaps = []
    for mean, variance in ((0.0, 1.0), (1.0, 0.3), (-1.5, 0.05)):
        out = Told(torch.full((9, 1), mean).double(), torch.full((9, 1), variance).double().log())
        at, weights = quadrature(mean, variance)
        integral = torch.stack([weights @ nats(G, at[:, None], text.expand(len(at), -1, -1)) for text in TEXTS])
        divergence = (variance + mean**2 - 1 - np.log(variance)) / 2
        exact = integral + divergence
        assert (exact >= -log_p - 1e-9).all()
        gaps.append((exact + log_p).numpy())
        found = [lesson()(G, out, Turn(TEXTS, seed=seed))[0].detach() for seed in range(1500)]
        error = torch.stack(found).std(0) / len(found) ** 0.5
        assert ((torch.stack(found).mean(0) - exact).abs() < 5 * error + 1e-9).all()
    assert np.min(gaps, 0).max() < np.max(gaps, 0).min(), "encoders differ"


def test_the_exact_posterior_makes_the_bound_tight():
    """The posterior is the prior where the decoder does not look at its code: the bound is -log p, and of 0 nats."""
    G = decoder()
    with torch.no_grad():
        for each in (G.beside.weight, G.states.weight):
            each.zero_()
    zeros = torch.zeros(9, 1, dtype=torch.float64)
    found, terms = lesson()(G, Told(zeros, zeros), Turn(TEXTS))
    assert torch.allclose(found, -marginal(G))
    assert terms["divergence"].item() == 0
    assert lesson().alarms({name: value.item() for name, value in terms.items()}) == (COLLAPSED,)


def test_the_gradient_of_what_the_encoder_says_is_that_of_the_loss():
    """Central differences, through the code as well as the divergence."""
    G, loss = decoder(code=2), lesson(beta=0.7)

    def of(mean, log_variance):
        return loss(G, Told(mean, log_variance), Turn(TEXTS))[0]

    mean, log_variance = (torch.randn(9, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(of, (mean, log_variance))


@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_the_terms_are_the_parts_of_the_bound_and_beta_weighs_one_of_them(beta):
    mean, log_variance = torch.randn(2, 9, 1, dtype=torch.float64)
    found, terms = lesson(beta=beta)(decoder(), Told(mean, log_variance), Turn(TEXTS))
    assert terms.keys() == {"bound", "reconstruction", "divergence"}
    assert torch.allclose(terms["bound"], terms["reconstruction"] + terms["divergence"])
    assert torch.allclose(found.mean(), terms["reconstruction"] + beta * terms["divergence"])


@pytest.mark.parametrize("texts", [True, False])
def test_the_weight_rises_in_a_straight_line_to_beta(texts):
    family = LESSONS["vae"](beta=0.5, anneal=0.4)
    (loss,) = (family.of_texts() if texts else family).stages
    weights = [loss.weight(Turn(TEXTS, progress=progress)) for progress in (0.0, 0.1, 0.2, 0.4, 0.9)]
    assert weights == pytest.approx([0, 0.125, 0.25, 0.5, 0.5])
    zeros = torch.zeros(9, 1 if texts else LENGTH * WORDS, dtype=torch.float64)
    G = decoder() if texts else nn.Unflatten(1, (LENGTH, WORDS))
    if not texts:
        G.forward = lambda code, y: code.unflatten(1, (LENGTH, WORDS))
    _, terms = loss(G, Told(zeros, zeros), Turn(TEXTS, progress=0.2))
    assert terms["beta"].item() == pytest.approx(0.25)


def test_a_silent_code_raises_the_alarm_once_its_divergence_costs_all_that_it_will():
    loss, silent = lesson(beta=0.5, anneal=0.4), {"divergence": SILENT_TEXT / 2}
    assert not loss.alarms({**silent, "beta": 0.25})
    assert loss.alarms({**silent, "beta": 0.5}) == (COLLAPSED,)
    assert lesson().alarms(silent) == (COLLAPSED,)
    assert not lesson().alarms({"divergence": 2 * SILENT_TEXT})


def test_words_are_left_out_for_the_decoder_alone_and_in_their_share():
    many = TEXTS[torch.arange(9000) % 9]
    seen = lesson(word_dropout=0.3).seen(Turn(many))
    left_out = (seen.sum(-1) == 0).double()
    assert left_out.mean().item() == pytest.approx(0.3, abs=0.02)
    assert torch.equal(seen[left_out == 0], many[left_out == 0])
    assert lesson().seen(Turn(many)) is many
    G, mean = decoder(), torch.randn(9, 1, dtype=torch.float64)
    _, terms = lesson(word_dropout=1.0)(G, Told(mean, torch.full_like(mean, -14)), Turn(TEXTS))
    with torch.no_grad():
        blind = nll(G(mean, given=torch.zeros_like(TEXTS)), TEXTS)
    assert terms["reconstruction"].item() == pytest.approx(blind.mean().item(), rel=1e-2)
    assert (blind - nats(G, mean, TEXTS)).abs().max() > 0.1, "otherwise the word before says nothing"


def test_an_encoder_and_a_decoder_learn_a_language_by_its_code():
    """Two texts, half each: log 2 nats are the least, and a code that tells them apart says as many."""
    torch.manual_seed(0)
    texts = TEXTS[torch.arange(40) % 2 * 4]  # 0 0 and 1 1
    players = ARCHITECTURES["lstm"](shape=(2, 3), classes=0, latent=5, width=8, embedding=4, code=1)
    G, E = players[0].double(), coded.encoder(players[1], 1, 0, 2, {}).double()
    # all words are hidden, and the first is not told to the second: what the two share is in the code
    loss, adam = lesson(word_dropout=1.0), torch.optim.Adam([*G.parameters(), *E.parameters()], 0.02)
    for seed in range(400):
        nats, terms = loss(G, E, Turn(texts, seed=seed))
        adam.zero_grad()
        nats.mean().backward()
        adam.step()
    assert np.log(2) - 0.05 < terms["bound"].item() < np.log(2) + 0.25
    assert terms["divergence"].item() == pytest.approx(np.log(2), abs=0.3)
    assert not loss.alarms({name: value.item() for name, value in terms.items()})


@pytest.mark.parametrize("name", ["anneal", "word_dropout"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_shares_are_between_0_and_1(name, value):
    with pytest.raises(ValueError, match=f"^{name}: expected a share between 0 and 1, got"):
        LESSONS["vae"](**{name: value})


def test_families_with_a_density_of_codes_learn_no_texts():
    for name in LESSONS.keys() - {"vae"}:
        with pytest.raises(ValueError, match="no decoder of texts"):
            LESSONS[name]().of_texts()
