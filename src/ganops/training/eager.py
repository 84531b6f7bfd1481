"""PyTorch's Adam and DistributedDataParallel without torch.compile, which nobody uses here.

Their decorators import it in each process when a training begins: 1.5 s of a core, for each worker and for the driver.
What is computed is the same, by the same code: that beneath the decorators of torch 2.14, which is pinned.
"""

import sys
from contextlib import contextmanager
from inspect import unwrap
from types import SimpleNamespace
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel


class Adam(torch.optim.Adam):
    """As PyTorch's."""

    add_param_group = unwrap(torch.optim.Adam.add_param_group)
    zero_grad = unwrap(torch.optim.Adam.zero_grad)
    step = torch.no_grad()(unwrap(torch.optim.Adam.step))


class Shared(DistributedDataParallel):
    """As PyTorch's."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        if "torch._dynamo" in sys.modules:
            super().__init__(*arguments, **named)
            return
        # all that it asks for: in which mode torch.compile would be; any answer but "python_reducer" means eager
        torch._dynamo = SimpleNamespace(utils=SimpleNamespace(get_optimize_ddp_mode=lambda: "ddp_optimizer"))  # type: ignore[assignment]
        try:
            super().__init__(*arguments, **named)
        finally:
            del torch._dynamo

    _inside_ddp_forward = contextmanager(unwrap(DistributedDataParallel._inside_ddp_forward))
