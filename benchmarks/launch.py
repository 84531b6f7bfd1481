"""Ray Train against torchrun on the same loop: speed, the price of reports and checkpoints, and the time to start.

    python benchmarks/launch.py [--json] [--rounds N] [--kimg K]

Both launch the default experiment on the embedded images, with the same batches, with one and with two workers of one
thread, and take turns; each launch is a process of its own. Ray's side is `fit`, as the stage `train` calls it: with
the queue that carries the ticks to the driver, reports and checkpoints. The side of torchrun plays the same `Run`
between `init_process_group` and a checkpoint in line, and reports nothing. The validation is that of `pixels`, in line.

Steady speed is that of the steps alone, the median over the ticks after the first; the whole loop counts pictures,
validation, reports and checkpoints as well. A ratio is that of one round. The clock of the first step starts when
`fit` is called, or torchrun; the parts end where their slowest worker does.
"""

import argparse
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

MARKS = "GANOPS_LAUNCH_MARKS"
"""Variable that names the file of the marks: every process of a launch inherits it."""
PARTS = {
    "ray.init": "connected",
    "plan, networks and data of the driver": "planned",
    "controller, processes of the workers": "born",
    "imports of the workers, process group": "entered",
    "networks and data of the workers": "opened",
    "first step": "stepped",
}
"""Part -> the mark that ends it, in their order; torchrun has fewer."""
SUMS = {
    "**from the call to the first step**": "first",
    "before the call: Python, imports of the driver": "before",
    "the whole command": "whole",
}
SIDES, WORKERS = ("torchrun", "ray"), (1, 2)


def mark(what: str, at: float | None = None) -> None:
    """Writes down that a process got so far."""
    with Path(os.environ[MARKS]).open("a") as file:
        file.write(json.dumps([what, at or time.time()]) + "\n")


def born() -> float:
    """When this process began."""
    import psutil

    return psutil.Process().create_time()


def watch(out: Path, rank: int) -> None:
    """Marks the first step of the run that this process plays, and writes down when its ticks came and went."""
    from ganops.experiment.run import Run
    from ganops.training import ema, loop

    turn, update, play, rows = loop._turn, ema.update, Run.play, []

    def opened(*arguments: Any, **options: Any) -> Any:
        loop._turn = turn
        mark("opened")
        return turn(*arguments, **options)

    def stepped(*arguments: Any, **options: Any) -> None:
        ema.update = update
        update(*arguments, **options)
        mark("stepped")

    def watched(run: Any, until: int | None = None) -> Iterator[Any]:
        for progress in play(run, until):
            came = time.time()
            yield progress
            rows.append({"came": came, "went": time.time(), "speed": progress.row["images_per_second"],
                         "kimg": progress.row["kimg"]})  # fmt: skip
        if rank == 0:
            out.write_text(json.dumps(rows))

    loop._turn, ema.update, Run.play = opened, stepped, watched


def with_torchrun(folder: Path, kimg: float) -> None:
    """What torchrun starts: one worker."""
    mark("born", born())
    import torch
    import torch.distributed as dist

    from ganops.data import Prepared
    from ganops.evaluation.validation import ValidationJudge
    from ganops.experiment.run import Run
    from ganops.metrics.reference import Reference

    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    mark("entered")
    rank, workers = dist.get_rank(), dist.get_world_size()
    watch(folder / "ticks.json", rank)
    judge = ValidationJudge(Reference.open(folder.parent / "features"))
    prepared = Prepared.open(folder.parent / "prepared")
    run = Run(experiment(kimg, folder, workers), prepared, judge, torch.device("cpu"), rank=rank, workers=workers)
    for progress in run.play():
        if progress.checkpoint and rank == 0:
            run.save(folder / "checkpoint")
    dist.destroy_process_group()


