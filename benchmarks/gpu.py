"""Checks for which a real GPU is needed: `python benchmarks/gpu.py [OUT.json]`, or `make gpu`; under 8 minutes.

Parity with the CPU in float64, the same bits twice, interrupted and from CUDA graphs, also as one of several workers;
speed with and without graphs, extractors against the CPU, memory. Writes JSON; a part that fails says why in its place,
and the script ends with 1.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "golden"))
import games

from ganops.core.devices import repeatable
from ganops.experiment.run import Run
from ganops.metrics.extractors.domain import Domain
from ganops.training.loop import train

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
SPEED = {
    "dcgan": {"model.architecture": "dcgan"},
    "dcgan, ADA": {"model.architecture": "dcgan", "train.augment.transforms": "ada"},
    "r3gan": {"model.architecture": "r3gan", "loss.name": "relativistic", "loss.r2": 0.5, "loss.interval": 1},
    "stylegan2": {"model.architecture": "stylegan2"},
}
"""Networks of their usual size, which draw 32 x 32 in colour, 64 samples a step."""
REPEATED = (
    "dcgan", "r3gan", "stylegan2", "sngan", "ada, adaptive", "wgan_gp", "two_stage_vae", "bf16", "lstm", "mocogan",
)  # fmt: skip
"""Golden games that are played several times, which have to come to the same bits."""
STEPS = 100
"""Steps for which they are."""
KIMG = 20.0
"""Images, in thousands, that the extractor is trained with."""
SECONDS = 8.0
"""Seconds of each measurement of speed."""


class Noise:
    """512 images of noise."""

    class_names = ()
    hash = "noise"

    def __init__(self) -> None:
        self.spec = games.Spec("image", (3, 32, 32))
        self.images = np.random.default_rng(0).integers(0, 256, (512, 3, 32, 32), dtype=np.uint8)

    def samples(self, split: str) -> np.ndarray[Any, Any]:
        """The images."""
        return self.images

    def labels(self, split: str) -> None:
        """None: there are none."""


def opened(name: str, device: torch.device, steps: int, workers: int = 1, **changes: object) -> Run:
    """The training of a golden game, so long, with one tick at its end; with several workers, as the first of them."""
    others, kind = {"text": games.Texts, "video": games.Films, "wave": games.Waves}, games.GAMES[name].get("data.kind")
    samples = others[kind]() if kind in others else games.Shapes(3 if name in games.COLOUR else 1)
    kimg = steps * games.BATCH * games.GAMES[name].get("train.d_steps", 1) / 1000
    lengths = {"train.kimg": kimg, "train.tick_kimg": kimg, "train.checkpoint_kimg": kimg}
    return Run(games.experiment(name, **{**lengths, **changes}), samples, None, device, workers=workers)


def played(run: Run, until: int | None = None, *, graphs: bool = False) -> dict[str, torch.Tensor]:
    """Play a training on, and return all that it came to."""
    with repeatable(run.device):
        for _ in train(run.state, run.batches, run.last.objective, run.last.recipe, seed=3, until=until, graphs=graphs):
            pass
    return {name: tensor.detach().cpu().clone() for name, tensor in run.state.tensors().items()}


def differing(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> list[str]:
    """Names of the tensors that are not the same bits."""
    return [name for name in one if not torch.equal(one[name], other[name])]


def parity() -> dict[str, float]:
    """Largest distance of a number after 20 steps in float64, CPU against GPU: at most 1e-9 is right."""
    found = {}
    for name in games.GAMES:
        ours, theirs = (played(opened(name, at, 20, **{"train.precision": "fp64"})) for at in (CPU, GPU))
        found[name] = max(float((ours[key].double() - theirs[key].double()).abs().max()) for key in ours)
    return found


def bits() -> dict[str, dict[str, list[str]]]:
    """Tensors that differ: in a second run, after an interruption at half, and from CUDA graphs."""
    found = {}
    for name in REPEATED:
        whole = played(opened(name, GPU, STEPS))
        half = opened(name, GPU, STEPS)
        played(half, STEPS // 2)
        found[name] = {
            "twice": differing(whole, played(opened(name, GPU, STEPS))),
            "interrupted": differing(whole, played(half)),
            "graphs": differing(whole, played(opened(name, GPU, STEPS), graphs=True)),
        }
    return found


def workers() -> dict[str, list[str]]:
    """Tensors that differ from CUDA graphs as the first of two workers over NCCL.

    The second is missing, as NCCL takes one for each GPU: so its sums are the first one's own, in both cases.
    """
    dist.init_process_group("nccl", store=dist.HashStore(), rank=0, world_size=1, device_id=GPU)
    try:
        with mock.patch.object(dist, "get_world_size", return_value=2):
            return {
                name: differing(*(played(opened(name, GPU, STEPS, workers=2), graphs=way) for way in (False, True)))
                for name in REPEATED
                if name in games.SHARED
            }
    finally:
        dist.destroy_process_group()


def speed() -> dict[str, dict[str, float]]:
    """Images a second, operation by operation and from graphs, and the most memory, in GiB."""
    found: dict[str, dict[str, float]] = {}
    common = {"model.conditional": False, "model.options": {}, "model.latent": 128, "data.resolution": 32,
              "train.batch": 64, "train.precision": "auto"}  # fmt: skip
    for name, options in SPEED.items():
        for way in ("eager", "graphs"):
            kimg = 1e6
            lengths = {"train.kimg": kimg, "train.tick_kimg": 1.28, "train.checkpoint_kimg": kimg}
            run = Run(games.experiment("dcgan", **{**common, **options, **lengths}), Noise(), None, GPU)
            torch.cuda.reset_peak_memory_stats()
            speeds, end = [], time.perf_counter() + SECONDS
            with repeatable(GPU):
                for tick in train(run.state, run.batches, run.last.objective, run.last.recipe, seed=3,
                                  graphs=way == "graphs"):  # fmt: skip
                    speeds.append(tick.metrics["images_per_second"])
                    if time.perf_counter() > end:
                        break
            found.setdefault(name, {})[way] = float(np.median(speeds))
            found[name][f"{way}_gib"] = torch.cuda.max_memory_allocated() / 2**30
    return found


def extractors() -> dict[str, float]:
    """Error of the domain extractor's features against the CPU's, relative, and its images a second."""
    images, labels = Noise().images, np.arange(512) % 3
    started = time.perf_counter()
    made = Domain.make(images, labels, images, None, seed=0, device="cuda", kimg=KIMG)
    trained = time.perf_counter() - started
    features, started = made.features(images)[0], time.perf_counter()
    for _ in range(10):
        made.features(images)
    speed = 10 * len(images) / (time.perf_counter() - started)
    exact = Domain(made.network.cpu(), made.hash, made.card, "cpu").features(images)[0]
    error = float(np.linalg.norm(features - exact) / np.linalg.norm(exact))
    return {"seconds_of_training": trained, "images_per_second": speed, "feature_error": error}


PARTS: dict[str, Callable[[], Any]] = {
    "parity": parity, "bits": bits, "workers": workers, "speed": speed, "extractors": extractors,
}  # fmt: skip


def main(out: str = "gpu.json") -> int:
    """Ask for everything in turn, and write it after each part."""
    found: dict[str, Any] = {"gpu": torch.cuda.get_device_name(0), "torch": torch.__version__,
                             "capability": torch.cuda.get_device_capability(0)}  # fmt: skip
    failed = 0
    for name, part in PARTS.items():
        started = time.perf_counter()
        try:
            found[name] = part()
        except Exception as error:  # whatever it is, the other parts have something to say
            found[name], failed = {"error": f"{type(error).__name__}: {error}"}, 1
        found[f"{name}_seconds"] = round(time.perf_counter() - started, 1)
        Path(out).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        print(f"{name}: {json.dumps(found[name])}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
