"""Conversion between stored pixels and the numbers that networks see."""

import torch
from torch import Tensor

from ganops.core.errors import TrainingError


def to_float(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 of any shape -> [-1, 1]: 0 is -1, 255 is 1."""
    return images.to(dtype) / 127.5 - 1


def finite(x: Tensor) -> Tensor:
    """Return samples [N, ...] as they are, since no uint8 would tell NaN from black.

    Raises:
        TrainingError: A value of some sample is NaN or infinite.
    """
    broken = int((~x.isfinite()).flatten(1).any(1).sum())
    if broken:
        raise TrainingError(
            f"the generator draws values that are not finite (NaN or infinity) in {broken} of {len(x)} samples: its "
            "training diverged, or its weights are damaged. Train it again, with smaller learning rates or "
            "train.precision: fp32 where it diverged."
        )
    return x


def to_uint8(x: Tensor) -> Tensor:
    """Samples of nominal range [-1, 1] -> uint8 of the same shape: -1 is 0, 1 is 255, what is beyond is clipped."""
    return ((x.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
