"""Modes that each loss finds: a ring of 8 Gaussians and a grid of 25 (Metz et al. 2017; Srivastava et al. 2017).

    python benchmarks/modes.py [--json] [--loss NAME ...] [--seed S]

The sets are those of PacGAN (Lin et al. 2018): a ring of radius 1 with deviation 0.01, and a grid of spacing 2 with
deviation 0.05. The players are fully connected. A generated point is good within three standard deviations of its
nearest mode, and a mode is found if it has at least a tenth of its share of 2,500 points as good ones (the papers ask
for one point).

The games share a recipe: samples of unit variance; a latent of as many dimensions as the samples; ReLUs with spread
biases, as all kinks through the origin leave a plane with few pieces; no momentum; and penalties that fall. While they
are strong D is smooth and leads G from mode to mode, but so smooth a D cannot tell how narrow a mode is.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from ganops.core.randomness import generator
from ganops.experiment import machine
from ganops.losses import LOSSES, PENALTIES, square_norms
from ganops.models import mlp
from ganops.training.loop import Recipe, train
from ganops.training.schedule import constant, cosine
from ganops.training.state import State
from ganops.training.step import Game


class Mixture(NamedTuple):
    """Gaussians of equal weight and deviation."""

    modes: Tensor
    deviation: float

    @property
    def scale(self) -> float:
        """The standard deviation of a coordinate."""
        return math.sqrt(self.modes.var(0, correction=0).mean().item() + self.deviation**2)


ANGLES = 2 * math.pi * torch.arange(8) / 8
GRID = torch.arange(-4.0, 5, 2)
SETS = {
    "ring": Mixture(torch.stack([ANGLES.cos(), ANGLES.sin()], 1), 0.01),
    "grid": Mixture(torch.cartesian_prod(GRID, GRID), 0.05),
}
POINTS, TURNS, BATCH, LATENT = 2500, 6000, 256, 2
LAYERS = {"width": 64, "depth": 3, "slope": 0.0, "bias": 0.5}
FALLING = cosine(0.1, 1e-3)
BOTH = {"r1": FALLING, "r2": FALLING}
RECIPES: dict[str, dict] = {
    "minimax": BOTH,
    "non_saturating": BOTH,
    "least_squares": BOTH,
    "hinge": BOTH,
    "wasserstein, wgan_gp": {"penalty": "wgan_gp", "weight": cosine(1, 0.1)},
    "wasserstein, clipped": {"clip": 0.3, "d_steps": 2, "turns": 2 * TURNS},
    "non_saturating, dragan": {"penalty": "dragan", "weight": FALLING},
    "began": {"options": {"gamma": 1.0, "rate": 100.0}, "rates": (1e-3, 1e-3)},
    "relativistic": BOTH,
    "relativistic_average": BOTH,
}
"""What each loss is played with, beside Adam(0, 0.99) at rates 3e-3 and 2e-3 of G and D with a cosine to zero, and an
average of G. A turn under a clip costs less than half of one under a penalty, so there are twice as many."""


def play(name: str, data: Mixture, seed: int) -> tuple[int, float, float]:
    """Modes found, share of good points, seconds of processor time."""
    recipe = RECIPES[name]
    loss = LOSSES[name.partition(",")[0]](**recipe.get("options", {}))
    torch.manual_seed(seed)
    G = mlp.Generator(shape=(2,), latent=LATENT, **LAYERS)
    D = mlp.Autoencoder(shape=(2,), code=2, **LAYERS) if name == "began" else mlp.Discriminator(shape=(2,), **LAYERS)
    state = State.fresh(G, D, loss.memory)
    d_steps = recipe.get("d_steps", 1)
    steps = recipe.get("turns", TURNS) // d_steps
    of_G, of_D = recipe.get("rates", (3e-3, 2e-3))
    none = constant(0)
    game = Game(loss, square_norms, nullcontext, PENALTIES.get(recipe.get("penalty", "none")), recipe.get("clip", 0))
    plan = Recipe(
        steps=steps, tick_steps=steps, batch=BATCH, latent=LATENT, learning_rate_G=cosine(of_G, 0),
        learning_rate_D=cosine(of_D, 0), beta1=0, beta2=constant(0.99), r1=recipe.get("r1", none),
        r2=recipe.get("r2", none), penalty=recipe.get("weight", none), d_steps=d_steps, half_life=constant(20 * BATCH),
    )  # fmt: skip
    started = time.process_time()  # of one thread, whatever else the machine does
    for _ in train(state, sampler(data, seed), game, plan, seed=seed):
        pass
    seconds = time.process_time() - started
    with torch.no_grad():
        points = data.scale * state.average(torch.randn(POINTS, LATENT, generator=generator(seed, "points")))
    found, good = count(points, data)
    return found, good, seconds


def count(points: Tensor, data: Mixture) -> tuple[int, float]:
    """Modes found, share of good points."""
    distance, nearest = torch.cdist(points, data.modes).min(1)
    good = distance < 3 * data.deviation
    share = len(points) / len(data.modes)
    found = torch.bincount(nearest[good], minlength=len(data.modes)) >= share / 10
    return int(found.sum()), good.float().mean().item()


def sampler(data: Mixture, seed: int) -> Callable[[int], tuple[Tensor, None]]:
    """Real points of a turn, of unit variance."""

    def batch(turn: int) -> tuple[Tensor, None]:
        source = generator(seed, "real", turn)
        chosen = data.modes[torch.randint(len(data.modes), (BATCH,), generator=source)]
        return (chosen + data.deviation * torch.randn(BATCH, 2, generator=source)) / data.scale, None

    return batch


def measured(losses: list[str], seed: int) -> Iterator[dict[str, object]]:
    """A row for each loss."""
    for name in losses:
        row: dict[str, object] = {"loss": name}
        for kind, data in SETS.items():
            found, good, seconds = play(name, data, seed)
            row |= {kind: found, f"{kind} of": len(data.modes), f"{kind} good": good, f"{kind} seconds": seconds}
        yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--loss", action="append", choices=RECIPES, help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    hardware = machine.hardware(torch.device("cpu"))
    rows = measured(options.loss or list(RECIPES), options.seed)
    if options.json:
        print(json.dumps({"hardware": hardware, "seed": options.seed, "rows": list(rows)}))
        return
    print(f"{hardware}, 1 thread, seed {options.seed}\n")
    print("| loss | ring | good points | CPU s | grid | good points | CPU s |\n|---|---|---|---|---|---|---|")
    for row in rows:
        cells = [f"{row[k]}/{row[f'{k} of']} | {row[f'{k} good']:.2f} | {row[f'{k} seconds']:.0f}" for k in SETS]
        print(f"| {row['loss']} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
