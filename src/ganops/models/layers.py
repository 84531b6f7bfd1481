"""Blocks shared by several architectures."""

import math
from functools import cache
from typing import Any, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganops.core.collective import moments_over_workers, total, workers


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over the *global* batch (Ioffe & Szegedy 2015): N workers equal one, on any backend.

    torch's own SyncBatchNorm needs a GPU and cannot be differentiated twice.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Float [N, C, H, W] -> the same shape."""
        if not self.training or workers() == 1:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
            variance, mean = torch.var_mean(wide, (0, 2, 3), correction=0)
            mean, variance = moments_over_workers(mean, variance)
            self._remember(mean.detach(), variance.detach(), total(x.numel() // x.shape[1]))
            normal: Tensor = (wide - mean[:, None, None]) * (variance + self.eps).rsqrt()[:, None, None]
            if self.affine:
                normal = normal * self.weight[:, None, None] + self.bias[:, None, None]
            return normal.to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        momentum = 0.1 if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), momentum)
        self.num_batches_tracked += 1


class ConditionalBatchNorm2d(nn.Module):
    """Batch normalisation with one scale and shift for each label (de Vries et al. 2017); the plain one without."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.norm = BatchNorm2d(width, affine=not classes)
        self.scale = nn.Embedding(classes, width) if classes else None
        self.shift = nn.Embedding(classes, width) if classes else None
        if self.scale is not None and self.shift is not None:
            nn.init.normal_(self.scale.weight, mean=1.0, std=0.02)  # labels differ from the first step on
            nn.init.zeros_(self.shift.weight)

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Float [N, C, H, W], int64 [N] -> the shape of x."""
        normal: Tensor = self.norm(x)
        if self.scale is None or self.shift is None:
            return normal
        scale, shift = (of_label(y)[:, :, None, None].to(normal.dtype) for of_label in (self.scale, self.shift))
        conditioned: Tensor = normal * scale + shift
        return conditioned


class Condition(nn.Module):
    """Concatenates a learned embedding of the label to the latent; passes z on where there are no classes."""

    def __init__(self, latent: int, classes: int, width: int = 64) -> None:
        super().__init__()
        self.embed = nn.Embedding(classes, width) if classes else None
        if self.embed is not None:
            # quiet beside z, whose entries are N(0, 1): a loud label drowns it, and with few samples each class
            # collapses to one picture (Shahbazi et al. 2022, "Collapse by conditioning")
            nn.init.normal_(self.embed.weight, std=0.2)
        self.width = latent + (width if classes else 0)

    def forward(self, z: Tensor, y: Tensor | None) -> Tensor:
        """[N, latent], [N] -> [N, width]."""
        return z if self.embed is None else torch.cat([z, self.embed(y).to(z.dtype)], dim=1)


