"""GPUs: how tensors get there while the host goes on, and settings under which their figures are repeatable."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

PIECE = 64 * 2**20
"""Bytes of an array that are on their way to a GPU at once."""


def pinned(x: Tensor, device: torch.device) -> Tensor:
    """Return the tensor, of the CPU, where a GPU can fetch it by itself; as it is where it is for no GPU."""
    return x.pin_memory() if device.type == "cuda" else x


def sent(x: Tensor, device: torch.device) -> Tensor:
    """Return the tensor, of the CPU, on the device; the host does not wait until it is there."""
    return pinned(x, device).to(device, non_blocking=True)


def uploaded(array: NDArray[Any], device: torch.device) -> Tensor:
    """Return an array [N, ...] on the device, piece by piece: of one on the disk, memory never holds a copy."""
    whole = torch.empty(array.shape, dtype=torch.from_numpy(array[:0].copy()).dtype, device=device)
    rows = max(1, PIECE * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), rows):
        whole[start : start + rows].copy_(torch.from_numpy(array[start : start + rows].copy()))
    return whole
