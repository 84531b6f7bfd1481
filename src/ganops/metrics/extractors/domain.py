"""The domain extractor: a small CNN that is trained on the very images, or waves, that it will judge.

With labels it learns to classify. Without, it learns to tell images apart: two views of one image shall be closer than
views of different images. No view is resampled, blurred or mirrored, because the features must notice a generator
that does so.

Where that leaves it short-sighted (colour, no labels, few images: see `Plan`) it learns more: harmed images (blurred,
noisy, of low rank, their patches shuffled) are classes of their own, which it must tell from real ones. That is
negative data augmentation (Sinha et al. 2021): what is off the manifold of real images shall be off it in the features.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganops.core import cores
from ganops.core.devices import repeatable
from ganops.core.errors import FeatureError
from ganops.core.terminal import progress
from ganops.metrics.extractors.corruptions import (
    blur,
    freeze,
    low_pass,
    low_rank,
    noise,
    shuffle_frames,
    shuffle_patches,
    shuffle_pieces,
)
from ganops.metrics.extractors.extractor import Extractor, Images, Labels, hash_weights, laid_out, planar, read

WIDTHS = (16, 32, 64)
WIDE = (32, 64, 128)
"""Channels of the convolutions, for easy and for hard images."""
DIMENSIONS = 64
"""Dimensions of the features."""
PROJECTION = 32
TEMPERATURE = 0.2
"""Outputs, and temperature of their similarities, where there are no labels (NT-Xent)."""
BATCH = 128
"""Images of a step."""
EPOCHS = 100
"""The most often that one image is shown: few images need no long training."""
MIN_IMAGES = 10
"""The fewest images that an extractor learns from."""
FEW = 1000
"""Images below which labels alone teach too little; they would not fill a wide network either."""
ROUNDS = 6
"""The least often that one image is shown where images are hard, up to MOST_KIMG."""
MOST_KIMG = 300
"""Thousands of images: about 10 minutes of one core."""
NEGATIVES = 0.25
"""Harmed images in a batch, as a share of its images or views."""

Generator = np.random.Generator
Harm = Callable[[Any, Any, Generator], Any]
HARMS: dict[str, Harm] = {
    "blur": lambda x, _, g: blur(x, _between(0.7, 8, g)),
    "noise": lambda x, _, g: noise(x, _between(0.05, 0.4, g), g),
    # the components are those of the batch, of which a few images would have too few
    "low_rank": lambda x, batch, g: low_rank(np.concatenate([x, batch]), round(_between(2, 32, g)))[: len(x)],
    "shuffled_patches": lambda x, _, g: shuffle_patches(x, int(g.choice((2, 4, 8))), g),
}
"""Corruptions of some images of a batch, at random strength, which the network must tell from real ones."""
STILL: dict[str, Harm] = {"shuffled_frames": lambda x, _, g: shuffle_frames(x, g), "frozen": lambda x, *_: freeze(x)}
"""Corruptions of films alone: frames in any order are no film, and neither is a still."""
OF_WAVES: dict[str, Harm] = {
    "low_pass": lambda x, _, g: low_pass(x, _between(0.05, 0.5, g)),
    "noise": lambda x, _, g: noise(x, _between(0.002, 0.1, g), g),
    "low_rank": HARMS["low_rank"],
    "shuffled_pieces": lambda x, _, g: shuffle_pieces(x, int(g.choice((4, 8, 16))), g),
}
"""Corruptions of waves."""


@dataclass(frozen=True)
class Axes:
    """The layers of samples with so many axes behind that of the channels."""

    convolution: type[nn.Conv1d | nn.Conv2d]
    norm: type[nn.BatchNorm1d | nn.BatchNorm2d]
    pool: type[nn.MaxPool1d | nn.MaxPool2d]
    names: tuple[str, ...]
    """Names of the axes, and of the samples."""
    noun: str
    harms: Mapping[str, Harm]
    least: int
    """The shortest axis of a sample."""
    cells: int
    """Cells of an axis, about, that patches leave of a longer one."""
    margin: int
    """Half of what a patch's kernel is longer than its stride."""
    kernel: int
    pooled: int
    """Length of the other kernels, and of a pool."""


