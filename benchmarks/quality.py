"""Quality for equal cost on the embedded data: which game learns most, and what speed costs.

    python benchmarks/quality.py {pairs,final,incumbent,precision,lazy} [--seconds S] [--seeds N] [--only WORD]
                                 [--work FOLDER] [--jobs J] [--json]

pairs      every architecture with every loss that makes sense, for the same CPU time
final      the best of them for the CPU time of the default run, on the test split
incumbent  the same for Ray's own example of a GAN (pbt_dcgan_mnist): its networks, losses and settings, in one process
precision  bf16 against fp32 after the same samples
lazy       penalties at every fourth or eighth step, with that many times the weight, against every step

A run has one thread. Its cost is timed over a few steps first, and its length chosen so that schedules end when the CPU
time does. The figure is the Fréchet distance of the final average of G in the features of the seed-0 domain extractor.
Results are kept in the folder, so that a comparison can be continued.
"""

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from embedded import ROOT, default, open_embedded
from torch import nn

from ganops import config
from ganops.data import Prepared
from ganops.evaluation.verdict import FIRST_SEED
from ganops.experiment import build, checks, machine
from ganops.experiment.run import Run
from ganops.metrics.reference import Reference, distance

CPU = torch.device("cpu")


def rate(start: float) -> dict[str, Any]:
    """Both learning rates fall to a tenth."""
    return {f"train.learning_rate.{player}": {"start": start, "end": start / 10}
            for player in ("generator", "discriminator")}  # fmt: skip


ARCHITECTURES: dict[str, dict[str, Any]] = {
    "dcgan": {},
    "mlp": {"train.beta1": 0.5, **rate(5e-4)},
    "sngan": {"model.options": {"width": 64}, "train.beta1": 0.0, **rate(1e-3)},
    "r3gan": {"model.latent": 64, "train.beta1": 0.0},
    "stylegan2": {"model.latent": 64, "train.beta1": 0.0, "model.options": {"base": 1024, "maximum": 64}, **rate(2e-3)},
}
NO_PENALTY = {"loss.r1": 0.0}
LOSSES: dict[str, dict[str, Any]] = {
    "minimax": {},
    "non_saturating": {},
    "least_squares": {},
    "hinge": {},
    "wasserstein, wgan_gp": {**NO_PENALTY, "loss.penalty": "wgan_gp", "loss.penalty_weight": 10.0},
    "relativistic": {"loss.r2": 0.2},
    "relativistic_average": {"loss.r2": 0.2},
}
"""With the default's lazy R1 of weight 0.2, but for the Wasserstein game, whose penalty is its own."""
SPECIAL: dict[str, dict[str, Any]] = {
    "dcgan × wasserstein, clipped": {**NO_PENALTY, "loss.name": "wasserstein", "loss.clip": 0.05, "train.beta1": 0.0},
    "dcgan × non_saturating, dragan": {**NO_PENALTY, "loss.penalty": "dragan"},
    "sngan × hinge, no penalty": {"model.architecture": "sngan", **ARCHITECTURES["sngan"], "loss.name": "hinge",
                                  **NO_PENALTY},
    "began × began": {"model.architecture": "began", "loss.name": "began", **NO_PENALTY, "model.latent": 64,
                      **rate(5e-4)},
}  # fmt: skip


def pairs() -> dict[str, dict[str, Any]]:
    """Parameters of every pair by its name."""
    rows = {}
    for architecture, options in ARCHITECTURES.items():
        for loss, game in LOSSES.items():
            name = {"model.architecture": architecture, "loss.name": loss.partition(",")[0]}
            # a penalty that couples samples through batch statistics is no penalty on one sample's gradient
            norm = {"model.options": {"norm": "none"}} if (architecture, loss[:4]) == ("dcgan", "wass") else {}
            rows[f"{architecture} × {loss}"] = {**name, **options, **game, **norm}
    return rows | SPECIAL


R3GAN = {"model.architecture": "r3gan", **ARCHITECTURES["r3gan"], "loss.name": "relativistic", "loss.r1": 1.0,
         "loss.r2": 1.0}  # fmt: skip
