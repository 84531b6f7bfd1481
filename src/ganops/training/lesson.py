"""The lesson: a step in which the networks do not play: the halves of an autoencoder, or G alone, down one loss."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor, nn

from ganops.training.objective import Player, Terms, Turn, descend, wide


class Loss(Protocol):
    """The cost of a lesson."""

    @property
    def memory(self) -> dict[str, Tensor]:
        """Scalars that it moves in place."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts that it teaches, behind G. or D.: all of G, or G.decoder; empty: all of both."""

    def weight(self, turn: Turn, /) -> float:
        """Return the number that changes what is computed in a turn."""

    def __call__(self, G: nn.Module, D: nn.Module, turn: Turn, /) -> tuple[Tensor, Terms]:
        """Return the loss of each sample [N], and what there is to report."""

    def alarms(self, metrics: Mapping[str, float]) -> tuple[str, ...]:
        """Return what the means since the last tick warn a person of."""


@dataclass(frozen=True)
class Lesson:
    """The networks that learn go down the gradient of one loss."""

    loss: Loss
    autocast: Callable[[], AbstractContextManager[None]]
    """The precision of the networks; losses are at least float32."""
    remedies = ()

    @property
    def memory(self) -> dict[str, Tensor]:
        """Memory of the loss."""
        return self.loss.memory

    def learns(self, name: str) -> bool:
        """Return True where the loss teaches the part of a network to which the parameter belongs."""
        return not self.loss.parts or name.startswith(tuple(f"{part}." for part in self.loss.parts))

    def kind(self, turn: Turn) -> Hashable:
        """Return the weight in a turn: steps of another one are others. None: it moves, so that none is like it."""
        weight = self.loss.weight(turn)
        return weight if weight == self.loss.weight(replace(turn, progress=1.0)) else None

    def play(self, G: Player, D: Player, turns: Sequence[Turn]) -> Terms:
        """Take one step for each turn."""
        for turn in turns:
            with self.autocast():
                loss, terms = self.loss(G.network, D.network, turn)
            descend(wide(loss).mean(), G.optimizer, D.optimizer)
        return {name: value.detach() for name, value in terms.items()}

    def alarms(self, metrics: Mapping[str, float]) -> tuple[str, ...]:
        """Return those of the loss."""
        return self.loss.alarms(metrics)
