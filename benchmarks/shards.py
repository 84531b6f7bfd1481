"""A set in shards on an object store against one array on the disk: weights, images a second, bytes of the cache.

    python benchmarks/shards.py [--images 200000] [--kimg 60] [--kills 2] [--rounds 1] [--workers 2] [--game default]

Toy images of 32 pixels in two forms: an array that is mapped, and shards on an S3 server (moto, a process of this
machine) that come through a cache of a tenth of their bytes. Processes that share a batch train on each, in the same
order; those with the shards are killed (SIGKILL) at random moments of their course and started again. All must end in
the same weights. Speed is the median over ticks, of runs without kills that take turns; beside it stand the seconds
that all workers had of the processors, which others' work on the machine moves less.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from ganops import config
from ganops.core.files import hash_file, locked, read_json, write_json
from ganops.data.cache import Cache, place_of
from ganops.data.shards import HEADER_BYTES, Column, Shards, record
from ganops.data.writing import move, write_split
from ganops.experiment.run import Run
from ganops.kinds import Spec

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from s3 import serving

CLASSES = 10
SPEC = Spec("image", (1, 32, 32), CLASSES)
GAMES: dict[str, dict[str, Any]] = {
    "default": {"model": {"architecture": "dcgan"}},
    "small": {"model": {"architecture": "mlp", "latent": 8, "options": {"width": 32, "depth": 2}}},
}


@dataclass(frozen=True)
class Toys:
    """The images as a run takes them: in shards, or in an array whose samples come in the order of such shards."""

    split: Shards
    spec: Spec = SPEC
    class_names: tuple[str, ...] = tuple(map(str, range(CLASSES)))
    hash: str = "toys"

    @classmethod
    def open(cls, folder: Path, cache: int) -> "Toys":
        """Return those of the store through a cache of so many bytes; 0: those of the array."""
        about = read_json(folder / "toys.json")
        samples, labels = (np.load(folder / f"train/{name}.npy", mmap_mode="r") for name in ("images", "labels"))
        whole = Shards.of(samples, labels, about["size"], CLASSES)
        if not cache:
            return cls(whole)
        size = HEADER_BYTES + whole.record.itemsize * whole.size
        files = Cache(place_of(about["storage"]), about["sha256"], size, cache)
        return cls(Shards(whole.count, whole.size, whole.record, files, whole.class_counts))

    def samples(self, split: str) -> Column:
        """The images."""
        return self.split.samples

    def labels(self, split: str) -> Column:
        """Their classes."""
        return self.split.labels


def pictures(count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Bright squares of ten places on noise."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 64, (count, 1, 32, 32), np.uint8), rng.integers(0, CLASSES, count)
    for label in range(CLASSES):
        x[y == label, :, 3 * label : 3 * label + 5, 8:24] += 150
    return x, y


def make(folder: Path, storage: str, count: int) -> int:
    """Write the images in both forms; returns the bytes of the shards."""
    x, y = pictures(count)
    size = max(1, count // 400)
    write_split(folder / "train", "images", x[0], iter(x), y.tolist(), count, None, lambda path, digest: None)
    place, sizes = place_of(storage), []

    def kept(path: Path, digest: str) -> None:
        sizes.append(path.stat().st_size)
        move(place, path, digest)

    written = write_split(folder / "shards", "images", x[0], iter(x), y.tolist(), count, size, kept)
    write_json(folder / "toys.json", {"size": size, "storage": storage, "sha256": written.shards})
    assert record(x[0], labelled=True).itemsize == 1032
    return sum(sizes)


def work(arguments: argparse.Namespace) -> None:
    """Train as one of the workers, from the last checkpoint on, and leave the state and the speeds."""
    rank, workers, out = arguments.rank, arguments.workers, arguments.out
    if workers > 1:
        dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{arguments.port}", rank=rank, world_size=workers)
    train = {
        "kimg": arguments.kimg,
        "batch": 64,
        "tick_kimg": arguments.kimg / 20,
        "checkpoint_kimg": arguments.kimg / 10,
    }
    experiment = config.parse(
        {**GAMES[arguments.game], "train": train, "compute": {"launcher": "local", "data": "stream"}}
    )
    toys = Toys.open(arguments.folder, arguments.cache)
    run = Run(experiment, toys, None, torch.device("cpu"), rank=rank, workers=workers, cores=1)
    run.resume([path for path in (out / "checkpoint", out / "former") if path.is_dir()])
    began = time.process_time()
    for progress in run.play():
        if rank == 0 and progress.checkpoint:
            run.save(out / "checkpoint", former=out / "former")
    cpu = time.process_time() - began
    if rank == 0:
        speeds = [row["images_per_second"] for row in run.history[1:]]
        result = {"speed": float(np.median(speeds)), "weights": hash_file(out / "checkpoint" / "state.safetensors")}
        write_json(out / "result.json", result)
    write_json(out / f"memory-{rank}.json", {"bytes": psutil.Process().memory_full_info().uss, "cpu": cpu})
    if workers > 1:
        dist.destroy_process_group()


class Team:
    """The workers of a training."""

    def __init__(self, arguments: argparse.Namespace, folder: Path, out: Path, cache: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        out.mkdir(exist_ok=True)
        self.home = folder / "tmp"
        self.home.mkdir(exist_ok=True)
        environment = {**os.environ, "TMPDIR": str(self.home), "OMP_NUM_THREADS": "1"}
        words = [sys.executable, __file__, "--folder", str(folder), "--out", str(out), "--cache", str(cache)]
        words += ["--port", str(port), "--workers", str(arguments.workers), "--kimg", str(arguments.kimg)]
        words += ["--game", arguments.game]
        self.processes = [
            subprocess.Popen([*words, "--rank", str(r)], env=environment) for r in range(arguments.workers)
        ]
        self.largest = 0

    def ended(self) -> bool:
        """Look once: at the bytes of the cache, and whether all have ended well."""
        self.largest = max([self.largest, *map(_held, self.home.glob("ganops-*/shards-*.lock"))])
        codes = [process.poll() for process in self.processes]
        if any(codes):
            raise SystemExit(f"a worker ended with {codes}")
        return None not in codes

    def kill(self) -> None:
        """SIGKILL to all."""
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
            process.wait()


def _held(lock: Path) -> int:
    """Bytes of a cache, between two changes of it."""
    with suppress(FileNotFoundError), locked(lock):
        return sum(path.stat().st_size for path in lock.with_suffix("").iterdir())
    return 0


def trained(arguments: argparse.Namespace, folder: Path, name: str, cache: int, kills: int = 0) -> dict[str, Any]:
    """Train, killed so many times, and return what came of it."""
    out, rng, largest, states = folder / name, random.Random(0), 0, set()
    while True:
        team = Team(arguments, folder, out, cache)
        state = out / "checkpoint" / "run.json"
        while not (ended := team.ended()):
            time.sleep(0.02)
            if kills and state.exists() and (now := state.stat().st_mtime_ns) not in states:
                states.add(now)
                time.sleep(rng.uniform(0, 1))
                team.kill()
                kills -= 1
                break
        largest = max(largest, team.largest)
        if ended:
            own = [read_json(out / f"memory-{rank}.json") for rank in range(arguments.workers)]
            left = [path.name for path in team.home.glob("ganops-*/*")]
            return read_json(out / "result.json") | {
                "cache": largest, "left": left, "memory": max(each["bytes"] for each in own),
                "cpu": sum(each["cpu"] for each in own),
            }  # fmt: skip


def main() -> None:
    """Runs the comparison, or one of its workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--kimg", type=float, default=60)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--game", choices=GAMES, default="default")
    parser.add_argument("--json", action="store_true")
    for name, kind in (("rank", int), ("folder", Path), ("out", Path), ("cache", int), ("port", int)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rank is not None:
        work(arguments)
        return
    with tempfile.TemporaryDirectory() as scratch, serving() as server:
        folder = Path(scratch)
        total = make(folder, server.address("toys"), arguments.images)
        limit = total // 10
        rounds = []
        for i in range(arguments.rounds):
            rounds += [trained(arguments, folder, f"array-{i}", 0), trained(arguments, folder, f"shards-{i}", limit)]
        killed = trained(arguments, folder, "killed", limit, arguments.kills)
    speeds = [float(np.median([each["speed"] for each in rounds[side::2]])) for side in (0, 1)]
    cpu = [float(np.median([each["cpu"] for each in rounds[side::2]])) for side in (0, 1)]
    found = {
        "images": arguments.images, "bytes": total, "limit": limit,
        "same": len({each["weights"] for each in [*rounds, killed]}) == 1,
        "speed_array": speeds[0], "speed_shards": speeds[1], "ratio": speeds[1] / speeds[0],
        "cpu_array": cpu[0], "cpu_shards": cpu[1], "cpu_ratio": cpu[0] / cpu[1],
        "cache": max(each["cache"] for each in [*rounds, killed]),
        "memory_array": max(each["memory"] for each in rounds[::2]),
        "memory_shards": max(each["memory"] for each in [*rounds[1::2], killed]),
        "left": killed["left"],
    }  # fmt: skip
    print(json.dumps(found) if arguments.json else "\n".join(f"{name:<16}{value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
