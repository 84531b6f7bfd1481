"""The number of workers does not change the experiment."""

import json
import multiprocessing
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file

from ganops.data.augment import PRESETS, Augmentation
from ganops.data.batches import Batches
from ganops.experiment import build
from ganops.kinds import KINDS, Spec, image
from ganops.losses import ALONE, LESSONS, LOSSES, PENALTIES, square_norms
from ganops.models import ARCHITECTURES, coded
from ganops.training.lesson import Lesson
from ganops.training.loop import Phase, Recipe, train
from ganops.training.schedule import constant, cosine
from ganops.training.state import State
from ganops.training.step import Game

SMOOTH = {"architecture": "dcgan", "width": 4, "norm": "none"}
SMALL = {"architecture": "infogan", "width": 4, "hidden": 16}
TEXTS = {"architecture": "lstm", "width": 8, "embedding": 4}
FILMS = {"architecture": "mocogan", "width": 4, "content": 2, "motion": 2, "hidden": 4}
WAVES = {"architecture": "wavegan", "width": 4}
WORDS = Spec("text", (3,), facts={"words": ["", *"abcdefg"], "by": "words"})
SPECS = {"lstm": WORDS, "mocogan": Spec("video", (1, 2, 16, 16), facts={"fps": 8}), "wavegan": Spec("wave", (1, 128))}
"""Samples of the architectures that draw no planes."""
GAMES = {
    "began": {"architecture": "began", "width": 2, "loss": "began"},
    "dcgan": {"architecture": "dcgan", "width": 4},
    "dcgan, interrupted": {"architecture": "dcgan", "width": 4, "ends": (5,)},
    "infogan": SMALL,
    "mlp": {"architecture": "mlp", "width": 16, "r1": 0.5},
    "r3gan": {"architecture": "r3gan", "widths": 8, "groups": 2, "loss": "relativistic", "r1": 0.5, "r2": 0.5},
    "sngan": {"architecture": "sngan", "width": 8, "loss": "hinge"},
    "stylegan2": {"architecture": "stylegan2", "base": 64, "maximum": 8, "group": 3, "r1": 0.5},
    **{f"loss {name}": {**SMOOTH, "loss": name} for name in LOSSES},
    **{f"penalty {name}": {**SMOOTH, "loss": "wasserstein", "penalty": name} for name in PENALTIES},
    "augmented": {**SMOOTH, "r1": 0.5, "augment": "r3gan"},
    "relativistic and adaptive": {**SMOOTH, "loss": "relativistic_average", "augment": "ada", "target": 0},
    "consistent": {**SMOOTH, "r1": 0.5, "augment": "diffaugment", "consistency": 10},
    "float32": {**SMALL, "loss": "relativistic_average", "dtype": "float32"},
    "two turns of D, clipped": {**SMOOTH, "loss": "wasserstein", "d_steps": 2, "clip": 0.05},
    **{f"lesson {name}": {"architecture": "dcgan", "width": 4, "loss": name} for name in LESSONS},  # with batch norm
    "lesson of a mixture": {**SMALL, "loss": "autoencoder", "prior": "mixture"},
    "lesson without labels": {**SMOOTH, "loss": "two_stage_vae", "second": 0.3, "classes": 0},
    "lesson of stylegan2": {"architecture": "stylegan2", "base": 64, "maximum": 8, "loss": "vae"},
    "texts": {**TEXTS, "loss": "relativistic", "r1": 0.5, "r2": 0.5, "d_steps": 2, "warm_up": 0.4},
    "texts by likelihood": {**TEXTS, "loss": "likelihood", "layers": 2},
    "texts by a vae": {**TEXTS, "loss": "vae", "code": 2, "layers": 2, "anneal": 0.5, "word_dropout": 0.3},
    "texts of a code": {**TEXTS, "loss": "relativistic", "code": 2, "r1": 0.5},
    "films": {**FILMS, "loss": "relativistic", "r1": 0.5, "r2": 0.5, "augment": "diffaugment"},
    "lesson of films": {**FILMS, "loss": "vae"},
    "waves": {**WAVES, "loss": "relativistic", "r1": 0.5, "r2": 0.5, "augment": {"time": 1, "gain": 0.5}},
    "waves, five turns of D": {
        **WAVES,
        "loss": "wasserstein",
        "penalty": "wgan_gp",
        "d_steps": 5,
        "augment": {"time": 1},
    },
    "lesson of waves": {**WAVES, "loss": "vae"},
}
QUICK = ("dcgan", "dcgan, interrupted", "stylegan2", "loss began", "penalty dragan", "consistent",
         "relativistic and adaptive", "lesson two_stage_vae", "lesson of a mixture", "texts", "texts by likelihood",
         "texts by a vae", "films", "waves")  # fmt: skip