class Projection(nn.Module):
    """The score of features: linear, plus their product with the label's embedding (Miyato & Koyama 2018, eq. 3)."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 1)
        self.embed = nn.Embedding(classes, width) if classes else None

    def forward(self, features: Tensor, y: Tensor | None) -> Tensor:
        """[N, width], [N] -> scores [N]."""
        score: Tensor = self.linear(features)[:, 0]
        if self.embed is None:
            return score
        # scaled here, not at the start: Adam's steps are of one size, and `width` of them at once would overshoot
        of_label: Tensor = (features * self.embed(y)).sum(1)
        return score + of_label / math.sqrt(features.shape[1])


Layer = TypeVar("Layer", bound=nn.Module)


def spectral(layer: Layer) -> Layer:
    """Divides the weight of a layer by its largest singular value (Miyato et al. 2018, eq. 8)."""
    assert isinstance(layer.weight, Tensor)
    parametrize.register_parametrization(layer, "weight", _Spectral(layer.weight))
    return layer


class _Spectral(nn.Module):
    """W -> W / σ(W), where σ follows by one power iteration at each pass in training (Miyato et al. 2018, algorithm 1).

    torch's own computes σ in half precision under autocast, and stays 0.3 % off.
    """

    u: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        u = torch.randn(len(weight), dtype=weight.dtype, device=weight.device)
        self.register_buffer("u", F.normalize(u, dim=0))
        with torch.no_grad():
            for _ in range(15):  # so that the first steps do not learn from a σ that is far too small
                self(weight)

    def forward(self, weight: Tensor) -> Tensor:
        """[C', ...] -> the same shape."""
        device = "cpu" if weight.is_meta else weight.device.type  # where only sizes are asked for, nothing is cast
        with torch.autocast(device, enabled=False):
            matrix = weight.flatten(1)
            with torch.no_grad():
                v = F.normalize(self.u @ matrix, dim=0)
                if self.training:
                    self.u.copy_(F.normalize(matrix @ v, dim=0))
            # |W v| = u'W v has the gradient of σ, u v', as u and v are constants
            normal: Tensor = weight / (matrix @ v).norm()
            return normal


class GroupedConv2d(nn.Conv2d):
    """A convolution whose gradients are convolutions to any order.

    The gradient of torch's own gradient goes through the groups one by one and copies its arguments for each. Without
    groups it is torch's own.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Float [N, C, H, W] -> [N, C', H', W']."""
        if self.groups == 1 or isinstance(self.padding, str) or not torch.is_grad_enabled():
            return super().forward(input)
        device, weight, bias = input.device.type, self.weight, self.bias
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
            input, weight, bias = input.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
        settings = _Settings(self.stride, self.padding, self.dilation, self.groups, input.shape, weight.shape)
        y: Tensor = _Convolution.apply(input, weight, bias, settings)
        return y


class _Settings(NamedTuple):
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    input: torch.Size
    weight: torch.Size

    def gradient(self, g: Tensor, x: Tensor, w: Tensor, *, of_input: bool) -> Tensor:
        """The gradient of the output `g` with respect to the input, or to the weight."""
        places = (list(self.stride), list(self.padding), list(self.dilation), False, [0, 0], self.groups)
        gradients = torch.ops.aten.convolution_backward(g, x, w, None, *places, (of_input, not of_input, False))
        found: Tensor = gradients[0 if of_input else 1]
        return found


def _shaped(like: Tensor, shape: torch.Size) -> Tensor:
    """A tensor that is never read, but whose shape and memory format decide about the result."""
    last = like.is_contiguous(memory_format=torch.channels_last) and not like.is_contiguous()
    layout = torch.channels_last if last else torch.contiguous_format
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=layout)


class _Convolution(torch.autograd.Function):
    """x * w + bias."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, bias: Tensor | None, settings: _Settings) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.settings = settings
        return F.conv2d(x, w, bias, *settings[:4])

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        (x, w), (g,) = ctx.saved_tensors, gradient
        of_x = _GradientOfInput.apply(g, w, ctx.settings) if ctx.needs_input_grad[0] else None
        of_w = _GradientOfWeight.apply(g, x, ctx.settings) if ctx.needs_input_grad[1] else None
        return of_x, of_w, g.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None, None


class _GradientOfInput(torch.autograd.Function):
    """Linear in g and in w."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, w: Tensor, settings: _Settings) -> Tensor:
        ctx.save_for_backward(g, w)
        ctx.settings = settings
        return settings.gradient(g, _shaped(g, settings.input), w, of_input=True)

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (g, w), (x,) = ctx.saved_tensors, gradient
        of_g = _Convolution.apply(x, w, None, ctx.settings) if ctx.needs_input_grad[0] else None
        of_w = _GradientOfWeight.apply(g, x, ctx.settings) if ctx.needs_input_grad[1] else None
        return of_g, of_w, None


class _GradientOfWeight(torch.autograd.Function):
    """Linear in g and in x."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor, settings: _Settings) -> Tensor:
        ctx.save_for_backward(g, x)
        ctx.settings = settings
        return settings.gradient(g, x, _shaped(g, settings.weight), of_input=False)

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (g, x), (w,) = ctx.saved_tensors, gradient
        of_g = _Convolution.apply(x, w, None, ctx.settings) if ctx.needs_input_grad[0] else None
        of_x = _GradientOfInput.apply(g, w, ctx.settings) if ctx.needs_input_grad[1] else None
        return of_g, of_x, None


def as_rows(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, H * W * C]: the order in which channels-last memory lies, so that nothing is copied.

    Through a plain flatten gradients would come back channels first, and the backward pass of the activation before it
    would take 20 times as long (two layouts in one elementwise operation are not vectorised).
    """
    return x.permute(0, 2, 3, 1).flatten(1)


def as_maps(x: Tensor, size: int) -> Tensor:
    """[N, size * size * C] -> [N, C, size, size] in channels-last memory: the inverse of `as_rows`."""
    maps: Tensor = x.view(x.shape[0], size, size, -1).permute(0, 3, 1, 2)
    return maps


