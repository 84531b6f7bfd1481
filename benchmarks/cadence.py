"""The share of a training with fast steps that its ticks and its checkpoints take, by `compute.checkpoint_minutes`.

    python benchmarks/cadence.py [--seconds 60] [--minutes auto 0]

Two small perceptrons on noise of 8 pixels, with the ticks and validations of the defaults: 4 and 8 kimg, some tenths of
a second. Nothing is judged, and it is saved as `launcher: local` does it. Steps are what the rows say of their speed;
what is neither step nor saving are ticks: rows, pictures, and the looks at the clock.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganops import config
from ganops.distributed.cadence import Cadence
from ganops.experiment.run import Run
from ganops.kinds import Spec

GAME: dict[str, Any] = {
    "model": {"architecture": "mlp", "latent": 16, "options": {"width": 128, "depth": 2}},
    "train": {"batch": 256, "kimg": 1e6, "precision": "fp32"},
    "loss": {"r1": 0.0},
}


class Noise:
    """Samples in memory."""

    spec = Spec("image", (1, 8, 8), 0)
    class_names = ()
    hash = "noise"

    def samples(self, split):
        return np.random.default_rng(0).integers(0, 256, (4096, 1, 8, 8), np.uint8)

    def labels(self, split):
        return None


def measure(minutes: str | float, seconds: float) -> list[str]:
    """The cells of a row, but for its name."""
    run = Run(config.parse(GAME), Noise(), None, torch.device("cpu"))
    ticks_to_come = run.play()
    next(ticks_to_come)  # the first one loads what the others have
    cadence, saving, saves, started = Cadence(minutes), 0.0, 0, time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="ganops-cadence-") as folder:
        for progress in ticks_to_come:
            if cadence.is_due(progress):
                with cadence.saving():
                    run.save(Path(folder) / "checkpoint", former=Path(folder) / "checkpoint-former")
                saving, saves = saving + cadence.cost, saves + 1
            if (whole := time.perf_counter() - started) > seconds:
                break
    images = 1000 * np.diff([row["kimg"] for row in run.history])
    steps = sum(images / [row["images_per_second"] for row in run.history[1:]])
    ticks = whole - steps - saving
    return [
        f"{images.sum() / steps:,.0f}", f"{whole / len(images):.2f}", f"{saves:,}",
        f"{1000 * saving / max(saves, 1):.0f}", f"{saving / whole:.2%}", f"{ticks / whole:.2%}",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each training")
    parser.add_argument("--minutes", nargs="+", default=["auto", "0"], help="values of compute.checkpoint_minutes")
    options = parser.parse_args()
    titles = ["checkpoint_minutes", "images/s", "s a tick", "saves", "ms a save", "saving", "ticks"]
    print(f"| {' | '.join(titles)} |")
    print("|---" * len(titles) + "|")
    for asked in options.minutes:
        cells = measure(asked if asked == "auto" else float(asked), options.seconds)
        print(f"| {' | '.join([asked, *cells])} |", flush=True)


if __name__ == "__main__":
    main()
