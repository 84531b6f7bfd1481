"""The cost of a checkpoint of a long training: bytes, files and seconds, and the memory of the process, by the length.

    python benchmarks/length.py [--json] [--kimg 120 2500 25000]

The default game on noise: two steps are real, the ticks of the rest are simulated, each with a row of the default's
terms and, where the film strip has one, a picture. Each second tick is saved as `launcher: local` does it. A process
for each length; sizes are those of the last checkpoint, CPU seconds the median of the last 30, and seconds, which wait
for the disk and for others, the least of these. All is equal within 5 % if a checkpoint does not grow with the
training; what grows is the log beside it. At last all lies on an S3 server (moto, a process of this machine), and a
worker resumes from there: requests are those that the server has had for it, and for the log.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import torch

from ganops import config
from ganops.core.pictures import grid, to_bytes
from ganops.distributed.storage import Storage
from ganops.experiment.run import Run
from ganops.kinds import Spec

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from s3 import serving

LENGTHS = (120.0, 2500.0, 25000.0)
TERMS = ("loss_d", "loss_g", "r1", "score_fake", "score_real", "spread", "told_apart")


class Noise:
    """Samples in memory."""

    spec = Spec("image", (1, 32, 32), 10)
    class_names = tuple("0123456789")
    hash = "noise"

    def samples(self, split):
        return np.random.default_rng(0).integers(0, 256, (320, 1, 32, 32), np.uint8)

    def labels(self, split):
        return np.arange(320) % 10


def simulate(run: Run, folder: Path) -> list[tuple[float, float]]:
    """Tells the ticks of a whole training and saves every second one; returns seconds and CPU seconds of each save."""
    recipe, rng, seconds = run.recipe, np.random.default_rng(0), []
    for step in range(recipe.tick_steps, recipe.steps + 1, recipe.tick_steps):
        kimg = step * recipe.samples / 1000
        run.history.append({"kimg": kimg, **dict.fromkeys(TERMS, 0.0), "images_per_second": rng.uniform(300, 400)})
        run.history[-1] |= {term: float(value) for term, value in zip(TERMS, rng.normal(size=7), strict=True)}
        if run.is_drawn(step):
            run.log.pictures[f"{kimg:09.3f}.png"] = to_bytes(grid(rng.integers(0, 256, (40, 1, 32, 32), np.uint8), 10))
        if step // recipe.tick_steps % 2 == 0:
            run.state.step, started, began = step, time.perf_counter(), time.process_time()
            run.save(folder / "checkpoint", former=folder / "checkpoint-former")
            seconds.append((time.perf_counter() - started, time.process_time() - began))
    return seconds


def measure(kimg: float) -> dict[str, float]:
    """The figures of one length, in this process."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="ganops-length-") as name:
        folder, experiment = Path(name), config.parse({}).override({"train.kimg": kimg})
        run = Run(experiment, Noise(), None, torch.device("cpu"))
        list(run.play(until=2))
        run.log.rows.clear()
        run.log.pictures.clear()
        seconds = simulate(run, folder)
        memory = psutil.Process().memory_info().rss
        last = [path for path in (folder / "checkpoint").rglob("*") if path.is_file()]
        log = list((folder / "log").iterdir())
        requests, log_requests, seconds_to_resume = resume(experiment, folder)
        return {
            "kimg": kimg,
            "bytes": sum(path.stat().st_size for path in last),
            "files": len(last),
            "seconds": min(wall for wall, _ in seconds[-30:]),
            "cpu_seconds": statistics.median(cpu for _, cpu in seconds[-30:]),
            "memory": memory,
            "log_files": len(log),
            "pictures": sum(path.suffix == ".png" for path in log),
            "log_bytes": sum(path.stat().st_size for path in log),
            "requests": requests,
            "log_requests": log_requests,
            "resume_seconds": seconds_to_resume,
        }


def resume(experiment: config.Experiment, folder: Path) -> tuple[int, int, float]:
    """Requests of a resume from an object store, those of them for the log, and seconds."""
    with serving() as server:
        storage = Storage(server.address("run"))
        storage.place("").send(folder)
        run = Run(experiment, Noise(), None, torch.device("cpu"))
        before, started = len(server.requests("run")), time.perf_counter()
        with storage.opened("checkpoint") as checkpoint:
            run.load(checkpoint, log=lambda name: storage.read(f"log/{name}"))
        seconds, new = time.perf_counter() - started, server.requests("run")[before:]
        return len(new), sum("/run/log/" in each for each in new), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--kimg", type=float, nargs="+", default=LENGTHS, help="the lengths")
    parser.add_argument("--one", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one)))
        return
    rows = []
    for kimg in options.kimg:
        done = subprocess.run([sys.executable, __file__, "--one", str(kimg)], check=True, stdout=subprocess.PIPE)
        rows.append(json.loads(done.stdout))
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    titles = ["kimg", "checkpoint, MB", "files", "ms to save", "CPU ms", "memory, MB", "log: files", "pictures", "MB"]
    titles += ["resume: requests", "for the log", "s"]
    print(f"| {' | '.join(titles)} |")
    print("|---" * len(titles) + "|")
    for row in rows:
        cells = [f"{row['kimg']:,.0f}", f"{row['bytes'] / 1e6:.3f}", row["files"], f"{1000 * row['seconds']:.0f}"]
        cells += [f"{1000 * row['cpu_seconds']:.0f}", f"{row['memory'] / 1e6:.0f}", f"{row['log_files']:,}"]
        cells += [row["pictures"], f"{row['log_bytes'] / 1e6:.1f}", f"{row['requests']:,}"]
        cells += [f"{row['log_requests']:,}", f"{row['resume_seconds']:.1f}"]
        print(f"| {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
