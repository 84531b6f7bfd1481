"""Memorisation: does a generator copy its training images? Three signs, each read between two controls.

The signs are the authenticity of Alaa et al. 2022 ("How Faithful is your Synthetic Data?"), the data-copying test C_T
of Meehan, Chaudhuri & Dasgupta 2020 ("A Non-Parametric Test to Detect Data-Copying in Generative Models"), and the
share of near-copies. None has an absolute scale: what they say depends on the features and on the numbers of samples.
So the same code also measures two controls whose answer is known: held-out images as if they had been generated
(nothing is copied), and training images as if they had been generated (all is copied).

scikit-learn and scipy.stats take more than a second to import, so each function imports what it needs: workers of a
training import this package, too.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ganops.core.errors import FeatureError
from ganops.metrics.neighbours import nearest

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

SIGNS = ("authenticity", "ct", "near_copies")
CONTROLS = ("held_out", "copied")
NAMES = (*SIGNS, *(f"{s}_{control}" for s in SIGNS for control in CONTROLS),
         "ct_cells", "copied_share", "memorisation_verdict")  # fmt: skip
"""Names of all figures."""
VERDICTS = ("none seen", "some", "copies")
MIN_SAMPLES = 50
"""The fewest samples of each set: with fewer, not even a third of copies would stand out from chance."""
SAMPLES = 10_000
"""The most generated, and the most held-out samples that are looked at. All training samples are searched: a copy of
one that was left out would pass for an invention."""
CELLS = 3
"""k of the k-means whose cells C_T compares."""
CELL = 10
"""The fewest samples a side that a cell of C_T needs."""
COMPONENTS = 64
"""Principal components in which the cells are found."""
CLOSEST = 1.0
"""A near-copy is closer to a training sample than this percentage of the held-out samples is."""
COPY = 0.1
"""The copied control: training samples, moved this part of the distance to their nearest training neighbour. On the
embedded images noise of two grey levels of 255 moves features about so far."""
DEVIATIONS = 3
"""Standard errors beyond which chance is not believed."""


@dataclass(frozen=True)
class Near:
    """The nearest training samples of N samples: all float64 [N], but the cells."""

    distance: NDArray[np.float64]
    """Distance to the nearest training sample."""
    own: NDArray[np.float64]
    """Distance from that training sample to its own nearest training neighbour."""
    cell: NDArray[np.int64]
    """The k-means cell of the sample."""

    def __getitem__(self, rows: slice) -> "Near":
        return Near(self.distance[rows], self.own[rows], self.cell[rows])

    def __len__(self) -> int:
        return len(self.distance)


def memorisation(
    train: NDArray[np.floating], held_out: NDArray[np.floating], generated: NDArray[np.floating], *, seed: int,
    cells: int = CELLS,
) -> dict[str, float]:  # fmt: skip
    """The signs of memorisation, the same signs of both controls, and a verdict.

    Args:
        train: features [T, d] of the training images, T >= 50.
        held_out: features [N, d] of real images that the generator was not trained on, N >= 50.
        generated: features [M, d], M >= 50.
        seed: draws the subsets (at most 10,000 of held_out and of generated), the copies, and the cells.
        cells: the k of the k-means of C_T.

    Returns:
        authenticity: share of generated samples that are farther from their nearest training sample than that is from
            its own nearest training neighbour; 0 where all are copies.
        ct: z-score of C_T; about 0 where nothing is copied, far below where much is, above where generated samples are
            farther from the training samples than real ones are. `ct_cells` is the number of cells that had enough
            samples on both sides.
        near_copies: share of generated samples that are as close to a training sample as the closest 1 % of the
            held-out samples are.
        <sign>_held_out, <sign>_copied: the same of the controls. C_T and the near-copies of the held-out control
            compare one half of the held-out samples with the other.
        copied_share, memorisation_verdict: see `verdict`.

    Raises:
        FeatureError: too few samples, features that are not finite, or of different dimensions.
    """
    return summary(examine(train, held_out, generated, seed=seed, cells=cells))


def examine(
    train: NDArray[np.floating], held_out: NDArray[np.floating], generated: NDArray[np.floating], *, seed: int,
    cells: int = CELLS,
) -> dict[str, Near]:  # fmt: skip
    """The nearest training samples of `generated`, of `held_out`, and of the control `copied`; for `summary`.

    Arguments are those of `memorisation`. Distances are Euclidean, in the features as they are.

    Raises:
        FeatureError: As of `memorisation`.
    """
    _check(train, held_out, generated)
    generator = np.random.default_rng(seed)
    sides = {"generated": generated, "held_out": held_out}
    samples = {name: x[generator.permutation(len(x))[:SAMPLES]] for name, x in sides.items()}
    partition = _partition(train, cells, generator)
    found = {name: nearest(x, train) for name, x in samples.items()}
    copies = generator.integers(len(train), size=len(samples["generated"]))
    rows = np.unique(np.concatenate([copies, *(indices[:, 0] for indices, _ in found.values())]))
    own = np.full(len(train), np.nan)
    own[rows] = nearest(train[rows], train, 2)[1][:, 1]  # the nearest of all is the sample itself
    near = {
        name: Near(distances[:, 0], own[indices[:, 0]], _cells(partition, samples[name]))
        for name, (indices, distances) in found.items()
    }
    # so far from its origin, and nine times as far from all others: nothing need be searched
    return {**near, "copied": Near(COPY * own[copies], own[copies], _cells(partition, train[copies]))}


def summary(near: dict[str, Near]) -> dict[str, float]:
    """Return the figures of `memorisation` from what `examine` found."""
    generated, held_out, copied = near["generated"], near["held_out"], near["copied"]
    half = len(held_out) // 2
    signs, copies = _signs(generated, held_out), _signs(copied, held_out)
    honest = _signs(held_out[half:], held_out[:half]) | {"authenticity": _authenticity(held_out)}
    sides = {"": signs, "_held_out": honest, "_copied": copies}
    figures = {f"{sign}{side}": values[sign] for sign in SIGNS for side, values in sides.items()}
    figures["ct_cells"] = float(len(_enough(generated, held_out)))
    return figures | verdict(signs, honest, copies, _errors(honest, len(generated), len(held_out)))


def verdict(
    signs: dict[str, float], honest: dict[str, float], copies: dict[str, float], errors: dict[str, float]
) -> dict[str, float]:
    """One answer from the three signs, by their places between the held-out (0) and the copied control (1).

    Each sign is linear in the share of copies among samples that are otherwise like held-out ones: its place is the
    share of copies that would explain it. A sign counts if it is three standard errors away from the held-out control.
    `copied_share` is the place of the near-copies, or what authenticity and C_T agree on (the lesser of their places)
    if that is more: near-copies stand out whatever the rest of the samples is like, and a pull towards the training
    images that makes no near-copies shows in the other two, each of which can mislead alone.

    `memorisation_verdict` is 0 (none seen: `copied_share` is 0), 1 (some), or 2 (copies: `copied_share` is above one
    half, closer to the copied than to the held-out control); VERDICTS has the words.
    """
    places = dict.fromkeys(SIGNS, 0.0)
    for sign in SIGNS:
        moved, span = signs[sign] - honest[sign], copies[sign] - honest[sign]
        if moved * np.sign(span) > DEVIATIONS * errors[sign]:
            places[sign] = min(1.0, moved / span)
    share = max(places["near_copies"], min(places["authenticity"], places["ct"]))
    level = 0 if not share else 1 if share <= 0.5 else 2
    return {"copied_share": share, "memorisation_verdict": float(level)}


def _errors(honest: dict[str, float], generated: int, held_out: int) -> dict[str, float]:
    """Standard errors of the differences between the signs and their held-out control."""

    def share(p: float, variance: float) -> float:
        return float(np.sqrt(p * (1 - p) * variance))

    p = min(max(honest["authenticity"], 1 / held_out), 1 - 1 / held_out)
    return {
        "authenticity": share(p, 1 / generated + 1 / held_out),
        "ct": 2**0.5,  # two z-scores; less where cells are averaged
        # the percentile of few samples lies further in; it is drawn from all, the control's from one half for the other
        "near_copies": share(CLOSEST / 100 + 2 / held_out, 1 / generated + 5 / held_out),
    }


def _signs(sample: Near, held_out: Near) -> dict[str, float]:
    return {
        "authenticity": _authenticity(sample),
        "ct": data_copying(sample, held_out),
        "near_copies": float((sample.distance <= np.percentile(held_out.distance, CLOSEST)).mean()),
    }


def _authenticity(sample: Near) -> float:
    return float((sample.distance > sample.own).mean())


def data_copying(sample: Near, held_out: Near) -> float:
    """C_T: the z-scores of the cells, weighted by their shares of held-out samples.

    Cells with fewer than 10 samples on either side are left out; where all are, the samples are compared as one cell.
    """
    chosen = _enough(sample, held_out)
    if not chosen:
        return _z(sample.distance, held_out.distance)
    pairs = [(sample.distance[sample.cell == c], held_out.distance[held_out.cell == c]) for c in chosen]
    return float(np.average([_z(x, y) for x, y in pairs], weights=[len(y) for _, y in pairs]))


def _enough(sample: Near, held_out: Near) -> list[int]:
    """The cells that hold enough samples of both."""
    counts = (np.bincount(side.cell) for side in (sample, held_out))
    return [c for c, least in enumerate(map(min, *counts)) if least >= CELL]


def _z(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """The Mann-Whitney statistic as a z-score: below 0 where the values of x tend to be smaller than those of y."""
    from scipy.stats import mannwhitneyu

    m, n = len(x), len(y)
    return float((mannwhitneyu(x, y).statistic - m * n / 2) / np.sqrt(m * n * (m + n + 1) / 12))


def _partition(train: NDArray[np.floating], cells: int, generator: np.random.Generator) -> "Pipeline":
    """Principal components and k-means of the training features, learnt from at most 10,000 of them."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline

    x = np.asarray(train[generator.permutation(len(train))[:SAMPLES]], np.float64)
    means = KMeans(cells, n_init=4, random_state=int(generator.integers(2**31)))
    return make_pipeline(PCA(min(COMPONENTS, *x.shape), svd_solver="covariance_eigh"), means).fit(x)


def _cells(partition: "Pipeline", x: NDArray[np.floating]) -> NDArray[np.int64]:
    return np.asarray(partition.predict(np.asarray(x, np.float64)), np.int64)


def _check(train: NDArray[np.floating], held_out: NDArray[np.floating], generated: NDArray[np.floating]) -> None:
    for name, x in (("train", train), ("held-out", held_out), ("generated", generated)):
        if x.ndim != 2 or x.shape[1] != train.shape[-1]:
            raise FeatureError(f"{name} features: expected [N, {train.shape[-1]}] as of train, got {list(x.shape)}")
        if len(x) < MIN_SAMPLES:
            raise FeatureError(f"memorisation needs at least {MIN_SAMPLES} {name} samples, got {len(x)}")
        if not np.isfinite(x).all():
            broken = int((~np.isfinite(x)).any(axis=1).sum())
            raise FeatureError(f"{broken} of {len(x)} {name} samples have features that are not finite")
