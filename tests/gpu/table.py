"""Steps of networks of their usual size on the null GPU, as a table in docs/benchmarks.md; prints JSON.

`python benchmarks/launches.py` runs it.
"""

import json
import sys
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from steps import counts, since, steps

from ganops import config
from ganops.experiment.run import Run
from ganops.kinds import Spec

GAMES = {
    "dcgan": {"train.batch": 32},
    "dcgan, ADA": {"train.batch": 32, "train.augment.transforms": "ada"},
    "r3gan": {
        "model.architecture": "r3gan", "loss.name": "relativistic", "loss.r1": 1.0, "loss.r2": 1.0, "loss.interval": 1,
    },
    "stylegan2": {"model.architecture": "stylegan2", "loss.name": "non_saturating", "loss.r1": 1.0},
}  # fmt: skip
"""Name -> what differs: 64 samples of 32 x 32 in colour, bf16, R1 in every fourth step."""


class Noise:
    """512 images of noise."""

    class_names, hash, spec = (), "noise", Spec("image", (3, 32, 32))

    def samples(self, split: str) -> np.ndarray[Any, Any]:
        """uint8 [512, 3, 32, 32]."""
        return np.random.default_rng(0).integers(0, 256, (512, 3, 32, 32), dtype=np.uint8)

    def labels(self, split: str) -> None:
        """None: there are none."""


def main(workers: int, *, graphs: bool) -> dict[str, dict[str, list[float]]]:
    """Fewest and most of each count in a step, the median of the milliseconds, and the nodes of all graphs, by game."""
    torch.set_num_threads(1)
    device = torch.device("cuda", 0)
    if workers > 1:
        dist.init_process_group("nccl", store=dist.HashStore(), rank=0, world_size=workers, device_id=device)
    found = {}
    for name, options in GAMES.items():
        common = {"model.conditional": False, "model.latent": 128, "data.resolution": 32, "train.batch": 64,
                  "train.precision": "bf16", "loss.interval": 4}  # fmt: skip
        lengths = dict.fromkeys(("train.kimg", "train.tick_kimg", "train.checkpoint_kimg"), 10.0)
        made = config.parse({}).override({**common, **lengths, **options})
        before = counts()
        counted = steps(Run(made, Noise(), None, device, workers=workers), name, 12, graphs=graphs)
        each = [{**step, "launches": step["launches"] + step["blas"] + step["dnn"],
                 "waits": step["waits"] + step["pageable"]} for step in counted]  # fmt: skip
        found[name] = {key: [min(step[key] for step in each), max(step[key] for step in each)]
                       for key in ("launches", "graphs", "waits", "collectives")}  # fmt: skip
        found[name]["nodes"] = [since(before)["nodes"]]
        found[name]["ms"] = [median(step["ms"] for step in each)]
    return found


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), graphs="graphs" in sys.argv)))
