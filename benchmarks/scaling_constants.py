"""Measures what benchmarks/scaling.py computes with, on this machine, and writes it to benchmarks/scaling.json.

    python benchmarks/scaling_constants.py [--out FILE] [--seconds S]

Steps: the pipeline's loop on one thread, at two batches per network, in steps per tick so long that the ticks are not
seen. Collectives: two processes over gloo. Crowding: the same step while every other core does the same. Speeds for
the comparison: the loop with 1, 2 and 4 processes of one thread, which together have the same batch.
"""

import argparse
import contextlib
import hashlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.distributed as dist

from ganops import config
from ganops.core import collective
from ganops.data import prepare
from ganops.data.batches import Batches
from ganops.data.cache import Cache, place_of
from ganops.data.image_decoder import ImageDecoder
from ganops.data.intake import serially
from ganops.data.order import Order
from ganops.data.shards import record
from ganops.data.writing import SHARD_BYTES, move, write_split
from ganops.experiment import build, machine
from ganops.kinds import Spec
from ganops.training import loop, step
from ganops.training.state import State

R3GAN = {"model.architecture": "r3gan", "loss.name": "relativistic", "loss.r1": 1.0, "loss.r2": 1.0, "loss.interval": 8}
NETS: dict[str, tuple[dict[str, Any], int, int, tuple[int, int]]] = {
    "dcgan 32 gray, the default": ({}, 1, 32, (8, 64)),
    "dcgan 64 RGB, width 64": ({"model.options": {"width": 64}}, 3, 64, (4, 16)),
    "r3gan 32 RGB": (R3GAN, 3, 32, (4, 16)),
    "stylegan2 64 RGB": ({"model.architecture": "stylegan2"}, 3, 64, (4, 16)),
    "stylegan2 256 RGB": ({"model.architecture": "stylegan2"}, 3, 256, (4, 8)),
}
"""Parameters, channels, resolution and the batches to measure; unconditional."""
DEFAULT, IMAGES = "dcgan 32 gray, the default", 512
PARALLEL = {32: (1, 2, 4), 128: (1, 2, 4)}
"""Batch of all workers -> numbers of workers for the comparison."""


class Enough(Exception):  # noqa: N818 - nothing went wrong
    """Ends the loop."""


