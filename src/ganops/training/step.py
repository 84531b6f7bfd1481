"""The game: what one step of a GAN is."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Terms = dict[str, Tensor]
"""Named scalars of a step, on the device."""


class Loss(Protocol):
    """One objective per sample for each player; both see both scores."""

    @property
    def discriminator(self) -> Callable[[Tensor, Tensor], Tensor]:
        """(real scores, fake scores) -> [N]."""

    @property
    def generator(self) -> Callable[[Callable[[], Tensor], Tensor], Tensor]:
        """(a function that returns real scores, fake scores) -> [N]."""


@dataclass(frozen=True)
class Game:
    """What the players play for."""

    loss: Loss
    penalty: Callable[[Tensor, Tensor], Tensor]
    """(x, scores of D at x) -> [N]; R1 where x is real, R2 where it is generated."""
    autocast: Callable[[], AbstractContextManager[None]]
    """The precision of the networks; scores and penalties are at least float32."""


@dataclass(frozen=True)
class Player:
    """A network, its face to the other workers, and its optimiser."""

    network: nn.Module
    shared: nn.Module
    """The network itself, or its DistributedDataParallel wrapper."""
    optimizer: Optimizer


def discriminator_loss(
    D: nn.Module, game: Game, x: Tensor, fake: Tensor, y: Tensor | None, *, r1: float, r2: float
) -> tuple[Tensor, Terms]:
    """E[ L_D(D(x), D(G(z))) + r1/2 |dD/dx|² + r2/2 |dD/dG(z)|² ]   (R3GAN, Huang et al. 2024, eq. 5).

    Penalties of weight 0 are not computed.
    """
    x, fake = x.detach().requires_grad_(r1 > 0), fake.detach().requires_grad_(r2 > 0)
    with game.autocast():
        on_real, on_fake = D(x, y), D(fake, y)
    on_real, on_fake = _wide(on_real), _wide(on_fake)
    loss = game.loss.discriminator(on_real, on_fake)
    terms = {"loss_d": loss.mean(), "score_real": on_real.mean(), "score_fake": on_fake.mean()}
    for name, weight, samples, scores in (("r1", r1, x, on_real), ("r2", r2, fake, on_fake)):
        if weight > 0:
            penalty = game.penalty(samples, scores)
            loss = loss + weight / 2 * penalty
            terms[name] = penalty.mean()
    return loss.mean(), terms


def generator_loss(D: nn.Module, game: Game, x: Tensor, fake: Tensor, y: Tensor | None) -> tuple[Tensor, Terms]:
    """E[ L_G(D(x), D(G(z))) ]; D(x) is computed only if the game asks for it."""

    def on_real() -> Tensor:
        with torch.no_grad(), game.autocast():
            return _wide(D(x, y))

    with game.autocast():
        on_fake = D(fake, y)
    loss = game.loss.generator(on_real, _wide(on_fake)).mean()
    return loss, {"loss_g": loss}


def play(G: Player, D: Player, game: Game, x: Tensor, y: Tensor | None, z: Tensor, *, r1: float, r2: float) -> Terms:
    """One step: D learns from x and G(z), then G learns from D's new opinion of the same G(z).

    x [N, ...], y [N] or None, z [N, latent]: this worker's slice. Gradients are averaged over the workers by the shared
    networks. In G's turn D is bare and frozen: its gradients would be computed and exchanged for nothing.
    """
    with game.autocast():
        fake = G.shared(z, y)
    fake = _wide(fake)
    loss, terms = discriminator_loss(D.shared, game, x, fake, y, r1=r1, r2=r2)
    descend(loss, D.optimizer)
    D.network.requires_grad_(False)
    loss, more = generator_loss(D.network, game, x, fake, y)
    descend(loss, G.optimizer)
    D.network.requires_grad_(True)
    return {name: value.detach() for name, value in (terms | more).items()}


def descend(loss: Tensor, optimizer: Optimizer) -> None:
    """One step of the optimiser down the gradient of `loss`."""
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    optimizer.step()


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
