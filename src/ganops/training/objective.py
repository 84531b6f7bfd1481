"""The objective of a training: what a step is. A game (`step`) is one, a lesson (`lesson`) another."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ganops.core.collective import plain_means, weighted
from ganops.core.randomness import Draws

Terms = dict[str, Tensor]
"""Named scalars of a step, on the device."""


@dataclass(frozen=True)
class Weights:
    """Weights of the penalties in one turn; those of weight 0 are not computed."""

    r1: float | Tensor = 0.0
    r2: float | Tensor = 0.0
    penalty: float | Tensor = 0.0


def acts(weight: float | Tensor) -> bool:
    """Return True where a penalty is computed: a tensor, which a recorded step reads its weight from, is above 0."""
    return isinstance(weight, Tensor) or weight > 0


class Descent(Protocol):
    """The part of an optimiser that objectives use."""

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Groups of the parameters that it moves, which stand under `params`."""

    def zero_grad(self, *, set_to_none: bool) -> None:
        """Forget the gradients."""

    def step(self) -> Any:
        """Move the parameters."""


@dataclass(frozen=True)
class Player:
    """A network and its optimiser."""

    network: nn.Module
    optimizer: Descent


@dataclass(frozen=True)
class Turn:
    """The samples that D learns from at once: this worker's slice of the batch of all workers."""

    x: Tensor
    """Real samples [N, ...]."""
    y: Tensor | None
    """Labels [N]; generated samples get the same."""
    z: Tensor
    """Latents [N, latent]."""
    draws: Draws
    number: int = 0
    """Number among the turns of the whole training."""
    weights: Weights = field(default_factory=Weights)
    report: bool = False
    """True to measure what is too dear for every step."""
    progress: float = 0.0
    """Share of the phase that is done, in [0, 1)."""


class Objective(Protocol):
    """The learning of two networks: G, the generator, and D, its critic or its encoder."""

    @property
    def memory(self) -> dict[str, Tensor]:
        """All that is remembered from one step to the next, by name; moved in place."""

    def learns(self, name: str) -> bool:
        """Return True where the parameter of this name, behind G. or D., is learnt; the others rest."""

    def kind(self, turn: Turn) -> Hashable:
        """Return what else of a turn than its tensors and weights decides what is computed; None: none is like it."""

    def play(self, G: Player, D: Player, turns: Sequence[Turn]) -> Terms:
        """Take one step: the networks move, by gradients averaged over the workers."""

    def alarms(self, metrics: Mapping[str, float]) -> tuple[str, ...]:
        """Return what the means since the last tick warn a person of."""

    @property
    def remedies(self) -> tuple[str, ...]:
        """Words for what may keep it from diverging, beside smaller learning rates."""


def group(D: nn.Module) -> int:
    """Return how many samples of a batch D compares with one another, which therefore stay on one worker."""
    return int(getattr(D, "group", 1))


def descend(loss: Tensor, *optimizers: Descent, still: Sequence[nn.Parameter] = ()) -> None:
    """Take one step down the gradient of `loss`, in which the parameters `still` stay where they are.

    The loss is the mean over this worker's samples, and gradients are averaged over the workers.
    """
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(weighted(loss))
    for parameter in still:
        parameter.grad = None
    groups = (group for optimizer in optimizers for group in optimizer.param_groups)
    moved = [each for group in groups for each in group["params"] if each.grad is not None]
    for parameter, mean in zip(moved, plain_means([each.grad for each in moved]), strict=True):
        parameter.grad = mean
    for optimizer in optimizers:
        optimizer.step()


def wide(x: Tensor) -> Tensor:
    """Convert to at least float32."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