def with_ray(folder: Path, kimg: float, workers: int) -> None:
    """The driver of Ray's side, which does what the stage `train` does, on as many cores as workers."""
    import ray

    from ganops.distributed import failures, on_ray, train

    def fit(*arguments: Any) -> Any:
        mark("planned")
        return train_with(*arguments)

    def connect(**options: Any) -> Any:
        context = init(num_cpus=workers, **options)
        mark("connected")
        return context

    train_with, init = failures.fit, ray.init
    mark("called")
    with (
        mock.patch.object(ray, "init", connect),
        mock.patch.object(failures, "fit", fit),
        mock.patch.object(on_ray, "_work", partial(work, str(folder / "ticks.json"))),
    ):
        trial = experiment(kimg, folder, workers)
        with train.fit(trial, folder.parent / "prepared", folder.parent / "features", lambda progress: None):
            mark("ended")


def work(out: str, config: dict[str, Any]) -> Any:
    """What Ray's workers do, watched."""
    import ray.train

    from ganops.distributed import on_ray

    mark("born", born())
    mark("entered")
    watch(Path(out), ray.train.get_context().get_world_rank())
    return on_ray._work(config)


def experiment(kimg: float, folder: Path, workers: int) -> Any:
    """The default one, shorter."""
    from ganops.experiment import checks

    compute = {"workers": workers, "device": "cpu", "validation": "inline", "storage": str(folder / "storage")}
    changes = {"train.kimg": kimg, **{f"compute.{key}": value for key, value in compute.items()}}
    return checks.load(Path(__file__).parents[1] / "params.yaml").override(changes)


def make_data(root: Path) -> None:
    """The embedded images, prepared, and the reference that the validation compares with."""
    from ganops.data import SPLITS, Prepared, prepare
    from ganops.data.image_decoder import ImageDecoder
    from ganops.metrics.reference import build

    source = Path(__file__).parents[1] / "data" / "fashion-mnist-10k"
    prepare(source, root / "prepared", root / "preview.png", ImageDecoder(32, fit="pad", background="black"))
    data = Prepared.open(root / "prepared")
    images, labels = ({split: part(split) for split in SPLITS} for part in (data.samples, data.labels))
    build(images, labels, root / "features", extractor="pixels", options={}, seed=0, device="cpu")


def launch(side: str, workers: int, root: Path, kimg: float) -> dict[str, Any]:
    """One launch from beginning to end: its speeds, its shares and its parts."""
    folder = Path(tempfile.mkdtemp(dir=root))
    mine = [str(Path(__file__).resolve()), "--folder", str(folder), "--kimg", str(kimg), "--as", side]
    command = [sys.executable, *mine, "--workers", str(workers)]
    if side == "torchrun":
        where = ["--nproc-per-node", str(workers), "--master-addr", "127.0.0.1", "--master-port", str(free_port())]
        command = [sys.executable, "-m", "torch.distributed.run", *where, *mine]
    environment = {**os.environ, MARKS: str(folder / "marks"), "OMP_NUM_THREADS": "1"}
    environment.pop("RAY_ADDRESS", None)
    started = time.time()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    whole = time.time() - started
    marks = [json.loads(line) for line in (folder / "marks").read_text().splitlines()]
    latest = dict(sorted(marks, key=lambda pair: pair[1]))
    called = latest.get("called", started)
    ticks = json.loads((folder / "ticks.json").read_text())
    found = {"side": side, "workers": workers, "whole": whole, "before": called - started}
    return found | shares(ticks, latest["opened"]) | parts(latest, called)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def shares(ticks: list[dict[str, float]], opened: float) -> dict[str, float]:
    """Speeds in images per second, and the share of the loop's time that reports and checkpoints took."""
    kept = sum(tick["went"] - tick["came"] for tick in ticks)
    seconds = ticks[-1]["went"] - opened
    return {
        "steady": statistics.median(tick["speed"] for tick in ticks[1:] or ticks),
        "loop": 1000 * ticks[-1]["kimg"] / seconds,
        "share": kept / seconds,
        "seconds": seconds,
    }


def parts(marks: dict[str, float], called: float) -> dict[str, Any]:
    """Seconds of each part, and of all together, from the call to the first step."""
    spent, past = {}, called
    for part, name in PARTS.items():
        if name in marks:
            spent[part], past = marks[name] - past, marks[name]
    return {"parts": spent, "first": past - called}