IMAGE = Axes(nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, ("height", "width"), "images", HARMS, 16, 32, 1, 3, 2)
AXES = {
    1: Axes(nn.Conv1d, nn.BatchNorm1d, nn.MaxPool1d, ("length",), "waves", OF_WAVES, 64, 1024, 30, 9, 4),
    2: IMAGE,
    3: replace(IMAGE, noun="films", harms={**HARMS, **STILL}),
}
"""Layers by the number of axes: waves [N, C, T], images [N, C, H, W], films [N, C, T, H, W], which become planes."""
SIZES = ("frames", "length", "height", "width")
"""Names of all axes in a card; the frames, which come first, are channels of the network."""


@dataclass(frozen=True)
class Plan:
    """Size of the network and length of the training that a set of images needs."""

    widths: tuple[int, ...] = WIDTHS
    """Channels of the convolutions."""
    residual: bool = False
    """A residual block behind them."""
    negatives: bool = False
    """True where harmed images are classes of their own."""
    kimg: float = 60
    """Thousands of images (with labels) or views (without) shown; at most 100 times the images there are."""

    @classmethod
    def of(cls, count: int, channels: int, classes: int) -> "Plan":
        """The plan for `count` samples; grey ones with labels are easy, colour, few samples or no labels are hard."""
        if channels == 1 and classes and count >= FEW:
            return cls()
        wide = count >= FEW
        kimg = min(MOST_KIMG, max(cls.kimg, ROUNDS * count / 1000))
        return cls(WIDE if wide else WIDTHS, residual=wide, negatives=True, kimg=kimg)


