"""Families of generators for equal cost on the embedded data: a GAN, autoencoders and variational autoencoders.

    python benchmarks/families.py [--seconds S] [--seeds N] [--trials T] [--work FOLDER] [--json FILE] [--plot FILE.svg]

The decoder is the default's dcgan for all, with labels; the partner is a critic or an encoder with the same trunk.
Each family is tuned alike: T trainings of a fifth of the seconds over its learning rate and one parameter of its own,
at the same points of the unit square for all. The best by validation distance is trained under N other seeds. Each
training's `train.kimg` follows from the family's pace, which is measured first, so that its schedule ends when its
seconds do; it stops at the first tick beyond them in any case.

The seconds are CPU time of the training alone, on one thread: sampling and judging at ticks, and the densities that are
fitted to codes for it, are counted apart for all. Of each run the weights with the best validation distance are
evaluated on the test split. What is finished is kept in the folder, and an interrupted command goes on.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from embedded import ROOT, default, open_embedded
from numpy.typing import NDArray
from scipy.stats import qmc
from torch import nn

from ganops import config
from ganops.core.errors import DivergenceError
from ganops.core.terminal import console
from ganops.data import Prepared
from ganops.evaluation import verdict
from ganops.evaluation.validation import ValidationJudge
from ganops.experiment import checks, machine
from ganops.experiment.run import Run
from ganops.generator import Generator
from ganops.metrics.measure import floors, measure
from ganops.metrics.reference import Reference
from ganops.reports import plots

CPU = torch.device("cpu")
TICKS, TRIAL_TICKS = 10, 2
"""Judgements of a training under a seed, and of one that tunes."""
TRIAL = 0.2
"""Share of the seconds that a training that tunes has."""
TUNED_WITH = 100
"""Seed of the trainings that tune; those that count have 0, 1, ..."""
PACE_KIMG = 6.4
"""Length of the training whose pace is measured."""
SAMPLES = 10_000
"""Generated samples that are evaluated."""


def from_low_to_high(low: float, high: float) -> Callable[[float], float]:
    """Return the way from u in [0, 1] to a value between, by logarithm."""
    return lambda u: float(f"{low * (high / low) ** u:.3g}")


def one_of(*values: Any) -> Callable[[float], Any]:
    """Return the way from u in [0, 1] to one of the values."""
    return lambda u: values[min(int(u * len(values)), len(values) - 1)]


LEARNING_RATE = from_low_to_high(5e-4, 2e-3)
"""Learning rate of both networks; it falls to a tenth."""


@dataclass(frozen=True)
class Family:
    """A contender: its parameters, and the one that is tuned beside the learning rate."""

    parameters: dict[str, Any]
    own: str
    """Path of the parameter of its own."""
    value: Callable[[float], Any]
    """The way from u in [0, 1] to its value."""


LATENT = "model.latent", one_of(16, 32, 64, 128)
BETA = "loss.options.beta", from_low_to_high(0.25, 4)
NO_GAME = {"loss.r1": 0.0, "loss.r2": 0.0}
FAMILIES = {
    "GAN": Family({"loss.name": "non_saturating"}, "loss.r1", from_low_to_high(0.05, 0.5)),
    "autoencoder, a Gaussian": Family({"loss.name": "autoencoder", **NO_GAME}, *LATENT),
    "autoencoder, a mixture": Family(
        {"loss.name": "autoencoder", "loss.options.prior": "mixture", **NO_GAME}, *LATENT
    ),
    "VAE": Family({"loss.name": "vae", **NO_GAME}, *BETA),
    "two-stage VAE": Family({"loss.name": "two_stage_vae", **NO_GAME}, *BETA),
}  # fmt: skip


def points(count: int) -> NDArray[np.float64]:
    """The points of the unit square where every family is tried, [count, 2]."""
    found: NDArray[np.float64] = qmc.Sobol(2, seed=0).random(count)
    return found


def parameters(family: Family, point: Sequence[float]) -> dict[str, Any]:
    """The parameters of a family at a point of the unit square."""
    rate = LEARNING_RATE(point[0])
    both = {f"train.learning_rate.{player}": {"start": rate, "end": rate / 10}
            for player in ("generator", "discriminator")}  # fmt: skip
    return {**family.parameters, **both, family.own: family.value(point[1])}


def experiment(overrides: dict[str, Any], kimg: float, ticks: int, seed: int) -> config.Experiment:
    """The default with some parameters changed and a judgement at each tick."""
    length = {"train.kimg": kimg, "train.tick_kimg": kimg / ticks, "train.checkpoint_kimg": kimg / ticks}
    made = default().override({"seed": seed, **length, **overrides})
    checks.check(made)
    return made


@dataclass
class Apart:
    """CPU-seconds that are no part of a training."""

    seconds: float = 0.0
    inside: bool = False

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count here, once, what happens inside."""
        if self.inside:
            yield
            return
        self.inside, started = True, time.process_time()
        try:
            yield
        finally:
            self.inside, self.seconds = False, self.seconds + time.process_time() - started


