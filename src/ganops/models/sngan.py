"""SNGAN with residual players (Miyato et al. 2018, appendix B.4), for the hinge game.

Class-conditional as in Miyato & Koyama (2018): by batch normalisation in G, by a projection in D.
"""

import itertools
import math
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganops.models.layers import ConditionalBatchNorm2d, as_maps, planes, spectral, stages


class Up(nn.Module):
    """Doubles the resolution: conv(relu(norm(.))) twice, beside a 1x1 convolution.

    No convolution has a bias: batch normalisation takes off what a channel has in common, so its gradient would be
    rounding, which Adam makes a walk.
    """

    def __init__(self, inputs: int, outputs: int, classes: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(ConditionalBatchNorm2d(width, classes) for width in (inputs, outputs))
        self.first = _convolution(inputs, outputs, 3, bias=False)
        self.second = _convolution(outputs, outputs, 3, bias=False)
        self.shortcut = _convolution(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        """[N, C, H, W], [N] -> [N, C', 2H, 2W]."""
        h = self.first(_double(F.relu(self.norms[0](x, y))))
        h = self.second(F.relu(self.norms[1](h, y)))
        doubled: Tensor = h + _double(self.shortcut(x))
        return doubled


class Generator(nn.Module):
    """z -> 4x4 -> residual doublings -> norm, ReLU, convolution, tanh."""

    def __init__(self, channels: int, resolution: int, classes: int, latent: int, width: int) -> None:
        super().__init__()
        widths = [_width(width, 4 * 2**i) for i in range(stages(resolution) + 1)]
        self.start = nn.Linear(latent, widths[0] * 16)
        _initialise(self.start)
        self.blocks = nn.ModuleList(Up(i, o, classes) for i, o in itertools.pairwise(widths))
        self.norm = ConditionalBatchNorm2d(widths[-1], 0)
        self.out = _convolution(widths[-1], channels, 3, gain=1.0)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, latent], int64 [N] -> float [N, C, H, W] in [-1, 1]."""
        x = as_maps(self.start(z), 4)
        for block in self.blocks:
            x = block(x, y)
        return torch.tanh(self.out(F.relu(self.norm(x, None))))


class Down(nn.Module):
    """Two 3x3 convolutions after ReLUs beside the identity or a 1x1 convolution; `halves` pools both by 2."""

    def __init__(self, inputs: int, outputs: int, *, halves: bool, first: bool = False) -> None:
        super().__init__()
        self.halves, self.activates = halves, not first  # there is no ReLU before the samples themselves
        self.first = spectral(_convolution(inputs, outputs, 3))
        self.second = spectral(_convolution(outputs, outputs, 3))
        plain = inputs == outputs and not halves
        self.shortcut = nn.Identity() if plain else spectral(_convolution(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C', H, W], or half of H and W."""
        h = self.second(F.relu(self.first(F.relu(x) if self.activates else x)))
        # a mean and a 1x1 convolution commute: the mean first is a quarter of the work
        h, x = (F.avg_pool2d(side, 2) if self.halves else side for side in (h, x))
        down: Tensor = h + self.shortcut(x)
        return down


class Discriminator(nn.Module):
    """Residual halvings down to 8x8, two flat blocks, the sum over all positions -> score; spectral norm throughout."""

    offset = "score.bias"
    """The parameter that moves all scores alike."""
    beyond = ("score", "embed")
    """The parts behind the features."""

    def __init__(self, channels: int, resolution: int, classes: int, width: int) -> None:
        super().__init__()
        halvings = stages(resolution) - 1
        widths = [_width(width, resolution // 2**i) for i in range(halvings)]
        pairs = itertools.pairwise([channels, *widths])
        down = [Down(i, o, halves=True, first=place == 0) for place, (i, o) in enumerate(pairs)]
        flat = [Down(widths[-1], widths[-1], halves=False) for _ in range(2)]
        self.blocks = nn.Sequential(*down, *flat)
        self.width = widths[-1]
        self.score = spectral(_initialise(nn.Linear(widths[-1], 1)))
        self.embed = spectral(_initialise(nn.Embedding(classes, widths[-1]))) if classes else None

    def features(self, x: Tensor) -> Tensor:
        """Float [N, C, H, W] -> [N, width]."""
        return F.relu(self.blocks(x)).sum((2, 3))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, C, H, W], int64 [N] -> scores [N]."""
        features = self.features(x)
        score: Tensor = self.score(features)[:, 0]
        return score if self.embed is None else score + (features * self.embed(y)).sum(1)


def players(*, shape: tuple[int, ...], classes: int, latent: int, width: int = 256) -> tuple[Generator, Discriminator]:
    """Both players; the defaults are the published ones for 32 pixels, with latent 128.

    Args:
        shape: [C, H, W]: any number of channels, and squares, their side a power of two from 16.
        classes: 0 is unconditional.
        latent: Dimensions of z.
        width: Channels of G, an even number; D has half as many. Beyond 32 pixels they halve with each doubling.
    """
    channels, resolution = planes(shape, 16)
    if width % 2:
        raise ValueError(f"width: expected an even number, got {width}")
    return (
        Generator(channels, resolution, classes, latent, width),
        Discriminator(channels, resolution, classes, width // 2),
    )


def _width(width: int, resolution: int) -> int:
    """Channels at a resolution: all up to 32 pixels, then the fewer the more pixels there are."""
    return max(1, width * 32 // max(resolution, 32))


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def _convolution(inputs: int, outputs: int, size: int, *, bias: bool = True, gain: float | None = None) -> nn.Conv2d:
    """Xavier's uniform weights, with gain sqrt(2) for the 3x3 convolutions of the residual branch."""
    layer = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=bias)
    return _initialise(layer, gain or (math.sqrt(2) if size == 3 else 1.0))


Weighted = TypeVar("Weighted", nn.Conv2d, nn.Linear, nn.Embedding)


def _initialise(layer: Weighted, gain: float = 1.0) -> Weighted:
    nn.init.xavier_uniform_(layer.weight, gain)
    bias = getattr(layer, "bias", None)
    if bias is not None:
        nn.init.zeros_(bias)
    return layer
