"""The exponential moving average of G, the network that is kept."""

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def average_of(G: nn.Module) -> nn.Module:
    """A copy of G in evaluation mode that `update` moves."""
    return copy.deepcopy(G).eval().requires_grad_(False)


class Pairs(NamedTuple):
    """The tensors of an average and those that they follow, in one order: as long as the networks have these."""

    moving: list[Tensor]
    targets: list[Tensor]
    counters: list[Tensor]
    counts: list[Tensor]


def pairs(average: nn.Module, G: nn.Module) -> Pairs:
    """Return what `update` moves, looked up once."""
    old, new = average.state_dict(), G.state_dict()
    moving = [name for name in old if old[name].is_floating_point()]
    others = [name for name in old if not old[name].is_floating_point()]
    return Pairs(*([each[name] for name in names] for names in (moving, others) for each in (old, new)))


@torch.no_grad()
def update(pairs: Pairs, *, batch: int, seen: int, half_life: float) -> None:
    """Moves the average towards G after a step of `batch` samples.

    The half-life is counted in samples, so that it does not depend on the batch, and is at most a twentieth of the
    samples `seen` so far, so that the start is forgotten (Karras et al. 2020, StyleGAN2-ADA). 0: a plain copy.
    Statistics of batch normalisation are averaged like weights; counters are copied.
    """
    half_life = min(half_life, 0.05 * seen)
    decay = 0.5 ** (batch / half_life) if half_life > 0 else 0.0
    average_all = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    average_all(pairs.moving, pairs.targets, seen)
    for counter, count in zip(pairs.counters, pairs.counts, strict=True):
        counter.copy_(count)
