"""Images per second of a training: the pipeline's loop against the loop that public repositories write.

    python benchmarks/train.py [--json] [--case NAME ...] [--rounds N] [--seconds S]

The peer is the loop of the DCGAN tutorial: eager float32, NCHW, Adam, an ImageFolder of PNG files and its DataLoader
(without processes of its own, which are slower on two cores); with R1 and R2 at every step where the game has them.
Both sides train the same networks from the same weights on the same samples with the same batch and threads. They take
turns in one process; a ratio is that of one round, and the table shows its median, minimum and maximum over the rounds.
"""

import argparse
import gzip
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from ganops import config
from ganops.data.batches import Batches
from ganops.experiment import build, machine
from ganops.kinds import Spec
from ganops.models.layers import GroupedConv2d
from ganops.training.loop import train
from ganops.training.state import State

CASES = {
    "dcgan 32 gray": ({"model.options": {"width": 64}, "loss.r1": 0.0}, 1, 32, 64),
    "dcgan 32 RGB": ({"model.options": {"width": 64}, "loss.r1": 0.0}, 3, 32, 64),
    "dcgan 64 RGB": ({"model.options": {"width": 64}, "loss.r1": 0.0}, 3, 64, 64),
    "r3gan 32 RGB": ({"model.architecture": "r3gan", "loss.name": "relativistic", "loss.r1": 1.0, "loss.r2": 1.0,
                      "loss.interval": 1, "train.beta1": 0.0}, 3, 32, 32),
    "r3gan 32 RGB, lazy": ({"model.architecture": "r3gan", "loss.name": "relativistic", "loss.r1": 1.0, "loss.r2": 1.0,
                            "loss.interval": 8, "train.beta1": 0.0}, 3, 32, 32),
}  # fmt: skip
"""Parameters, channels, resolution and batch; unconditional."""


def garments(channels: int, resolution: int) -> np.ndarray:
    """2,048 of the embedded images, resized and tinted: uint8 [N, C, H, W]."""
    file = Path(__file__).parents[1] / "data" / "fashion-mnist-10k" / "t10k-images-idx3-ubyte.gz"
    gray = np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8, offset=16).reshape(-1, 28, 28)[:2048]
    sized = np.stack([np.asarray(Image.fromarray(image).resize((resolution, resolution))) for image in gray])
    tint = np.random.default_rng(0).uniform(0.5, 1, (len(sized), channels, 1, 1))
    return (sized[:, None] * tint).astype(np.uint8)


def loader(images: np.ndarray, batch: int, workers: int, folder: Path) -> DataLoader:
    """PNG files in a folder of one class, through the transforms of the DCGAN tutorial."""
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    (folder / "all").mkdir()
    for i, image in enumerate(images):
        pixels = image.transpose(1, 2, 0)
        Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(folder / "all" / f"{i:05}.png")
    size, channels = images.shape[2], images.shape[1]
    steps = [transforms.Resize(size), transforms.CenterCrop(size), transforms.ToTensor()]
    steps = [transforms.Grayscale(), *steps] if channels == 1 else steps
    data = ImageFolder(folder, transforms.Compose([*steps, transforms.Normalize([0.5] * channels, [0.5] * channels)]))
    return DataLoader(data, batch, shuffle=True, drop_last=True, num_workers=workers)


def peer(experiment: config.Experiment, data: DataLoader, spec: Spec, device: torch.device) -> Callable[[], int]:
    """One step of the public loop: () -> samples."""
    G, D = (plain(network).to(device, memory_format=torch.contiguous_format).train()
            for network in build.networks(experiment, spec))  # fmt: skip
    rate = 4e-4
    betas = (experiment.train.beta1, 0.99)
    adam_G, adam_D = (torch.optim.Adam(network.parameters(), rate, betas) for network in (G, D))
    batches = endless(data)
    relativistic, gamma = experiment.loss.name == "relativistic", experiment.loss.r1

    def step() -> int:
        x = next(batches).to(device)
        z = torch.randn(len(x), experiment.model.latent, device=device)
        adam_D.zero_grad()
        x.requires_grad_(gamma > 0)
        fake = G(z)
        shown = fake.detach().requires_grad_(gamma > 0)
        real_score, fake_score = D(x), D(shown)
        if relativistic:
            loss = F.softplus(fake_score - real_score).mean()
        else:
            loss = F.softplus(-real_score).mean() + F.softplus(fake_score).mean()
        if gamma:
            for samples, scores in ((x, real_score), (shown, fake_score)):
                (gradient,) = torch.autograd.grad(scores.sum(), samples, create_graph=True)
                loss = loss + gamma / 2 * gradient.square().flatten(1).sum(1).mean()
        loss.backward()
        adam_D.step()
        adam_G.zero_grad()
        loss = F.softplus(D(x.detach()) - D(fake)).mean() if relativistic else F.softplus(-D(fake)).mean()
        loss.backward()
        adam_G.step()
        loss.item()  # public loops print or collect it
        return len(x)

    return step


