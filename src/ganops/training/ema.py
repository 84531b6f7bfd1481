"""The exponential moving average of G, the network that is kept."""

import copy

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def average_of(G: nn.Module) -> nn.Module:
    """A copy of G in evaluation mode that `update` moves."""
    return copy.deepcopy(G).eval().requires_grad_(False)


@torch.no_grad()
def update(average: nn.Module, G: nn.Module, *, batch: int, seen: int, half_life: float) -> None:
    """Moves the average towards G after a step of `batch` samples.

    The half-life is counted in samples, so that it does not depend on the batch, and is at most a twentieth of the
    samples `seen` so far, so that the start is forgotten (Karras et al. 2020, StyleGAN2-ADA). 0: a plain copy.
    Statistics of batch normalisation are averaged like weights; counters are copied.
    """
    half_life = min(half_life, 0.05 * seen)
    decay = 0.5 ** (batch / half_life) if half_life > 0 else 0.0
    old, new = average.state_dict(), G.state_dict()
    moving = [name for name in old if old[name].is_floating_point()]
    average_all = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    average_all([old[name] for name in moving], [new[name] for name in moving], seen)
    for name in old.keys() - set(moving):
        old[name].copy_(new[name])
