"""Penalties on the gradient of D with respect to its input."""

import torch
from torch import Tensor


def zero_centred(x: Tensor, scores: Tensor) -> Tensor:
    """|| dD/dx ||² of each sample: R1 on real samples, R2 on generated ones (Mescheder et al. 2018, eq. 9).

    x float [N, ...] that requires a gradient, scores [N] of D at x -> float32 (or float64) [N].
    """
    (gradient,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    wide = gradient if gradient.dtype == torch.float64 else gradient.float()
    return wide.square().flatten(1).sum(1)
