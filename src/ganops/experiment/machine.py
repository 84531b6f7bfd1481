"""The machine of a training: device, threads, precision, memory."""

import os
import platform
import warnings
from pathlib import Path

import psutil
import torch

from ganops.config import Compute, Experiment
from ganops.core import cores, devices
from ganops.core.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """The device that `compute.device` means here.

    Raises:
        ConfigError: A GPU that is there cannot be used, or one was asked for and there is none.
    """
    if name == "cpu":
        return torch.device("cpu")
    if name == "mps":
        if missing := apple_trouble():
            raise ConfigError(f"params.compute.device: mps: {missing}")
        return torch.device("mps")
    why = gpu_trouble()
    if why:
        raise ConfigError(f"params.compute.device: {name}: the GPU of this machine cannot be used. {why}")
    if why is None and name == "cuda":
        raise ConfigError(
            "params.compute.device: cuda was asked for, but torch sees no GPU here; auto or cpu would run"
        )
    return torch.device("cpu" if why is None else "cuda")


def gpu_trouble() -> str | None:
    """Return what keeps the GPU from running a kernel, and the remedy; empty: nothing. None: there is no GPU."""
    with warnings.catch_warnings(action="ignore"):  # its sentences are in the errors as well
        try:
            torch.ones(1, device="cuda").add_(1).cpu()
        except torch.OutOfMemoryError:
            free, total = (size / 2**30 for size in torch.cuda.mem_get_info())
            return (
                f"Of its {total:.0f} GB of memory {free:.1f} are free: end what has the others (nvidia-smi names it), "
                "or choose another GPU in CUDA_VISIBLE_DEVICES."
            )
        except (RuntimeError, AssertionError) as error:  # an AssertionError where torch was built without CUDA
            return _in_words(str(error))
    return ""


def apple_trouble() -> str:
    """Return what keeps Apple's GPU from running a kernel; empty: nothing."""
    if not torch.backends.mps.is_available():
        built = "sees none here" if torch.backends.mps.is_built() else f"{torch.__version__} was built without it"
        return f"Apple's GPU was asked for, but torch {built}; auto or cpu would run"
    try:
        torch.ones(1, device="mps").add_(1).cpu()
    except RuntimeError as error:
        return f"Apple's GPU cannot be used. Metal says: {str(error).splitlines()[0]}"
    return ""


def _in_words(error: str) -> str | None:
    """Words of a person for an error of CUDA; None where it says that there is no GPU."""
    if "no kernel image" in error:
        major, minor = torch.cuda.get_device_capability()
        built = " ".join(torch.cuda.get_arch_list())
        return (
            f"{torch.cuda.get_device_name()} (sm_{major}{minor}) has no kernels in torch {torch.__version__}, which "
            f"was built for {built}: take a newer GPU or a torch that was built for this one, or compute.device: cpu."
        )
    if "driver" in error and "too old" in error:
        return (
            f"Its driver is older than CUDA {torch.version.cuda}, for which torch {torch.__version__} was built: "
            "renew the driver, or install a torch for an older CUDA (make setup TORCH_INDEX=...), or compute.device: "
            "cpu."
        )
    absent = ("no NVIDIA driver", "No CUDA GPUs", "no CUDA-capable device", "not compiled with CUDA")
    return None if any(words in error for words in absent) else f"CUDA says: {error.splitlines()[0]}"


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
    free = devices.room(device) if device.type == "cuda" else psutil.virtual_memory().available
    return size > free / 2


def hardware(device: torch.device) -> str:
    """Return the hardware behind a speed: the GPU's name, or the processor's and its cores."""
    if device.type != "cpu":
        return devices.name(device)
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
    if device.type == "mps":
        return "fp32"
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    able = torch.cpu.get_capabilities()
    return "bf16" if able.get("avx512_bf16") or able.get("amx_bf16") else "fp32"
