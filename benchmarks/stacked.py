"""Modes of stacked Fashion-MNIST: three garments as the channels of one picture, 1,000 combinations of classes.

    python benchmarks/stacked.py [--json] [--stacks N] [--kimg K] [--game NAME ...] [--seed S] [--work FOLDER]

After stacked MNIST (Metz et al. 2017), by the protocol of PacGAN (Lin et al. 2018): training on 128,000 random stacks,
26 generated pictures for each mode, every channel classified by itself; a mode is found if one picture shows it. The
classifier is the domain extractor of the embedded images. --stacks 1 and 2 have 10 and 100 modes.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from embedded import default, open_embedded
from numpy.typing import NDArray

from ganops import config
from ganops.core.randomness import seed_of
from ganops.core.terminal import training_bar
from ganops.data import Prepared
from ganops.experiment import machine
from ganops.experiment.run import Run
from ganops.generator import Generator
from ganops.kinds import Spec
from ganops.metrics.extractors.extractor import Extractor
from ganops.metrics.modes import mode_coverage
from ganops.metrics.reference import Reference

CLASSES, TRAINING, PER_MODE, DRAWS = 10, 128_000, 26, 100
GAMES: dict[str, dict] = {
    "non_saturating, R1": {},
    "relativistic, R1 + R2": {"loss.name": "relativistic", "loss.r2": 0.2},
    "relativistic, R1 + R2, D without norm": {
        "loss.name": "relativistic", "loss.r2": 0.2, "model.options": {"norm": "none"}
    },
    "relativistic, R1 + R2 of 1, D without norm": {
        "loss.name": "relativistic", "loss.r1": 1.0, "loss.r2": 1.0, "model.options": {"norm": "none"}
    },
}  # fmt: skip
"""What each game changes in params.yaml."""
Row = dict[str, object]


@dataclass(frozen=True)
class Stacks:
    """Training samples of a run: stacks of training garments, without labels."""

    prepared: Prepared
    stacks: int
    seed: int
    class_names: tuple[str, ...] = ()

    @property
    def spec(self) -> Spec:
        return Spec("image", (self.stacks, *self.prepared.spec.shape[1:]))

    @property
    def hash(self) -> str:
        return f"{TRAINING} stacks of {self.stacks} by seed {self.seed} from {self.prepared.hash}"

    def samples(self, split: str) -> NDArray[np.uint8]:
        return stack(self.prepared.samples(split), TRAINING, self.stacks, self.seed)

    def labels(self, split: str) -> None:
        return None


def stack(garments: NDArray[np.uint8], count: int, stacks: int, seed: int) -> NDArray[np.uint8]:
    """Random pictures, each channel a garment drawn by itself: [M, 1, H, W] -> [count, stacks, H, W]."""
    source = np.random.default_rng(seed_of(seed, "stacks"))
    return garments[source.integers(len(garments), size=(count, stacks)), 0]


def coverage(images: NDArray[np.uint8], classifier: Extractor) -> Row:
    """Modes and divergence of pictures [N, S, H, W], each channel classified by itself."""
    _, probabilities = classifier.features(images.reshape(-1, 1, *images.shape[2:]))
    modes, divergence = mode_coverage(probabilities.argmax(1).reshape(images.shape[:2]), CLASSES)
    return {"modes": modes, "kl": divergence}


def floor(counts: NDArray[np.int64], samples: int, stacks: int, seed: int) -> Row:
    """What an ideal sampler gets whose channels have these class frequencies: mean and deviation over the draws."""
    source, shares = np.random.default_rng(seed), counts / counts.sum()
    draws = [mode_coverage(source.choice(CLASSES, (samples, stacks), p=shares), CLASSES) for _ in range(DRAWS)]
    (modes, divergence), (modes_sd, divergence_sd) = np.mean(draws, 0), np.std(draws, 0)
    return {"modes": modes, "modes_sd": modes_sd, "kl": divergence, "kl_sd": divergence_sd}


def controls(prepared: Prepared, reference: Reference, count: int, stacks: int, seed: int) -> Iterator[Row]:
    """Real stacks of test garments as if generated, and the floors: what sampling alone costs a perfect generator."""
    held_out = stack(prepared.samples("test"), count, stacks, seed)
    yield {"name": "real, held out", **coverage(held_out, reference.extractor)}
    for split in ("test", "train"):
        yield {"name": f"ideal, classes of {split}", **floor(reference.classes(split), count, stacks, seed)}


def learn(experiment: config.Experiment, samples: Stacks) -> tuple[Generator, Row]:
    """A trained generator, and what its training took."""
    started = time.perf_counter()
    run = Run(experiment, samples, None, torch.device("cpu"))
    with training_bar("train", experiment.train.kimg) as show:
        for progress in run.play():
            show(progress.row, progress.alarms, notes=progress.notes)
            sys.stdout.flush()
    return run.best_generator(), {"kimg": experiment.train.kimg, "seconds": time.perf_counter() - started}


def compare(options: argparse.Namespace, work: Path) -> dict[str, object]:
    """The controls, then the games: every row by the same classifier and as many pictures."""
    changes = {"seed": options.seed, "train.kimg": options.kimg, "train.tick_kimg": 20}
    experiment = default().override(changes)
    prepared, reference = open_embedded(work / f"seed-{options.seed}", experiment)
    modes = CLASSES**options.stacks
    samples, count = Stacks(prepared, options.stacks, options.seed), PER_MODE * modes
    rows = list(controls(prepared, reference, count, options.stacks, options.seed))
    print("controls done", flush=True)
    for name in options.game or GAMES:
        generator, took = learn(experiment.override(GAMES[name]), samples)
        rows.append({"name": name, **coverage(generator.sample(np.arange(count)), reference.extractor), **took})
        print(f"{name} done: {in_cells(rows[-1])}", flush=True)
    device = torch.device("cpu")
    return {
        "hardware": machine.hardware(device), "precision": machine.precision(experiment, device),
        "seed": options.seed, "stacks": options.stacks, "modes": modes, "samples": count,
        "accuracy": reference.card["details"]["accuracy"], "rows": rows,
    }  # fmt: skip


def show_table(result: dict[str, object]) -> None:
    print(f"\n{result['hardware']} ({result['precision']}), 1 thread, seed {result['seed']}")
    print(f"{result['samples']:,} samples; the classifier is right on {result['accuracy']:.1%} of held-out garments\n")
    print(f"| samples | modes of {result['modes']:,} | KL to uniform | kimg | s |\n|---|---|---|---|---|")
    for row in result["rows"]:
        print(f"| {row['name']} | {in_cells(row)} |")


def in_cells(row: Row) -> str:
    """The figures of a row."""
    modes = f"{row['modes']:.1f} ± {row['modes_sd']:.1f}" if "modes_sd" in row else row["modes"]
    divergence = f"{row['kl']:.4f}" + (f" ± {row['kl_sd']:.4f}" if "kl_sd" in row else "")
    took = f"{row['kimg']:g} | {row['seconds']:.0f}" if "kimg" in row else "|"
    return f"{modes} | {divergence} | {took}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--stacks", type=int, choices=(1, 2, 3), default=3, help="garments in a picture")
    parser.add_argument("--kimg", type=float, default=120, help="of each game")
    parser.add_argument("--game", action="append", choices=GAMES, help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="keeps the prepared images and the classifier for the next time")
    options = parser.parse_args()
    torch.set_num_threads(1)
    # the one JSON object has standard output for itself
    with tempfile.TemporaryDirectory() as spare, redirect_stdout(sys.stderr if options.json else sys.stdout):
        result = compare(options, options.work or Path(spare))
    if options.json:
        print(json.dumps(result))
    else:
        show_table(result)


if __name__ == "__main__":
    main()