class Residual(nn.Module):
    """x + f(x), two convolutions (He et al. 2016): [N, C, ...] -> [N, C, ...]."""

    def __init__(self, channels: int, axes: Axes) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            convolution = axes.convolution(channels, channels, axes.kernel, padding=axes.kernel // 2, bias=False)
            layers += [convolution, axes.norm(channels), nn.ReLU()]
        self.body = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """The sum, rectified."""
        return F.relu(x + self.body(x))


def tower(shape: Sequence[int], widths: Sequence[int]) -> tuple[list[nn.Module], int]:
    """Layers from samples [N, *shape] to `widths[-1]` channels, and the numbers that come out of them.

    Images larger than 32 are embedded in patches that leave about 32 x 32 cells, and waves longer than 1,024 in about
    so many: the cost hardly depends on the size.
    """
    channels, *sizes = shape
    axes, layers = AXES[len(sizes)], list[nn.Module]()
    stride, margin, kernel = max(1, min(sizes) // axes.cells), axes.margin, axes.kernel
    convolutions = [axes.convolution(channels, widths[0], stride + 2 * margin, stride, padding=margin, bias=False)]
    convolutions += [axes.convolution(a, b, kernel, padding=kernel // 2, bias=False) for a, b in pairwise(widths)]
    for convolution in convolutions:  # a ReLU behind the maximum is the same, of a quarter as many
        layers += [convolution, axes.norm(convolution.out_channels), axes.pool(axes.pooled), nn.ReLU()]
    return layers, widths[-1] * math.prod(size // stride // axes.pooled ** len(widths) for size in sizes)


class Network(nn.Module):
    """Samples [N, *shape] in [-1, 1] -> features [N, 64], of unit variance in training, -> outputs [N, K]."""

    def __init__(
        self, shape: Sequence[int], outputs: int, widths: Sequence[int] = WIDTHS, residual: bool = False
    ) -> None:
        super().__init__()
        layers, outcome = tower(shape, widths)
        if residual:
            layers.append(Residual(widths[-1], AXES[len(shape) - 1]))
        bottleneck = nn.Linear(outcome, DIMENSIONS)
        self.body = nn.Sequential(*layers, nn.Flatten(), bottleneck, nn.BatchNorm1d(DIMENSIONS, affine=False))
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(DIMENSIONS, outputs))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The features, and the logits of the classes or the projection that is contrasted."""
        features = self.body(x)
        return features, self.head(features)


def as_planes(x: Tensor) -> Tensor:
    """Films [N, C, T, H, W] as planes [N, C T, H, W]; images and spectrograms as they are.

    So the first convolution sees all frames of a film at once (early fusion, Karpathy et al. 2014), and all behind it
    costs what it costs for images.
    """
    return x.flatten(1, 2) if x.ndim == 5 else x


@dataclass(frozen=True)
class Lesson:
    """Samples, labels and corruptions that a network learns from."""

    samples: Images
    """uint8 [N, C, H, W], or films [N, C, T, H, W]; or waves int16 [N, 1, T]."""
    labels: Labels | None
    """int [N]; None: it learns by contrast."""
    harms: Mapping[str, Harm]
    """The corruptions that are classes of their own; empty: there are none."""
    seen: Callable[[Tensor], Tensor]
    """Function from stored samples to the planes uint8 [N, C', H, W], or waves, that the network looks at."""

    def planes(self, samples: Images, device: str) -> Tensor:
        """Return the planes of some samples, on the device."""
        return self.seen(torch.from_numpy(samples).to(device))

    def harmed(self, batch: Images, count: int, generator: Generator) -> Images:
        """About `count` of the samples of a batch, an equal share, at least 1, harmed in each way in turn."""
        share = max(1, count // len(self.harms))
        chosen = (batch[generator.integers(len(batch), size=share)] for _ in self.harms)
        return np.concatenate(
            [harm(some, batch, generator) for some, harm in zip(chosen, self.harms.values(), strict=True)]
        )


class Domain(Extractor):
    """The trained CNN; a classifier where it was trained with labels."""

    name: ClassVar[str] = "domain"
    kinds: ClassVar[tuple[str, ...]] = ("image", "sound", "video", "wave")
    dimensions = DIMENSIONS

    @classmethod
    def make(
        cls, images: Images, labels: Labels | None, validation: Images, validation_labels: Labels | None, *,
        seed: int, device: str = "cpu", kimg: float | None = None, learning_rate: float = 3e-3,
        minimum_accuracy: float | None = None,
    ) -> Self:  # fmt: skip
        """Trains the CNN: the same bits for the same seed and machine.

        Args:
            images: uint8 [N, C, H, W], or films [N, C, T, H, W], H and W >= 16; or waves int16 [N, 1, T], T >= 64.
                N >= 10.
            labels: int [N] in [0, K), or None: training without labels.
            validation: held-out images.
            validation_labels: their labels, or None.
            seed: draws the first weights, the order and the views.
            device: where it trains and runs.
            kimg: thousands of images (with labels) or views (without) shown, at most 100 times the images there are;
                None: as many as these images need, see `Plan`.
            learning_rate: the peak of the one-cycle schedule (Smith & Topin 2019) of AdamW.
            minimum_accuracy: the least accuracy on `validation`; a quarter of the way from chance to 1 unless given.

        Raises:
            FeatureError: the images are too few or too small, or the accuracy stays below the least one.
        """
        count, channels, *sizes = images.shape
        axes = AXES[len(sizes)]
        frames, sizes = sizes[: -len(axes.names)], sizes[-len(axes.names) :]
        if count < MIN_IMAGES or min(sizes) < axes.least:
            least, got = (" x ".join(map(str, each)) for each in ([axes.least] * len(sizes), sizes))
            raise FeatureError(
                f"the {cls.name} extractor needs at least {MIN_IMAGES} {axes.noun} of {least}, got {count} of {got}"
            )
        classes = 0 if labels is None else int(labels.max()) + 1
        classes = classes if classes > 1 else 0
        plan = Plan.of(count, channels, classes)
        plan = plan if kimg is None else replace(plan, kimg=kimg)
        harms = cls.harms(plan, images)
        card: dict[str, Any] = {
            "objective": "classification" if classes else "contrast",
            "channels": channels,
            **({"frames": frames[0]} if frames else {}),
            **dict(zip(axes.names, sizes, strict=True)),
            "classes": classes,
            "images": count,
            "kimg": plan.kimg,
            "widths": list(plan.widths),
            "residual": plan.residual,
            "negatives": list(harms),
        }
        with torch.random.fork_rng(devices=[]), repeatable(torch.device(device)):
            torch.manual_seed(seed)
            network = _network(card, cls.channels(card))
            planar(network.to(device))
            lesson = Lesson(images, labels if classes else None, harms, cls.seen)
            _train(network, lesson, plan.kimg, learning_rate, seed, device)
        extractor = cls(network, hash_weights(network.state_dict()), card, device)
        if classes and validation_labels is not None:
            extractor._judge(validation, validation_labels, minimum_accuracy)
        return extractor

    @staticmethod
    def seen(samples: Tensor) -> Tensor:
        """Return the planes uint8 [N, C', H, W], or waves, that the network looks at."""
        return as_planes(samples)

    @staticmethod
    def harms(plan: Plan, samples: Images) -> dict[str, Harm]:
        """Return the corruptions that it learns to tell from real samples."""
        return dict(AXES[samples.ndim - 2].harms) if plan.negatives else {}

    @staticmethod
    def channels(card: dict[str, Any]) -> int:
        """Return the channels of the planes that `seen` makes of samples such as a card's."""
        return int(card["channels"]) * int(card.get("frames", 1))

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """The extractor that `save` wrote; FeatureError where its files are missing or damaged."""
        weights, description = read(folder)
        network = _network(description["card"], cls.channels(description["card"]))
        network.load_state_dict(weights)
        return cls(network, description["hash"], description["card"], device)

    def outputs(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features [N, 64], and the probabilities of the classes where there are classes.

        Raises:
            FeatureError: The images have another shape than those of the training.
        """
        expected = (self.card["channels"], *(self.card[key] for key in SIZES if key in self.card))
        if tuple(x.shape[1:]) != expected:
            raise FeatureError(f"the {self.name} extractor was trained on images {expected}, got {tuple(x.shape[1:])}")
        features, logits = self.network(scale(self.seen(x)))
        classes = self.card["classes"]
        return features, logits[:, :classes].softmax(1) if classes else None

    def _judge(self, images: Images, labels: Labels, minimum: float | None) -> None:
        """Puts the accuracy on held-out images into the card, and refuses a classifier that has not learned enough."""
        _, probabilities = self.features(images)
        assert probabilities is not None
        accuracy = float((probabilities.argmax(axis=1) == labels).mean())
        chance = float(np.bincount(labels).max() / len(labels))
        minimum = chance + (1 - chance) / 4 if minimum is None else minimum
        self.card |= {"accuracy": accuracy, "chance": chance, "minimum_accuracy": minimum}
        if accuracy < minimum:
            raise FeatureError(
                f"the {self.name} extractor reached an accuracy of {accuracy:.3f} on {len(labels)} held-out images; "
                f"expected at least {minimum:.3f} (chance is {chance:.3f}). Train it longer (kimg) or "
                "without labels, or lower minimum_accuracy"
            )


def _network(card: dict[str, Any], channels: int) -> Network:
    """The untrained network, of samples or planes with so many channels, that a card describes.

    Its outputs: classes or projection, then what tells real images from harmed ones; those without `negatives` are of
    the first kind.
    """
    classes, negatives = card["classes"], card.get("negatives")
    outputs = (classes or PROJECTION) + (len(negatives) + (not classes) if negatives else 0)
    shape = (channels, *(card[name] for name in SIZES[1:] if name in card))
    return Network(shape, outputs, card.get("widths", WIDTHS), card.get("residual", False))


def _train(network: Network, lesson: Lesson, kimg: float, learning_rate: float, seed: int, device: str) -> None:
    """AdamW under a one-cycle schedule; all random draws are made on the CPU from `seed`."""
    generator, harming = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    samples, labels = lesson.samples, lesson.labels
    batch, views = min(BATCH, len(samples)), 1 if labels is not None else 2
    steps = max(10, int(min(kimg * 1000, EPOCHS * len(samples)) / (batch * views)))
    network.train()
    work = cores.operations([network], lambda: network(scale(lesson.planes(samples[:1].copy(), device))))
    few = cores.threads_for(work * batch * views, cores.count()) if device == "cpu" else cores.count()

    def losses() -> Iterator[Tensor]:
        for chosen in batches(len(samples), batch, steps, generator):
            x = samples[chosen]
            y = None if labels is None else torch.from_numpy(labels[chosen].astype(np.int64)).to(device)
            harmed = lesson.harmed(x, round(NEGATIVES * batch * views), harming) if lesson.harms else None
            yield _loss(network, lesson, x, y, harmed, generator, device)

    with cores.threads(few), progress("features", steps * batch * views, "samples") as advance:
        descend(network, losses(), steps, learning_rate, lambda: advance(batch * views))


def descend(network: nn.Module, losses: Iterable[Tensor], steps: int, rate: float, tell: Callable[[], None]) -> None:
    """AdamW under a one-cycle schedule: a step for each of `steps` losses, which are asked for as they are due."""
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    for loss in losses:
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
        tell()


def _loss(
    network: Network, lesson: Lesson, samples: Images, y: Tensor | None, harmed: Images | None,
    generator: torch.Generator, device: str,
) -> Tensor:  # fmt: skip
    """Cross entropy of the classes y [N], or contrast of two views of each sample; and of harms, if any."""
    x, channels = lesson.planes(samples, device), samples.shape[1]
    if y is None:
        shown, own = torch.cat([_view(x, channels, generator), _view(x, channels, generator)]), PROJECTION
    else:
        shown, own = scale(_shift(x, 16, generator)), 0
    if harmed is None:
        outputs = network(shown)[1]
        return contrast(outputs) if y is None else F.cross_entropy(outputs, y)
    negatives, harms = lesson.planes(harmed, device), len(lesson.harms)
    count = len(shown)
    kind = torch.arange(len(negatives), device=x.device) * harms // len(negatives)
    seen = _view(negatives, channels, generator) if y is None else scale(_shift(negatives, 16, generator))
    outputs = network(torch.cat([shown, seen]))[1]
    logits = outputs[:, own:]
    real = torch.zeros(count, dtype=torch.long, device=x.device) if y is None else y
    target = torch.cat([real, kind + logits.shape[1] - harms])
    told = F.cross_entropy(logits, target)
    return told if y is not None else told + contrast(outputs[:count, :own])


def _between(low: float, high: float, generator: Generator) -> float:
    """A strength, of which doubling it is as likely anywhere."""
    return float(np.exp(generator.uniform(np.log(low), np.log(high))))


def contrast(projections: Tensor) -> Tensor:
    """NT-Xent of projections [2N, p], rows i and N + i from one image (Chen et al. 2020, equation 1)."""
    z = F.normalize(projections)
    similarity = z @ z.T / TEMPERATURE
    similarity.fill_diagonal_(-torch.inf)
    return F.cross_entropy(similarity, torch.arange(len(z), device=z.device).roll(len(z) // 2))


def batches(count: int, batch: int, steps: int, generator: torch.Generator) -> Iterator[np.ndarray[Any, Any]]:
    """Indices of `steps` batches, from one shuffled epoch after another; what fills no batch is left out."""
    for step in range(steps):
        start = step % (count // batch) * batch
        if start == 0:
            order = torch.randperm(count, generator=generator).numpy()
        yield order[start : start + batch]


def scale(x: Tensor) -> Tensor:
    """Levels of images, or of waves as int16 -> [-1, 1], planes with channels last."""
    return laid_out(x.float() / 32768 if x.dtype == torch.int16 else x.float() / 127.5 - 1)


def _view(x: Tensor, channels: int, generator: torch.Generator) -> Tensor:
    """A random view of each image: moved, its channels brighter or darker, a rectangle hidden (Zhong et al. 2017).

    All frames of a film, whose planes are [N, channels T, H, W], are changed alike, so that it moves as it did. A wave
    is moved, made louder or softer, and a part of it is silent.
    """
    x = scale(_shift(x, 6, generator))
    gain = torch.rand((len(x), channels, *[1] * (x.ndim - 2)), generator=generator) + 0.5
    if x.ndim == 3:
        return (x * gain.to(x.device)).masked_fill(_interval(len(x), x.shape[2], generator)[:, None].to(x.device), 0)
    gain = gain.repeat_interleave(x.shape[1] // channels, 1)
    offset = torch.rand((len(x), 1, 1, 1), generator=generator) * 0.6 - 0.3
    hidden = _interval(len(x), x.shape[2], generator)[:, :, None] & _interval(len(x), x.shape[3], generator)[:, None, :]
    return (x * gain.to(x.device) + offset.to(x.device)).masked_fill(hidden[:, None].to(x.device), 0)


def _shift(x: Tensor, part: int, generator: torch.Generator) -> Tensor:
    """Each sample moved by whole numbers, up to a `part`-th of its size on each axis; edges are repeated."""
    count, _, *sizes = x.shape
    image, places = torch.arange(count, device=x.device).view(-1, *[1] * len(sizes)), list[Tensor]()
    for axis, size in enumerate(sizes):
        moved = torch.randint(-(size // part), size // part + 1, (count, 1), generator=generator)
        at = (torch.arange(size) + moved).clamp(0, size - 1).to(x.device)
        places.append(at.view(count, *(size if axis == own else 1 for own in range(len(sizes)))))
    return x.movedim(1, -1)[image, *places].movedim(-1, 1)


def _interval(count: int, size: int, generator: torch.Generator) -> Tensor:
    """A random interval of up to 0.6 of `size` cells for each image: bool [count, size]."""
    length = torch.randint(0, int(0.6 * size) + 1, (count, 1), generator=generator)
    start = (torch.rand((count, 1), generator=generator) * (size - length + 1)).long()
    cells = torch.arange(size)
    return (cells >= start) & (cells < start + length)
