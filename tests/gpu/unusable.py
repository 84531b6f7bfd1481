"""What is said of a GPU that cannot be used; as a script it prints JSON."""

import json
import sys

import torch

from ganops.core.errors import UserError
from ganops.experiment import machine


def said(ask) -> str:
    """The words of the error, or its outcome."""
    try:
        return str(ask())
    except UserError as error:
        return str(error)


def ray_said() -> str:
    """What is said where Ray counts two GPUs."""
    import ray  # seconds, and asked of one case alone

    from ganops.distributed import runtime

    with ray.init(address="local", num_gpus=2, include_dashboard=False, log_to_driver=False):
        return said(runtime.check_gpus)


if __name__ == "__main__":
    found = {}
    if "full" in sys.argv:  # before anything lies on it: what PyTorch has of it already would do
        held = torch.empty(torch.cuda.mem_get_info()[0] - 2**19, dtype=torch.uint8, device="cuda")
    if "ray" in sys.argv:
        found["ray"] = ray_said()
    found |= {name: said(lambda name=name: machine.choose_device(name)) for name in ("auto", "cuda", "cpu")}
    print(json.dumps(found))
