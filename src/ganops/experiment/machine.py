"""The machine of a training: device, threads, precision, memory."""

import os
import platform
from pathlib import Path

import psutil
import torch

from ganops.config import Compute, Experiment
from ganops.core import cores
from ganops.core.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """The device that `compute.device` means here.

    Raises:
        ConfigError: cuda was asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "params.compute.device: cuda was asked for, but torch sees no GPU here; auto or cpu would run"
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def threads(compute: Compute, operations: float, most: int) -> int:
    """The threads of a training in each worker: those asked for, or as many as its network keeps busy.

    They follow from the network alone, never from what else the machine does: their number decides the last bits.

    Args:
        compute: What was asked for.
        operations: Those of one sample (see `operations`), times the samples of a worker; infinite where a GPU does
            them, and the cores have nothing else to do.
        most: The cores there are for one worker.
    """
    return cores.threads_for(operations, most) if compute.threads == "auto" else compute.threads


def streams(experiment: Experiment, size: int, device: torch.device, *, sharded: bool = False) -> bool:
    """Return True where `size` bytes of samples stay on the disk; auto: in shards, or above half of the free memory."""
    if experiment.compute.data != "auto":
        return experiment.compute.data == "stream"
    if sharded:
        return True
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    return size > free / 2


def hardware(device: torch.device) -> str:
    """Return the hardware behind a speed: the GPU's name, or the processor's and its cores."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{model}, {os.cpu_count()} cores"


def precision(experiment: Experiment, device: torch.device) -> str:
    """The precision that `train.precision` means on this device: bf16, fp32 or fp64."""
    if experiment.train.precision != "auto":
        return experiment.train.precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    able = torch.cpu.get_capabilities()
    return "bf16" if able.get("avx512_bf16") or able.get("amx_bf16") else "fp32"
