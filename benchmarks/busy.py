"""What a busy neighbour costs: images per second of a training, and the stages of a run, quiet and beside one process.

    python benchmarks/busy.py [--json] [--case NAME ...] [--rounds N] [--seconds S] [--repro REVISION ...]

The neighbour is a process that spins; it is started here and ended by its own id. Sides: `compute.threads: auto`, and
the former rule, a thread for each core. They take turns in one process, quiet and busy, and the table shows medians
over the rounds. `--repro` runs all stages on the embedded images as well, in a clone of each revision, quiet and busy.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch

from ganops import config
from ganops.core import cores
from ganops.data.batches import Batches
from ganops.experiment import build, machine
from ganops.kinds import Spec
from ganops.training.loop import train
from ganops.training.state import State

ROOT = Path(__file__).parents[1]
STAGES = ("prepare", "features", "tune", "train", "evaluate", "register")
LAZY = {"model.architecture": "r3gan", "loss.name": "relativistic", "loss.r2": 1.0}
CASES = {
    "the default": ({}, 1, 32, 32, 10),
    "r3gan 32 RGB": (LAZY, 3, 32, 32, 0),
    "r3gan 64 RGB": (LAZY, 3, 64, 64, 0),
    "stylegan2 32 RGB": ({"model.architecture": "stylegan2"}, 3, 32, 32, 0),
    "dcgan 64 RGB, width 64": ({"model.options": {"width": 64}}, 3, 64, 64, 0),
    "stylegan2 128 RGB": ({"model.architecture": "stylegan2"}, 3, 128, 16, 0),
}
"""Parameters, channels, resolution, batch, classes; in the order of the work of a step."""
TICK = 2
"""Steps of a piece that is timed."""


@contextmanager
def neighbour() -> Iterator[None]:
    """A process that keeps one core busy while the block runs."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(0.2)
        yield
    finally:
        process.kill()
        process.wait()


def training(name: str) -> tuple[Callable[[], int], int, float]:
    """() -> samples of a few more steps; the threads of `auto`; multiplications of a step's forward pass."""
    params, channels, resolution, batch, classes = CASES[name]
    experiment = config.parse({}).override(
        {"train.batch": batch, "train.kimg": 1e6, "train.tick_kimg": TICK * batch / 1000,
         "data.resolution": resolution, **params}
    )  # fmt: skip
    device = torch.device("cpu")
    images = np.random.default_rng(0).integers(0, 256, (1024, channels, resolution, resolution), np.uint8)
    labels = np.arange(len(images)) % classes if classes else None
    G, D = build.networks(experiment, Spec("image", (channels, resolution, resolution), classes))
    work = batch * build.operations(G, D, experiment.model.latent, classes)
    game = build.game(experiment, device)
    batches = Batches(images, labels, batch, seed=0, device=device)
    ticks = train(State.fresh(G, D, game.memory), batches, game, build.recipe(experiment), seed=0)

    def step() -> int:
        next(ticks)
        return TICK * batch

    return step, machine.threads(experiment.compute, work, os.cpu_count() or 1), work


def speed(step: Callable[[], int], threads: int, seconds: float) -> float:
    """Samples per second of as many steps as fit, at least one piece."""
    with cores.threads(threads):
        started, samples = time.perf_counter(), 0
        while (spent := time.perf_counter() - started) < seconds or not samples:
            samples += step()
    return samples / spent


def measure(name: str, rounds: int, seconds: float) -> dict[str, object]:
    """Medians of one case, images per second."""
    step, auto, work = training(name)
    sides = {"auto": auto, "former": os.cpu_count() or 1}
    speed(step, auto, seconds / 2)  # warm up
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for place, around in (("quiet", nullcontext), ("busy", neighbour)):
            for side, threads in sides.items():
                with around():
                    found.setdefault(f"{side}_{place}", []).append(speed(step, threads, seconds))
    medians = {key: statistics.median(values) for key, values in found.items()}
    return {"case": name, "work": work, "threads": sides, **medians, "rounds": found}


def repro(revision: str) -> list[dict[str, object]]:
    """Seconds of each stage of a fresh clone, quiet and busy."""
    rows: list[dict[str, object]] = []
    for place, around in (("quiet", nullcontext), ("busy", neighbour)):
        with tempfile.TemporaryDirectory(prefix="ganops-busy-") as folder:
            clone = Path(folder) / "clone"
            _run("git", "clone", "--quiet", str(ROOT), str(clone))
            _run("git", "-C", str(clone), "checkout", "--quiet", revision)
            inherited = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
            environment = {**inherited, "PYTHONPATH": str(clone / "src"), "DVC_NO_ANALYTICS": "1"}
            seconds = {}
            with around():
                for stage in STAGES:
                    started = time.perf_counter()
                    _run("dvc", "repro", "--single-item", stage, cwd=clone, env=environment)
                    seconds[stage] = time.perf_counter() - started
            rows.append({"revision": revision, "place": place, **seconds, "all": sum(seconds.values())})
            print(f"{revision} {place}: {sum(seconds.values()):.0f} s", file=sys.stderr, flush=True)
    return rows


def _run(*command: str, **place: object) -> None:
    done = subprocess.run(command, capture_output=True, text=True, **place)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the tables")
    parser.add_argument("--case", action="append", choices=CASES, help="only this one; may be repeated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4, help="of each side, quiet and busy, in each round")
    parser.add_argument(
        "--repro", nargs="+", default=[], metavar="REVISION", help="the whole run of these commits, too"
    )
    options = parser.parse_args()
    load, hardware = os.getloadavg()[0], machine.hardware(torch.device("cpu"))
    rows = []
    for name in options.case or CASES:
        rows.append(measure(name, options.rounds, options.seconds))
        print(f"{name} done", file=sys.stderr, flush=True)
    runs = [row for revision in options.repro for row in repro(revision)]
    if options.json:
        print(json.dumps({"hardware": hardware, "load": load, "torch": torch.__version__, "rows": rows, "runs": runs}))
        return
    print(f"\n{hardware}, load {load:.1f} before, torch {torch.__version__}; images per second\n")
    print("| case | multiplications of a step | threads | quiet | busy | former threads | quiet | busy |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        sides = row["threads"]
        numbers = [f"{row[f'{side}_{place}']:,.0f}" for side in sides for place in ("quiet", "busy")]
        print(f"| {row['case']} | {row['work'] / 1e9:.2f} · 10⁹ | {sides['auto']} | {' | '.join(numbers[:2])} "
              f"| {sides['former']} | {' | '.join(numbers[2:])} |")  # fmt: skip
    if runs:
        print(f"\nseconds\n\n| commit | | {' | '.join(STAGES)} | all |\n|{'---|' * (len(STAGES) + 3)}")
        for run in runs:
            seconds = " | ".join(f"{run[stage]:.0f}" for stage in (*STAGES, "all"))
            print(f"| {run['revision']} | {run['place']} | {seconds} |")


if __name__ == "__main__":
    main()