def plain(network: nn.Module) -> nn.Module:
    """The same network with torch's own convolutions."""
    for module in network.modules():
        if isinstance(module, GroupedConv2d):
            module.__class__ = nn.Conv2d
    return network


def endless(data: DataLoader) -> Iterator[torch.Tensor]:
    while True:
        for x, _ in data:
            yield x


def ours(experiment: config.Experiment, images: np.ndarray, spec: Spec, device: torch.device) -> Callable[[], int]:
    """One step of the pipeline's loop, its average of G included: () -> samples."""
    game, recipe = build.game(experiment, device), build.recipe(experiment)
    G, D = build.networks(experiment, spec)
    state = State.fresh(G.to(device), D.to(device), game.memory)
    batches = Batches(images, None, experiment.train.batch, seed=0, device=device)
    ticks = train(state, batches, game, recipe, seed=0)

    def step() -> int:
        next(ticks)
        return recipe.samples * recipe.tick_steps

    return step


def measure(step: Callable[[], int], seconds: float) -> float:
    """Samples per second of as many steps as fit, at least one."""
    started, samples = time.perf_counter(), 0
    while (spent := time.perf_counter() - started) < seconds or not samples:
        samples += step()
    return samples / spent


def compare(name: str, rounds: int, seconds: float, workers: int) -> dict[str, object]:
    params, channels, resolution, batch = CASES[name]
    experiment = config.parse({}).override(
        {"train.batch": batch, "train.kimg": 1e6, "train.tick_kimg": 16 * batch / 1000,
         "data.resolution": resolution, **params}
    )  # fmt: skip
    device = machine.choose_device("auto")
    images = garments(channels, resolution)
    speeds: dict[str, list[float]] = {"peer": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        data = loader(images, batch, workers, Path(folder))
        spec = Spec("image", (channels, resolution, resolution), 0)
        sides = {"peer": peer(experiment, data, spec, device), "ours": ours(experiment, images, spec, device)}
        for step in sides.values():
            measure(step, seconds / 2)  # warm up
        for _ in range(rounds):
            for side, step in sides.items():
                speeds[side].append(measure(step, seconds))
    ratios = [a / b for a, b in zip(speeds["ours"], speeds["peer"], strict=True)]
    return {
        "case": name,
        "peer": statistics.median(speeds["peer"]),
        "ours": statistics.median(speeds["ours"]),
        "ratio": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "precision": machine.precision(experiment, device),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--case", action="append", choices=CASES, help="only this one; may be repeated")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8, help="of each side in each round")
    parser.add_argument("--loader-workers", type=int, default=0, help="of the peer's DataLoader; the tutorial has 2")
    options = parser.parse_args()
    hardware = machine.hardware(machine.choose_device("auto"))
    rows = []
    for name in options.case or CASES:
        rows.append(compare(name, options.rounds, options.seconds, options.loader_workers))
        if not options.json:
            print(f"{name} done", flush=True)
    if options.json:
        print(json.dumps({"hardware": hardware, "threads": torch.get_num_threads(), "torch": torch.__version__,
                          "python": platform.python_version(), "rows": rows}, indent=2))  # fmt: skip
        return
    print(f"\n{hardware}, {torch.get_num_threads()} threads, torch {torch.__version__}; images per second\n")
    print("| case | peer | ours | ratio [lowest, highest] |\n|---|---|---|---|")
    for row in rows:
        ratio = f"{row['ratio']:.2f} [{row['lowest']:.2f}, {row['highest']:.2f}]"
        print(f"| {row['case']} ({row['precision']}) | {row['peer']:.0f} | {row['ours']:.0f} | {ratio} |")


if __name__ == "__main__":
    main()
