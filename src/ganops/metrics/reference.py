"""The reference: a trusted extractor and the features of the real images, kept in one folder.

extractor/                    weights.safetensors, description.json
card.json                     what the extractor is, the device on which it was made, its accuracy, its ladder, which
                              metrics are blind to which rung of it, the protocol, the hashes of these files:
<split>/features.npy          float32 [N, d]
<split>/statistics.safetensors   count, mean [d], covariance [d, d], and classes [K] of a classifier
<split>/texts.npy, nll.npy    of texts: uint16 [N, L], and float64 [N] by an extractor that has a likelihood
<split>/tracks.npy            of films: their motion, float32 [N, 4]
motion/                       of films: such a folder of their own by the extractor of motion, for `fd_motion`
"""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from ganops.core import devices
from ganops.core.arrays import load_array
from ganops.core.errors import FeatureError
from ganops.core.files import atomic_folder, hash_file, read_json, write_json
from ganops.kinds import KINDS, Facts, text
from ganops.metrics import movement, sight
from ganops.metrics.extractors import EXTRACTORS, of_kind
from ganops.metrics.extractors.extractor import Extractor, Features, Images, Labels
from ganops.metrics.frechet import Statistics, frechet_distance
from ganops.metrics.inception_score import class_histogram
from ganops.metrics.ladder import MIN_IMAGES, Rungs, judge, look
from ganops.metrics.protocol import names

HELD_OUT = 50
"""The fewest validation images that can judge an extractor; below, a fifth of the training images is held out."""

COMPANION = "motion"
"""Name of the extractor, and of the folder, of the motion of films."""
QUANTISATIONS = {
    "image": "uint8",
    "sound": "spectrogram {bands} mel, 8 bit",
    "text": "{by}, numbers",
    "video": "uint8",
    "wave": "waveform, 16 bit",
}
"""Names of the stored forms of samples in the protocol, by kind: a distance of spectrograms is none of waveforms."""


class Reference:
    """The extractor and the real features that `build` wrote."""

    def __init__(self, folder: Path, card: dict[str, Any], device: str) -> None:
        self.folder, self.card, self.device = folder, card, device
        self._checked: set[Path] = set()

    @classmethod
    def open(cls, folder: Path, device: str = "cpu") -> "Reference":
        """The reference in `folder`; its extractor will run on `device`.

        Raises:
            FeatureError: There is none.
        """
        folder = Path(folder)
        if not (folder / "card.json").is_file():
            raise FeatureError(f"no reference features in {folder}; build them first (stage `features`)")
        return cls(folder, read_json(folder / "card.json"), device)

    @cached_property
    def extractor(self) -> Extractor:
        """The frozen network, loaded when it is first asked for.

        Raises:
            FeatureError: The extractor is not the one of the card.
        """
        extractor = EXTRACTORS[self.card["extractor"]].load(self.folder / "extractor", self.device)
        if extractor.hash != self.card["hash"]:
            raise FeatureError(f"{self.folder}: the extractor is not the one of card.json; build the features again")
        return extractor

    @cached_property
    def companion(self) -> "Reference | None":
        """The reference of the motion of films; None: samples are none, or motion is what this one judges.

        Raises:
            FeatureError: It is missing, or not the one of the card.
        """
        if COMPANION not in self.card:
            return None
        found = Reference.open(self.folder / COMPANION, self.device)
        if found.card["hash"] != self.card[COMPANION]["hash"]:
            raise FeatureError(f"{found.folder} does not belong to {self.folder}; build the features again")
        return found

    def summary(self, unit: str = "image") -> str:
        """Return the extractor's reliability in one line for a person."""
        details, ladder = self.card["details"], self.card["ladder"]
        accuracy = f"accuracy {details['accuracy']:.3f}, " if details.get("accuracy") is not None else ""
        error = details.get("feature_error")
        exactness = "" if error is None else f"features {100 * error:.2g} % off float32, "
        rungs = f"real/real {ladder['real']:.2f} ... noise {ladder['noise']:.0f}"
        blind = "".join(f"; {metric} is {sight.blindness(missed, unit)}" for metric, missed in self.blind.items())
        return f"{self.card['extractor']} extractor: {accuracy}{exactness}ladder holds ({rungs}){blind}"

    @property
    def blind(self) -> dict[str, list[str]]:
        """The rungs of the ladder that a metric gives what real images get, by its name; it decides nothing here."""
        return dict(self.card.get("blind", {}))

    def features(self, split: str) -> Features:
        """The features of the real images of `split`, float32 [N, d], mapped read-only from the disk.

        Raises:
            FeatureError: There is no such split, or its file is missing or damaged.
        """
        features: Features = load_array(self._file(split, "features.npy"), mapped=True)
        return features

    def statistics(self, split: str) -> Statistics:
        """The statistics of the real features of `split`.

        Raises:
            FeatureError: There is no such split, or its file is missing or damaged.
        """
        stored = load_file(self._file(split, "statistics.safetensors"))
        return Statistics(int(stored["count"][0]), stored["mean"], stored["covariance"])

    def classes(self, split: str) -> NDArray[np.int64] | None:
        """Return the number of real images of `split` in each class [K]; None where the extractor is no classifier.

        Raises:
            FeatureError: There is no such split, or its file is missing or damaged.
        """
        stored: dict[str, NDArray[np.int64]] = load_file(self._file(split, "statistics.safetensors"))
        return stored.get("classes")

    def texts(self, split: str) -> NDArray[np.uint16]:
        """The real texts of `split`, uint16 [N, L], mapped read-only from the disk.

        Raises:
            FeatureError: There is no such split, or its file is missing or damaged, as where samples are no texts.
        """
        texts: NDArray[np.uint16] = load_array(self._file(split, "texts.npy"), mapped=True)
        return texts

    def nll(self, split: str) -> NDArray[np.float64]:
        """-log p of the real texts of `split` in nats, float64 [N], by the extractor.

        Raises:
            FeatureError: As of `texts`.
        """
        nll: NDArray[np.float64] = load_array(self._file(split, "nll.npy"), mapped=True)
        return nll

    def tracks(self, split: str) -> movement.Tracks:
        """The motion of the real films of `split`, float32 [N, 4], as `movement.tracks` follows it.

        Raises:
            FeatureError: There is no such split, or its file is missing or damaged, as where samples are no films.
        """
        tracks: movement.Tracks = load_array(self._file(split, "tracks.npy"), mapped=True)
        return tracks

    def _file(self, split: str, name: str) -> Path:
        """A file of `split`, known to be the one that `build` wrote."""
        if split not in self.card["counts"]:
            raise FeatureError(f"no reference features of the split {split!r}; there are {list(self.card['counts'])}")
        path = self.folder / split / name
        if path not in self._checked:
            if not path.is_file() or hash_file(path) != self.card.get("files", {}).get(f"{split}/{name}"):
                problem = f"{path} is missing or damaged: it is not what card.json names. Build the features again"
                raise FeatureError(problem)
            self._checked.add(path)
        return path


