"""The ladder: an extractor deserves trust when worse images are further from the real ones, step by step.

Which metrics notice which rung is the subject of `sight`, on the same features.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganops.core.errors import FeatureError
from ganops.kinds import KINDS, Facts
from ganops.metrics.extractors.corruptions import (
    blur,
    freeze,
    low_pass,
    low_rank,
    mix_words,
    noise,
    overdrive,
    repeat_likeliest,
    replace_words,
    reverse,
    shuffle_frames,
    shuffle_patches,
    shuffle_pieces,
    shuffle_words,
    silence_band,
    smear,
    speak,
)
from ganops.metrics.extractors.extractor import Extractor, Features, Images, Labels
from ganops.metrics.frechet import Statistics, distance_to
from ganops.metrics.movement import Tracks, tracks
from ganops.metrics.neighbours import precision_recall_density_coverage

Generator = np.random.Generator


Rung = Callable[[Any, Generator, Facts], Any]

RUNGS: dict[str, dict[str, Rung]] = {
    "image": {
        "real": lambda images, *_: images,
        "faint_noise": lambda images, generator, _: noise(images, 0.05, generator),
        "strong_noise": lambda images, generator, _: noise(images, 0.2, generator),
        "faint_blur": lambda images, *_: blur(images, 0.6),
        "strong_blur": lambda images, *_: blur(images, 1.5),
        "noise": lambda images, generator, _: generator.integers(0, 256, images.shape, np.uint8),
        "low_rank": lambda images, *_: low_rank(images, 4),
        "shuffled_patches": lambda images, generator, _: shuffle_patches(images, 4, generator),
        "heavy_blur": lambda images, *_: blur(images, 8),
        "black": lambda images, *_: np.zeros_like(images),
    },
    "sound": {
        "real": lambda spectra, *_: spectra,
        "spoken": lambda spectra, _, facts: speak(spectra, facts),
        "faint_noise": lambda spectra, generator, _: noise(spectra, 0.05, generator),
        "strong_noise": lambda spectra, generator, _: noise(spectra, 0.2, generator),
        "faint_smear": lambda spectra, *_: smear(spectra, 0.6),
        "strong_smear": lambda spectra, *_: smear(spectra, 1.5),
        "missing_band": lambda spectra, generator, _: silence_band(spectra, 0.25, generator),
        "noise": lambda spectra, generator, _: generator.integers(0, 256, spectra.shape, np.uint8),
        "low_rank": lambda spectra, *_: low_rank(spectra, 4),
        "shuffled_patches": lambda spectra, generator, _: shuffle_patches(spectra, 4, generator),
        "heavy_smear": lambda spectra, *_: smear(spectra, 8),
        "silence": lambda spectra, *_: np.zeros_like(spectra),
    },
    "text": {
        "real": lambda texts, *_: texts,
        "faint_replaced": lambda texts, generator, facts: replace_words(texts, 0.05, generator, facts),
        "strong_replaced": lambda texts, generator, facts: replace_words(texts, 0.2, generator, facts),
        "noise": lambda texts, generator, facts: replace_words(texts, 1, generator, facts),
        "shuffled_words": lambda texts, generator, facts: shuffle_words(texts, generator, facts),
        "mixed_words": lambda texts, generator, facts: mix_words(texts, generator, facts),
        "repeated": lambda texts, _, facts: repeat_likeliest(texts, facts),
    },
    "wave": {
        "real": lambda waves, *_: waves,
        "faint_noise": lambda waves, generator, _: noise(waves, 0.02, generator),
        "strong_noise": lambda waves, generator, _: noise(waves, 0.1, generator),
        "faint_low_pass": lambda waves, *_: low_pass(waves, 0.5),
        "strong_low_pass": lambda waves, *_: low_pass(waves, 0.125),
        "clipped": lambda waves, *_: overdrive(waves, 8),
        "noise": lambda waves, generator, _: generator.integers(-32768, 32768, waves.shape, np.int16),
        "low_rank": lambda waves, *_: low_rank(waves, 4),
        "shuffled_pieces": lambda waves, generator, _: shuffle_pieces(waves, 16, generator),
        "silence": lambda waves, *_: np.zeros_like(waves),
    },
}
RUNGS["video"] = {
    **RUNGS["image"],
    "shuffled_frames": lambda films, generator, _: shuffle_frames(films, generator),
    "frozen": lambda films, *_: freeze(films),
    "backwards": lambda films, *_: reverse(films),
}
"""Harms of samples by their kind, in the order in which they are measured and drawn.