TABLES: dict[str, dict[str, dict[str, Any]]] = {
    "precision": {p: {"train.precision": p, "train.kimg": 30} for p in ("fp32", "bf16")},
    "lazy": {
        **{f"dcgan, R1 every {n}": {"loss.interval": n, "train.kimg": 30} for n in (1, 4)},
        **{f"r3gan, R1 and R2 every {n}": {**R3GAN, "loss.interval": n, "train.kimg": 6} for n in (1, 8)},
    },
}
FINALISTS = ("dcgan × minimax", "dcgan × non_saturating", "dcgan × hinge")


def experiment(overrides: dict[str, Any], seed: int) -> config.Experiment:
    """The default with some parameters changed; no ticks but the last."""
    made = default().override({"seed": seed, "train.tick_kimg": 1e6, "train.checkpoint_kimg": 1e6, **overrides})
    checks.check(made)
    return made


def learn(
    overrides: dict[str, Any], seed: int, seconds: float | None, work: Path, splits: Sequence[str]
) -> dict[str, float]:
    """Trains for `seconds` of CPU time, or for the `train.kimg` of the parameters, and measures the average of G."""
    torch.set_num_threads(1)
    data, reference = Prepared.open(work / "prepared"), Reference.open(work / "features")
    if seconds is not None:
        overrides = {**overrides, "train.kimg": seconds / _cost(json.dumps(overrides), work) / 1000}
    run = Run(experiment(overrides, seed), data, None, CPU)
    started = time.process_time()
    for _ in run.play():
        pass
    spent = time.process_time() - started
    generator = run.generator(run.experiment.train.kimg)
    return {"kimg": run.history[-1]["kimg"], "cpu": spent, **_distances(generator.sample, reference, splits)}


def _distances(sample: Any, reference: Reference, splits: Sequence[str]) -> dict[str, float]:
    """2,000 pictures against the validation split, 10,000 against the test split."""
    found = {}
    for split in splits:
        first, count = {"validation": (0, 2000), "test": (FIRST_SEED, 10000)}[split]
        pieces = [sample(first + np.arange(start, start + 500)) for start in range(0, count, 500)]
        features = np.concatenate([reference.extractor.features(piece)[0] for piece in pieces])
        found[split] = distance(features, reference, split)
    return found


@cache
def _cost(overrides: str, work: Path) -> float:
    """CPU seconds of one real sample, over a whole number of intervals of the lazy penalties."""
    made = experiment({**json.loads(overrides), "train.kimg": 1e6}, seed=0)
    run = Run(made, Prepared.open(work / "prepared"), None, CPU)
    interval = made.loss.interval
    for _ in run.play(interval):
        pass
    step, started = interval, time.process_time()
    while time.process_time() - started < 4:
        step += interval
        for _ in run.play(step):
            pass
    return (time.process_time() - started) / ((step - interval) * build.recipe(made).samples)


def incumbent(settings: str, seed: int, seconds: float, work: Path, splits: Sequence[str]) -> dict[str, float]:
    """Ray's example: its players, its objective, its optimisers; without the score that it takes after each batch.

    `as it is` has its normalisation, which a tanh cannot reach, and its default learning rate of 0.01; `mended` has
    pixels in [-1, 1] and the learning rate of the DCGAN paper.
    """
    from ray.tune.examples.pbt_dcgan_mnist.common import Discriminator, Generator, batch_size, beta1, nz, weights_init

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    shift, scale, speed = (0.13066, 0.30131, 1e-2) if settings == "as it is" else (0.5, 0.5, 2e-4)
    images = torch.from_numpy(np.array(Prepared.open(work / "prepared").samples("train")))
    G, D, criterion = Generator().apply(weights_init), Discriminator().apply(weights_init), nn.BCELoss()
    adam_G, adam_D = (torch.optim.Adam(net.parameters(), speed, (beta1, 0.999)) for net in (G, D))
    real, fake, seen, started = torch.ones(batch_size), torch.zeros(batch_size), 0, time.process_time()
    while time.process_time() - started < seconds:
        for indices in torch.randperm(len(images)).split(batch_size)[:-1]:
            x = (images[indices] / 255 - shift) / scale
            pictures = G(torch.randn(batch_size, nz, 1, 1))
            adam_D.zero_grad()
            criterion(D(x).view(-1), real).backward()
            criterion(D(pictures.detach()).view(-1), fake).backward()
            adam_D.step()
            adam_G.zero_grad()
            criterion(D(pictures).view(-1), real).backward()
            adam_G.step()
            seen += batch_size
    spent = time.process_time() - started

    def sample(seeds: np.ndarray) -> np.ndarray:
        generator = torch.Generator().manual_seed(int(seeds[0]))
        with torch.no_grad():
            drawn = G.eval()(torch.randn(len(seeds), nz, 1, 1, generator=generator))
        return ((drawn * scale + shift) * 255).round().clamp(0, 255).to(torch.uint8).numpy()

    return {"kimg": seen / 1000, "cpu": spent, **_distances(sample, Reference.open(work / "features"), splits)}