class Judge(ValidationJudge):
    """A judge whose time is counted apart."""

    def __init__(self, reference: Reference, apart: Apart) -> None:
        super().__init__(reference)
        self.apart = apart

    def distance(self, generator: Generator, seeds: NDArray[np.int64]) -> float:
        """The distance to the validation split."""
        with self.apart.counted():
            return super().distance(generator, seeds)


class Training(Run):
    """A run whose samples, with the density behind them, are counted apart."""

    def __init__(self, made: config.Experiment, work: Path, *, judged: bool = True) -> None:
        self.apart = Apart()
        judge = Judge(Reference.open(work / "features"), self.apart) if judged else None
        super().__init__(made, Prepared.open(work / "prepared"), judge, CPU, cores=1)

    def generator(self, kimg: float) -> Generator:
        """The generator as it is now."""
        with self.apart.counted():
            return super().generator(kimg)

    def course(self, seconds: float) -> Iterator[tuple[float, float, float]]:
        """Train up to the first tick beyond the seconds; yields kimg, CPU-seconds and distance at each tick."""
        started, name = time.process_time(), self.judge.name if self.judge else ""
        for progress in self.play():
            spent = time.process_time() - started - self.apart.seconds
            yield progress.row["kimg"], spent, progress.row.get(name, np.nan)
            if spent > seconds:
                return


def pace(family: Family, work: Path) -> dict[str, Any]:
    """Thousands of samples in a CPU-second, over both stages where there are two."""
    run = Training(experiment(family.parameters, PACE_KIMG, 1, TUNED_WITH), work, judged=False)
    *_, (kimg, spent, _) = run.course(np.inf)
    return {"kimg_per_second": kimg / spent}


def learn(
    overrides: dict[str, Any], seconds: float, kimg: float, ticks: int, seed: int, work: Path, *, evaluated: bool
) -> dict[str, Any]:
    """Train for the seconds, and evaluate the best weights on the test split where that is asked for."""
    run = Training(experiment(overrides, kimg, ticks, seed), work)
    try:
        course = list(run.course(seconds))
    except DivergenceError as error:  # a game that diverges is a result
        return {"error": str(error)}
    best = run.best_generator()
    found = {
        "course": course, "kimg": course[-1][0], "cpu": course[-1][1], "apart": run.apart.seconds,
        "validation": min(row[2] for row in course), "best_kimg": best.description.kimg,
        "generator": _numbers(best.network), "partner": _numbers(run.state.D),
    }  # fmt: skip
    return found | (evaluate(best, work) if evaluated else {})


def _numbers(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def evaluate(generator: Generator, work: Path) -> dict[str, Any]:
    """Distance and coverage on the test split, with their intervals, and the floor of the distance."""
    reference = Reference.open(work / "features")
    looks = (verdict.look(generator, reference, seeds) for seeds in verdict.pieces(SAMPLES))
    results = measure(verdict.gather("evaluate", looks, SAMPLES), reference, verdict.HELD_OUT, seed=0)
    name = "fd_domain"
    return {
        "test": results[name], "test_interval": results["intervals"][name],
        "coverage": results["coverage"], "coverage_interval": results["intervals"]["coverage"],
        "floor": floors(reference, verdict.HELD_OUT, SAMPLES, seed=0)[name],
    }  # fmt: skip


class Kept:
    """Results of earlier calls: a line of JSON each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.is_file() else []
        self.known = {json.dumps(row["key"]): row for row in map(json.loads, lines)}

    def __call__(self, key: Sequence[Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what is known under the key; else make it and keep it."""
        name = json.dumps(list(key))
        if name not in self.known:
            self.known[name] = {"key": list(key), **make()}
            with self.path.open("a") as file:
                file.write(json.dumps(self.known[name]) + "\n")
        return self.known[name]


def tuned(name: str, options: argparse.Namespace, kept: Kept) -> dict[str, Any]:
    """The best of a family's trials, and its pace."""
    family, seconds = FAMILIES[name], TRIAL * options.seconds
    speed = kept((name, "pace"), lambda: pace(family, options.work))["kimg_per_second"]
    rows = []
    for number, point in enumerate(points(options.trials)):
        values = parameters(family, point)
        row = kept(
            (name, "trial", number, options.trials, seconds),
            lambda values=values: learn(  # type: ignore[misc]
                values, seconds, speed * seconds, TRIAL_TICKS, TUNED_WITH, options.work, evaluated=False
            ),
        )
        say(f"{name}, trial {number}", name, values, row)
        rows.append((row.get("validation", np.inf), number, values))
    return {"values": min(rows)[2], "speed": speed}


def say(what: str, name: str, values: dict[str, Any], row: dict[str, Any]) -> None:
    """A line for a person."""
    known = [key for key in ("test", "validation", "kimg", "cpu") if key in row]
    found = row.get("error") or ", ".join(f"{key} {row[key]:.3g}" for key in known)
    print(f"{what} ({_chosen(name, values)}): {found}", flush=True)


def compete(options: argparse.Namespace, kept: Kept) -> dict[str, list[dict[str, Any]]]:
    """The rows of every family, one for each seed: the first seed of all of them, then the second."""
    best = {name: tuned(name, options, kept) for name in FAMILIES}
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in FAMILIES}
    for seed in range(options.seeds):
        for name, chosen in best.items():
            kimg = chosen["speed"] * options.seconds
            row = kept(
                (name, "seed", seed, options.trials, options.seconds),
                lambda chosen=chosen, kimg=kimg, seed=seed: learn(  # type: ignore[misc]
                    chosen["values"], options.seconds, kimg, TICKS, seed, options.work, evaluated=True
                ),
            )
            say(f"{name}, seed {seed}", name, chosen["values"], row)
            rows[name].append({**row, "values": chosen["values"]})
            publish(options, rows)
    return rows


