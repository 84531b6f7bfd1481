"""The two objectives of a game, as functions of the scores that D gives to real and generated samples.

Both take both sides, so that relativistic games need no flag. G's objective takes the real scores as a function: games
that do not ask for them do not pay for another pass through D.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Adversarial:
    """One loss per sample for each player."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    """(real scores [N], fake scores [N]) -> [N]."""
    generator: Callable[[Callable[[], Tensor], Tensor], Tensor]
    """(a function that returns real scores [N], fake scores [N]) -> [N]."""


non_saturating = Adversarial(
    discriminator=lambda real, fake: F.softplus(-real) + F.softplus(fake),
    generator=lambda real, fake: F.softplus(-fake),
)
"""-log sigmoid(D(x)) - log(1 - sigmoid(D(G(z)))) against -log sigmoid(D(G(z))) (Goodfellow et al. 2014, section 3)."""

relativistic = Adversarial(
    discriminator=lambda real, fake: F.softplus(fake - real),
    generator=lambda real, fake: F.softplus(real() - fake),
)
"""Relativistic pairing: -log sigmoid(D(x) - D(G(z))) and its mirror (Jolicoeur-Martineau 2019; R3GAN, eq. 2)."""
