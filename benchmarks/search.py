"""A search with ASHA against one that lets all trials run: time, what is found, and what Ray Tune costs.

    python benchmarks/search.py [--json] [--trials N] [--kimg K] [--seeds 0 1 2]

Both search the space of params.yaml on the embedded images, with the same draws, one thread a trial, in turns. What
random search promises is the median of its trials: that of the search in which all ran to the end. The overhead of a
trial is all time of all places that no trial trained or was judged in, without the start of Ray, divided by the trials.
`data/prepared` and `artifacts/features` must be there: `dvc repro features`.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

from ganops.core import layout
from ganops.distributed import runtime
from ganops.distributed.tune import search
from ganops.experiment import checks
from ganops.search.trials import best, ranked

SIDES = {"asha": "ASHA", "none": "all run to the end"}


def run(seed: int, scheduler: str, trials: int, kimg: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as storage:
        experiment = checks.load().override(
            {
                "tune.trials": trials,
                "tune.kimg": kimg,
                "tune.seed": seed,
                "tune.scheduler": scheduler,
                "compute.storage": storage,
            }
        )
        begun = time.monotonic()
        found = search(experiment, layout.PREPARED, layout.FEATURES, lambda *known: nullcontext(lambda trial: None))
        wall = time.monotonic() - begun
    busy = sum(trial.seconds for trial in found.trials)
    with runtime.cluster():
        _, places = runtime.places(experiment.compute.trial, experiment.compute.device)
    scores = [trial.score for trial in ranked(found.trials) if trial.rung == found.rungs]
    return {
        "best": best(found.trials).score,
        "median": statistics.median(scores),
        "finished": len(scores),
        "kimg": sum(trial.kimg for trial in found.trials),
        "wall": wall,
        "overhead": (found.seconds * places - busy) / trials,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--kimg", type=float, default=6.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    os.chdir(Path(__file__).parents[1])
    results = {seed: {side: run(seed, side, options.trials, options.kimg) for side in SIDES} for seed in options.seeds}
    if options.json:
        print(json.dumps(results, indent=2))
        return
    print("| search seed | side | s | finished | kimg in all | best | median of the finished | s beside each trial |")
    print("|---|---|---|---|---|---|---|---|")
    for seed, sides in results.items():
        for side, row in sides.items():
            print(
                f"| {seed} | {SIDES[side]} | {row['wall']:.0f} | {row['finished']} | {row['kimg']:.0f} | "
                f"{row['best']:.2f} | {row['median']:.2f} | {row['overhead']:.2f} |"
            )
    ratios = [sides["asha"]["best"] / sides["none"]["median"] for sides in results.values()]
    print("\nbest of ASHA / median random trial: " + ", ".join(f"{ratio:.2f}" for ratio in ratios))


if __name__ == "__main__":
    main()