def publish(options: argparse.Namespace, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Writes the JSON and the plot of what there is so far, where they are asked for."""
    if options.json:
        head = {"hardware": machine.hardware(CPU), "torch": torch.__version__, "seconds": options.seconds}
        options.json.write_text(json.dumps({**head, "trials": options.trials, "families": rows}, indent=2) + "\n")
    if options.plot:
        options.plot.write_bytes(picture(rows))


def picture(rows: dict[str, list[dict[str, Any]]]) -> bytes:
    """SVG of the distance over CPU-seconds: the mean over the seeds, and a band from the lowest to the highest."""
    lines, bands = {}, {}
    for name, found in rows.items():
        courses = [np.array(row["course"]) for row in found if "course" in row]
        if courses:
            ticks = min(map(len, courses))
            course = np.stack([each[:ticks] for each in courses])
            y = course[:, :, 2]
            lines[name] = np.stack([course[:, :, 1].mean(0), y.mean(0)], 1)
            bands[name] = np.stack([y.min(0), y.max(0)], 1)
    return plots.courses(lines, "CPU-seconds of training", "fd_domain (validation)", bands, width=620)


def show(rows: dict[str, list[dict[str, Any]]]) -> None:
    """A table, the best family first."""
    heads = ("", "fd_domain (test)", "each seed, 95 %", "coverage", "floor", "validation", "kimg", "CPU s", "apart",
             "G", "partner", "tuned to")  # fmt: skip
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    ended = {name: [row for row in found if "test" in row] for name, found in rows.items()}
    for name in sorted(rows, key=lambda name: _mean(ended[name], "test")):
        found = ended[name]
        if not found:
            print(f"| {name} | diverged |{' |' * (len(heads) - 2)}")
            continue
        each = "; ".join("{:.2f} [{:.2f}, {:.2f}]".format(row["test"], *row["test_interval"]) for row in found)
        failed = len(rows[name]) - len(found)
        cells = [
            f"**{_spread(found, 'test', 2)}**", each + (f"; {failed} diverged" if failed else ""),
            _spread(found, "coverage", 3), f"{_mean(found, 'floor'):.2f}", _spread(found, "validation", 2),
            f"{_mean(found, 'kimg'):.0f}", f"{_mean(found, 'cpu'):.0f}", f"{_mean(found, 'apart'):.0f}",
            f"{found[0]['generator']:,}", f"{found[0]['partner']:,}", _chosen(name, found[0]["values"]),
        ]  # fmt: skip
        print(f"| {name} | {' | '.join(cells)} |")


def _mean(rows: list[dict[str, Any]], key: str) -> float:
    return statistics.fmean(row[key] for row in rows) if rows else np.inf


def _spread(rows: list[dict[str, Any]], key: str, digits: int) -> str:
    deviation = f" ± {statistics.stdev(row[key] for row in rows):.{digits}f}" if len(rows) > 1 else ""
    return f"{_mean(rows, key):.{digits}f}{deviation}"


def _chosen(name: str, values: dict[str, Any]) -> str:
    own = FAMILIES[name].own
    return f"rate {values['train.learning_rate.generator']['start']:g}, {own.rpartition('.')[2]} {values[own]:g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=200, help="CPU time of a training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=4, help="trainings of a fifth of the seconds that tune a family")
    parser.add_argument("--work", type=Path, default=ROOT / ".ganops" / "families", help="keeps data and results")
    parser.add_argument("--json", type=Path, help="file to write all figures to, after each training")
    parser.add_argument("--plot", type=Path, help="SVG to draw the distance over CPU-seconds in")
    options = parser.parse_args()
    torch.set_num_threads(1)
    console.quiet = True
    open_embedded(options.work)
    rows = compete(options, Kept(options.work / "families.jsonl"))
    print(f"\n{machine.hardware(CPU)}, 1 thread, torch {torch.__version__}\n")
    show(rows)


if __name__ == "__main__":
    main()
