"""Images per second of a training: the pipeline's loop against the loop that public repositories write.

    python benchmarks/train.py [--json] [--case NAME ...] [--rounds N] [--seconds S]

The peer is the loop of the DCGAN tutorial and of mimicry: eager float32, NCHW, Adam, samples decoded one by one in a
DataLoader, R1 and R2 at every step where the game has them. Both sides train the same networks from the same weights on
the same samples with the same batch and threads. They take turns in one process; a ratio is that of one round, and the
table shows its median, minimum and maximum over the rounds.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ganops import assemble, config
from ganops.data import SampleSpec
from ganops.data.batches import Batches
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


class Pictures(Dataset):
    """As torchvision's data sets hand samples out: array, PIL image, tensor in [0, 1], tensor in [-1, 1]."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        from torchvision.transforms.functional import normalize, to_tensor

        image = self.images[index].transpose(1, 2, 0)
        picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
        mean = [0.5] * image.shape[2]
        return normalize(to_tensor(picture), mean, mean)


def peer(experiment: config.Experiment, images: np.ndarray, device: torch.device) -> Callable[[], int]:
    """One step of the public loop: () -> samples."""
    spec = SampleSpec(images.shape[1], images.shape[2], 0)
    G, D = (plain(network).to(device, memory_format=torch.contiguous_format).train()
            for network in assemble.networks(experiment, spec))  # fmt: skip
    rate = 4e-4
    betas = (experiment.train.beta1, 0.99)
    adam_G, adam_D = (torch.optim.Adam(network.parameters(), rate, betas) for network in (G, D))
    loader = DataLoader(
        Pictures(images),
        experiment.train.batch,
        shuffle=True,
        drop_last=True,
        generator=torch.Generator().manual_seed(0),
    )
    batches = endless(loader)
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


def endless(loader: DataLoader) -> Iterator[torch.Tensor]:
    while True:
        yield from loader


def ours(experiment: config.Experiment, images: np.ndarray, device: torch.device) -> Callable[[], int]:
    """One step of the pipeline's loop, its average of G included: () -> samples."""
    game, recipe = assemble.game(experiment, device), assemble.recipe(experiment)
    G, D = assemble.networks(experiment, SampleSpec(images.shape[1], images.shape[2], 0))
    state = State.fresh(G.to(device), D.to(device), game.memory)
    batches = Batches(torch.from_numpy(images).to(device), None, experiment.train.batch, seed=0)
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


def compare(name: str, rounds: int, seconds: float) -> dict[str, object]:
    params, channels, resolution, batch = CASES[name]
    interval = params.get("loss.interval", 1)
    experiment = config.parse({}).override(
        {"train.batch": batch, "train.kimg": 1e6, "train.tick_kimg": max(interval, 4) * batch / 1000,
         "data.resolution": resolution, **params}
    )  # fmt: skip
    device = assemble.choose_device("auto")
    images = np.random.default_rng(0).integers(0, 256, (2048, channels, resolution, resolution), np.uint8)
    sides = {"peer": peer(experiment, images, device), "ours": ours(experiment, images, device)}
    for step in sides.values():
        measure(step, seconds / 2)  # warm up
    speeds: dict[str, list[float]] = {"peer": [], "ours": []}
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
        "precision": assemble.precision(experiment, device),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--case", action="append", choices=CASES, help="only this one; may be repeated")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8, help="of each side in each round")
    options = parser.parse_args()
    hardware = assemble.hardware(assemble.choose_device("auto"))
    rows = []
    for name in options.case or CASES:
        rows.append(compare(name, options.rounds, options.seconds))
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
