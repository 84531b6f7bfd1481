"""Maximum likelihood: the generator alone learns, of the probabilities that it gives to real samples."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ganops.losses.turn import Turn


@dataclass(frozen=True)
class Likelihood:
    """-log p(x) = -Σ log p(x_t | x_1 ... x_(t-1)) of a G that gives the logits of each place (teacher forcing)."""

    memory: dict[str, Tensor] = field(default_factory=dict)
    """Empty: it remembers nothing."""
    parts: tuple[str, ...] = ("G",)
    """The parts that are taught: D rests."""

    def __call__(self, G: nn.Module, D: nn.Module, turn: Turn) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of each sample [N], in nats, and their mean as the term `nll`."""
        nats = nll(G(turn.z, turn.y, given=turn.x), turn.x)
        return nats, {"nll": nats.mean()}

    def weight(self, turn: Turn) -> float:
        """Return 1: there is one term, in all turns."""
        return 1.0

    def alarms(self, metrics: Mapping[str, float]) -> tuple[str, ...]:
        """Return nothing: its loss says all that there is."""
        return ()


def nll(logits: Tensor, x: Tensor) -> Tensor:
    """-log p(x) in nats, summed over the places: logits and one-hot samples [N, L, V] -> [N], in at least float32."""
    logits = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
    there = x.argmax(-1, keepdim=True)
    return -logits.log_softmax(-1).gather(-1, there).sum((1, 2))


def likelihood() -> Likelihood:
    """Maximum likelihood of the training samples under G, word by word; D does not learn (Bengio et al. 2003)."""
    return Likelihood()
