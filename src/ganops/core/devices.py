"""GPUs: how tensors get there while the host goes on, what they lack, and settings under which figures are repeatable.

Apple's (`mps`) has no float64. Copies to it that the host does not wait for have read memory that was free again, and
gradients of planes with their channels last were wrong there (PyTorch's issues 189690 and 175189).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

MOST_SAMPLES = 1024
"""Samples that a GPU computes at once at most: more would not be quicker."""
PIECE = 64 * 2**20
"""Bytes of an array that are on their way to a GPU at once."""
NARROW = ("mps",)
"""Types of devices that have no float64."""
DENSE = ("mps",)
"""Types of devices where planes keep their channels first."""
WAITED_FOR = ("mps",)
"""Types of devices where the host waits for what it sends."""


def exact(x: Tensor) -> Tensor:
    """Return a tensor as float64 where it is, or on the CPU where its device has no float64."""
    return x.cpu().double() if x.device.type in NARROW else x.double()


def held(x: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device; one of float64 becomes float32 where the device has no float64."""
    return (x.float() if x.dtype == torch.float64 and device.type in NARROW else x).to(device)


def planes(device: torch.device) -> torch.memory_format:
    """Return the layout in which a device convolves planes fastest: channels last, where their gradients are right."""
    return torch.contiguous_format if device.type in DENSE else torch.channels_last


def moved(network: nn.Module, device: torch.device | str) -> nn.Module:
    """Return a network on a device; where that wants planes with their channels first, its kernels have them first."""
    there = torch.device(device)
    network = network.to(there)
    return network.to(memory_format=planes(there)) if there.type in DENSE else network


def name(device: torch.device) -> str:
    """Return the model of a GPU, or `cpu`."""
    if device.type == "mps":
        return torch.backends.mps.get_name()
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def is_full(error: RuntimeError) -> bool:
    """Return True for the error of a GPU whose memory has no room; of Apple's it has no class of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "MPS backend out of memory" in str(error)


def limit(device: torch.device, share: float) -> None:
    """Have this process take at most a share of the memory of a GPU, all of which it sees; 0 or 1: as it is.

    Who wants more runs out of memory, and not the others on that GPU.
    """
    if device.type == "cuda" and 0 < share < 1:
        torch.cuda.set_per_process_memory_fraction(share, device.index)


def memory(device: torch.device) -> int:
    """Return the bytes of a GPU's memory that this process may have, see `limit`."""
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    total = torch.cuda.get_device_properties(device).total_memory
    return int(total * torch.cuda.get_per_process_memory_fraction(device.index))


def room(device: torch.device) -> int:
    """Return the bytes of a GPU's memory that this process may still take."""
    return min(torch.cuda.mem_get_info(device)[0], memory(device) - torch.cuda.memory_reserved(device))


def batch(device: torch.device, on_cpu: int, each: int) -> int:
    """Return how many samples are computed at once: on a GPU as many as a quarter of its memory holds, at most 1,024.

    It is a power of two that follows from the model of the GPU, and not from what is free at the moment: the number
    may decide the last bits. Where it is too many after all, `cores.in_pieces` halves it.

    Args:
        device: The device.
        on_cpu: Their number on a processor.
        each: Bytes of a GPU's memory that one sample takes.
    """
    if device.type == "cpu":
        return on_cpu
    return 1 << (min(MOST_SAMPLES, max(1, memory(device) // 4 // each)).bit_length() - 1)


def pinned(x: Tensor, device: torch.device) -> Tensor:
    """Return the tensor, of the CPU, where a GPU can fetch it by itself; as it is where it is for no GPU."""
    return x.pin_memory() if device.type == "cuda" else x


def sent(x: Tensor, device: torch.device) -> Tensor:
    """Return the tensor, of the CPU, on the device; the host does not wait until it is there."""
    return fetched(pinned(x, device), device)


def fetched(x: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on the device, which fetches it by itself where it lies `pinned`."""
    return x.to(device, non_blocking=device.type not in WAITED_FOR)


class Rows(Protocol):
    """An array [N, ...], or what is read like one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all of it."""

    @property
    def nbytes(self) -> int:
        """Bytes of all of it."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> NDArray[Any]: ...


def uploaded(array: Rows, device: torch.device) -> Tensor:
    """Return an array [N, ...] on the device, piece by piece: of one on the disk, memory never holds a copy."""
    whole = torch.empty(array.shape, dtype=torch.from_numpy(array[:0].copy()).dtype, device=device)
    rows = max(1, PIECE * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), rows):
        whole[start : start + rows].copy_(torch.from_numpy(array[start : start + rows].copy()))
    return whole


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Makes a GPU compute the same bits each time while the block runs, and float32 as IEEE 754 has it.

    By default cuDNN rounds the factors of float32 convolutions to 10 bits (TF32), and may add in an order that varies.
    The settings are those of the process.
    """
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read at the first product of matrices
    settings: Any = torch.utils.deterministic  # a module whose types do not tell of this property
    before, filled = torch.are_deterministic_algorithms_enabled(), settings.fill_uninitialized_memory
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        torch.use_deterministic_algorithms(True)
        settings.fill_uninitialized_memory = False  # it would be a launch for each new tensor
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)
            settings.fill_uninitialized_memory = filled
