"""Which metric notices what: real images, harmed in six ways at five strengths each, measured as if generated.

    python benchmarks/harms.py [--json] [--work FOLDER] [--out PICTURE.svg] [--seed S]

The embedded images are split in other shares than in a training: 40 % train the domain extractor and can be memorised,
20 % are the test split, and the rest plays the generator. Each set that is measured has 1,000 images. Unharmed sets say
how far a metric moves by chance: a figure of the table and a colour of the picture is a metric's distance from their
mean, in their standard deviations, and above zero where the metric says `worse than real images`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from embedded import ROOT, default, open_embedded
from matplotlib import rc_context
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure

from ganops.data import Prepared
from ganops.experiment import machine
from ganops.metrics.extractors.corruptions import harms
from ganops.metrics.measure import Generated, measure
from ganops.metrics.reference import Reference

COUNT, DRAWS, NOTICED = 1000, 20, 4
METRICS = {
    "fd_domain": 1, "fd_domain_infinity": 1, "kd_domain": 1, "is_domain": -1, "precision": -1, "density": -1,
    "recall": -1, "coverage": -1, "class_kl": 1, "authenticity": -1, "ct": -1, "near_copies": 1,
}  # fmt: skip
"""1 where more is worse, -1 where less is."""
COLOURS = (-300, -100, -30, -10, -NOTICED, NOTICED, 10, 30, 100, 300)


def figures(prepared: Prepared, reference: Reference, seed: int) -> tuple[list[list[float]], dict[str, Any]]:
    """All metrics and, last, `copied_share`: of the unharmed draws [DRAWS, 13], and of each harm [5, 13]."""
    images, labels = np.array(prepared.samples("validation")), prepared.labels("validation")
    generator = np.random.default_rng(seed)
    table = harms(np.array(prepared.samples("train")))

    def measured(sample: np.ndarray) -> list[float]:
        fake = Generated(*reference.extractor.features(sample))
        found = measure(fake, reference, "test", seed=seed, subsets=10, repetitions=2)
        return [found[name] for name in (*METRICS, "copied_share")]

    def drawn() -> np.ndarray:
        return generator.permutation(len(images))

    unharmed = [measured(images[drawn()[:COUNT]]) for _ in range(DRAWS)]
    harmed = {}
    for name, harm in table.items():
        harmed[name] = []
        for strength in range(5):
            rows = drawn()
            # classes are dropped first and counted then; what is repeated or copied is a share of what is measured
            rows = rows if name == "dropped classes" else rows[:COUNT]
            sample = harm(images[rows], None if labels is None else labels[rows], strength, generator)[:COUNT]
            harmed[name].append(measured(sample))
    return unharmed, harmed


def notice(unharmed: list[list[float]], harmed: dict[str, Any]) -> dict[str, np.ndarray]:
    """Standard deviations by which each metric gets worse: [metrics, 5] for each harm."""
    draws, signs = np.array(unharmed)[:, :-1], np.array(list(METRICS.values()))
    mean, deviation = draws.mean(axis=0), draws.std(axis=0, ddof=1)
    return {name: (signs * (np.array(rows)[:, :-1] - mean) / deviation).T for name, rows in harmed.items()}


def draw(found: dict[str, np.ndarray], out: Path) -> None:
    """One block for each harm, strengths from left to right, metrics from top to bottom."""
    table = harms(np.empty((1, 1, 1, 1), np.uint8))
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    norm = BoundaryNorm(COLOURS, 256, extend="both")
    panels = figure.subplots(1, len(found), sharey=True)
    for panel, (name, values) in zip(panels, found.items(), strict=True):
        mesh = panel.pcolormesh(values, cmap="RdBu_r", norm=norm, edgecolors="#dddddd", linewidth=0.5)
        panel.set_title(name, fontsize=9)
        panel.set_xlabel(table[name].unit, fontsize=7)
        panel.set_xticks(np.arange(5) + 0.5, [f"{amount:.2g}" for amount in table[name].amounts], fontsize=7)
        panel.set_yticks(np.arange(len(METRICS)) + 0.5, list(METRICS), fontsize=8)
        panel.tick_params(length=0)
    panels[0].invert_yaxis()
    bar = figure.colorbar(mesh, ax=panels, ticks=COLOURS, pad=0.01)
    bar.ax.tick_params(labelsize=7)
    bar.set_label("looks worse than real images (red) or better (blue),\nin standard deviations of unharmed sets",
                  fontsize=7)  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.hashsalt": "ganops"}):  # the same figures give the same bytes
        figure.savefig(out, facecolor="white", dpi=120, metadata={"Date": None} if out.suffix == ".svg" else None)


def show(unharmed: list[list[float]], harmed: dict[str, Any], found: dict[str, np.ndarray]) -> None:
    """One table for each harm: the figures, and in brackets how many standard deviations worse they are."""
    table = harms(np.empty((1, 1, 1, 1), np.uint8))
    mean, deviation = np.mean(unharmed, axis=0), np.std(unharmed, axis=0, ddof=1)
    for name, rows in harmed.items():
        amounts = [f"{amount:.2g}" for amount in table[name].amounts]
        print(f"\n{name} ({table[name].unit})\n\n| metric | unharmed | {' | '.join(amounts)} |")
        print("|---" * (2 + len(amounts)) + "|")
        for i, metric in enumerate(METRICS):
            cells = [f"{row[i]:.3g} ({worse:+.0f})" for row, worse in zip(rows, found[name][i], strict=True)]
            print(f"| {metric} | {mean[i]:.3g} ± {deviation[i]:.2g} | {' | '.join(cells)} |")
        print(f"| copied_share | {mean[-1]:.3g} | {' | '.join(f'{row[-1]:.3f}' for row in rows)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the tables")
    parser.add_argument("--work", type=Path, default=ROOT / ".ganops" / "harms", help="keeps data and extractor")
    parser.add_argument("--out", type=Path, default=None, help="the picture: SVG or PNG")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started = time.perf_counter()
    prepared, reference = open_embedded(options.work, default().override({"data.validation": 0.4, "data.test": 0.2}))
    unharmed, harmed = figures(prepared, reference, options.seed)
    found = notice(unharmed, harmed)
    if options.out is not None:
        draw(found, options.out)
    hardware = machine.hardware(torch.device("cpu"))
    if options.json:
        names, worse = [*METRICS, "copied_share"], {name: x.tolist() for name, x in found.items()}
        print(json.dumps({"hardware": hardware, "seed": options.seed, "metrics": names, "unharmed": unharmed,
                          "harmed": harmed, "worse": worse}))  # fmt: skip
        return
    print(f"{hardware}, seed {options.seed}, {time.perf_counter() - started:.0f} s")
    show(unharmed, harmed, found)


if __name__ == "__main__":
    main()
