"""What a GPU would be given in the turns of a game, held against what a CPU is given; as a script it prints JSON."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from steps import StoppedError, opened
from torch import Tensor

from ganops.data.augment import PRESETS, Augmentation
from ganops.training.loop import train
from ganops.training.objective import Terms


@dataclass
class Spy:
    """An objective that takes all that a turn offers."""

    device: torch.device
    given: list[Tensor] = field(default_factory=list)
    remedies = ()

    def __post_init__(self) -> None:
        self.augment = Augmentation.on(self.device, PRESETS["bgc"] | PRESETS["diffaugment"])
        self.memory = self.augment.memory

    def learns(self, name: str) -> bool:
        """Nothing learns."""
        return False

    def play(self, G, D, turns) -> Terms:
        """Keep what the turns offer."""
        for turn in turns:
            numbers: list[Tensor] = []

            def noted(name: str, make: Callable, turn=turn, numbers=numbers) -> tuple[Tensor, ...]:
                found = turn.draws.of(name, make)
                numbers.extend(found)
                return found

            class Noting:
                batch, of = turn.draws.batch, staticmethod(noted)

            self.augment(turn.x, Noting, "real")
            rare = [turn.draws.uniform("points", 1, 1)] if turn.number % 3 == 0 else []
            self.given += [each.cpu() for each in (turn.z, turn.draws.normal("code", 5), *rare, *numbers)]
        if len(self.given) > 100:
            raise StoppedError
        return {}


def given(device: torch.device) -> list[Tensor]:
    """Tensors of some turns, in their order."""
    run, spy = opened("sngan", device), Spy(device)
    recipe = run.last.recipe.__class__(**{**vars(run.last.recipe), "tick_steps": 1000})
    try:
        for _ in train(run.state, run.batches, spy, recipe, seed=3):
            pass
    except StoppedError:
        pass
    return spy.given


if __name__ == "__main__":
    ours, theirs = given(torch.device("cpu")), given(torch.device("cuda", 0))
    equal = [torch.equal(one, other) for one, other in zip(ours, theirs, strict=True)]
    print(json.dumps({"tensors": len(equal), "different": equal.count(False), "numbers": sum(x.numel() for x in ours)}))
