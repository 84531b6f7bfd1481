"""Drums by spectrogram and by waveform: which of two generators, trained for equal seconds, is heard as what was asked?

    python benchmarks/drums.py KITS [--seconds 200] [--rate 8000] [--samples 8192] [--clips 500] [--seed 0] [--json]

KITS is a folder of sound files whose names say what is struck: the drum kits of Hydrogen, which Debian packs as
hydrogen-drumkits (/usr/share/hydrogen/data/drumkits). NAMES sorts them; the others are left out. Hits of one drum of
one kit, which differ in loudness, lie in one split.

Kind `sound` learns log mel spectrograms, and a vocoder makes clips of what its generator draws; kind `wave` learns the
samples. Each gets the same clips and as many seconds of one thread (processor time, so that what else runs is no
matter). The weights are the last average: nothing is selected.

Both are judged by what is heard, int16 clips, through log mel spectrograms: convolutions that have learnt the classes
of real training clips say of which class each clip is, and how far the crowd of as many clips lies from the real
training clips in their features (fd). Three networks, the figures are their means; ± is the standard error over
clips. Real clips that no network has seen are the references: as they are, and through the vocoder, by which the
generator of spectrograms is heard.
"""

import argparse
import json
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ganops import config
from ganops.core.terminal import console
from ganops.data import Prepared, decoders
from ganops.data.prepare import prepare
from ganops.experiment import checks, machine
from ganops.experiment.run import Run
from ganops.generator import Generator
from ganops.kinds import sound
from ganops.metrics.extractors import Domain
from ganops.metrics.frechet import frechet_between

NAMES = {
    "cymbal": r"crash|ride|splash|china|cymbal|\b[cr]c\b",
    "hat": r"\bhh|hat|\bh[co]\b",
    "kick": r"kick|\bbd\b|bass ?drum",
    "snare": r"snare|rimshot|\bs[dr]\b|\brs\b",
    "tom": r"tom|\bf?t\b",
}
"""Class -> its names, in small letters, without digits."""
SUFFIXES = (".wav", ".flac")
NETWORKS = 3
COMMON: dict[str, Any] = {
    "train.kimg": 10_000, "train.tick_kimg": 0.5, "train.batch": 32,
    "train.augment.transforms": {"time": 1}, "train.augment.strength": 1,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "sound": {
        "model.architecture": "dcgan", "model.latent": 64, "model.options": {"width": 24},
        "loss.name": "non_saturating", "loss.r1": 0.1,
    },
    "wave": {
        "model.architecture": "wavegan", "model.latent": 64, "loss.name": "relativistic", "loss.r1": 1, "loss.r2": 1,
    },
}  # fmt: skip
"""Parameters of the training of each kind: those of the examples and of the other benchmarks, not searched for."""
Clips = NDArray[np.int16]
Labels = NDArray[np.int64]


def sort(kits: Path, folder: Path) -> int:
    """Lays the files into folders of their classes as <kit>~<drum>~<number>, and returns how many there are."""
    count = 0
    for path in sorted(kits.rglob("*")):
        words = re.sub(r"[-_ 0-9.]+", " ", path.stem.lower()).strip()
        classes = [name for name, known in NAMES.items() if re.search(known, words)]
        if path.suffix.lower() in SUFFIXES and len(classes) == 1:
            place = folder / classes[0]
            place.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place / f"{path.parent.name}~{words}~{count}{path.suffix}")
            count += 1
    if not count:
        raise SystemExit(f"{kits}: expected sound files named after drums, such as kick.wav, got none")
    return count


