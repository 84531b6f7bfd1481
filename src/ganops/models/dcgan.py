"""DCGAN (Radford et al. 2016), class-conditional by a concatenated embedding in G and a projection in D."""

import itertools
from typing import Literal

from torch import Tensor, nn

from ganops.models.layers import BatchNorm2d, Condition, Projection, as_maps, as_rows, planes, stages


class Generator(nn.Module):
    """z -> 4x4 -> transposed convolutions that double the resolution -> tanh."""

    def __init__(self, channels: int, resolution: int, classes: int, latent: int, width: int) -> None:
        super().__init__()
        self.condition = Condition(latent, classes)
        widths = _widths(resolution, width)[::-1]
        self.start = nn.Linear(self.condition.width, widths[0] * 16, bias=False)
        layers: list[nn.Module] = [BatchNorm2d(widths[0]), nn.ReLU()]
        for i, o in itertools.pairwise(widths):
            layers += [nn.ConvTranspose2d(i, o, 4, 2, 1, bias=False), BatchNorm2d(o), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1), nn.Tanh())
        self.apply(_initialise)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, latent], int64 [N] -> float [N, C, H, W] in [-1, 1]."""
        x = as_maps(self.start(self.condition(z, y)), 4)
        images: Tensor = self.layers(x)
        return images


class Discriminator(nn.Module):
    """Convolutions that halve the resolution down to 4x4 -> score."""

    offset = "score.linear.bias"
    """The parameter that moves all scores alike."""
    beyond = ("score",)
    """The parts behind the features."""

    def __init__(self, channels: int, resolution: int, classes: int, width: int, norm: str) -> None:
        super().__init__()
        widths = _widths(resolution, width)
        layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for i, o in itertools.pairwise(widths):
            # a bias before batch normalisation has no effect: its gradient would be rounding, which Adam makes a walk
            scale = [BatchNorm2d(o)] if norm == "batch" else []
            layers += [nn.Conv2d(i, o, 4, 2, 1, bias=norm != "batch"), *scale, nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        self.width = widths[-1] * 16
        self.score = Projection(self.width, classes)
        self.apply(_initialise)

    def features(self, x: Tensor) -> Tensor:
        """Float [N, C, H, W] -> [N, width]."""
        return as_rows(self.layers(x))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, C, H, W], int64 [N] -> scores [N]."""
        score: Tensor = self.score(self.features(x), y)
        return score


def players(
    *, shape: tuple[int, ...], classes: int, latent: int, width: int = 32,
    norm: Literal["batch", "none"] = "batch",
) -> tuple[Generator, Discriminator]:  # fmt: skip
    """Both players.

    Args:
        shape: [C, H, W]: any number of channels, and squares, their side a power of two from 8.
        classes: 0 is unconditional.
        latent: Dimensions of z.
        width: Channels at half the resolution; they double at each halving, up to 8 times.
        norm: Normalisation in D; a gradient penalty wants `none`.
    """
    channels, resolution = planes(shape, 8)
    if norm not in ("batch", "none"):
        raise ValueError(f"norm: expected batch or none, got {norm!r}")
    return (
        Generator(channels, resolution, classes, latent, width),
        Discriminator(channels, resolution, classes, width, norm),
    )


def _widths(resolution: int, width: int) -> list[int]:
    """Channels at half the resolution, a quarter, ... 4x4."""
    return [width * min(2**i, 8) for i in range(stages(resolution))]


def _initialise(module: nn.Module) -> None:
    """The paper's N(0, 0.02), and N(1, 0.02) for the scales of batch normalisation."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, mean=1.0, std=0.02)
