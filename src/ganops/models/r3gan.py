"""R3GAN (Huang et al. 2024): residual players without normalisation, for the relativistic game with R1 and R2."""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganops.models.layers import Condition, GroupedConv2d, downsample, planes, stages, upsample

SLOPE = 0.2
"""Slope of the leaky ReLU below zero; sqrt(2 / (1 + SLOPE²)) keeps the variance through it."""


class Block(nn.Module):
    """x + 1x1 (grouped 3x3 (1x1 x)), the last convolution zero at the start (Fixup, Zhang et al. 2019)."""

    def __init__(self, width: int, expansion: int, groups: int, blocks: int) -> None:
        super().__init__()
        inner = width * expansion
        gain = math.sqrt(2 / (1 + SLOPE**2)) * blocks**-0.25  # L^(-1/(2m-2)) with m = 3 layers, L blocks
        self.layers = nn.Sequential(
            _convolution(width, inner, 1, gain=gain, bias=True),
            nn.LeakyReLU(SLOPE),
            _convolution(inner, inner, 3, gain=gain, groups=groups, bias=True),
            nn.LeakyReLU(SLOPE),
            _convolution(inner, width, 1, gain=0.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape."""
        residual: Tensor = self.layers(x)
        return x + residual


class Generator(nn.Module):
    """A learned 4x4 basis scaled by z, then stages of blocks with doublings between them."""

    def __init__(
        self, channels: int, classes: int, latent: int, widths: Sequence[int], groups: Sequence[int], *, depth: int,
        expansion: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.condition = Condition(latent, classes)
        self.basis = nn.Parameter(torch.randn(widths[0], 4, 4))
        self.scale = _linear(self.condition.width, widths[0])
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(w, expansion, g, depth * len(widths)) for _ in range(depth)))
            for w, g in zip(widths, groups, strict=True)
        )
        self.widen = nn.ModuleList(_change_width(i, o) for i, o in itertools.pairwise(widths))
        self.out = _convolution(widths[-1], channels, 1)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, latent], int64 [N] -> float [N, C, H, W], nominally in [-1, 1] (no tanh)."""
        x = self.scale(self.condition(z, y))[:, :, None, None] * self.basis
        x = self.stages[0](x)
        for widen, blocks in zip(self.widen, self.stages[1:], strict=True):
            x = blocks(upsample(widen(x)))
        images: Tensor = self.out(x)
        return images


class Discriminator(nn.Module):
    """The mirror of G: stages of blocks with halvings between them, then one number for each sample."""

    beyond = ("score", "embed")
    """The parts behind the features."""

    def __init__(
        self, channels: int, classes: int, widths: Sequence[int], groups: Sequence[int], *, depth: int, expansion: int,
    ) -> None:  # fmt: skip
        super().__init__()
        widths, groups = widths[::-1], groups[::-1]
        self.inward = _convolution(channels, widths[0], 1)
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(w, expansion, g, depth * len(widths)) for _ in range(depth)))
            for w, g in zip(widths, groups, strict=True)
        )
        self.widen = nn.ModuleList(_change_width(i, o) for i, o in itertools.pairwise(widths))
        self.pool = _convolution(widths[-1], widths[-1], 4, groups=widths[-1], padding=0)
        self.width = widths[-1]
        self.score = _linear(widths[-1], widths[-1] if classes else 1)
        self.embed = nn.Embedding(classes, widths[-1]) if classes else None
        if self.embed is not None:
            # published as a linear layer of one-hot labels: N(0, gain / sqrt(fan in)) with a gain of 1 / sqrt(width)
            # and as many inputs as there are classes
            nn.init.normal_(self.embed.weight, std=(classes * widths[-1]) ** -0.5)

    def features(self, x: Tensor) -> Tensor:
        """Float [N, C, H, W] -> [N, width]."""
        x = self.stages[0](self.inward(x))
        for widen, blocks in zip(self.widen, self.stages[1:], strict=True):
            x = blocks(widen(downsample(x)))
        features: Tensor = self.pool(x).flatten(1)
        return features

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, C, H, W], int64 [N] -> scores [N]."""
        scores: Tensor = self.score(self.features(x))
        return scores[:, 0] if self.embed is None else (scores * self.embed(y)).sum(1)


def players(
    *, shape: tuple[int, ...], classes: int, latent: int, widths: Sequence[int] | int | None = None,
    depth: int = 1, groups: Sequence[int] | int | None = None, expansion: int = 2,
) -> tuple[Generator, Discriminator]:  # fmt: skip
    """Both players. The published CIFAR-10 preset is widths 768, depth 2, groups 96, latent 64.

    Args:
        shape: [C, H, W]: any number of channels, and squares, their side a power of two from 4.
        classes: 0 is unconditional.
        latent: Dimensions of z.
        widths: Channels of the stages 4x4, 8x8, ... `resolution`; one number stands for all. The default is made for
            CPUs: 128 up to 8x8, then half as many at each doubling, 32 at 32 pixels and 16 beyond.
        depth: Blocks of each stage.
        groups: Groups (cardinality) of the 3x3 convolutions of each stage; one number stands for all. The default makes
            groups of 16 channels, as all published presets do, or of fewer where 16 does not divide the width.
        expansion: The inner width of a block over its outer one.
    """
    channels, resolution = planes(shape, 4)
    count = stages(resolution) + 1
    wide = _for_each(count, widths, [max(16, min(128, 1024 >> i + 2)) for i in range(count)])
    grouped = _for_each(count, groups, [max(1, w * expansion // math.gcd(w * expansion, 16)) for w in wide])
    if len(wide) != count or len(grouped) != count:
        raise ValueError(f"widths and groups: expected {count} numbers for {resolution} px, got {widths} and {groups}")
    for name, value, least in (
        ("widths", min(wide), 1), ("depth", depth, 0), ("groups", min(grouped), 1), ("expansion", expansion, 1),
    ):  # fmt: skip
        if value < least:
            raise ValueError(f"{name}: expected at least {least}, got {value}")
    for w, g in zip(wide, grouped, strict=True):
        if w * expansion % g:
            raise ValueError(f"groups: {g} does not divide the inner width {w * expansion}")
    return (
        Generator(channels, classes, latent, wide, grouped, depth=depth, expansion=expansion),
        Discriminator(channels, classes, wide, grouped, depth=depth, expansion=expansion),
    )


def _for_each(count: int, given: Sequence[int] | int | None, default: list[int]) -> list[int]:
    """One number for each stage."""
    if given is None:
        return default
    return [given] * count if isinstance(given, int) else list(given)


def _convolution(
    inputs: int, outputs: int, size: int, *, gain: float = 1.0, groups: int = 1, padding: int | None = None,
    bias: bool = False,
) -> nn.Conv2d:  # fmt: skip
    """Weights N(0, gain / sqrt(fan in)), biases 0."""
    layer = GroupedConv2d(
        inputs, outputs, size, padding=size // 2 if padding is None else padding, groups=groups, bias=bias
    )
    nn.init.normal_(layer.weight, std=gain / math.sqrt(inputs // groups * size * size)) if gain else nn.init.zeros_(
        layer.weight
    )
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, std=inputs**-0.5)
    return layer


def _change_width(inputs: int, outputs: int) -> nn.Module:
    return nn.Identity() if inputs == outputs else _convolution(inputs, outputs, 1)