"""Games with each kind of sum over workers, in which three share 32 samples; others, and five workers, are slow."""
UNEQUAL = [
    pytest.param(workers, game, marks=() if game in QUICK and workers == 3 else pytest.mark.slow)
    for workers in (3, 5)
    for game in GAMES
    if game != "float32"  # one rounding more or less, and a leaky ReLU is on its other side
]
OF_LESSON = ("prior", "second", "anneal", "word_dropout")
"""Options of an objective, among those of an architecture."""
STEPS = 12
ROUNDING = {torch.float64: 1e-9, torch.float32: 2e-6}
"""How far the weights of these steps of 1e-3 may lie apart."""


def play(name: str, batch: int, steps: int, out: Path) -> None:
    """Some steps, conditional, as one of the workers that the environment names."""
    options = dict(GAMES[name])
    dtype = getattr(torch, options.pop("dtype", "float64"))
    architecture, loss = options.pop("architecture"), options.pop("loss", "non_saturating")
    of_lesson = {key: options.pop(key) for key in OF_LESSON if key in options}
    family = LESSONS[loss](**of_lesson) if loss in LESSONS else None
    family = family.of_texts() if family and architecture == "lstm" else family
    classes, ends = options.pop("classes", 3), (*options.pop("ends", ()), None)
    r1, r2, d_steps, clip, consistency = (options.pop(key, 0) for key in ("r1", "r2", "d_steps", "clip", "consistency"))
    penalty = PENALTIES.get(options.pop("penalty", "none"))
    transforms = options.pop("augment", "none")
    transforms = PRESETS.get(transforms) if isinstance(transforms, str) else transforms
    adaptive = {"adaptive": True, "target": options.pop("target", -1), "per_images": 120}  # within 12 steps from 0 to 1
    augment = Augmentation.on(torch.device("cpu"), transforms, **adaptive) if transforms else None
    rank, workers = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    torch.manual_seed(0)
    spec = SPECS.get(architecture, Spec("image", (1, 16, 16)))
    warm_up = options.pop("warm_up", 0)
    latent = 6 + options.get("code", 0)
    players = ARCHITECTURES[architecture](shape=spec.inputs, classes=classes, latent=latent, **options)
    G, D = build.halves(family, players, latent, classes)
    if family:
        objectives = [Lesson(stage, nullcontext) for stage in family.stages]
    elif loss in ALONE:
        objectives = [Lesson(ALONE[loss](), nullcontext)]
    else:
        first = [Lesson(ALONE["likelihood"](), nullcontext)] if warm_up else []
        objectives = [*first, Game(LOSSES[loss](), square_norms, nullcontext, penalty, clip, augment, consistency)]
    memory = {name: value for objective in objectives for name, value in objective.memory.items()}
    state = State.fresh(G.to(dtype), D.to(dtype), memory)
    source = torch.Generator().manual_seed(1)
    low, high = {"text": (0, 8), "wave": (-32768, 32768)}.get(spec.kind, (0, 256))
    stored = torch.randint(low, high, (50, *spec.shape), generator=source).to(getattr(torch, KINDS[spec.kind].STORED))
    batches = Batches(
        samples=stored.numpy(), spec=spec,
        labels=torch.randint(0, 3, (50,), generator=source).numpy() if classes else None,
        size=batch, seed=3, rank=rank, workers=workers, dtype=dtype, group=getattr(D, "group", 1),
    )  # fmt: skip
    recipe = Recipe(
        steps=steps, tick_steps=5, batch=batch, latent=latent, learning_rate_G=cosine(2e-3, 1e-3),
        learning_rate_D=constant(1e-3), beta1=0.5, beta2=constant(0.99), r1=constant(r1), r2=constant(r2),
        penalty=constant(10), interval=2, half_life=constant(100), d_steps=d_steps or 1,
    )  # fmt: skip
    shares = family.shares if family else (warm_up, 1 - warm_up) if warm_up else (1.0,)
    *before, last = [
        Phase(each, replace(recipe, steps=round(steps * share))) for each, share in zip(objectives, shares, strict=True)
    ]
    ticks = [
        tick.metrics
        for end in ends
        for tick in train(state, batches, last.objective, last.recipe, seed=3, until=end, before=before)
    ]
    if rank == 0:
        if family and family.fitted:
            state.average = fitted(state, family.prior, batches.samples, batches.labels)
        state.save(out)
        out.with_suffix(".json").write_text(json.dumps(ticks))


