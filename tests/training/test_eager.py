"""Training without torch.compile is the same training, and does not import it."""

import subprocess
import sys

import torch

from ganops.training.eager import Adam

IN_A_PROCESS = """
import os, sys, torch, torch.distributed as dist
from ganops.training.eager import Adam, Shared
os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="0", RANK="0", WORLD_SIZE="1")
dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
bare = torch.nn.Linear(3, 3)
shared, adam = Shared(bare, gradient_as_bucket_view=True), Adam(bare.parameters(), lr=1.0, fused=True)
before = bare.weight.clone()
shared(torch.ones(2, 3)).square().sum().backward()
adam.step(), adam.zero_grad()
assert not torch.equal(before, bare.weight)
assert "torch._dynamo" not in sys.modules
import torch._dynamo
assert torch._dynamo.utils.get_optimize_ddp_mode, "nothing stands in its way afterwards"
Shared(torch.nn.Linear(3, 3))(torch.ones(2, 3)).sum().backward()
"""


def test_torch_compile_is_not_imported():
    subprocess.run([sys.executable, "-c", IN_A_PROCESS], check=True)


def descended(kind: type[torch.optim.Adam]) -> list[torch.Tensor]:
    """Weights and state after steps of changing rates, and after a parameter without a gradient."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Conv2d(8, 4, 3))
    adam = kind(network.parameters(), lr=1.0, fused=True)
    for step in range(10):
        adam.param_groups[0].update(lr=0.1 / (step + 1), betas=(0.05 * step, 0.99))
        network[2].requires_grad_(step != 5)
        adam.zero_grad(set_to_none=True)
        network(torch.randn(4, 3, 9, 9)).square().mean().backward()
        adam.step()
    return [*network.parameters(), *(value for state in adam.state.values() for value in state.values())]


def test_adam_is_pytorch_s_bit_for_bit():
    assert all(map(torch.equal, descended(Adam), descended(torch.optim.Adam)))
