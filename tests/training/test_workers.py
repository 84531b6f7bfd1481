"""The number of workers does not change the experiment."""

import os
import socket
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file

from ganops.data.batches import Batches
from ganops.losses import LOSSES, zero_centred
from ganops.models import ARCHITECTURES
from ganops.training.loop import Recipe, train
from ganops.training.schedule import constant, cosine
from ganops.training.state import State
from ganops.training.step import Game

GAMES = {
    "began": ({"width": 2}, "relativistic", 0.0),
    "dcgan": ({"width": 4}, "non_saturating", 0.0),
    "mlp": ({"width": 16}, "non_saturating", 0.5),
    "r3gan": ({"widths": 8, "groups": 2}, "relativistic", 0.5),
    "sngan": ({"width": 8}, "non_saturating", 0.0),
    "stylegan2": ({"base": 64, "maximum": 8, "group": 3}, "non_saturating", 0.5),
}
STEPS = 20


def play(architecture: str, out: Path) -> None:
    """20 steps in float64, conditional, as one of the workers that the environment names."""
    options, loss, gamma = GAMES[architecture]
    rank, workers = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    torch.manual_seed(0)
    G, D = ARCHITECTURES[architecture](channels=1, resolution=16, classes=3, latent=6, **options)
    state = State.fresh(G.double(), D.double())
    source = torch.Generator().manual_seed(1)
    batches = Batches(
        images=torch.randint(0, 256, (50, 1, 16, 16), dtype=torch.uint8, generator=source),
        labels=torch.randint(0, 3, (50,), generator=source),
        size=12, seed=3, rank=rank, workers=workers, dtype=torch.float64,
    )  # fmt: skip
    recipe = Recipe(
        steps=STEPS, tick_steps=5, batch=12, latent=6, learning_rate_G=cosine(2e-3, 1e-3),
        learning_rate_D=constant(1e-3), beta1=0.5, beta2=constant(0.99), r1=constant(gamma), r2=constant(gamma),
        interval=2, half_life=100,
    )  # fmt: skip
    game = Game(LOSSES[loss], zero_centred, nullcontext)
    for _ in train(state, batches, game, recipe, seed=3):
        pass
    if rank == 0:
        state.save(out)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """(architecture, workers) -> the tensors after 20 steps."""
    folder = tmp_path_factory.mktemp("weights")
    for workers in (1, 2):
        run_workers(workers, folder)
    return {(name, n): load_file(folder / f"{name}-{n}.safetensors") for name in GAMES for n in (1, 2)}


def run_workers(workers: int, folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(folder)],
            env={**os.environ, "RANK": str(rank), "WORLD_SIZE": str(workers), "MASTER_ADDR": "127.0.0.1",
                 "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"},
        )
        for rank in range(workers)
    ]  # fmt: skip
    assert [process.wait(timeout=300) for process in processes] == [0] * workers


def test_every_architecture_is_played():
    assert GAMES.keys() == ARCHITECTURES.keys()


@pytest.mark.parametrize("architecture", GAMES)
def test_two_workers_give_the_weights_of_one(architecture, weights):
    one, two = weights[architecture, 1], weights[architecture, 2]
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert torch.allclose(tensor, two[name], rtol=0, atol=1e-9), name


if __name__ == "__main__":
    if os.environ["WORLD_SIZE"] != "1":
        dist.init_process_group("gloo")
    for name in GAMES:
        play(name, Path(sys.argv[1]) / f"{name}-{os.environ['WORLD_SIZE']}.safetensors")
    if dist.is_initialized():
        dist.destroy_process_group()