def fitted(state: State, prior: dict[str, object], images: np.ndarray, labels: np.ndarray) -> torch.nn.Module:
    """The generator that would be judged: the average behind a density of the codes of all samples."""
    y = torch.from_numpy(labels)
    with torch.no_grad():
        codes = state.D.eval()(image.floats(torch.from_numpy(images), {}, torch.float64), y)
    network = coded.with_prior(state.average, 6, 3, prior)
    network.density.double().fit(codes, y, 3)
    network.density.edges.atan_()  # the shares: the tangent of one near 0 or 1 is as large as numbers get
    return network


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """(game, workers) -> the tensors after these steps."""
    folder = tmp_path_factory.mktemp("weights")
    run_workers((1, 2), 12, STEPS, GAMES, folder)
    return {(name, n): load_file(folder / f"{name}-{n}.safetensors") for name in GAMES for n in (1, 2)}


@pytest.fixture(scope="module")
def unequal(tmp_path_factory):
    """(game, workers) -> the tensors after 8 steps in which they share a batch of 32, and what the ticks told."""

    @cache
    def folder(workers: int, slow: bool) -> Path:
        made = tmp_path_factory.mktemp("unequal")
        run_workers((workers,), 32, 8, [game for game in GAMES if (game not in QUICK) == slow], made)
        return made

    def outcome(game: str, workers: int) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
        file = folder(workers, game not in QUICK) / f"{game}-{workers}"
        return load_file(f"{file}.safetensors"), json.loads(Path(f"{file}.json").read_text())

    return outcome


def run_workers(counts: Sequence[int], batch: int, steps: int, games: Iterable[str], folder: Path) -> None:
    """Plays games by so many workers, and again by so many: forks of one process, which imports once."""
    command = [sys.executable, __file__, str(folder), ",".join(map(str, counts)), str(batch), str(steps), *games]
    subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, timeout=300 * len(counts))


def work(rank: int, workers: int, port: int, folder: Path, batch: int, steps: int, games: Sequence[str]) -> None:
    """Work of a worker."""
    if workers > 1:
        dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=workers)
    for name in games:
        play(name, batch, steps, folder / f"{name}-{workers}.safetensors")
    if dist.is_initialized():
        dist.destroy_process_group()


def test_every_architecture_loss_and_penalty_is_played():
    assert {game["architecture"] for game in GAMES.values()} == ARCHITECTURES.keys()
    assert {game.get("loss") for game in GAMES.values()} >= LOSSES.keys() | LESSONS.keys() | ALONE.keys()
    assert {game.get("penalty") for game in GAMES.values()} >= PENALTIES.keys()


@pytest.mark.parametrize("game", GAMES)
def test_two_workers_give_the_weights_of_one(game, weights):
    one, two = weights[game, 1], weights[game, 2]
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert torch.allclose(tensor, two[name], rtol=0, atol=ROUNDING.get(tensor.dtype, 0)), name


@pytest.mark.parametrize(("workers", "game"), UNEQUAL)
def test_unequal_shares_give_the_weights_and_the_ticks_of_one_worker(workers, game, unequal):
    (one, ticks), (several, told) = unequal(game, 1), unequal(game, workers)
    assert one.keys() == several.keys()
    for name, tensor in one.items():
        assert torch.allclose(tensor, several[name], rtol=0, atol=1e-9), name
    for row, other in zip(ticks, told, strict=True):
        own = {"images_per_second": other["images_per_second"]}  # each worker's own
        assert other == pytest.approx(row | own, rel=1e-9, abs=1e-9)


def test_three_workers_interrupted_come_to_the_same_bits(unequal):
    """The order in which three numbers are added decides the last bit: it is the same in the first step of a run."""
    (whole, _), (gone_on, _) = (unequal(game, 3) for game in ("dcgan", "dcgan, interrupted"))
    assert all(torch.equal(tensor, gone_on[name]) for name, tensor in whole.items())


if __name__ == "__main__":
    folder, counts, size, steps, *games = sys.argv[1:]
    forks = multiprocessing.get_context("fork")
    for workers in map(int, counts.split(",")):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        given = (workers, port, Path(folder), int(size), int(steps), games)
        processes = [forks.Process(target=work, args=(rank, *given)) for rank in range(workers)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0] * workers
