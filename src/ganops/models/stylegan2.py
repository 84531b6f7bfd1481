"""StyleGAN2 (Karras et al. 2020), for the non-saturating game with R1; conditional as StyleGAN2-ADA.

The noise that the published G adds to each layer is left out: one seed is one picture.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganops.core.collective import group_size, total
from ganops.models.layers import as_rows, blur, downsample, planes, stages, upsample


class Linear(nn.Module):
    """Equalised learning rate (Karras et al. 2018, section 4.1): weights N(0, 1), scaled at each pass.

    So Adam moves all weights by one share of their size; `rate` makes this layer learn slower or faster.
    """

    def __init__(self, inputs: int, outputs: int, *, rate: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.gain, self.rate = rate / math.sqrt(inputs), rate

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs] -> [N, outputs]."""
        return F.linear(x, self.weight * self.gain, self.bias * self.rate)


class Convolution(nn.Module):
    """Convolution with equalised learning rate; `halves` blurs and takes every second position."""

    def __init__(self, inputs: int, outputs: int, size: int, *, bias: bool = True, halves: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.gain, self.halves = 1 / math.sqrt(inputs * size**2), halves

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C', H, W], or half of H and W."""
        weight = self.weight * self.gain
        if self.halves:
            return F.conv2d(blur(x, 2), weight, self.bias, stride=2)
        return F.conv2d(x, weight, self.bias, padding=weight.shape[-1] // 2)


class Modulated(nn.Module):
    """A convolution whose weights w' = s w are those of the style s (Karras et al. 2020, eq. 1); bias is added after.

    It scales the channels of x by s and the result by the demodulation (eq. 3), which is the same and needs no weights
    for each sample: one convolution for the whole batch, of any size, on any runtime.
    """

    def __init__(
        self, inputs: int, outputs: int, size: int, style: int, *, doubles: bool = False, demodulates: bool = True
    ) -> None:
        super().__init__()
        self.style = Linear(style, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.gain, self.doubles, self.demodulates = 1 / math.sqrt(inputs * size**2), doubles, demodulates

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """[N, C, H, W], [N, style] -> [N, C', H, W], or twice H and W."""
        style, weight = self.style(w), self.weight * self.gain
        x = x * style[:, :, None, None].to(x.dtype)
        if self.doubles:
            x = blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), 1) * 4
        else:
            x = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
        if self.demodulates:
            x = x * _demodulation(style, weight)[:, :, None, None].to(x.dtype)
        return x + self.bias[:, None, None].to(x.dtype)


class Mapping(nn.Module):
    """z, and an embedding of the label -> w, through layers that learn a hundred times slower (appendix C of 2019).

    z is not normalised, as it is published: its length would be lost, and with it the truncation of a served model. In
    many dimensions all z have nearly the same length.
    """

    def __init__(self, latent: int, classes: int, width: int, depth: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(classes, width) if classes else None
        first = latent + (width if classes else 0)
        self.layers = nn.ModuleList(Linear(width if i else first, width, rate=0.01) for i in range(depth))

    def forward(self, z: Tensor | None, y: Tensor | None) -> Tensor:
        """Float [N, latent] or None where that is 0, int64 [N] -> [N, width]."""
        parts = [] if z is None else [z]
        if self.embed is not None:
            parts.append(_normal(self.embed(y)))
        w = torch.cat(parts, dim=1)
        for layer in self.layers:
            w = _activate(layer(w))
        return w


class Generator(nn.Module):
    """A learned 4x4 start, convolutions under the style w, and the sum of the pictures of all resolutions (skip G)."""

    def __init__(self, channels: int, classes: int, latent: int, widths: list[int], depth: int) -> None:
        super().__init__()
        self.mapping = Mapping(latent, classes, latent, depth)
        self.start = nn.Parameter(torch.randn(widths[0], 4, 4))
        self.first = Modulated(widths[0], widths[0], 3, latent)
        pairs = list(itertools.pairwise(widths))
        self.doubles = nn.ModuleList(Modulated(i, o, 3, latent, doubles=True) for i, o in pairs)
        self.flats = nn.ModuleList(Modulated(o, o, 3, latent) for _, o in pairs)
        self.pictures = nn.ModuleList(Modulated(i, channels, 1, latent, demodulates=False) for i in widths)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, latent], int64 [N] -> float [N, C, H, W], nominally in [-1, 1] (no tanh)."""
        w = self.mapping(z, y)
        # not len(z): it would fix N in an exported graph
        x = self.start.expand(z.shape[0], -1, -1, -1)
        x = _activate(self.first(x, w))
        images: Tensor = self.pictures[0](x, w).to(z.dtype)
        for double, flat, picture in zip(self.doubles, self.flats, self.pictures[1:], strict=True):
            x = _activate(flat(_activate(double(x, w)), w))
            images = upsample(images) + picture(x, w).to(z.dtype)
        return images


class Block(nn.Module):
    """Two convolutions that halve the resolution, beside a 1x1 one (residual D); their sum keeps the variance."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = Convolution(inputs, inputs, 3)
        self.second = Convolution(inputs, outputs, 3, halves=True)
        self.shortcut = Convolution(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C', H/2, W/2]."""
        h = _activate(self.second(_activate(self.first(x))))
        halved: Tensor = (h + self.shortcut(downsample(x))) * math.sqrt(0.5)
        return halved


class Discriminator(nn.Module):
    """Residual halvings down to 4x4, what the samples of a group differ in -> score, or its product with the label."""

    offset = "score.bias"
    """The parameter that moves all scores of a label alike."""
    beyond = ("score", "mapping")
    """The parts behind the features."""

    def __init__(self, channels: int, classes: int, widths: list[int], depth: int, group: int) -> None:
        super().__init__()
        self.inward = Convolution(channels, widths[0], 1)
        self.blocks = nn.Sequential(*(Block(i, o) for i, o in itertools.pairwise(widths)))
        self.group = group
        last = widths[-1]
        self.mix = Convolution(last + 1, last, 3)
        self.dense = Linear(last * 16, last)
        self.width = last
        self.score = Linear(last, last if classes else 1)
        self.offset_by_label = classes > 0
        self.mapping = Mapping(0, classes, last, depth) if classes else None

    def features(self, x: Tensor) -> Tensor:
        """Float [N, C, H, W] -> [N, width]; of the other samples too, unless `group` is 1."""
        x = self.blocks(_activate(self.inward(x)))
        x = _activate(self.mix(torch.cat([x, minibatch_deviation(x, self.group)], dim=1)))
        return _activate(self.dense(as_rows(x)))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, C, H, W], int64 [N] -> scores [N]."""
        scores: Tensor = self.score(self.features(x))
        if self.mapping is None:
            return scores[:, 0]
        of_label: Tensor = self.mapping(None, y)
        return (scores * of_label).sum(1) / math.sqrt(scores.shape[1])


def minibatch_deviation(x: Tensor, group: int) -> Tensor:
    """Return the deviation of a group's samples, [N, C, H, W] -> [N, 1, H, W] (Karras et al. 2018, section 3).

    The deviation over the samples of a group, averaged over all features. The groups are of consecutive samples,
    so that workers which have whole ones give what one worker gives: each of as many samples as divide the batch of all
    workers, at most `group`.
    """
    size = group_size(total(len(x)), group)
    wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    groups = wide.reshape(-1, size, *x.shape[1:])
    deviation: Tensor = (groups.var(1, correction=0) + 1e-8).sqrt().flatten(1).mean(1).to(x.dtype)
    return deviation.repeat_interleave(size)[:, None, None, None].expand(-1, 1, *x.shape[2:])


def players(
    *, shape: tuple[int, ...], classes: int, latent: int, base: int = 2048, maximum: int = 128,
    mapping: int = 2, group: int = 4,
) -> tuple[Generator, Discriminator]:  # fmt: skip
    """Both players. Published: latent 512, base 32768, maximum 512, mapping 8 (2 and group 32 for CIFAR-10).

    Args:
        shape: [C, H, W]: any number of channels, and squares, their side a power of two from 4.
        classes: 0 is unconditional.
        latent: Dimensions of z and w.
        base: Channels times the resolution, where `maximum` does not cut them.
        maximum: The most channels of a layer.
        mapping: Layers of the mapping network.
        group: Samples that the minibatch deviation compares, at most; a worker has whole groups.
    """
    channels, resolution = planes(shape, 4)
    for name, value in (("mapping", mapping), ("group", group)):
        if value < 1:
            raise ValueError(f"{name}: expected at least 1, got {value}")
    widths = [max(1, min(base // (4 * 2**i), maximum)) for i in range(stages(resolution) + 1)]
    return (
        Generator(channels, classes, latent, widths, mapping),
        Discriminator(channels, classes, widths[::-1], mapping, group),
    )


def _demodulation(style: Tensor, weight: Tensor) -> Tensor:
    """1 / the length of each filter under the style: [N, C], [C', C, k, k] -> [N, C'] (Karras et al. 2020, eq. 3)."""
    with torch.autocast(style.device.type, enabled=False):
        squared: Tensor = style.to(weight.dtype).square() @ weight.square().sum((2, 3)).T
        return (squared + 1e-8).rsqrt()


def _activate(x: Tensor) -> Tensor:
    """A leaky ReLU; the factor keeps the mean square about where it was."""
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


def _normal(x: Tensor) -> Tensor:
    """[N, C] with a mean square of 1 in each row."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()
