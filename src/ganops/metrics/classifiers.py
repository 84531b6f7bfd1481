"""Figures that no extractor can flatter: small networks that learn, from the pixels alone, to judge generated samples.

The classifier two-sample test (C2ST) of Lopez-Paz & Oquab 2017 ("Revisiting Classifier Two-Sample Tests"): a network
learns to tell generated from real samples, and `c2st_auc` is the area under its ROC curve on samples that it has not
seen: 0.5 where the two are indistinguishable to it, 1 where all are told apart. The classification accuracy score (CAS)
of Ravuri & Vinyals 2019 ("Classification Accuracy Score for Conditional Generative Models"): the accuracy on real
samples of a classifier that has learnt from generated ones and the labels they were drawn with, beside that of one that
has learnt from as many real ones.

The networks learn from the real samples that the generator learnt from as well, and are judged by samples that neither
has seen. So all held-out samples judge, and a network learns from thousands where a half of the held-out ones would be
hundreds. A generator that hands out its training samples is not told apart so: `memorisation` looks for that.

The interval of the AUC is that of the judging samples, generated and real, with the network as it is. Under a perfect
generator the AUC of any fixed network is 0.5, so that 95 % of such intervals hold it, whatever the network has learnt.
An accuracy is more or less by luck with what a network was shown, and then a perfect generator would seem worse or
better than real samples; so the accuracies are means over networks that learn from different samples, and their
intervals cover this luck as well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ganops.core.cores import in_pieces, side_by_side
from ganops.core.errors import FeatureError
from ganops.core.randomness import seed_of
from ganops.core.terminal import progress
from ganops.metrics import catalogue
from ganops.metrics.extractors.domain import as_planes, batches, descend, scale, tower
from ganops.metrics.extractors.extractor import Images, Labels, planar
from ganops.metrics.intervals import Interval, Z

NAMES = ("c2st_auc", "cas", "cas_real", "cas_gap")
"""Names of all figures; `cas_gap` is cas_real - cas."""
COVERS = {
    "c2st_auc": "over the judging samples, generated and real, the network as it is",
    "cas": "over the judging samples, the samples that networks learn from, and the seeds of networks",
}
"""Sources of chance that the intervals cover: none of them other trainings of the generator."""
WIDTHS = (16, 32, 64)
"""Channels of the convolutions."""
HIDDEN = 64
"""Units before the last layer."""
NETWORKS = 4
"""Number of networks behind an accuracy: each learns from a part of the samples."""
BATCH = 64
"""Samples of a step."""
EPOCHS = 8
"""The most often that a network is shown a sample."""
KIMG = 32
"""Thousands of samples that all networks of one figure are shown at most."""
MAX_BYTES = 2**28
"""Most bytes of generated samples: 1,365 in colour at 256 x 256, which are told apart more easily than small ones."""
MIN_SAMPLES = catalogue.JUDGING
"""Samples of a side that judge, at least."""
LEARNING_RATE = 3e-3
"""The peak of the one-cycle schedule (Smith & Topin 2019) of AdamW."""


@dataclass(frozen=True)
class Side:
    """Samples of one kind, real or generated."""

    learnt: Images
    """uint8 [N, C, H, W], or films [N, C, T, H, W], for the networks to learn from."""
    judging: Images
    """uint8 [M, C, H, W], others: for judging the networks."""
    learnt_labels: Labels | None = None
    """int [N] in [0, K); None: no labels, no CAS."""
    judging_labels: Labels | None = None
    """int [M]."""


def protocol(counts: "Counts") -> dict[str, Any]:
    """Return the protocol by which `judge` measures so many samples, or the reason why it does not."""
    if not counts.enough:
        few = f"{counts.learnt} samples to learn from and {counts.judging} to judge by"
        return {"left_out": f"{few}: at least {MIN_SAMPLES} are needed"}
    size = {"network": "-".join(map(str, WIDTHS)), "epochs": EPOCHS, "kimg": KIMG}
    steps = {"learning_rate": LEARNING_RATE, "batch": BATCH, "networks_of_cas": NETWORKS}
    return {**size, **steps, "learnt": counts.learnt, "judging": counts.judging, "intervals": COVERS}


@dataclass(frozen=True)
class Counts:
    """Numbers of samples of a side that the networks learn from, and that judge."""

    learnt: int
    judging: int

    @property
    def enough(self) -> bool:
        """True where the samples suffice for figures that say anything."""
        return min(self.learnt, self.judging) >= MIN_SAMPLES

    @classmethod
    def of(cls, train: int, held_out: int, generated: int, size: int) -> "Counts":
        """Return the counts for so many real samples, at most so many generated ones, and the bytes of a sample.

        A quarter of the generated samples judges at most, because a network that has learnt from few sees little.
        """
        generated = min(generated, MAX_BYTES // size)
        judging = min(held_out, generated // 4)
        return cls(min(train, generated - judging, KIMG * 500), judging)


def judge(real: Side, fake: Side, *, seed: int, device: str = "cpu") -> dict[str, Interval]:
    """The AUC of the two-sample test, and the accuracy scores where both sides have labels.

    Args:
        real: at least 50 samples to judge by.
        fake: as many generated ones.
        seed: draws the first weights and the order of the samples: the same bits for the same machine.
        device: where the networks run.

    Raises:
        FeatureError: Samples are too few, or of two shapes.
    """
    every = [samples for side in (real, fake) for samples in (side.learnt, side.judging)]
    if min(map(len, every)) < MIN_SAMPLES:
        counts = ", ".join(str(len(samples)) for samples in every)
        raise FeatureError(f"classifiers need at least {MIN_SAMPLES} samples of each kind, got {counts}")
    if len(shapes := {samples.shape[1:] for samples in every}) > 1:
        raise FeatureError(f"classifiers need samples of one shape, got {' and '.join(map(str, sorted(shapes)))}")
    apart, accuracy = _apart(real, fake, seed), _accuracy(real, fake, seed)
    network, *others = _taught([apart, *accuracy], device)
    return {"c2st_auc": _area(network, real, fake, device), **_accuracies(others, real, device)}


def two_sample_test(real: Side, fake: Side, *, seed: int, device: str = "cpu") -> Interval:
    """The AUC of a network that has learnt to tell generated samples (the higher scores) from real ones."""
    (network,) = _taught([_apart(real, fake, seed)], device)
    return _area(network, real, fake, device)


def _area(network: nn.Module, real: Side, fake: Side, device: str) -> Interval:
    low, high = (np.subtract(*_logits(network, side.judging, device).T[::-1]) for side in (real, fake))
    return area_under_roc(low, high)


def area_under_roc(low: NDArray[np.floating[Any]], high: NDArray[np.floating[Any]]) -> Interval:
    """The chance that a score of `high` [n] is above one of `low` [m], ties counted half, and its 95 % interval.

    The variance is that of DeLong, DeLong & Clarke-Pearson 1988, by ranks (Sun & Xu 2014), and half a sample a side:
    scores that do not overlap have a variance of 0, and would have an AUC of 1 for certain. So a share 3 / n of samples
    of which chance has shown none, and which are like those of the other side, is within the interval (the rule of
    three); near 1 it is too wide rather than too narrow.
    """
    from scipy.stats import rankdata  # scipy.stats takes more than a second

    ranks = rankdata(np.concatenate([low, high]))
    above = (ranks[len(low) :] - rankdata(high)) / len(low)  # share of `low` below each of `high`
    below = 1 - (ranks[: len(low)] - rankdata(low)) / len(high)  # share of `high` above each of `low`
    variance = sum(x.var(ddof=1) / len(x) + 0.25 / len(x) ** 2 for x in (above, below))
    value, margin = float(above.mean()), Z * float(np.sqrt(variance))
    return Interval(value, max(0.0, value - margin), min(1.0, value + margin))


def _accuracies(networks: Sequence[nn.Module], real: Side, device: str) -> dict[str, Interval]:
    """CAS, the same of real samples, and the gap between them, by the networks of `_accuracy`; nothing by none."""
    if not networks:
        return {}
    hits = [_logits(network, real.judging, device).argmax(axis=1) == real.judging_labels for network in networks]
    right = dict(zip(("cas", "cas_real"), np.stack(hits).astype(np.float64).reshape(2, NETWORKS, -1), strict=True))
    shares = {name: crossed_mean(each) for name, each in right.items()}
    inside = {name: Interval(x.value, max(0.0, x.low), min(1.0, x.high)) for name, x in shares.items()}
    return {**inside, "cas_gap": crossed_mean(right["cas_real"] - right["cas"])}


def crossed_mean(values: NDArray[np.float64]) -> Interval:
    """The mean of values [networks, samples] and its 95 % interval over networks and over samples, both drawn anew.

    The variances of the means of networks and of the means of samples add up; Student's t has the degrees of freedom of
    Satterthwaite 1946, so that few networks that differ much widen the interval. Values that are all the same are not
    certain either: 3 of n samples may differ that chance has not shown (the rule of three).
    """
    from scipy.stats import t  # takes more than a second

    parts = [(values.mean(axis=1 - axis).var(ddof=1) / n, n - 1) for axis, n in enumerate(values.shape)]
    variance = sum(part for part, _ in parts) + (3 / Z / values.shape[1]) ** 2
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts) if np.ptp(values) else np.inf
    value, margin = float(values.mean()), float(t.ppf(0.975, freedom) * np.sqrt(variance))
    return Interval(value, value - margin, value + margin)


@dataclass(frozen=True)
class Lesson:
    """The task of one network."""

    images: Images
    labels: Labels
    """int [N] in [0, classes)."""
    classes: int
    seed: int
    most: int
    """Samples shown at most."""

    @property
    def batch(self) -> int:
        """Samples of a step."""
        return min(BATCH, len(self.images))

    @property
    def steps(self) -> int:
        """Number of steps: at least ten, however few samples there are."""
        return max(10, min(self.most, EPOCHS * len(self.images)) // self.batch)


def _apart(real: Side, fake: Side, seed: int) -> Lesson:
    """Return the lesson that tells generated samples (1) from real ones (0)."""
    labels = np.repeat([0, 1], [len(real.learnt), len(fake.learnt)])
    return Lesson(np.concatenate([real.learnt, fake.learnt]), labels, 2, seed_of(seed, "c2st"), KIMG * 1000)


def _accuracy(real: Side, fake: Side, seed: int) -> list[Lesson]:
    """The labels: of parts of the generated samples, then of parts of as many real ones; nothing without labels."""
    if real.learnt_labels is None or real.judging_labels is None or fake.learnt_labels is None:
        return []
    classes = 1 + max(int(labels.max()) for labels in (real.learnt_labels, real.judging_labels, fake.learnt_labels))
    parts = np.array_split(np.arange(min(len(real.learnt), len(fake.learnt))), NETWORKS)
    return [
        Lesson(side.learnt[rows], labels[rows], classes, seed_of(seed, name, part), KIMG * 1000 // NETWORKS)
        for name, side, labels in (("cas", fake, fake.learnt_labels), ("cas_real", real, real.learnt_labels))
        for part, rows in enumerate(parts)
    ]


def _taught(lessons: Sequence[Lesson], device: str) -> list[nn.Module]:
    """The networks that have learnt the lessons, side by side: their bits do not depend on the number of cores."""
    networks = [_network(lesson) for lesson in lessons]  # in turn, because torch has one random state
    shown = sum(lesson.steps * lesson.batch for lesson in lessons)
    with (
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        progress("evaluate", shown, "samples") as tell,
    ):
        pairs = zip(networks, lessons, strict=True)
        return list(side_by_side(lambda pair: _learn(*pair, device, tell), pairs, device))


def _network(lesson: Lesson) -> nn.Module:
    """Samples [N, *shape] in [-1, 1] -> logits [N, K], with the first weights of the lesson's seed."""
    shape = as_planes(torch.empty(1, *lesson.images.shape[1:], device="meta")).shape[1:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(lesson.seed)
        layers, outcome = tower(shape, WIDTHS)
        hidden = nn.Linear(outcome, HIDDEN, bias=False)
        last = nn.Linear(HIDDEN, lesson.classes)
        return nn.Sequential(*layers, nn.Flatten(), hidden, nn.BatchNorm1d(HIDDEN), nn.ReLU(), last)


def _learn(network: nn.Module, lesson: Lesson, device: str, tell: Callable[[int], None]) -> nn.Module:
    """The network, which has learnt the lesson."""
    planar(network.to(device)).train()
    rng = torch.Generator().manual_seed(lesson.seed)

    def loss(rows: NDArray[np.int64]) -> Tensor:
        y = torch.from_numpy(lesson.labels[rows].astype(np.int64)).to(device)
        return F.cross_entropy(network(_scale(lesson.images[rows], device)), y)

    losses = map(loss, batches(len(lesson.images), lesson.batch, lesson.steps, rng))
    descend(network, losses, lesson.steps, LEARNING_RATE, lambda: tell(lesson.batch))
    return network.eval()


def _logits(network: nn.Module, images: Images, device: str, batch: int = 256) -> NDArray[np.float32]:
    """Return the logits of each image: float32 [N, K]."""

    @torch.no_grad()
    def of(piece: slice) -> NDArray[np.float32]:
        found: NDArray[np.float32] = network(_scale(images[piece], device)).cpu().numpy()
        return found

    return np.concatenate(list(in_pieces(of, len(images), batch, device)))


def _scale(images: Images, device: str) -> Tensor:
    """Stored samples -> [-1, 1] on the device, planes with channels last; the frames of a film are channels."""
    return scale(as_planes(torch.from_numpy(np.array(images)).to(device)))  # a copy: prepared images are read-only
