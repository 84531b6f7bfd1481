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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from embedded import default, open_embedded

from ganops.data import Prepared
from ganops.evaluation import verdict
from ganops.experiment import machine
from ganops.generator import Generator
from ganops.metrics.classifiers import Side, judge, two_sample_test
from ganops.metrics.extractors.corruptions import blur, low_rank, noise
from ganops.metrics.intervals import Interval


def sides(prepared: Prepared) -> tuple[Side, Callable[[Callable[..., Any]], Side]]:
    """The real side, and the other half of the images under a harm."""
    images, labels = (
        {split: np.array(part(split)) for split in ("train", "validation", "test")}
        for part in (prepared.samples, prepared.labels)
    )
    half = len(images["train"]) // 2
    real = Side(images["train"][:half], images["test"], labels["train"][:half], labels["test"])

    def harmed(harm: Callable[[np.ndarray], np.ndarray]) -> Side:
        x = harm(np.concatenate([images["train"][half:], images["validation"]]))
        return Side(x[: -len(images["validation"])], x[-len(images["validation"]) :], labels["train"][half:])

    return real, harmed


def cases(prepared: Prepared, generator: Path | None, seed: int) -> Iterator[tuple[str, dict[str, Interval]]]:
    """Each case: name and figures."""
    if generator:
        yield "generator", trained(prepared, generator, seed)
    real, harmed = sides(prepared)
    rng = np.random.default_rng(seed)
    perfect = harmed(lambda x: x)
    copies = Side(*(real.learnt[rng.integers(len(real.learnt), size=n)] for n in (len(real.learnt), len(real.judging))))
    wrong = Side(perfect.learnt, perfect.judging, rng.permutation(perfect.learnt_labels))
    yield "other real images", judge(real, perfect, seed=seed)
    yield "shuffled labels", judge(real, wrong, seed=seed)
    yield "copies", {"c2st_auc": two_sample_test(real, copies, seed=seed)}
    for name, harm in (
        ("low rank", lambda x: low_rank(x, 10)),
        ("blur 0.6", lambda x: blur(x, 0.6)),
        ("noise 0.02", lambda x: noise(x, 0.02, rng)),
    ):
        yield name, {"c2st_auc": two_sample_test(real, harmed(harm), seed=seed)}


def trained(prepared: Prepared, folder: Path, seed: int) -> dict[str, Interval]:
    """The figures of a trained generator."""
    experiment = default()
    generator = Generator.load(folder, machine.choose_device(experiment.compute.device))
    found = verdict.judge(
        {"intervals": {}, "protocol": {}}, generator, prepared, samples=experiment.evaluate.samples, seed=seed
    )
    return {name: Interval(found[name], *ends) for name, ends in found["intervals"].items()}


def main() -> None:
    """Prints a line for each figure as it is found: text, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--generator", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        prepared, _ = open_embedded(given.work or Path(made))
        for seed in range(given.seeds):
            before = time.process_time()
            for name, figures in cases(prepared, given.generator, seed):
                seconds, before = time.process_time() - before, time.process_time()
                for figure, found in figures.items():
                    show(given.json, {"case": name, "seed": seed, "figure": figure, "cpu_seconds": seconds}, found)


def show(as_json: bool, case: dict[str, Any], found: Interval) -> None:
    """One line."""
    if as_json:
        print(json.dumps({**case, "value": found.value, "interval": found.ends}), flush=True)
    else:
        interval, seconds = f"[{found.low:.3f}, {found.high:.3f}]", f"{case['cpu_seconds']:.0f} s of one core"
        print(f"{case['case']:<18} {case['figure']:<9} {found.value:.3f} {interval}   {seconds}", flush=True)


if __name__ == "__main__":
    main()
