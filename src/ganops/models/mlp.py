"""Fully connected players, for vectors and small images: a sample is any shape [N, ...]."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ganops.models.layers import Condition, Projection, reconstruction_error

SLOPE = 0.2
"""Slope of the leaky ReLU below zero, unless another one is asked for."""


class Generator(nn.Module):
    """z -> hidden layers -> a sample, through tanh if it is `bounded`."""

    def __init__(
        self, *, shape: Sequence[int], latent: int, classes: int = 0, width: int = 128, depth: int = 3,
        slope: float = SLOPE, bias: float = 0.0, bounded: bool | None = None,
    ) -> None:  # fmt: skip
        """Args as in `players`; `bounded` None: images are, vectors are not."""
        super().__init__()
        self.shape = tuple(shape)
        self.bounded = len(self.shape) == 3 if bounded is None else bounded
        self.condition = Condition(latent, classes)
        self.layers = _layers(self.condition.width, math.prod(self.shape), width, depth, slope, bias)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, latent], int64 [N] -> float [N, *shape]."""
        x: Tensor = self.layers(self.condition(z, y)).unflatten(1, self.shape)
        return torch.tanh(x) if self.bounded else x


class Discriminator(nn.Module):
    """A sample -> hidden layers -> its score."""

    offset = "score.linear.bias"
    """The parameter that moves all scores alike."""
    beyond = ("score",)
    """The parts behind the features."""

    def __init__(
        self, *, shape: Sequence[int], classes: int = 0, width: int = 128, depth: int = 3, slope: float = SLOPE,
        bias: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        hidden = _layers(math.prod(shape), width, width, depth - 1, slope, bias)
        self.layers = nn.Sequential(hidden, nn.LeakyReLU(slope))
        self.width = width
        self.score = Projection(width, classes)

    def features(self, x: Tensor) -> Tensor:
        """Float [N, *shape] -> [N, width]."""
        features: Tensor = self.layers(x.flatten(1))
        return features

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, *shape], int64 [N] -> scores [N]."""
        score: Tensor = self.score(self.features(x), y)
        return score


class Autoencoder(nn.Module):
    """A discriminator whose score is the error of its reconstruction: small where x looks real (BEGAN, eq. 1)."""

    def __init__(
        self, *, shape: Sequence[int], code: int, classes: int = 0, width: int = 128, depth: int = 3,
        slope: float = SLOPE, bias: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.encoder = _layers(math.prod(shape), code, width, depth, slope, bias)
        self.decoder = Generator(
            shape=shape, latent=code, classes=classes, width=width, depth=depth, slope=slope, bias=bias, bounded=False
        )

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, *shape], int64 [N] -> the shape of x."""
        again: Tensor = self.decoder(self.encoder(x.flatten(1)), y)
        return again

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, *shape], int64 [N] -> scores [N], not negative."""
        return reconstruction_error(x, self.reconstruct(x, y))


def players(
    *, shape: tuple[int, ...], classes: int, latent: int, width: int = 512, depth: int = 3,
    critic: Literal["score", "autoencoder"] = "score", bounded: bool = True, slope: float = SLOPE, bias: float = 0.0,
) -> tuple[Generator, Discriminator | Autoencoder]:  # fmt: skip
    """Both players.

    Args:
        shape: Shape of a sample, whatever it is.
        classes: 0 is unconditional.
        latent: Dimensions of z, and of an autoencoder's code.
        width: Of the hidden layers.
        depth: Number of hidden layers of G, of D, and of each half of an autoencoder.
        critic: What D is: a network that ends in a score, or an autoencoder whose error is the score.
        bounded: G ends in tanh.
        slope: Of the leaky ReLU below zero; 0 is the ReLU.
        bias: Standard deviation of the biases at the start. At 0 the kinks of the first layer all cross the origin,
            which leaves samples of few dimensions with few pieces.
    """
    if critic not in ("score", "autoencoder"):
        raise ValueError(f"critic: expected score or autoencoder, got {critic!r}")
    if depth < 1:
        raise ValueError(f"depth: expected at least 1, got {depth}")
    if bias < 0:
        raise ValueError(f"bias: expected a standard deviation of at least 0, got {bias:g}")
    layers: dict[str, Any] = {"width": width, "depth": depth, "slope": slope, "bias": bias}
    G = Generator(shape=shape, latent=latent, classes=classes, bounded=bounded, **layers)
    if critic == "autoencoder":
        return G, Autoencoder(shape=shape, code=latent, classes=classes, **layers)
    return G, Discriminator(shape=shape, classes=classes, **layers)


def _layers(inputs: int, outputs: int, width: int, depth: int, slope: float, bias: float) -> nn.Sequential:
    """`depth` hidden layers and a linear one; there is no normalisation, so the weights keep the variance (He 2015)."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [_linear(inputs, width, gain=math.sqrt(2 / (1 + slope**2)), bias=bias), nn.LeakyReLU(slope)]
        inputs = width
    return nn.Sequential(*layers, _linear(inputs, outputs, gain=1.0, bias=bias))


def _linear(inputs: int, outputs: int, *, gain: float, bias: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=gain / math.sqrt(inputs))
    nn.init.zeros_(layer.bias)
    if bias:
        nn.init.normal_(layer.bias, std=bias)
    return layer