def play(name: str, batch: int, seconds: float, rank: int = 0, workers: int = 1, *, fewest: int = 8) -> list[float]:
    """Seconds of each step of a loop of so many seconds and a multiple of `fewest` steps, less the first quarter."""
    params, channels, resolution, _ = NETS[name]
    experiment = config.parse({}).override(
        {"train.batch": batch, "train.kimg": 1e6, "train.tick_kimg": 1e5, "data.resolution": resolution, **params}
    )
    game, recipe = build.game(experiment, torch.device("cpu")), build.recipe(experiment)
    state = State.fresh(*build.networks(experiment, Spec("image", (channels, resolution, resolution), 0)), game.memory)
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, channels, resolution, resolution), np.uint8)
    batches = Batches(images, None, batch, seed=0, rank=rank, workers=workers)
    steps: list[float] = []
    began, ends = time.perf_counter(), torch.zeros(1)
    untimed, last = step.play, time.perf_counter()

    def timed(*arguments: Any) -> Any:
        nonlocal last
        terms = untimed(*arguments)
        steps.append(time.perf_counter() - last)
        last = time.perf_counter()
        ends.fill_(float(last - began > seconds))
        if len(steps) % fewest == 0 and workers > 1:  # all end at the same step, by the clock of the first
            dist.broadcast(ends, 0)
        if ends.item() and len(steps) % fewest == 0:
            raise Enough
        return terms

    with mock.patch.object(step, "play", timed), contextlib.suppress(Enough):
        next(loop.train(state, batches, game, recipe, seed=0))
    return steps[len(steps) // 4 :]


def mean(steps: list[float]) -> float:
    """Per step, over whole rounds of the lazy penalty."""
    return sum(steps) / len(steps)


def compute(name: str, seconds: float) -> dict[str, Any]:
    """Of one network, alone and as one of several: seconds of a step without images, and of each image; its sizes."""
    params, channels, resolution, (few, many) = NETS[name]
    found: dict[str, Any] = {}
    for who, context in (("alone", contextlib.nullcontext()), ("team", pretended())):
        with context:
            small, large = mean(play(name, few, seconds)), mean(play(name, many, seconds))
        each = (large - small) / (many - few)
        found[who] = {"fixed": max(0.0, small - few * each), "per_image": each}
    experiment = config.parse({}).override({"data.resolution": resolution, **params})
    G, D = build.networks(experiment, Spec("image", (channels, resolution, resolution), 0))
    sizes = {key: sum(p.numel() * 4 for p in net.parameters()) for key, net in (("bytes_G", G), ("bytes_D", D))}
    return {**found, **sizes, "syncs": collectives(name), "image": channels * resolution**2}


@contextlib.contextmanager
def pretended(told: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Makes the networks compute as one of two workers do, each sum of which is there at once; not of gradients."""

    def at_once(tensor: torch.Tensor) -> None:
        tensor.mul_(2)
        told()

    with (
        mock.patch("ganops.models.layers.workers", return_value=2),
        mock.patch.object(collective, "workers", return_value=2),
        mock.patch.object(collective, "rank", return_value=0),
        mock.patch.object(loop, "rank", return_value=0),
        mock.patch.object(loop, "sharing", return_value=contextlib.nullcontext()),  # its batch is all there is
        mock.patch.object(loop, "begin_alike"),
        mock.patch("ganops.training.objective.plain_means", side_effect=list),
        mock.patch.object(dist, "all_reduce", at_once),
    ):
        yield


def collectives(name: str) -> float:
    """Sums over the workers in a step, the mean over rounds of the lazy penalty; those of the gradients are not in."""
    calls: list[None] = []
    with pretended(lambda: calls.append(None)):
        steps = play(name, NETS[name][3][0], 0, fewest=8)
    return len(calls) / (4 * len(steps) / 3)


def crowding(seconds: float) -> float:
    """How much longer a step takes while every core does the same."""
    alone = mean(play(DEFAULT, 16, seconds))
    mine = [sys.executable, __file__, "--as", "neighbour", "--seconds", str(3 * seconds + 10)]
    others = [subprocess.Popen(mine, env=one_thread()) for _ in range((os.cpu_count() or 1) - 1)]
    time.sleep(10)  # they import torch first
    beside = mean(play(DEFAULT, 16, seconds))
    for other in others:
        other.kill()
        other.wait()
    return beside / alone


def one_thread() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def team(workers: int, *arguments: str) -> Any:
    """What the first of so many processes prints, which train together."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(workers)}
    command = [sys.executable, "-W", "ignore", __file__, *arguments]
    processes = [
        subprocess.Popen(command, env={**one_thread(), **where, "RANK": str(rank)}, stdout=subprocess.PIPE)
        for rank in range(workers)
    ]
    said = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit(f"{' '.join(command)} failed")
    return json.loads(said[0])


def wire() -> dict[str, float]:
    """Of two processes: seconds of the smallest sum, and bytes per second of a large one, by the ring's formula."""
    small, large = torch.zeros(64), torch.zeros(2 * 2**20)
    seconds = []
    for tensor, repeats in ((small, 500), (large, 20)):
        for _ in range(5):
            dist.all_reduce(tensor)
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            dist.all_reduce(tensor)
            times.append(time.perf_counter() - began)
        seconds.append(statistics.median(times))
    hops = 2 * (dist.get_world_size() - 1)
    bandwidth = hops / dist.get_world_size() * large.numel() * 4 / (seconds[1] - seconds[0])
    return {"latency": seconds[0] / hops, "bandwidth": bandwidth}


def disk(folder: Path) -> dict[str, float]:
    """Of the checkpoint of the default network: bytes, and bytes per second of writing it."""
    experiment = config.parse({})
    game = build.game(experiment, torch.device("cpu"))
    state = State.fresh(*build.networks(experiment, Spec("image", (1, 32, 32), 0)), game.memory)
    for adam in (state.adam_G, state.adam_D):
        for group in adam.param_groups:
            for p in group["params"]:
                p.grad = torch.zeros_like(p)
        adam.step()
    path, times = folder / "state.safetensors", []
    for _ in range(10):
        began = time.perf_counter()
        state.save(path)
        times.append(time.perf_counter() - began)
    parameters = sum(p.numel() * 4 for net in (state.G, state.D) for p in net.parameters())
    return {"checkpoint_bytes": path.stat().st_size, "of_parameters": path.stat().st_size / parameters,
            "disk": path.stat().st_size / statistics.median(times)}  # fmt: skip


def bookkeeping(folder: Path) -> dict[str, float]:
    """What grows with the data set: per image, per file, per byte."""
    block = np.random.default_rng(0).bytes(64 * 2**20)
    found = {}
    for name in ("sha256", "md5"):
        began = time.perf_counter()
        hashlib.new(name, block).hexdigest()
        found[name] = len(block) / (time.perf_counter() - began)
    began = time.perf_counter()
    torch.randperm(5_000_000)
    found["permute"] = (time.perf_counter() - began) / 5_000_000
    source = Path(__file__).parents[1] / "data" / "fashion-mnist-10k"
    weighed = [sys.executable, str(Path(__file__).parent / "prepare.py"), "--memory", "lines", "--json"]
    rows = json.loads(subprocess.run(weighed, check=True, capture_output=True, text=True).stdout)
    found["prepare_memory"] = max(row["mb"] for row in rows) * 1e6
    began = time.perf_counter()
    prepare(source, folder / "prepared", folder / "preview.png", ImageDecoder(32, fit="pad"), mapper=serially)
    found["prepare"] = (time.perf_counter() - began) / 10_000
    return found | {"dvc_file": dvc(folder / "dvc")}


def shards(folder: Path, samples: int = 20_000) -> dict[str, Any]:
    """The cost of shards: bytes a second of writing and of fetching from a folder, seconds of their order."""
    folder.mkdir()
    x = np.random.default_rng(0).integers(0, 256, (samples, 3, 64, 64), np.uint8)
    each, place = record(x[0], labelled=True).itemsize, place_of(str(folder / "stored"))
    began = time.perf_counter()
    written = write_split(
        folder / "train", "images", x[0], iter(x), [0] * samples, samples, SHARD_BYTES // each,
        lambda path, digest: move(place, path, digest),
    )  # fmt: skip
    found: dict[str, Any] = {"date": date.today().isoformat()}
    found["write"] = samples * each / (time.perf_counter() - began)
    cache = Cache(place, written.shards, SHARD_BYTES, 2**40)
    began = time.perf_counter()
    for number in range(len(written.shards)):
        cache.open(number)
    found["fetch"] = samples * each / (time.perf_counter() - began)
    cache.close()
    order = Order(10**9, SHARD_BYTES // each, 0)
    window = order.window * order.shard
    began = time.perf_counter()
    for first in range(0, 20 * window, window):
        order(torch.arange(first, first + 1))
    found["shuffle"] = (time.perf_counter() - began) / (20 * window)
    began = time.perf_counter()
    for turn in range(100):
        order.batch(turn, 128)
    return found | {"turn": (time.perf_counter() - began) / 100}


def dvc(folder: Path, files: int = 4000) -> float:
    """Seconds that DVC needs for each small file of a folder that it takes up."""
    for i in range(files):
        path = folder / "images" / f"{i:05}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(i.to_bytes(4) * 256)
    run = [str(Path(sys.executable).parent / "dvc")]
    subprocess.run([*run, "init", "--no-scm", "-q"], cwd=folder, check=True)
    began = time.perf_counter()
    subprocess.run([*run, "add", "-q", "images"], cwd=folder, check=True)
    return (time.perf_counter() - began) / files


def measure(seconds: float) -> dict[str, Any]:
    torch.set_num_threads(1)
    found: dict[str, Any] = {
        "hardware": machine.hardware(torch.device("cpu")), "date": date.today().isoformat(),
        "torch": torch.__version__, "cores": os.cpu_count(),
    }  # fmt: skip
    steps = play(DEFAULT, 16, seconds)
    found["jitter"] = statistics.stdev(sum(steps[i : i + 4]) / 4 for i in range(0, len(steps) - 3, 4)) / mean(steps)
    say("steps")
    found["nets"] = {}
    for name in NETS:
        found["nets"][name] = compute(name, seconds)
        say(name)
    found["crowding"] = crowding(seconds)
    say("crowding")
    found["wire"] = team(2, "--as", "wire")
    found["measured"] = []
    for batch, counts in PARALLEL.items():
        for workers in counts:
            step = team(workers, "--as", "worker", "--batch", str(batch), "--seconds", str(2 * seconds))
            found["measured"].append({"batch": batch, "workers": workers, "step": step})
            say(f"batch {batch}, {workers} workers")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        found |= {"disk": disk(place), "bookkeeping": bookkeeping(place), "shards": shards(place / "shards")}
    return found


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("scaling.json"))
    parser.add_argument("--seconds", type=float, default=6, help="of each measurement of steps")
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--as", dest="part", choices=("wire", "worker", "neighbour"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.part == "neighbour":
        play(DEFAULT, 16, options.seconds)
    elif options.part:
        dist.init_process_group("gloo")
        place = dist.get_rank(), dist.get_world_size()
        print(
            json.dumps(
                wire() if options.part == "wire" else mean(play(DEFAULT, options.batch, options.seconds, *place))
            )
        )
        dist.destroy_process_group()
    else:
        options.out.write_text(json.dumps(measure(options.seconds), indent=2) + "\n")


if __name__ == "__main__":
    main()
