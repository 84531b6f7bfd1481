"""The error of a step that cannot be recorded as a CUDA graph; as a script it prints JSON."""

import json
import sys

import torch
import torch.distributed as dist
from steps import counts, opened

from ganops.core.errors import TrainingError
from ganops.training.loop import train
from ganops.training.objective import Player, Terms


class Waiting:
    """An objective whose steps read a number back, for which the host waits."""

    def __init__(self, game) -> None:
        self.game = game

    def __getattr__(self, name: str):
        return getattr(self.game, name)

    def play(self, G: Player, D: Player, turns) -> Terms:
        """Play the game, and read a loss."""
        terms = self.game.play(G, D, turns)
        float(terms["loss_d"])
        return terms


class Lost(Waiting):
    """An objective whose workers are lost while it is recorded."""

    def play(self, G: Player, D: Player, turns) -> Terms:
        """Play the game, unless it is recorded."""
        if torch.cuda.is_current_stream_capturing():
            raise dist.DistBackendError("NCCL communicator was aborted")
        return self.game.play(G, D, turns)


if __name__ == "__main__":
    device = torch.device("cuda", 0)
    dist.init_process_group("nccl", store=dist.HashStore(), rank=0, world_size=2, device_id=device)
    run = opened("dcgan", device, **{"train.kimg": 1, "train.tick_kimg": 1})
    kind = Lost if "lost" in sys.argv else Waiting
    try:
        for _ in train(run.state, run.batches, kind(run.last.objective), run.last.recipe, seed=3, graphs=True):
            pass
    except TrainingError as error:
        print(json.dumps({"said": str(error), "step": run.state.step, "alive": counts()["alive"]}))
    except dist.DistError as error:
        print(json.dumps({"raised": type(error).__name__}))
