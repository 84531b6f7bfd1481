"""The two objectives of a game, as functions of the scores that D gives to real and generated samples.

Both take both sides, so that relativistic games need no flag. G's objective takes the real scores as a function: games
that do not ask for them do not pay for another pass through D.

An adaptive augmentation asks how sure D is that real samples are real (r_t of Karras et al. 2020, equation 1: the mean
sign of D(x)). `real_logit` says what is positive exactly where D takes a real sample for real, which is D(x) itself
only where the objective says so.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from ganops.core.collective import mean_over_workers


def _forget(real: Tensor, fake: Tensor) -> None:
    """Drop the scores of a step: the game has no memory."""


def _score(real: Tensor, fake: Tensor) -> Tensor:
    """The score of a game whose scores are above 0 where D takes a sample for real."""
    return real


@dataclass(frozen=True)
class Adversarial:
    """One loss per sample for each player, and what the game remembers from one step to the next."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    """(real scores [N], fake scores [N]) -> [N]."""
    generator: Callable[[Callable[[], Tensor], Tensor], Tensor]
    """(a function that returns real scores [N], fake scores [N]) -> [N]."""
    observe: Callable[[Tensor, Tensor], None] = _forget
    """Function that hears the mean scores of all workers after each step of D."""
    memory: dict[str, Tensor] = field(default_factory=dict)
    """Scalars that `observe` moves in place: part of the state of a training."""
    only_differences: bool = False
    """True where a constant added to all scores does not change D's objective."""
    across_labels: bool = False
    """True where it compares scores of samples of different labels, so that one added to those of a label does."""
    of_errors: bool = False
    """True where the scores are errors of D's reconstructions: such a game and such a D go together."""
    real_logit: Callable[[Tensor, Tensor], Tensor] | None = _score
    """(real scores [N], fake scores [N]) -> [N], above 0 where D takes a real sample for real; None: no score says."""


def minimax() -> Adversarial:
    """-log σ(D(x)) - log(1 - σ(D(G(z)))), and G has the opposite of it (Goodfellow et al. 2014, equation 1)."""
    return Adversarial(
        discriminator=lambda real, fake: F.softplus(-real) + F.softplus(fake),
        generator=lambda real, fake: -F.softplus(fake),
    )


def non_saturating() -> Adversarial:
    """-log σ(D(x)) - log(1 - σ(D(G(z)))) against -log σ(D(G(z))) (Goodfellow et al. 2014, section 3)."""
    return Adversarial(
        discriminator=lambda real, fake: F.softplus(-real) + F.softplus(fake),
        generator=lambda real, fake: F.softplus(-fake),
    )


def least_squares() -> Adversarial:
    """½ (D(x) - 1)² + ½ D(G(z))² against ½ (D(G(z)) - 1)² (Mao et al. 2017, equation 9).

    D decides half-way between its targets 0 and 1.
    """
    return Adversarial(
        discriminator=lambda real, fake: (real - 1).square() / 2 + fake.square() / 2,
        generator=lambda real, fake: (fake - 1).square() / 2,
        real_logit=lambda real, fake: real - 0.5,
    )


def hinge() -> Adversarial:
    """max(0, 1 - D(x)) + max(0, 1 + D(G(z))) against -D(G(z)) (Lim & Ye 2017; Miyato et al. 2018, equation 17).

    D decides at 0, half-way between the margins at -1 and 1.
    """
    return Adversarial(
        discriminator=lambda real, fake: F.relu(1 - real) + F.relu(1 + fake),
        generator=lambda real, fake: -fake,
    )


def wasserstein() -> Adversarial:
    """D(G(z)) - D(x) against -D(G(z)) (Arjovsky et al. 2017, equation 2): D must be kept smooth.

    By `loss.clip` as in that paper, or by the gradient penalty `wgan_gp` (Gulrajani et al. 2017). D decides nothing: it
    is to score real samples higher on the whole, by any amount and from any level.
    """
    return Adversarial(
        discriminator=lambda real, fake: fake - real,
        generator=lambda real, fake: -fake,
        only_differences=True,
        real_logit=None,
    )


def began(gamma: float = 0.75, rate: float = 1e-3) -> Adversarial:
    """Scores are reconstruction errors: D(x) - k D(G(z)) against D(G(z)) (Berthelot et al. 2017, section 3.4).

    The balance k is moved by `rate` (λ in the paper) so that D(G(z)) stays `gamma` times D(x): small values ask for
    quality, large ones for variety. No error is that of a real sample by its size alone.
    """
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma: expected a ratio of errors from 0 to 1, got {gamma:g}")
    if not 0 < rate < math.inf:
        raise ValueError(f"rate: expected a rate above 0, got {rate:g}")
    memory = {"balance": torch.zeros((), dtype=torch.float64)}

    def observe(real: Tensor, fake: Tensor) -> None:
        memory["balance"].add_(rate * (gamma * real - fake)).clamp_(0, 1)

    return Adversarial(
        discriminator=lambda real, fake: real - memory["balance"] * fake,
        generator=lambda real, fake: fake,
        observe=observe,
        memory=memory,
        of_errors=True,
        real_logit=None,
    )


def relativistic() -> Adversarial:
    """Pairing: -log σ(D(x) - D(G(z))) and its mirror (Jolicoeur-Martineau 2019, section 4.1; R3GAN, equation 2)."""
    return Adversarial(
        discriminator=lambda real, fake: F.softplus(fake - real),
        generator=lambda real, fake: F.softplus(real() - fake),
        only_differences=True,
        real_logit=lambda real, fake: real - fake,
    )


def relativistic_average() -> Adversarial:
    """Each side against the mean of the other: -log σ(D(x) - E D(G(z))) - log(1 - σ(D(G(z)) - E D(x))), and its mirror.

    Jolicoeur-Martineau 2019, section 4.2. The means are those of the batch of all workers.
    """

    def loss(high: Tensor, low: Tensor) -> Tensor:
        high_mean, low_mean = (mean_over_workers(scores.mean()) for scores in (high, low))
        return F.softplus(low_mean - high) + F.softplus(low - high_mean)

    return Adversarial(
        discriminator=loss,
        generator=lambda real, fake: loss(fake, real()),
        only_differences=True,
        across_labels=True,
        real_logit=lambda real, fake: real - mean_over_workers(fake.mean()),
    )
