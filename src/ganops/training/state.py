"""All that a resume needs: networks, average, optimisers and the number of the next step.

There is no generator state: randomness depends on (seed, step) alone.
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ganops.files import atomic
from ganops.training.average import average_of
from ganops.training.eager import Adam


@dataclass
class State:
    """The players in the middle of their game."""

    G: nn.Module
    D: nn.Module
    average: nn.Module
    adam_G: Adam
    adam_D: Adam
    memory: dict[str, Tensor] = field(default_factory=dict)
    """What the game remembers: the tensors themselves, which it moves in place."""
    step: int = 0

    @classmethod
    def fresh(cls, G: nn.Module, D: nn.Module, memory: dict[str, Tensor] | None = None) -> "State":
        """The state before the first step; learning rates and betas are set at every step by the loop."""
        adam_G, adam_D = (Adam(network.parameters(), lr=1.0, fused=True) for network in (G, D))
        return cls(G.train(), D.train(), average_of(G), adam_G, adam_D, memory or {})

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor under a flat name; views, not copies."""
        flat = {
            f"{prefix}.{name}": tensor
            for prefix, network in (("G", self.G), ("D", self.D), ("average", self.average))
            for name, tensor in network.state_dict().items()
        }
        for prefix, network, adam in (("adam_G", self.G, self.adam_G), ("adam_D", self.D, self.adam_D)):
            for name, parameter in network.named_parameters():
                flat |= {f"{prefix}.{name}.{key}": value for key, value in adam.state[parameter].items()}
        return flat | {f"memory.{name}": tensor for name, tensor in self.memory.items()}

    def save(self, path: Path) -> None:
        """Writes one safetensors file, atomically."""
        tensors = {name: tensor.detach().contiguous() for name, tensor in self.tensors().items()}
        with atomic(path) as draft:
            save_file(tensors, draft, metadata={"step": str(self.step)})

    @torch.no_grad()
    def load(self, path: Path) -> None:
        """Takes over the tensors and the step of a file that `save` wrote for the same networks."""
        with safe_open(path, "pt") as file:
            for prefix, network in (("G", self.G), ("D", self.D), ("average", self.average)):
                for name, tensor in network.state_dict().items():
                    tensor.copy_(file.get_tensor(f"{prefix}.{name}"))
            for name, tensor in self.memory.items():
                tensor.copy_(file.get_tensor(f"memory.{name}"))
            names = file.keys()
            for prefix, network, adam in (("adam_G", self.G, self.adam_G), ("adam_D", self.D, self.adam_D)):
                for name, parameter in network.named_parameters():
                    if f"{prefix}.{name}.step" in names:
                        adam.state[parameter] = {
                            "step": file.get_tensor(f"{prefix}.{name}.step").to(parameter.device),
                            "exp_avg": torch.zeros_like(parameter).copy_(file.get_tensor(f"{prefix}.{name}.exp_avg")),
                            "exp_avg_sq": torch.zeros_like(parameter).copy_(
                                file.get_tensor(f"{prefix}.{name}.exp_avg_sq")
                            ),
                        }
            self.step = int(file.metadata()["step"])
