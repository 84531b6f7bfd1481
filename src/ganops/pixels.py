"""Between stored pixels and the numbers that networks see."""

import torch
from torch import Tensor


def to_float(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 of any shape -> [-1, 1]: 0 is -1, 255 is 1."""
    return images.to(dtype) / 127.5 - 1


def to_uint8(x: Tensor) -> Tensor:
    """Samples of nominal range [-1, 1] -> uint8 of the same shape: -1 is 0, 1 is 255, what is beyond is clipped."""
    return ((x.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