Two are judged by no chain: the distance of `spoken` is the vocoder's, whatever the extractor makes of it, and films
that are played `backwards` may be as good as others.
"""
CHAINS = (
    ("real", "faint_noise", "strong_noise", "noise"),
    ("real", "faint_blur", "strong_blur"),
    ("real", "faint_smear", "strong_smear"),
    ("real", "missing_band"),
    ("real", "faint_low_pass", "strong_low_pass"),
    ("real", "clipped"),
    ("real", "low_rank"),
    ("real", "shuffled_patches"),
    ("real", "shuffled_pieces"),
    ("real", "heavy_blur"),
    ("real", "heavy_smear"),
    ("real", "black"),
    ("real", "silence"),
    ("real", "shuffled_frames"),
    ("real", "frozen"),
    ("real", "faint_replaced", "strong_replaced", "noise"),
    ("real", "shuffled_words"),
    ("real", "mixed_words"),
    ("real", "repeated"),
)
"""Chains of rungs along which the distance from the real samples must grow, as far as a kind has them.

Where an extractor has a likelihood, its nats grow along them as well, but for those of `LIKELY`.
"""
CHAINS_OF = {"motion": tuple(("real", rung) for rung in RUNGS["video"] if rung not in ("real", "backwards"))}
"""Chains of an extractor that has its own: where there is any noise, all differences of frames are noise, so that more
of it need not be further away.
"""
LIKELY = ("repeated",)
"""Rungs whose samples a likelihood finds as good as real ones: it does not see that there is but one."""
CERTAIN = 250
"""Held-out images below which the distance is mostly bias: rungs of UNCERTAIN are measured, but not judged."""
UNCERTAIN = (
    "faint_noise", "faint_blur", "faint_smear", "missing_band", "half", "low_rank", "shuffled_patches", "heavy_blur",
    "heavy_smear", "black", "silence", "faint_replaced", "shuffled_words", "mixed_words", "faint_low_pass", "clipped",
    "shuffled_pieces", "shuffled_frames", "frozen",
)  # fmt: skip
SAMPLES = 2000
MIN_IMAGES = 12
NEIGHBOURS = 5
CHUNK = 256
"""Most and fewest images of a side; k of the coverage; images, or frames of films, that are harmed at once."""
FEWEST_FILMS = 32
"""Films that are harmed at once, however long they are: of fewer, four principal components would be nearly all."""


@dataclass(frozen=True)
class Sample:
    """Images as an extractor sees them."""

    features: Features
    """[N, d]."""
    probabilities: Features | None = None
    """[N, K] of a classifier."""
    labels: Labels | None = None
    """int [N]."""
    nll: NDArray[np.float64] | None = None
    """-log p of each text in nats, [N], by an extractor that has a likelihood."""
    tracks: Tracks | None = None
    """The motion of each film, [N, 4]."""

    def __getitem__(self, rows: NDArray[np.int64] | slice) -> "Sample":
        parts: tuple[Any, ...] = (self.probabilities, self.labels, self.nll, self.tracks)
        return Sample(self.features[rows], *(None if part is None else part[rows] for part in parts))


@dataclass(frozen=True)
class Rungs:
    """Compared samples: real images, and others unharmed (the rung `real`) and harmed, row by row the same."""

    real: Sample
    harmed: dict[str, Sample]


def climb(
    extractor: Extractor, real: Images, held_out: Images, labels: Labels | None = None, *, seed: int,
    kind: str = "image", facts: Facts | None = None,
) -> dict[str, float]:  # fmt: skip
    """Climbs the ladder: held-out real images, unharmed and harmed, against other real images.

    The rungs are Fréchet distances: `real` (unharmed), faint and strong Gaussian noise and blur, `noise` (uniform noise
    in the place of images), and those that generators really make: `low_rank` (rebuilt from four principal components),
    `shuffled_patches` (4 x 4 of them: texture without shape), `heavy_blur` (of a quarter of the image) and `black`.
    Spectrograms are smeared in time in the place of blurs, lack a quarter of their bands (`missing_band`), or are at
    their lowest (`silence`); `spoken` are those of the clips that they are shown as: what the vocoder costs. Films have
    the rungs of images, all frames harmed alike, and three of their own: frames in a random order (`shuffled_frames`),
    the first frame held (`frozen`), and `backwards`. Two more sets lack variety: `half` of the classes (without labels,
    or where most are of one class, one side of the first principal component) and `few` images repeated; each stands
    beside a control of as many varied images, with the distance and the coverage of both. Sets that are compared have
    equal counts, hence an equal bias.

    Waves lose their high tones in the place of blurs (`faint_low_pass`, `strong_low_pass`), are 8 times as loud as the
    range has room for (`clipped`), or cut into 16 pieces that change places (`shuffled_pieces`).

    Of texts, 5 and 20 % of the words are replaced, their order is shuffled within a text (`shuffled_words`), and their
    places across texts (`mixed_words`); `noise` are uniform words, and `repeated` is one likely text. Beside the
    distance of each stands the mean of its likelihood, as `<rung>_nll` in nats.

    Args:
        extractor: the extractor to judge.
        real: uint8 [N, C, H, W], N >= 12; at most 2,000 of them are used.
        held_out: uint8 [M, C, H, W], M >= 12, other real images; at most 2,000 are used.
        labels: of the held-out images, int [M], or None.
        seed: draws the images and the noise.
        kind: of the samples, a key of RUNGS.
        facts: of the kind.

    Returns:
        All the figures by name.

    Raises:
        FeatureError: a rung is out of order, or a lack of variety is not noticed; the message shows the ladder.
    """
    return judge(extractor.name, look(extractor, real, held_out, labels, seed=seed, kind=kind, facts=facts), kind)


def look(
    extractor: Extractor, real: Images, held_out: Images, labels: Labels | None = None, *, seed: int,
    kind: str = "image", facts: Facts | None = None,
) -> Rungs:  # fmt: skip
    """Return what the extractor sees on each rung; arguments as of `climb`.

    Raises:
        FeatureError: A side has fewer than 12 images.
    """
    if min(len(real), len(held_out)) < MIN_IMAGES:
        unit = KINDS[kind].UNIT
        raise FeatureError(f"the ladder needs {MIN_IMAGES} {unit}s a side, got {len(real)} and {len(held_out)}")
    generator = np.random.default_rng(seed)
    real = real[generator.permutation(len(real))[:SAMPLES]]
    rows = generator.permutation(len(held_out))[:SAMPLES]
    held_out, labels = held_out[rows], None if labels is None else labels[rows]

    def seen(images: Images, labels: Labels | None, rung: Rung) -> Sample:
        return _sample(extractor, images, labels, lambda chunk: rung(chunk, generator, facts or {}))

    reference = seen(real, None, RUNGS[kind]["real"])
    return Rungs(reference, {name: seen(held_out, labels, rung) for name, rung in RUNGS[kind].items()})


def judge(name: str, rungs: Rungs, kind: str = "image") -> dict[str, float]:
    """The figures of `climb` from what the extractor `name` saw of samples of a kind.

    Raises:
        FeatureError: A rung does not hold: the extractor deserves no trust.
    """
    reference, varied = rungs.real.features, rungs.harmed["real"]
    sets = monotonous(varied) | {"few_control": varied}
    distance = distance_to(Statistics.of(reference))
    ladder = {rung: distance(Statistics.of(sample.features)) for rung, sample in {**rungs.harmed, **sets}.items()}
    for rung, sample in sets.items():
        found = precision_recall_density_coverage(reference, sample.features, NEIGHBOURS)
        ladder[f"{rung}_coverage"] = found["coverage"]
    ladder |= {f"{rung}_nll": float(each.nll.mean()) for rung, each in rungs.harmed.items() if each.nll is not None}
    _verify(name, ladder, skip=() if len(varied.features) >= CERTAIN else UNCERTAIN, unit=KINDS[kind].UNIT)
    return ladder


def _sample(extractor: Extractor, images: Images, labels: Labels | None, harm: Callable[[Images], Images]) -> Sample:
    """Harmed samples as the extractor sees them; images are harmed a chunk at a time, texts all at once."""
    if images.ndim == 2:
        harmed = harm(images)
        found, classes = extractor.features(harmed)
        return Sample(found, classes, labels, extractor.nll(harmed))
    size = max(FEWEST_FILMS, CHUNK // images.shape[2]) if images.ndim == 5 else CHUNK
    ways: list[Tracks] = []

    def see(start: int) -> tuple[Features, Features | None]:
        harmed = harm(images[start : start + size])
        if images.ndim == 5:
            ways.append(tracks(harmed))
        return extractor.features(harmed)

    features, probabilities = zip(*map(see, range(0, len(images), size)), strict=True)
    if not all(np.isfinite(part).all() for part in features):
        raise FeatureError(f"the extractor {extractor.name} gives features that are not finite")
    classes = None if probabilities[0] is None else np.concatenate(probabilities)
    return Sample(np.concatenate(features), classes, labels, tracks=np.concatenate(ways) if ways else None)


def monotonous(varied: Sample) -> dict[str, Sample]:
    """The sets that lack variety, `half` and `few`, and the control of the half: as many samples as it has."""
    chosen = half(varied)
    return {"half": chosen, "half_control": varied[: len(chosen.features)], "few": few(varied)}


MOST = 0.6
"""Share of the samples in one class beyond which labels cut no half of the variety off."""


def half(sample: Sample) -> Sample:
    """The half with the lowest labels, or with the lowest first principal component: half of the variety.

    Where most samples are of one class, no cut by labels takes half of the variety.
    """
    features = sample.features
    if sample.labels is None or np.unique(sample.labels, return_counts=True)[1].max() > MOST * len(features):
        centred = features - features.mean(axis=0)
        key = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    else:
        key = sample.labels
    return sample[np.argsort(key, kind="stable")[: len(features) // 2]]


def few(sample: Sample) -> Sample:
    """A twentieth of the images (at most 50), repeated until they are as many as before."""
    count = len(sample.features)
    return sample[np.arange(count) % min(50, max(2, count // 20))]


def _verify(name: str, ladder: dict[str, float], skip: tuple[str, ...], unit: str) -> None:
    """Refuses an extractor whose ladder does not hold; the rungs in `skip` are not judged."""
    chains = [[rung for rung in chain if rung not in skip] for chain in CHAINS_OF.get(name, CHAINS)]
    chains += [[f"{rung}_nll" for rung in chain if rung not in LIKELY] for chain in chains]
    faults = [
        f"{low} ({ladder[low]:.4g}) is not below {high} ({ladder[high]:.4g})"
        for chain in chains
        for low, high in pairwise(rung for rung in chain if rung in ladder)
        if not ladder[low] < ladder[high]
    ]
    faults += [f"{gap} passes as varied" for gap in ("half", "few") if gap not in skip and not _noticed(ladder, gap)]
    if faults:
        rungs = "\n".join(f"  {key:<22} {value:.4g}" for key, value in ladder.items())
        raise FeatureError(
            f"the extractor {name} does not deserve trust on these {unit}s: {'; '.join(faults)}. Its ladder:\n{rungs}\n"
            f"{'' if unit == 'text' else 'Train it longer (kimg), '}give it more {unit}s or labels, or choose another "
            "extractor"
        )


def _noticed(ladder: dict[str, float], gap: str) -> bool:
    """Return True where a lack of variety shows: distance over 1.5 times the control's, or coverage 0.1 lower."""
    further = ladder[gap] > 1.5 * ladder[f"{gap}_control"]
    return further or ladder[f"{gap}_coverage"] < ladder[f"{gap}_control_coverage"] - 0.1