def play(rounds: int, kimg: float, told: Callable[[str], None]) -> list[dict[str, Any]]:
    """All launches in turns."""
    launches: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as root:
        make_data(Path(root))
        for turn, workers, side in itertools.product(range(rounds), WORKERS, SIDES):
            one = launch(side, workers, Path(root), kimg)
            launches.append(one)
            told(f"round {turn + 1}: {side}, {workers}: {one['steady']:.0f} images/s, started in {one['first']:.1f} s")
    return launches


def chosen(launches: list[dict[str, Any]], side: str, workers: int) -> list[dict[str, Any]]:
    return [launch for launch in launches if launch["side"] == side and launch["workers"] == workers]


def speeds(launches: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each number of workers and each speed."""
    rows = []
    for workers in WORKERS:
        peer, ours = (chosen(launches, side, workers) for side in SIDES)
        for key in ("steady", "loop"):
            ratios = [o[key] / p[key] for o, p in zip(ours, peer, strict=True)]
            row = {"workers": workers, "speed": key, "ratio": [statistics.median(ratios), min(ratios), max(ratios)]}
            rows.append(row | {side: middle(chosen(launches, side, workers), key) for side in SIDES})
    return rows


def middle(launches: list[dict[str, Any]], key: str) -> float:
    return statistics.median(launch[key] for launch in launches)


def show(launches: list[dict[str, Any]]) -> None:
    """The tables of the documentation."""
    print("| images per second | workers | torchrun | Ray Train | ratio [lowest, highest] |\n|---|---|---|---|---|")
    for row in speeds(launches):
        what = {"steady": "steps", "loop": "whole loop"}[row["speed"]]
        ratio = "{:.3f} [{:.3f}, {:.3f}]".format(*row["ratio"])
        print(f"| {what} | {row['workers']} | {row['torchrun']:.0f} | {row['ray']:.0f} | {ratio} |")
    print("\n| share of the loop | seconds | torchrun: checkpoints | Ray Train: reports and checkpoints |")
    print("|---|---|---|---|")
    for workers in WORKERS:
        found = (sorted(one["share"] for one in chosen(launches, side, workers)) for side in SIDES)
        cells = " | ".join(f"{statistics.median(s):.2%} [{s[0]:.2%}, {s[-1]:.2%}]" for s in found)
        print(f"| {workers} workers | {middle(chosen(launches, 'ray', workers), 'seconds'):.0f} | {cells} |")
    show_parts(launches)


def show_parts(launches: list[dict[str, Any]]) -> None:
    """From the call to the first step, medians."""
    columns = [(side, workers) for workers in WORKERS for side in SIDES]
    print(f"\n| seconds | {' | '.join(f'{side}, {workers}' for side, workers in columns)} |\n|---|---|---|---|---|")
    for part in PARTS:
        show_row(part, [[one["parts"].get(part) for one in chosen(launches, *column)] for column in columns])
    for name, key in SUMS.items():
        show_row(name, [[one[key] for one in chosen(launches, *column)] for column in columns])


def show_row(name: str, columns: list[list[float | None]]) -> None:
    """Nothing stands where a side has no such part."""
    known = [[each for each in column if each is not None] for column in columns]
    print(f"| {name} | {' | '.join(f'{statistics.median(each):.1f}' if each else '' for each in known)} |")


def run(options: argparse.Namespace) -> None:
    """The benchmark itself."""
    launches = play(options.rounds, options.kimg, lambda text: print(text, file=sys.stderr, flush=True))
    import ray
    import torch

    from ganops.experiment import machine

    found = {"hardware": machine.hardware(torch.device("cpu")), "torch": torch.__version__, "ray": ray.__version__}
    if options.json:
        print(json.dumps({**found, **vars(options), "speeds": speeds(launches), "launches": launches}, default=str))
        return
    print(
        f"{', '.join(f'{key} {value}' for key, value in found.items())}, one thread a worker, {options.rounds} rounds\n"
    )
    show(launches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the tables")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kimg", type=float, default=24, help="length of each training; a tick is 4, a checkpoint 8")
    parser.add_argument("--as", dest="side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side == "torchrun":
        with_torchrun(options.folder, options.kimg)
    elif options.side == "ray":
        with_ray(options.folder, options.kimg, options.workers)
    else:
        run(options)


if __name__ == "__main__":
    main()
