"""Whether the intervals of `ganops compare` mean what they say, on the embedded data.

    python benchmarks/intervals.py [--json] [--kimg A B] [--samples N] [--repetitions R] [--work FOLDER]

Two checkpoints of one training are compared from the same seeds: the interval of their difference should exclude 0.
Then the later one is compared with itself from other seeds, again and again: there the interval should hold 0 in 95 %
of the repetitions. Both sides stand against the same real images; `coverage.py` draws fresh ones.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from embedded import default, open_embedded

from ganops import config
from ganops.core.terminal import console
from ganops.data import Prepared
from ganops.evaluation import verdict
from ganops.experiment import machine
from ganops.experiment.run import Run
from ganops.generator import Generator
from ganops.metrics.intervals import Interval
from ganops.metrics.measure import Generated, compare
from ganops.metrics.reference import Reference

SPLIT = "validation"


def checkpoints(experiment: config.Experiment, data: Prepared, kimg: list[float], work: Path) -> list[Generator]:
    """The averages of G of one training after so many kimg."""
    run = Run(experiment, data, None, torch.device("cpu"))
    made = []
    for length in kimg:
        for _ in run.play(round(length * 1000 / run.recipe.samples)):
            pass
        run.generator(length).save(work / f"generator-{length:g}")
        made.append(Generator.load(work / f"generator-{length:g}"))
    return made


def see(generator: Generator, reference: Reference, samples: int, first: int) -> Generated:
    """What the extractor makes of samples whose seeds begin at `first`."""
    looks = (verdict.look(generator, reference, seeds) for seeds in verdict.pieces(samples, first))
    return verdict.gather("compare", looks, samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--kimg", type=float, nargs=2, default=[16, 24], help="of the two checkpoints")
    parser.add_argument("--samples", type=int, default=2000, help="of each side of a comparison")
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--work", type=Path, help="keeps the data and the extractor for the next time")
    options = parser.parse_args()
    console.quiet = True
    with tempfile.TemporaryDirectory() as spare:
        work = options.work or Path(spare)
        data, reference = open_embedded(work)
        early, late = checkpoints(default(), data, options.kimg, work)
        first, count = verdict.FIRST_SEED, options.samples
        found = compare(*(see(g, reference, count, first) for g in (early, late)), reference, SPLIT, seed=0)
        again: dict[str, list[Interval]] = {name: [] for name in found}
        for repetition in range(options.repetitions):
            starts = (first + 2 * count * repetition, first + 2 * count * repetition + count)
            sides = [see(late, reference, count, start) for start in starts]
            for name, figure in compare(*sides, reference, SPLIT, seed=repetition).items():
                again[name].append(figure.by)
    held = {name: sum(not by.excludes_zero for by in intervals) for name, intervals in again.items()}
    widths = {name: float(np.mean([by.high - by.low for by in intervals])) for name, intervals in again.items()}
    if options.json:
        rows = {name: {"one": f.one, "other": f.other, "interval": f.by.ends, "held_zero": held[name],
                       "mean_width_unpaired": widths[name]} for name, f in found.items()}  # fmt: skip
        print(json.dumps({"samples": count, "kimg": options.kimg, "repetitions": options.repetitions, "rows": rows}))
        return
    early_kimg, late_kimg = options.kimg
    print(f"\n{machine.hardware(torch.device('cpu'))}; {count:,} samples a side, against {SPLIT}\n")
    print(f"| | {early_kimg:g} kimg | {late_kimg:g} kimg | difference [95 %] | 0 is held, of {options.repetitions} |")
    print("|---|---|---|---|---|")
    for name, f in found.items():
        difference = f"{f.by.value:+.3g} [{f.by.low:+.3g}, {f.by.high:+.3g}]"
        print(f"| {name} | {f.one:.4g} | {f.other:.4g} | {difference} | {held[name]} |")


if __name__ == "__main__":
    main()