def experiment(kind: str, options: argparse.Namespace) -> config.Experiment:
    """Return the experiment of a kind."""
    data = {"data.kind": kind, "data.rate": options.rate, "data.samples": options.samples}
    if kind == "sound":  # 64 bands and frames
        data |= {"data.hop": options.samples // 64, "data.window": options.samples // 32}
    made = config.parse({}).override({"seed": options.seed, **COMMON, **data, **KINDS[kind]})
    checks.check(made)
    return made


def train(made: config.Experiment, prepared: Prepared, seconds: float) -> tuple[Generator, float]:
    """Return the generator after so many seconds of one thread, and the kimg it has seen."""
    torch.set_num_threads(1)
    start, run = time.process_time(), Run(made, prepared, None, torch.device("cpu"))
    for progress in run.play():
        if time.process_time() - start >= seconds:
            return run.generator(progress.row["kimg"]), progress.row["kimg"]
    raise SystemExit("the training ended before its time")


def drawn(generator: Generator, count: int) -> tuple[Clips, Labels]:
    """Return clips of the classes in turn, int16 [N, T], and what they were asked to be."""
    labels = np.arange(count) % generator.classes
    return generator.shown(generator.sample(np.arange(count), labels)), labels


class Judge:
    """Networks that know the classes of real clips by their log mel spectrograms."""

    def __init__(self, clips: Clips, labels: Labels, facts: dict[str, Any], seed: int) -> None:
        self.facts = facts
        real = self._seen(clips)
        self.networks = [Domain.make(real, labels, real[:1], None, seed=seed + i) for i in range(NETWORKS)]
        self.known = [network.features(real)[0] for network in self.networks]

    def _seen(self, clips: Clips) -> NDArray[np.uint8]:
        """Return the spectrograms of clips as loud as 16 bits can be: a generator's loudness is no matter."""
        peaks = np.maximum(np.abs(clips.astype(float)).max(axis=1, keepdims=True), 1)
        loud = np.rint(clips * (32767 / peaks)).astype(np.int16)
        levels: NDArray[np.uint8] = sound.quantised(sound.spectrogram(loud, self.facts), self.facts)
        return levels

    def figures(self, clips: Clips, labels: Labels, crowd: int) -> dict[str, float]:
        """Return the accuracy, its standard error, and the distance of the first `crowd` clips."""
        seen, hits, distances = self._seen(clips), [], []
        for network, known in zip(self.networks, self.known, strict=True):
            features, probabilities = network.features(seen)
            assert probabilities is not None
            hits.append(probabilities.argmax(axis=1) == labels)
            distances.append(frechet_between(known, features[:crowd]))
        of_clips = np.mean(hits, axis=0)
        error = float(of_clips.std(ddof=1) / np.sqrt(len(clips)))
        return {
            "accuracy": float(of_clips.mean()),
            "error": error,
            "fd": float(np.mean(distances)),
            "clips": len(clips),
        }


def compare(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return the figures of real and of generated clips, by row."""
    sort(options.kits, folder / "sorted")
    sets, made = {}, {kind: experiment(kind, options) for kind in KINDS}
    for kind, each in made.items():
        place = folder / kind
        prepare(folder / "sorted", place / "prepared", place / "preview.png", decoders.of(each.data),
                group=r"^(?:.*/)?(.*)~", validation=0, test=0.25)  # fmt: skip
        sets[kind] = Prepared.open(place / "prepared")
    spectra, waves = sets["sound"], sets["wave"]
    facts, real, held = dict(spectra.spec.facts), waves.samples("train")[:, 0], waves.samples("test")[:, 0]
    y, asked = waves.labels("train"), waves.labels("test")
    assert y is not None
    assert asked is not None
    judge, crowd = Judge(np.array(real), y, facts, options.seed), min(len(held), options.clips)
    spoken = spectra.spec.shown(spectra.samples("test"))
    rows = {"real": judge.figures(np.array(held), asked, crowd), "vocoder": judge.figures(spoken, asked, crowd)}
    for kind, each in made.items():
        generator, kimg = train(each, sets[kind], options.seconds)
        rows[kind] = judge.figures(*drawn(generator, options.clips), crowd) | {"kimg": kimg}
    counts = {"train": len(real), "held_out": len(held), "classes": list(waves.class_names)}
    return {"counts": counts, "chance": float(np.bincount(asked).max() / len(asked)), "rows": rows}


TITLES = {
    "real": "real clips, held out",
    "vocoder": "the same through the vocoder",
    "sound": "kind sound: {}",
    "wave": "kind wave: {}",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kits", type=Path, help="folder of drum kits")
    parser.add_argument("--seconds", type=float, default=200, help="processor seconds of each training")
    parser.add_argument("--rate", type=int, default=8000)
    parser.add_argument("--samples", type=int, default=8192)
    parser.add_argument("--clips", type=int, default=500, help="generated clips that are judged")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    options = parser.parse_args()
    console.quiet = options.json
    with tempfile.TemporaryDirectory() as folder:
        found = compare(options, Path(folder))
    hardware = machine.hardware(torch.device("cpu"))
    if options.json:
        print(json.dumps({"hardware": hardware, "seconds": options.seconds, "seed": options.seed, **found}))
        return
    counts = found["counts"]
    each = f"one thread, {options.seconds:g} s each, seed {options.seed}"
    print(f"{hardware}, {each}; {counts['train']} clips to learn from")
    print("\n| | kimg | of the class asked | fd |\n|---|---|---|---|")
    print(f"| the commonest class of {counts['held_out']} held-out clips | | {found['chance']:.3f} | |")
    for kind, row in found["rows"].items():
        title = TITLES[kind].format(KINDS.get(kind, {}).get("model.architecture"))
        share = f"{row['accuracy']:.3f} ± {row['error']:.3f}"
        seen = f"{row['kimg']:g}" if "kimg" in row else ""
        print(f"| {title} | {seen} | {share} | {row['fd']:.1f} |")


if __name__ == "__main__":
    main()
