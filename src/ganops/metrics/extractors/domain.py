"""The domain extractor: a small CNN that is trained on the very images it will judge.

With labels it learns to classify. Without, it learns to tell images apart: two views of one image shall be closer than
views of different images. No view is resampled, blurred or mirrored, because the features must notice a generator
that does so.

Where that leaves it short-sighted (colour, no labels, few images: see `Plan`) it learns more: harmed images (blurred,
noisy, of low rank, their patches shuffled) are classes of their own, which it must tell from real ones. That is
negative data augmentation (Sinha et al. 2021): what is off the manifold of real images shall be off it in the features.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganops.core import cores
from ganops.core.errors import FeatureError
from ganops.core.terminal import progress
from ganops.metrics.extractors.corruptions import blur, low_rank, noise, shuffle_patches
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
HARMS: dict[str, Callable[[Images, Images, Generator], Images]] = {
    "blur": lambda x, _, g: blur(x, _between(0.7, 8, g)),
    "noise": lambda x, _, g: noise(x, _between(0.05, 0.4, g), g),
    # the components are those of the batch, of which a few images would have too few
    "low_rank": lambda x, batch, g: low_rank(np.concatenate([x, batch]), round(_between(2, 32, g)))[: len(x)],
    "shuffled_patches": lambda x, _, g: shuffle_patches(x, int(g.choice((2, 4, 8))), g),
}
"""Corruptions of some images of a batch, at random strength, which the network must tell from real ones."""


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
        """The plan for `count` images; grey ones with labels are easy, colour, few images or no labels are hard."""
        if channels == 1 and classes and count >= FEW:
            return cls()
        wide = count >= FEW
        kimg = min(MOST_KIMG, max(cls.kimg, ROUNDS * count / 1000))
        return cls(WIDE if wide else WIDTHS, residual=wide, negatives=True, kimg=kimg)


class Residual(nn.Module):
    """x + f(x), two convolutions (He et al. 2016): [N, C, H, W] -> [N, C, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
        self.body = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """The sum, rectified."""
        return F.relu(x + self.body(x))


def tower(channels: int, height: int, width: int, widths: Sequence[int]) -> tuple[list[nn.Module], int]:
    """Layers from images [N, channels, height, width] to `widths[-1]` channels, and the numbers that come out of them.

    Images larger than 32 are embedded in patches that leave about 32 x 32 cells: the cost hardly depends on the size.
    """
    stride, layers = max(1, min(height, width) // 32), list[nn.Module]()
    convolutions = [nn.Conv2d(channels, widths[0], stride + 2, stride, padding=1, bias=False)]
    convolutions += [nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in pairwise(widths)]
    for convolution in convolutions:  # a ReLU behind the maximum is the same, of a quarter as many
        layers += [convolution, nn.BatchNorm2d(convolution.out_channels), nn.MaxPool2d(2), nn.ReLU()]
    return layers, widths[-1] * (height // stride // 8) * (width // stride // 8)


class Network(nn.Module):
    """Images [N, C, H, W] in [-1, 1] -> features [N, 64], of unit variance in training, -> outputs [N, K]."""

    def __init__(
        self, channels: int, height: int, width: int, outputs: int, widths: Sequence[int] = WIDTHS,
        residual: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        layers, outcome = tower(channels, height, width, widths)
        if residual:
            layers.append(Residual(widths[-1]))
        bottleneck = nn.Linear(outcome, DIMENSIONS)
        self.body = nn.Sequential(*layers, nn.Flatten(), bottleneck, nn.BatchNorm1d(DIMENSIONS, affine=False))
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(DIMENSIONS, outputs))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The features, and the logits of the classes or the projection that is contrasted."""
        features = self.body(x)
        return features, self.head(features)


class Domain(Extractor):
    """The trained CNN; a classifier where it was trained with labels."""

    name: ClassVar[str] = "domain"
    dimensions = DIMENSIONS

    @classmethod
    def make(
        cls, images: Images, labels: Labels | None, validation: Images, validation_labels: Labels | None, *,
        seed: int, device: str = "cpu", kimg: float | None = None, learning_rate: float = 3e-3,
        minimum_accuracy: float | None = None,
    ) -> Self:  # fmt: skip
        """Trains the CNN: the same bits for the same seed and machine.

        Args:
            images: uint8 [N, C, H, W], N >= 10, H and W >= 16.
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
        count, channels, height, width = images.shape
        if count < MIN_IMAGES or min(height, width) < 16:
            raise FeatureError(
                f"the domain extractor needs at least {MIN_IMAGES} images of 16 x 16, got {count} of {height} x {width}"
            )
        classes = 0 if labels is None else int(labels.max()) + 1
        classes = classes if classes > 1 else 0
        plan = Plan.of(count, channels, classes)
        plan = plan if kimg is None else replace(plan, kimg=kimg)
        card: dict[str, Any] = {
            "objective": "classification" if classes else "contrast",
            "channels": channels,
            "height": height,
            "width": width,
            "classes": classes,
            "images": count,
            "kimg": plan.kimg,
            "widths": list(plan.widths),
            "residual": plan.residual,
            "negatives": list(HARMS) if plan.negatives else [],
        }
        with torch.random.fork_rng(devices=[]), torch.backends.cudnn.flags(benchmark=False, deterministic=True):
            torch.manual_seed(seed)
            network = _network(card)
            planar(network.to(device))
            _train(network, images, labels if classes else None, plan, learning_rate, seed, device)
        extractor = cls(network, hash_weights(network.state_dict()), card, device)
        if classes and validation_labels is not None:
            extractor._judge(validation, validation_labels, minimum_accuracy)
        return extractor

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """The extractor that `save` wrote; FeatureError where its files are missing or damaged."""
        weights, description = read(folder)
        network = _network(description["card"])
        network.load_state_dict(weights)
        return cls(network, description["hash"], description["card"], device)

    def outputs(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features [N, 64], and the probabilities of the classes where there are classes.

        Raises:
            FeatureError: The images have another shape than those of the training.
        """
        expected = (self.card["channels"], self.card["height"], self.card["width"])
        if tuple(x.shape[1:]) != expected:
            raise FeatureError(f"the domain extractor was trained on images {expected}, got {tuple(x.shape[1:])}")
        features, logits = self.network(scale(x))
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
                f"the domain extractor reached an accuracy of {accuracy:.3f} on {len(labels)} held-out images; "
                f"expected at least {minimum:.3f} (chance is {chance:.3f}). Train it longer (kimg) or "
                "without labels, or lower minimum_accuracy"
            )


def _network(card: dict[str, Any]) -> Network:
    """The untrained network that a card describes; those without `negatives` are of the first kind.

    Its outputs: classes or projection, then what tells real images from harmed ones.
    """
    size, classes, negatives = (card["channels"], card["height"], card["width"]), card["classes"], card.get("negatives")
    outputs = (classes or PROJECTION) + (len(negatives) + (not classes) if negatives else 0)
    return Network(*size, outputs, card.get("widths", WIDTHS), card.get("residual", False))


def _train(
    network: Network, images: Images, labels: Labels | None, plan: Plan, learning_rate: float, seed: int, device: str
) -> None:
    """AdamW under a one-cycle schedule; all random draws are made on the CPU from `seed`."""
    generator, harming = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    batch, views = min(BATCH, len(images)), 1 if labels is not None else 2
    steps = max(10, int(min(plan.kimg * 1000, EPOCHS * len(images)) / (batch * views)))
    network.train()
    work = cores.operations([network], lambda: network(scale(torch.from_numpy(images[:1].copy()).to(device))))
    few = cores.threads_for(work * batch * views, cores.count()) if device == "cpu" else cores.count()

    def losses() -> Iterator[Tensor]:
        for chosen in batches(len(images), batch, steps, generator):
            x = torch.from_numpy(images[chosen])
            y = None if labels is None else torch.from_numpy(labels[chosen].astype(np.int64)).to(device)
            harmed = _harmed(images[chosen], round(NEGATIVES * batch * views), harming) if plan.negatives else None
            yield _loss(network, x.to(device), y, harmed, generator)

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


def _loss(network: Network, x: Tensor, y: Tensor | None, harmed: Images | None, generator: torch.Generator) -> Tensor:
    """Cross entropy of the classes y [N], or contrast of two views of each x [N, C, H, W]; and of harms, if any."""
    if y is None:
        shown, own = torch.cat([_view(x, generator), _view(x, generator)]), PROJECTION
    else:
        shown, own = scale(_shift(x, 16, generator)), 0
    if harmed is None:
        outputs = network(shown)[1]
        return contrast(outputs) if y is None else F.cross_entropy(outputs, y)
    negatives = torch.from_numpy(harmed).to(x.device)
    count = len(shown)
    kind = torch.arange(len(harmed), device=x.device) * len(HARMS) // len(harmed)
    seen = _view(negatives, generator) if y is None else scale(_shift(negatives, 16, generator))
    outputs = network(torch.cat([shown, seen]))[1]
    logits = outputs[:, own:]
    real = torch.zeros(count, dtype=torch.long, device=x.device) if y is None else y
    target = torch.cat([real, kind + logits.shape[1] - len(HARMS)])
    told = F.cross_entropy(logits, target)
    return told if y is not None else told + contrast(outputs[:count, :own])


def _harmed(images: Images, count: int, generator: Generator) -> Images:
    """About `count` of the images of a batch, an equal share, at least 1, harmed in each way of HARMS in turn."""
    share = max(1, count // len(HARMS))
    return np.concatenate(
        [harm(images[generator.integers(len(images), size=share)], images, generator) for harm in HARMS.values()]
    )


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
    """uint8 -> [-1, 1], planes with channels last."""
    return laid_out(x.float() / 127.5 - 1)


def _view(x: Tensor, generator: torch.Generator) -> Tensor:
    """A random view of each image: moved, its channels brighter or darker, a rectangle hidden (Zhong et al. 2017)."""
    x = scale(_shift(x, 6, generator))
    gain = torch.rand((len(x), x.shape[1], 1, 1), generator=generator) + 0.5
    offset = torch.rand((len(x), 1, 1, 1), generator=generator) * 0.6 - 0.3
    hidden = _interval(len(x), x.shape[2], generator)[:, :, None] & _interval(len(x), x.shape[3], generator)[:, None, :]
    return (x * gain.to(x.device) + offset.to(x.device)).masked_fill(hidden[:, None].to(x.device), 0)


def _shift(x: Tensor, part: int, generator: torch.Generator) -> Tensor:
    """Each image moved by whole pixels, up to a `part`-th of its size on either axis; edges are repeated."""
    count, _, height, width = x.shape
    down = torch.randint(-(height // part), height // part + 1, (count, 1), generator=generator)
    right = torch.randint(-(width // part), width // part + 1, (count, 1), generator=generator)
    rows = (torch.arange(height) + down).clamp(0, height - 1).to(x.device)
    columns = (torch.arange(width) + right).clamp(0, width - 1).to(x.device)
    image = torch.arange(count, device=x.device)[:, None, None]
    return x[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _interval(count: int, size: int, generator: torch.Generator) -> Tensor:
    """A random interval of up to 0.6 of `size` cells for each image: bool [count, size]."""
    length = torch.randint(0, int(0.6 * size) + 1, (count, 1), generator=generator)
    start = (torch.rand((count, 1), generator=generator) * (size - length + 1)).long()
    cells = torch.arange(size)
    return (cells >= start) & (cells < start + length)