Job = tuple[str, str, dict[str, Any], int, float | None, Path]


def jobs(table: str, seconds: float | None, seeds: int, only: str, work: Path) -> list[Job]:
    """One for each row and seed."""
    rows = {"pairs": pairs(), "final": {name: pairs()[name] for name in FINALISTS},
            "incumbent": {name: {} for name in ("as it is", "mended")}, **TABLES}[table]  # fmt: skip
    equal_time = seconds if table in ("pairs", "final", "incumbent") else None
    return [(table, row, params, seed, equal_time, work) for row, params in rows.items() if only in row
            for seed in range(seeds)]  # fmt: skip


def perform(job: Job) -> dict[str, Any]:
    """One run; what diverged has no distance."""
    table, row, params, seed, seconds, work = job
    key = {"table": table, "row": row, "seed": seed, "seconds": seconds}
    kept = work / f"{table}.jsonl"
    for line in kept.read_text().splitlines() if kept.is_file() else []:
        if {name: json.loads(line)[name] for name in key} == key:
            return dict(json.loads(line))
    splits = ("validation", "test") if table in ("final", "incumbent") else ("validation",)
    try:
        if table == "incumbent":
            figures = incumbent(row, seed, seconds or 0, work, splits)
        else:
            figures = learn(params, seed, seconds, work, splits)
    except Exception as error:  # a game that diverges is a result
        figures = {"error": str(error)}
    with kept.open("a") as file:
        file.write(json.dumps(key | figures) + "\n")
    return key | figures


def show(results: list[dict[str, Any]]) -> None:
    """A table, the best row first."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        rows.setdefault(result["row"], []).append(result)
    splits = [split for split in ("validation", "test") if any(split in result for result in results)]
    heads = ["", "kimg", "CPU s", *(cell for split in splits for cell in (split, "each seed"))]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")

    def middle(row: str, key: str) -> float:
        values = [r[key] if np.isfinite(r.get(key, np.nan)) else np.inf for r in rows[row]]
        return statistics.median(values)

    for row in sorted(rows, key=lambda row: middle(row, "validation")):
        cells = [f"{middle(row, 'kimg'):.0f}", f"{middle(row, 'cpu'):.0f}"]
        for split in splits:
            each = ", ".join(f"{r[split]:.1f}" if split in r else "diverged" for r in rows[row])
            cells += [f"**{middle(row, split):.1f}**", each]
        print(f"| {row} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=["pairs", "final", "incumbent", *TABLES])
    parser.add_argument("--seconds", type=float, default=40, help="CPU time of a run, where the table is of equal time")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    parser.add_argument("--work", type=Path, default=ROOT / ".ganops" / "quality", help="keeps data and results")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once, one thread each")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    options = parser.parse_args()
    open_embedded(options.work)
    todo, results = jobs(options.table, options.seconds, options.seeds, options.only, options.work), []
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        for done, result in enumerate(pool.map(perform, todo), 1):
            results.append(result)
            if not options.json:
                figure = f"{result['validation']:.1f}" if "validation" in result else result["error"]
                print(f"{done}/{len(todo)} {result['row']}, seed {result['seed']}: {figure}", flush=True)
    if options.json:
        print(json.dumps({"hardware": machine.hardware(CPU), "torch": torch.__version__, "rows": results}, indent=2))
        return
    print(f"\n{machine.hardware(CPU)}, 1 thread a run, torch {torch.__version__}\n")
    show(results)


if __name__ == "__main__":
    main()
