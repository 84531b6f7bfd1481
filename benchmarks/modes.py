"""Modes that each loss finds: a ring of 8 Gaussians and a grid of 25 (Metz et al. 2017; Srivastava et al. 2017).

    python benchmarks/modes.py [--json] [--loss NAME ...] [--seed S]

The players are fully connected. A generated point is good within three standard deviations of its nearest mode, and a
mode is found if it has at least a tenth of its share of 2,500 points as good ones (the papers ask for one point).
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor

from ganops import assemble
from ganops.losses import LOSSES, PENALTIES, square_norms
from ganops.models import mlp
from ganops.randomness import generator
from ganops.training.loop import Recipe, train
from ganops.training.schedule import constant, cosine
from ganops.training.state import State
from ganops.training.step import Game

DEVIATION, POINTS, BATCH, LATENT = 0.05, 2500, 256, 8
TURNS = 4000
ANGLES = 2 * math.pi * torch.arange(8) / 8
SETS = {
    "ring": 1.5 * torch.stack([ANGLES.cos(), ANGLES.sin()], 1),
    "grid": torch.cartesian_prod(torch.arange(-2.0, 3), torch.arange(-2.0, 3)),
}
RECIPES: dict[str, dict] = {
    "minimax": {"r1": 0.1},
    "non_saturating": {"r1": 0.1},
    "least_squares": {"r1": 0.1},
    "hinge": {"r1": 0.1},
    "wasserstein, wgan_gp": {"penalty": "wgan_gp", "weight": 1.0, "d_steps": 2},
    "wasserstein, clipped": {"clip": 0.1, "d_steps": 2, "rate": 5e-4},
    "non_saturating, dragan": {"penalty": "dragan", "weight": 1.0},
    "began": {"options": {"gamma": 0.7, "rate": 1e-2}, "rate": 5e-4},
    "relativistic": {"r1": 0.1, "r2": 0.1},
    "relativistic_average": {"r1": 0.1, "r2": 0.1},
}
"""What each loss is played with, beside Adam(0.5, 0.9) with a cosine to zero, and an average of G."""


def play(name: str, modes: Tensor, seed: int) -> tuple[int, float, float]:
    """Modes found, share of good points, seconds."""
    recipe = RECIPES[name]
    loss = LOSSES[name.partition(",")[0]](**recipe.get("options", {}))
    torch.manual_seed(seed)
    G = mlp.Generator(shape=(2,), latent=LATENT, width=128, depth=3)
    critic = mlp.Autoencoder(shape=(2,), code=1, width=128, depth=3)
    D = critic if name == "began" else mlp.Discriminator(shape=(2,), width=128, depth=3)
    state = State.fresh(G, D, loss.memory)
    rate, d_steps = recipe.get("rate", 1e-3), recipe.get("d_steps", 1)
    steps = TURNS // d_steps
    game = Game(loss, square_norms, nullcontext, PENALTIES.get(recipe.get("penalty", "none")), recipe.get("clip", 0))
    plan = Recipe(
        steps=steps, tick_steps=steps, batch=BATCH, latent=LATENT, learning_rate_G=cosine(rate, 0),
        learning_rate_D=cosine(rate, 0), beta1=0.5, beta2=constant(0.9), r1=constant(recipe.get("r1", 0)),
        r2=constant(recipe.get("r2", 0)), penalty=constant(recipe.get("weight", 0)), d_steps=d_steps,
        half_life=constant(20 * BATCH),
    )  # fmt: skip
    started = time.perf_counter()
    for _ in train(state, sampler(modes, seed), game, plan, seed=seed):
        pass
    seconds = time.perf_counter() - started
    with torch.no_grad():
        points = state.average(torch.randn(POINTS, LATENT, generator=generator(seed, "points")))
    distance, nearest = torch.cdist(points, modes).min(1)
    good = distance < 3 * DEVIATION
    found = (torch.bincount(nearest[good], minlength=len(modes)) >= POINTS / len(modes) / 10).sum()
    return int(found), good.float().mean().item(), seconds


def sampler(modes: Tensor, seed: int) -> Callable[[int], tuple[Tensor, None]]:
    """Real points of a turn."""

    def batch(turn: int) -> tuple[Tensor, None]:
        source = generator(seed, "real", turn)
        chosen = modes[torch.randint(len(modes), (BATCH,), generator=source)]
        return chosen + DEVIATION * torch.randn(BATCH, 2, generator=source), None

    return batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--loss", action="append", choices=RECIPES, help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in options.loss or RECIPES:
        row: dict[str, object] = {"loss": name}
        for kind, modes in SETS.items():
            found, good, seconds = play(name, modes, options.seed)
            row |= {kind: found, f"{kind} of": len(modes), f"{kind} good": good, f"{kind} seconds": seconds}
        rows.append(row)
        if not options.json:
            print(f"{name} done", flush=True)
    if options.json:
        print(json.dumps({"hardware": assemble.hardware(torch.device("cpu")), "seed": options.seed, "rows": rows}))
        return
    print(f"\n{assemble.hardware(torch.device('cpu'))}, 1 thread, seed {options.seed}\n")
    print("| loss | ring | good points | s | grid | good points | s |\n|---|---|---|---|---|---|---|")
    for row in rows:
        cells = [f"{row[k]}/{row[f'{k} of']} | {row[f'{k} good']:.2f} | {row[f'{k} seconds']:.0f}" for k in SETS]
        print(f"| {row['loss']} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
