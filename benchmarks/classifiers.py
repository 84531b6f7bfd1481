"""What the figures that no extractor can flatter say of cases that are known, and how far they move with their seed.

    python benchmarks/classifiers.py [--json] [--work FOLDER] [--generator FOLDER] [--seeds 3]

Half of the embedded training images are the real ones that networks learn from, the test split judges. The other half
and the validation split stand for a generator: as they are (a perfect one), harmed, or with shuffled labels; copies of
the images that were learnt from stand for one that memorises. A trained generator, such as artifacts/generator, is
measured as the stage `evaluate` does it.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from embedded import default, open_embedded

from ganops import assemble, evaluation
from ganops.data import Prepared
from ganops.generator import Generator
from ganops.metrics.classifiers import Side, judge, two_sample_test
from ganops.metrics.harms import blur, noise
from ganops.metrics.intervals import Interval


def low_rank(images: np.ndarray, rank: int = 10) -> np.ndarray:
    """Shapeless blobs: what the first principal components hold."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    mean = flat.mean(axis=0)
    axes = np.linalg.eigh(np.cov(flat, rowvar=False))[1][:, -rank:]
    blobs = (flat - mean) @ axes @ axes.T + mean
    return blobs.clip(0, 255).round().astype(np.uint8).reshape(images.shape)


def sides(prepared: Prepared) -> tuple[Side, Callable[[Callable[..., Any]], Side]]:
    """The real side, and the other half of the images under a harm."""
    images, labels = (
        {split: np.array(part(split)) for split in ("train", "validation", "test")}
        for part in (prepared.images, prepared.labels)
    )
    half = len(images["train"]) // 2
    real = Side(images["train"][:half], images["test"], labels["train"][:half], labels["test"])

    def harmed(harm: Callable[[np.ndarray], np.ndarray]) -> Side:
        x = harm(np.concatenate([images["train"][half:], images["validation"]]))
        return Side(x[: -len(images["validation"])], x[-len(images["validation"]) :], labels["train"][half:])

    return real, harmed


def known(prepared: Prepared, seed: int) -> dict[str, dict[str, Interval]]:
    """Each known case: name -> figures."""
    real, harmed = sides(prepared)
    rng = np.random.default_rng(seed)
    cases = {
        "low rank": low_rank,
        "blur 0.6": lambda x: blur(x, 0.6),
        "noise 0.02": lambda x: noise(x, 0.02, rng),
    }
    perfect = harmed(lambda x: x)
    copies = Side(*(real.learnt[rng.integers(len(real.learnt), size=n)] for n in (len(real.learnt), len(real.judging))))
    wrong = Side(perfect.learnt, perfect.judging, rng.permutation(perfect.learnt_labels))
    return {
        "other real images": judge(real, perfect, seed=seed),
        "copies": {"c2st_auc": two_sample_test(real, copies, seed=seed)},
        "shuffled labels": judge(real, wrong, seed=seed),
        **{name: {"c2st_auc": two_sample_test(real, harmed(harm), seed=seed)} for name, harm in cases.items()},
    }


def trained(prepared: Prepared, folder: Path, seed: int) -> dict[str, Interval]:
    """The figures of a trained generator."""
    experiment = default()
    generator = Generator.load(folder, assemble.choose_device(experiment.compute.device))
    found = evaluation.judge(
        {"intervals": {}, "protocol": {}}, generator, prepared, samples=experiment.evaluate.samples, seed=seed
    )
    return {name: Interval(found[name], *ends) for name, ends in found["intervals"].items()}


def main() -> None:
    """Prints a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--generator", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as made:
        prepared, _ = open_embedded(given.work or Path(made))
        found: dict[str, list[dict[str, Interval]]] = {}
        seconds = []
        for seed in range(given.seeds):
            for name, figures in known(prepared, seed).items():
                found.setdefault(name, []).append(figures)
            if given.generator:
                started = time.process_time()
                found.setdefault("generator", []).append(trained(prepared, given.generator, seed))
                seconds.append(time.process_time() - started)
    if given.json:
        content = {
            name: [{key: [each.value, *each.ends] for key, each in one.items()} for one in every]
            for name, every in found.items()
        }
        print(json.dumps({"figures": content, "cpu_seconds_of_the_generator": seconds}))
        return
    for name, every in found.items():
        for figure, first in every[0].items():
            others = " ".join(f"{one[figure].value:.3f}" for one in every)
            print(f"{name:<18} {figure:<9} {first.value:.3f} [{first.low:.3f}, {first.high:.3f}]   by seed {others}")
    for each in seconds:
        print(f"the generator took {each:.0f} seconds of one core")


if __name__ == "__main__":
    main()
