"""Fine-tuning against learning from scratch: three classes of garments with 100 images each, at equal kimg.

    python benchmarks/finetune.py [--json] [--seeds 3] [--work FOLDER] [--ancestor KIMG] [--kimg KIMG ...]

The ancestor is the default game of the other seven classes of the embedded images, one for each seed. Then the default
game of 300 images begins from scratch, from the ancestor's G, from its G and D, and from both with the first layers of
D frozen. The table shows fd_domain of 2,000 pictures to the images of these classes that nobody trained with, by the
extractor of the default experiment: the mean over the seeds, and all of them.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np
import torch
from embedded import default, open_embedded

from ganops.experiment.publication import publish
from ganops.experiment.run import Run
from ganops.generator.artefact import DISCRIMINATOR
from ganops.kinds import Spec
from ganops.metrics.frechet import frechet_between

CLASSES, EACH, PICTURES = 7, 100, 2000
"""Classes of the ancestor, images of each of the others that are trained with, and generated images."""
STARTS = {"from scratch": None, "G": 0, "G and D": 0, "G and D, 2 layers frozen": 2}


class Chosen:
    """Some images of some classes."""

    def __init__(self, images, labels, names, rows):
        self._images, self._labels = images[rows], labels[rows] - labels[rows].min()
        self.class_names = tuple(names[label] for label in sorted({*labels[rows]}))
        self.spec = Spec("image", images.shape[1:], len(self.class_names))
        self.hash = f"{len(rows)} of {', '.join(self.class_names)}"

    def samples(self, split):
        return self._images

    def labels(self, split):
        return self._labels


def learn(samples, folder, seed, kimg, **changes):
    """The generator of a game, published into a folder."""
    lengths = {"train.kimg": kimg, "train.tick_kimg": kimg / 4, "train.checkpoint_kimg": kimg}
    run = Run(default().override({"seed": seed, **lengths, **changes}), samples, None, torch.device("cpu"))
    for _ in run.play():
        pass
    names = ("metrics", "history", "validation", "pictures")
    publish(run, generator=folder / "generator", **{name: folder / name for name in names})
    return run.generator(kimg)


def starting(name, frozen, ancestor):
    """The parameters of a way to begin."""
    if frozen is None:
        return {}
    if name == "G":
        (ancestor / "generator" / DISCRIMINATOR).rename(ancestor / DISCRIMINATOR)
    elif (ancestor / DISCRIMINATOR).exists():
        (ancestor / DISCRIMINATOR).rename(ancestor / "generator" / DISCRIMINATOR)
    return {"train.start": str(ancestor / "generator"), "train.freeze_D": frozen}


def compare(work, seed, ancestor_kimg, lengths):
    """Way to begin -> kimg -> distance."""
    prepared, reference = open_embedded(work)
    images = np.concatenate([prepared.samples(split) for split in ("train", "validation", "test")])
    labels = np.concatenate([prepared.labels(split) for split in ("train", "validation", "test")])
    few = np.concatenate([np.flatnonzero(labels == label)[:EACH] for label in range(CLASSES, 10)])
    unseen = np.setdiff1d(np.flatnonzero(labels >= CLASSES), few)
    target, _ = reference.extractor.features(images[unseen])
    with tempfile.TemporaryDirectory(prefix="ganops-finetune-") as name:
        folder, names = Path(name), prepared.class_names
        old = Chosen(images, labels, names, np.flatnonzero(labels < CLASSES))
        learn(old, folder / "ancestor", seed, ancestor_kimg)
        found = {}
        for way, frozen in STARTS.items():
            begin = starting(way, frozen, folder / "ancestor")
            found[way] = {}
            for kimg in lengths:
                made = learn(Chosen(images, labels, names, few), folder / "new", seed, kimg, **begin)
                features, _ = reference.extractor.features(made.sample(np.arange(PICTURES)))
                found[way][kimg] = frechet_between(target, features)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, help="keeps the prepared images and the extractor")
    parser.add_argument("--ancestor", type=float, default=30, help="kimg of the ancestor")
    parser.add_argument("--kimg", type=float, nargs="+", default=[2, 8], help="kimg on the few images")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="ganops-embedded-") as scratch:
        work = options.work or Path(scratch)
        rows = [compare(work, seed, options.ancestor, options.kimg) for seed in range(options.seeds)]
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print("| begins with | " + " | ".join(f"{kimg:g} kimg" for kimg in options.kimg) + " |")
    print("|---" * (1 + len(options.kimg)) + "|")
    for way in STARTS:
        cells = []
        for kimg in options.kimg:
            values = [row[way][kimg] for row in rows]
            cells.append(f"{statistics.mean(values):.1f} ({', '.join(f'{value:.1f}' for value in values)})")
        print(f"| {way} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
