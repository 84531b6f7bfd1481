"""All that a resume needs: networks, average, optimisers and the number of the next step.

Between two ticks also what was measured since the last one. There is no generator state: randomness depends on (seed,
step) alone.
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Adam

from ganops.core.collective import of_all_workers, rank, weighted, workers
from ganops.core.devices import held
from ganops.core.errors import ConfigError
from ganops.core.files import atomic
from ganops.training.ema import average_of

TERMS = "terms"
"""Prefix of what was measured since the last tick."""


@dataclass
class State:
    """The players in the middle of their game."""

    G: nn.Module
    D: nn.Module
    average: nn.Module
    adam_G: Adam
    adam_D: Adam
    memory: dict[str, Tensor] = field(default_factory=dict)
    """The memory of the objective: the tensors themselves, which it moves in place."""
    step: int = 0
    terms: list[dict[str, Tensor]] = field(default_factory=list)
    """Terms of this worker in the steps since the last tick."""
    _shared: dict[str, Tensor] = field(default_factory=dict)
    """The same of all workers, as they are saved."""

    @classmethod
    def fresh(cls, G: nn.Module, D: nn.Module, memory: dict[str, Tensor] | None = None, frozen: int = 0) -> "State":
        """The state before the first step; learning rates and betas are set at every step by the loop.

        Args:
            G: One player.
            D: The other.
            memory: That of the objective.
            frozen: So many layers of D, the first, are left out of its optimiser: they stay as they are.
        """
        learning = list(D.parameters())[len(first_layers(D, frozen)) :]
        adam_G, adam_D = (Adam(parameters, lr=1.0, fused=True) for parameters in (list(G.parameters()), learning))
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
                flat |= {f"{prefix}.{name}.{key}": value for key, value in adam.state.get(parameter, {}).items()}
        return flat | {f"memory.{name}": tensor for name, tensor in self.memory.items()}

    def save(self, path: Path) -> None:
        """Writes one safetensors file, atomically; between two ticks `share_terms` comes before it."""
        shared = self._shared if self.terms else {}
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in {**self.tensors(), **shared}.items()}
        with atomic(path) as draft:
            save_file(tensors, draft, metadata={"step": str(self.step)})

    @torch.no_grad()
    def share_terms(self) -> None:
        """Gathers the terms of all workers, for the one that saves: a tick is a mean over steps first, then workers."""
        names = sorted({name for terms in self.terms for name in terms})
        self._shared = {}
        for name in names:
            steps = [step for step, terms in enumerate(self.terms) if name in terms]
            values = torch.stack([self.terms[step][name] for step in steps])
            self._shared[f"{TERMS}.{name}.steps"] = torch.tensor(steps)
            self._shared[f"{TERMS}.{name}.values"] = of_all_workers(values)
            self._shared[f"{TERMS}.{name}.weights"] = of_all_workers(weighted(torch.ones_like(values)))

    @torch.no_grad()
    def load(self, path: Path) -> None:
        """Takes over the tensors and the step of a file that `save` wrote for the same networks: all of it, or nothing.

        Raises:
            ValueError: A tensor is missing, or has another shape.
        """
        with safe_open(path, "pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no dict: it has no other way
            step = int(file.metadata()["step"])
        own = {name: tensor for name, tensor in self.tensors().items() if not name.startswith("adam_")}
        _fit(found, own)
        moments = [
            (adam, parameter, _moments(found, f"{prefix}.{name}", parameter))
            for prefix, network, adam in (("adam_G", self.G, self.adam_G), ("adam_D", self.D, self.adam_D))
            for name, parameter in network.named_parameters()
        ]
        for name, tensor in own.items():
            tensor.copy_(found[name].to(tensor.dtype))
        for adam, parameter, state in moments:
            if state:
                adam.state[parameter] = state
            else:
                adam.state.pop(parameter, None)
        self.step = step
        self._shared = {name: tensor for name, tensor in found.items() if name.startswith(f"{TERMS}.")}
        self.terms = _terms(self._shared, next(self.G.parameters()).device)


def first_layers(network: nn.Module, count: int) -> list[str]:
    """Names of the parameters of the first layers of a network, in the order of its definition.

    A layer is a module with a matrix or filters, together with its bias and what stands before the next such module;
    of a module with spectral norm the bias stands before the matrix.

    Raises:
        ConfigError: There are not more layers than that.
    """
    layers: list[str] = []
    found: list[str] = []
    for name, parameter in network.named_parameters() if count else ():
        owner = name.rpartition(".")[0].partition(".parametrizations")[0]
        if parameter.ndim > 1 and owner not in layers:
            if len(layers) == count:
                return [each for each in found if not each.startswith(f"{owner}.")]
            layers.append(owner)
        found.append(name)
    if count:
        raise ConfigError(f"params.train.freeze_D: expected fewer than the {len(layers)} layers of D, got {count}")
    return []


def _terms(shared: dict[str, Tensor], device: torch.device) -> list[dict[str, Tensor]]:
    """This worker's terms of those that were shared: its own, or where others share the batch now, the mean of all."""
    terms: dict[int, dict[str, Tensor]] = {}
    for name in sorted({key.removeprefix(f"{TERMS}.").rpartition(".")[0] for key in shared}):
        steps, values, weights = (shared[f"{TERMS}.{name}.{part}"] for part in ("steps", "values", "weights"))
        own = values[rank()] if len(values) == workers() else (values * weights).mean(0)
        for step, value in zip(steps.tolist(), held(own, device), strict=True):
            terms.setdefault(step, {})[name] = value
    return [terms[step] for step in sorted(terms)]


def _fit(found: dict[str, Tensor], own: dict[str, Tensor]) -> None:
    """ValueError where a tensor of one's own is not among those found, or otherwise shaped there."""
    for name, tensor in own.items():
        shape = tuple(found[name].shape) if name in found else "nothing"
        if shape != tuple(tensor.shape):
            raise ValueError(f"{name}: expected {tuple(tensor.shape)}, got {shape}")


def _moments(found: dict[str, Tensor], prefix: str, parameter: Tensor) -> dict[str, Tensor]:
    """Adam's moments of a parameter; nothing before its first step."""
    if f"{prefix}.step" not in found:
        return {}
    names = ("exp_avg", "exp_avg_sq")
    _fit(found, {f"{prefix}.{name}": parameter for name in names})
    moments = {name: torch.zeros_like(parameter).copy_(found[f"{prefix}.{name}"]) for name in names}
    return {"step": found[f"{prefix}.step"].to(parameter.device), **moments}
