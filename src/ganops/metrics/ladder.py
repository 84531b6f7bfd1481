"""The ladder: an extractor deserves trust when worse images are further from the real ones, step by step."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from ganops.errors import FeatureError
from ganops.metrics.extractors.extractor import Extractor, Features, Images, Labels
from ganops.metrics.frechet import Statistics, distance_to
from ganops.metrics.harms import blur, noise
from ganops.metrics.neighbours import precision_recall_density_coverage

Generator = np.random.Generator


RUNGS: dict[str, Callable[[Images, Generator], Images]] = {
    "real": lambda images, _: images,
    "faint_noise": lambda images, generator: noise(images, 0.05, generator),
    "strong_noise": lambda images, generator: noise(images, 0.2, generator),
    "faint_blur": lambda images, _: blur(images, 0.6),
    "strong_blur": lambda images, _: blur(images, 1.5),
    "noise": lambda images, generator: generator.integers(0, 256, images.shape, np.uint8),
}
CHAINS = (("real", "faint_noise", "strong_noise", "noise"), ("real", "faint_blur", "strong_blur"))
"""Along each chain the distance from the real images must grow."""
CERTAIN = 250
"""With fewer held-out images the distance is mostly bias: the subtle rungs are measured, but not judged."""
SUBTLE = ("faint_noise", "faint_blur", "half")
SAMPLES = 2000
FEWEST = 12
NEIGHBOURS = 5
CHUNK = 256


def climb(
    extractor: Extractor, real: Images, held_out: Images, labels: Labels | None = None, *, seed: int
) -> dict[str, float]:
    """Climbs the ladder: held-out real images, unharmed and harmed, against other real images.

    The rungs are Fréchet distances: `real` (unharmed), faint and strong Gaussian noise and blur, and `noise` (uniform
    noise in the place of images). Two more sets lack variety: `half` of the classes (without labels: one side of the
    first principal component) and `few` images repeated; each stands beside a control of as many varied images, with
    the distance and the coverage of both. Sets that are compared have equal counts, hence an equal bias.

    Args:
        extractor: the extractor to judge.
        real: uint8 [N, C, H, W], N >= 12; at most 2,000 of them are used.
        held_out: uint8 [M, C, H, W], M >= 12, other real images; at most 2,000 are used.
        labels: of the held-out images, int [M], or None.
        seed: draws the images and the noise.

    Returns:
        All the figures by name.

    Raises:
        FeatureError: a rung is out of order, or a lack of variety is not noticed; the message shows the ladder.
    """
    if min(len(real), len(held_out)) < FEWEST:
        raise FeatureError(f"the ladder needs {FEWEST} images a side, got {len(real)} and {len(held_out)}")
    generator = np.random.default_rng(seed)
    real = real[generator.permutation(len(real))[:SAMPLES]]
    rows = generator.permutation(len(held_out))[:SAMPLES]
    held_out, labels = held_out[rows], None if labels is None else labels[rows]
    reference = _features(extractor, real, RUNGS["real"], generator)
    distance = distance_to(Statistics.of(reference))
    harmed = {name: _features(extractor, held_out, harm, generator) for name, harm in RUNGS.items()}
    ladder = {name: distance(Statistics.of(features)) for name, features in harmed.items()}
    varied, half, few = harmed["real"], _half(harmed["real"], labels), _few(harmed["real"])
    sets = {"half": half, "half_control": varied[: len(half)], "few": few, "few_control": varied}
    for name, features in sets.items():
        ladder[name] = distance(Statistics.of(features))
        ladder[f"{name}_coverage"] = precision_recall_density_coverage(reference, features, NEIGHBOURS)["coverage"]
    _verify(extractor.name, ladder, skip=() if len(held_out) >= CERTAIN else SUBTLE)
    return ladder


def _features(
    extractor: Extractor, images: Images, harm: Callable[[Images, Generator], Images], generator: Generator
) -> Features:
    """The features of harmed images, harmed a chunk at a time."""
    chunks = (harm(images[start : start + CHUNK], generator) for start in range(0, len(images), CHUNK))
    features = np.concatenate([extractor.features(chunk)[0] for chunk in chunks])
    if not np.isfinite(features).all():
        raise FeatureError(f"the extractor {extractor.name} gives features that are not finite")
    return features


def _half(features: Features, labels: Labels | None) -> Features:
    """The half with the lowest labels, or with the lowest first principal component."""
    if labels is None:
        centred = features - features.mean(axis=0)
        key = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    else:
        key = labels
    return features[np.argsort(key, kind="stable")[: len(features) // 2]]


def _few(features: Features) -> Features:
    """A twentieth of the images (at most 50), repeated until they are as many as before."""
    few = features[: min(50, max(2, len(features) // 20))]
    return few[np.arange(len(features)) % len(few)]


def _verify(name: str, ladder: dict[str, float], skip: tuple[str, ...]) -> None:
    """Refuses an extractor whose ladder does not hold; the rungs in `skip` are not judged."""
    faults = [
        f"{low} ({ladder[low]:.4g}) is not below {high} ({ladder[high]:.4g})"
        for chain in CHAINS
        for low, high in pairwise(rung for rung in chain if rung not in skip)
        if not ladder[low] < ladder[high]
    ]
    faults += [f"{gap} passes as varied" for gap in ("half", "few") if gap not in skip and not _noticed(ladder, gap)]
    if faults:
        rungs = "\n".join(f"  {key:<22} {value:.4g}" for key, value in ladder.items())
        raise FeatureError(
            f"the extractor {name} does not deserve trust on these images: {'; '.join(faults)}. Its ladder:\n{rungs}\n"
            "Train it longer (kimg), give it more images or labels, or choose another extractor"
        )


def _noticed(ladder: dict[str, float], gap: str) -> bool:
    """Whether a lack of variety shows: the distance half as large again, or a tenth less coverage, than the control."""
    further = ladder[gap] > 1.5 * ladder[f"{gap}_control"]
    return further or ladder[f"{gap}_coverage"] < ladder[f"{gap}_control_coverage"] - 0.1
