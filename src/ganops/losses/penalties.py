"""Penalties on the gradient of D with respect to its input.

R1 and R2 are `square_norms` at the samples themselves, whose scores D has given already. A `Penalty` looks at other
points, which cost another pass through D.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ganops.core.collective import mean_over_workers


def square_norms(x: Tensor, scores: Tensor) -> Tensor:
    """|| dD/dx ||² of each sample: R1 on real samples, R2 on generated ones (Mescheder et al. 2018, equation 9).

    x float [N, ...] that requires a gradient, scores [N] of D at x -> float32 (or float64) [N].
    """
    (gradient,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    wide = gradient if gradient.dtype == torch.float64 else gradient.float()
    return wide.square().flatten(1).sum(1)


Uniform = Callable[..., Tensor]
"""(shape of a sample) -> numbers from [0, 1) for each sample of this worker: [N, *shape]."""


@dataclass(frozen=True)
class Penalty:
    """Places where the gradient of D is taken, and the norm that it should have there."""

    points: Callable[[Tensor, Tensor, Uniform], Tensor]
    """(x [N, ...], fake [N, ...], uniform) -> points [N, ...]."""
    measure: Callable[[Tensor], Tensor]
    """Squared norms of the gradient [N] -> [N]."""


def between(x: Tensor, fake: Tensor, uniform: Uniform) -> Tensor:
    """A random point on the line from each real sample to its generated partner."""
    share = uniform(*[1] * (x.dim() - 1))
    return x + share * (fake - x)


def around(x: Tensor, fake: Tensor, uniform: Uniform) -> Tensor:
    """A random point on the line from each real sample to a neighbour, half a standard deviation of the data away."""
    mean = mean_over_workers(x.mean())
    deviation = mean_over_workers((x - mean).square().mean()).sqrt()
    return x + uniform(*[1] * (x.dim() - 1)) * deviation / 2 * uniform(*x.shape[1:])


def one_centred(squares: Tensor) -> Tensor:
    """(|g| - 1)²; the root has no slope at 0, hence the small number under it."""
    return ((squares + 1e-12).sqrt() - 1).square()


wgan_gp = Penalty(between, one_centred)
"""Gulrajani et al. 2017, equation 3."""
zero_centred_gp = Penalty(between, lambda squares: squares)
"""Thanh-Tung et al. 2019, equation 6: the same points, and no slope asked for."""
dragan = Penalty(around, one_centred)
"""Kodali et al. 2017, section 2.3."""