def distance(fake: Features, reference: Reference, split: str) -> float:
    """The Fréchet distance of generated features [N, d] to a split: the cheap figure for each tick of a training.

    Raises:
        FeatureError: The features are not by the reference's extractor, or not finite, see `check`.
    """
    check(fake, reference)
    return frechet_distance(reference.statistics(split), Statistics.of(fake))


def check(fake: NDArray[np.floating[Any]], reference: Reference) -> None:
    """Refuse generated features that the reference cannot be compared with.

    Raises:
        FeatureError: They are not by the reference's extractor, or not finite.
    """
    expected = reference.card["dimensions"]
    if fake.ndim != 2 or fake.shape[1] != expected:
        raise FeatureError(f"expected features [N, {expected}] by the reference's extractor, got {list(fake.shape)}")
    if not np.isfinite(fake).all():
        broken = int((~np.isfinite(fake)).any(axis=1).sum())
        raise FeatureError(
            f"{broken} of {len(fake)} generated samples have features that are not finite: "
            "the generator has diverged, or its images are not valid"
        )


def build(
    images: Mapping[str, Images], labels: Mapping[str, Labels | None], out: Path, *, extractor: str = "domain",
    options: Mapping[str, Any] | None = None, seed: int, device: str = "cpu", kind: str = "image",
    facts: Facts | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Makes the extractor from the split `train`, climbs its ladder, and writes the folder `out` with all features.

    Of films there is a second folder in it, by the extractor of motion, unless that one was asked for; it is trained
    for as many `kimg`, where the options say how many, and whatever it makes of the labels: its ladder judges it.

    Args:
        images: uint8 [N, C, H, W], or films [N, C, T, H, W], by split; `train` is needed, splits without images are
            left out.
        labels: int [N] by split; None or absent: no labels.
        out: the folder to write, whole or not at all.
        extractor: a name in the table EXTRACTORS.
        options: keyword arguments of that extractor's `make`.
        seed: of the extractor's training and of the ladder.
        device: where the extractor trains and runs.
        kind: of the samples, which decides the rungs of the ladder.
        facts: of the kind.

    Returns:
        The card.

    Raises:
        FeatureError: The extractor cannot be made, or does not deserve trust.
    """
    images = {split: x for split, x in images.items() if len(x)}
    _check_possible(extractor, kind, list(images))
    x, y, held_x, held_y = _hold_out(images, labels, seed)
    given = {**(options or {}), **({"facts": facts or {}} if kind == "text" else {})}
    made = EXTRACTORS[extractor].make(x, y, held_x, held_y, seed=seed, device=device, **given)
    rungs = look(made, x, held_x, held_y, seed=seed, kind=kind, facts=facts)
    card = {
        "extractor": extractor,
        "hash": made.hash,
        "published": made.published,
        "dimensions": made.dimensions,
        "details": made.card,
        "device": devices.name(torch.device(device)),
        "ladder": judge(made.name, rungs, kind),
        **_sight(rungs, extractor, made.published, seed),
        "counts": {split: len(x) for split, x in images.items()},
        "protocol": {"quantisation": QUANTISATIONS[kind].format_map(facts or {}), "resize": made.resize, "seed": seed},
    }
    if kind == "text":
        card |= {"kind": kind, "ends": (facts or {})["words"][0] == text.END}
    with atomic_folder(out) as draft:
        made.save(draft / "extractor")
        for split, x in images.items():
            _write(draft / split, made, x, kind)
        written = [path for split in images for path in sorted((draft / split).iterdir())]
        card["files"] = {path.relative_to(draft).as_posix(): hash_file(path) for path in written}
        if kind == "video" and extractor != COMPANION:
            beside = build(
                images, labels, draft / COMPANION, extractor=COMPANION, options=_of_companion(options or {}), seed=seed,
                device=device, kind=kind, facts=facts,
            )  # fmt: skip
            _add_companion(card, beside)
        write_json(draft / "card.json", card)
    return card


def _check_possible(extractor: str, kind: str, splits: list[str]) -> None:
    """Refuse what no extractor can be made of, before any is."""
    if extractor not in EXTRACTORS:
        raise FeatureError(f"features.extractor: expected one of {list(EXTRACTORS)}, got {extractor!r}")
    if "train" not in splits:
        raise FeatureError(f"the extractor needs {KINDS[kind].UNIT}s in the split train; got {splits}")
    if kind not in EXTRACTORS[extractor].kinds:
        raise FeatureError(f"features.extractor: expected {' or '.join(of_kind(kind))} for {kind}s, got {extractor}")


def _of_companion(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the extractor of motion beside the one that was asked for with `options`.

    No accuracy is expected of it: labels may be of what films show, and not of how it moves, as the form of a still
    thing is. Its ladder judges whether it knows broken motion, which is what it is for.
    """
    return {"minimum_accuracy": 0.0, **{key: value for key, value in options.items() if key == "kimg"}}


def _add_companion(card: dict[str, Any], beside: dict[str, Any]) -> None:
    """Adds to a card what the card of the motion beside it says of `fd_motion`."""
    card[COMPANION] = {key: beside[key] for key in ("hash", "details", "ladder")}
    for key in ("sight", "blind"):
        card[key] |= {name: found for name, found in beside[key].items() if name == f"fd_{COMPANION}"}


def _sight(rungs: Rungs, extractor: str, published: bool, seed: int) -> dict[str, Any]:
    """`sight`: metric -> rung -> its figures there, and `blind`: metric -> the rungs that it does not tell."""
    frechet, kernel = names(extractor, published)
    shown = {"fd": frechet, "kd": kernel, **{name: f"{name}_{extractor}" for name in ("is", "nll")}}
    examined = sight.examine(rungs, seed=seed)
    blind = {shown.get(metric, metric): missed for metric, missed in sight.blind(examined).items()}
    if frechet in blind:
        blind[f"{frechet}_infinity"] = blind[frechet]
    plain = {metric: {rung: asdict(each) for rung, each in found.items()} for metric, found in examined.items()}
    return {"sight": {shown.get(metric, metric): found for metric, found in plain.items()}, "blind": blind}


def _hold_out(
    images: Mapping[str, Images], labels: Mapping[str, Labels | None], seed: int
) -> tuple[Images, Labels | None, Images, Labels | None]:
    """Images and labels to train on and to judge by: train and validation, or two parts of train."""
    x, y = images["train"], labels.get("train")
    if len(images.get("validation", ())) >= HELD_OUT:
        return x, y, images["validation"], labels.get("validation")
    order = np.random.default_rng(seed).permutation(len(x))
    count = max(MIN_IMAGES, len(x) // 5)
    held, kept = order[:count], order[count:]
    return x[kept], None if y is None else y[kept], x[held], None if y is None else y[held]


def _write(folder: Path, made: Extractor, x: NDArray[Any], kind: str) -> None:
    """Writes all that is measured of the samples of a split."""
    folder.mkdir()
    features, probabilities = made.features(x)
    statistics = Statistics.of(features)
    tensors: dict[str, NDArray[Any]] = {"mean": statistics.mean, "covariance": statistics.covariance}
    tensors["count"] = np.array([statistics.count])
    if probabilities is not None:
        tensors["classes"] = class_histogram(probabilities)
    np.save(folder / "features.npy", features, allow_pickle=False)
    save_file(tensors, folder / "statistics.safetensors")
    if kind == "text":
        np.save(folder / "texts.npy", np.array(x), allow_pickle=False)
        np.save(folder / "nll.npy", made.nll(x), allow_pickle=False)
    if kind == "video":
        np.save(folder / "tracks.npy", movement.tracks(x), allow_pickle=False)
