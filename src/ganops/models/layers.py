"""Blocks shared by several architectures."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganops.collective import mean_over_workers, workers


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over the *global* batch (Ioffe & Szegedy 2015): N workers equal one, on any backend.

    torch's own SyncBatchNorm needs a GPU and cannot be differentiated twice. Slices must be of equal size.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Float [N, C, H, W] -> the same shape."""
        if not self.training or workers() == 1:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
            # two passes: E[x²] - E[x]² would cancel where the mean is large
            mean = mean_over_workers(wide.mean((0, 2, 3), keepdim=True))
            centred = wide - mean
            variance = mean_over_workers(centred.square().mean((0, 2, 3), keepdim=True))
            self._remember(mean.detach().flatten(), variance.detach().flatten(), x.numel() // x.shape[1])
            normal = centred * (variance + self.eps).rsqrt()
            return (normal * self.weight[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        count *= workers()
        momentum = 0.1 if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), momentum)
        self.num_batches_tracked += 1


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


def resample_filter(x: Tensor) -> Tensor:
    """The separable filter [1, 3, 3, 1] / 8 as a depth-wise kernel [C, 1, 4, 4] for x [N, C, H, W]."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype, device=x.device) / 8
    return (taps[:, None] * taps).expand(x.shape[1], 1, 4, 4)


def upsample(x: Tensor) -> Tensor:
    """Doubles height and width with the filter [1, 3, 3, 1]."""
    return F.conv_transpose2d(x, resample_filter(x) * 4, stride=2, padding=1, groups=x.shape[1])


def downsample(x: Tensor) -> Tensor:
    """Halves height and width with the filter [1, 3, 3, 1]."""
    return F.conv2d(x, resample_filter(x), stride=2, padding=1, groups=x.shape[1])


def stages(resolution: int) -> int:
    """Number of doublings from 4x4 to `resolution`."""
    return resolution.bit_length() - 3