def wide(x: Tensor) -> Tensor:
    """Return half precision as float32, and others as they are: for what is computed outside of autocast."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def reconstruction_error(x: Tensor, again: Tensor) -> Tensor:
    """The mean of |x - again| over each sample, [N, ...] -> [N] (BEGAN, Berthelot et al. 2017, eq. 1 with η = 1)."""
    return (x - again).abs().flatten(1).mean(1)


def upsample(x: Tensor) -> Tensor:
    """Doubles height and width with the separable filter [1, 3, 3, 1] (Karras et al. 2020, StyleGAN2)."""
    doubled: Tensor = _Upsample.apply(x)
    return doubled


def downsample(x: Tensor) -> Tensor:
    """Halves height and width with the separable filter [1, 3, 3, 1]."""
    halved: Tensor = _Downsample.apply(x)
    return halved


def blur(x: Tensor, padding: int) -> Tensor:
    """The filter [1, 3, 3, 1] / 8 alone: [N, C, H, W] -> H + 2 padding - 3 rows, and as many more or fewer columns."""
    blurred: Tensor = _Blur.apply(x, padding)
    return blurred


class _Upsample(torch.autograd.Function):
    """Four times the adjoint of `_Downsample`: each is the other's gradient, to any order.

    autograd would also find the derivative with respect to the filter, and in the gradient of a gradient (R1) it spends
    ten times as long on it as on all the rest.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        # CPUs have no fast transposed convolution in half precision: float32 with both conversions takes a thirtieth
        wide = x.float() if x.device.type == "cpu" and x.dtype in (torch.bfloat16, torch.float16) else x
        with torch.autocast(x.device.type, enabled=False):
            return F.conv_transpose2d(wide, _taps(wide) * 4, stride=2, padding=1, groups=x.shape[1]).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> Tensor:
        return downsample(gradient[0]) * 4


class _Downsample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return F.conv2d(x, _taps(x), stride=2, padding=1, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> Tensor:
        return upsample(gradient[0]) / 4


class _Blur(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, padding: int) -> Tensor:
        ctx.padding = padding
        with torch.autocast(x.device.type, enabled=False):
            return F.conv2d(x, _taps(x), padding=padding, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor, None]:
        return blur(gradient[0], 3 - ctx.padding), None  # the filter is symmetric


def _taps(x: Tensor) -> Tensor:
    """[1, 3, 3, 1] / 8 in both directions, as a depth-wise kernel [C, 1, 4, 4] for x [N, C, H, W]."""
    taps = _kept_filter(x.dtype, x.device) if x.is_cuda else _filter(x.dtype, x.device)
    return taps.expand(x.shape[1], 1, 4, 4)


def _filter(dtype: torch.dtype, device: torch.device) -> Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=dtype, device=device) / 8
    return taps[:, None] * taps


_kept_filter = cache(_filter)
"""The same, made once for each GPU, as the host waits while it gets there."""


def stages(resolution: int) -> int:
    """Number of doublings from 4x4 to `resolution`."""
    return resolution.bit_length() - 3


def planes(shape: tuple[int, ...], least: int, *, doubled: bool = True) -> tuple[int, int]:
    """Return channels and side of square samples [C, H, W], which two-dimensional networks draw.

    Args:
        shape: Shape of a sample.
        least: The smallest side that they draw.
        doubled: The others are `least` times a power of 2; else its multiples.

    Raises:
        ValueError: They are others; the message has the nearest sides that there are.
    """
    if len(shape) != 3 or shape[1] != shape[2]:
        known = {
            2: "; of texts, architecture: lstm does, of waves wavegan",
            4: "; of films, architecture: mocogan does",
        }
        others = known.get(len(shape), "")
        raise ValueError(f"draws squares [C, H, W], not samples of {list(shape)}{others}")
    channels, side, _ = shape
    if side not in (near := _nearest(side, least, doubled=doubled)):
        sides = f"{least} times a power of 2" if doubled else f"a multiple of {least}"
        raise ValueError(
            f"draws squares whose side is {sides}, got {side} x {side}; the nearest: {' or '.join(map(str, near))} (of "
            "sounds, data.bands and data.samples / data.hop)"
        )
    return channels, side


def _nearest(side: int, least: int, *, doubled: bool) -> tuple[int, ...]:
    """Return the side itself where it is one of those that `planes` knows, else the one or two beside it."""
    if side <= least:
        return (least,)
    step = least * 2 ** ((side // least).bit_length() - 1) if doubled else least
    below = side // step * step
    return (below,) if below == side else (below, below + step)


def channels_last(network: nn.Module) -> nn.Module:
    """Return a network whose two-dimensional convolutions lie channels last, which is quicker.

    One with others is left as it is: PyTorch knows no such order for their weights.
    """
    flat = all(parameter.dim() < 5 for parameter in network.parameters())
    return network.to(memory_format=torch.channels_last) if flat else network
