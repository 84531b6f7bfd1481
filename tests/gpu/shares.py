"""The share of a GPU that a process has; as a script it prints JSON."""

import json

import torch

from ganops.config import parse
from ganops.core import devices
from ganops.experiment import machine
from ganops.generator.artefact import at_once
from ganops.kinds import Spec

GB = 2**30
SIZES = {"small": Spec("image", (1, 32, 32)), "large": Spec("image", (3, 256, 256))}


def found() -> dict[str, object]:
    """The memory that a process takes for its own, and the samples that it draws at once."""
    auto = parse({})
    return {
        "memory": devices.memory(GPU) / GB,
        "streams": [machine.streams(auto, int(size * GB), GPU) for size in (2.8, 3.2, 11, 13)],
        "batches": {name: at_once(spec, GPU) for name, spec in SIZES.items()},
    }


def taken(gigabytes: int) -> bool:
    """Return True where so much can be had."""
    try:
        torch.empty(gigabytes * GB, dtype=torch.uint8, device=GPU)
    except torch.OutOfMemoryError:
        return False
    return True


if __name__ == "__main__":
    GPU = torch.device("cuda")
    whole = found() | {"taken": taken(7)}
    torch.cuda.empty_cache()
    devices.limit(GPU, 0.25)
    print(json.dumps({"whole": whole, "quarter": found() | {"taken": taken(7)}}))
