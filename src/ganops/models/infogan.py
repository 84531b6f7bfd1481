"""The players that "Are GANs Created Equal?" (Lucic et al. 2018) gives to all its models: those of InfoGAN, small.

With one change: latents are normal here, as everywhere in this project, and were uniform in [-1, 1] there. As in the
study's own code (google/compare_gan, `abstract_gan.py` and `BEGAN.py`) the leaky ReLU is G's too, and batch
normalisation after a dense layer is that of its single units.
"""

from typing import Literal

from torch import Tensor, nn

from ganops.models.layers import BatchNorm2d, Condition, Projection, as_maps, as_rows, planes, reconstruction_error

SLOPE = 0.2
"""Slope of the leaky ReLU below zero."""


class BatchNorm1d(BatchNorm2d):
    """The same over rows."""

    def forward(self, x: Tensor) -> Tensor:
        """Float [N, C] -> the same shape."""
        return super().forward(x[:, :, None, None])[:, :, 0, 0]


class Decoder(nn.Module):
    """[N, inputs] -> dense layers of `hidden` units -> maps of a quarter of the resolution -> two doublings -> tanh."""

    def __init__(
        self, channels: int, resolution: int, inputs: int, hidden: tuple[int, ...], width: int, *, norm: bool
    ) -> None:
        super().__init__()
        self.size = resolution // 4
        dense: list[nn.Module] = []
        for units in (*hidden, 2 * width * self.size**2):
            # a bias before batch normalisation has no effect: its gradient would be rounding, which Adam makes a walk
            dense += [nn.Linear(inputs, units, bias=not norm), *_norm(BatchNorm1d, units, norm), nn.LeakyReLU(SLOPE)]
            inputs = units
        self.dense = nn.Sequential(*dense)
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=not norm),
            *_norm(BatchNorm2d, width, norm),
            nn.LeakyReLU(SLOPE),
            nn.ConvTranspose2d(width, channels, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, rows: Tensor) -> Tensor:
        """Float [N, inputs] -> float [N, C, H, W] in [-1, 1]."""
        images: Tensor = self.layers(as_maps(self.dense(rows), self.size))
        return images


class Generator(nn.Module):
    """z -> a dense layer -> the decoder, batch normalisation throughout."""

    def __init__(self, channels: int, resolution: int, classes: int, latent: int, width: int, hidden: int) -> None:
        super().__init__()
        self.condition = Condition(latent, classes)
        self.decoder = Decoder(channels, resolution, self.condition.width, (hidden,), width, norm=True)
        self.apply(_initialise)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, latent], int64 [N] -> float [N, C, H, W] in [-1, 1]."""
        images: Tensor = self.decoder(self.condition(z, y))
        return images


class Discriminator(nn.Module):
    """Two convolutions that halve the resolution -> a dense layer -> score."""

    offset = "score.linear.bias"
    """The parameter that moves all scores alike."""
    beyond = ("score",)
    """The parts behind the features."""

    def __init__(self, channels: int, resolution: int, classes: int, width: int, hidden: int, *, norm: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_halvings(channels, width, bias=not norm), *_norm(BatchNorm2d, 2 * width, norm), nn.LeakyReLU(SLOPE)
        )
        self.dense = nn.Sequential(
            nn.Linear(2 * width * (resolution // 4) ** 2, hidden, bias=not norm),
            *_norm(BatchNorm1d, hidden, norm),
            nn.LeakyReLU(SLOPE),
        )
        self.width = hidden
        self.score = Projection(hidden, classes)
        self.apply(_initialise)

    def features(self, x: Tensor) -> Tensor:
        """Float [N, C, H, W] -> [N, width]."""
        features: Tensor = self.dense(as_rows(self.layers(x)))
        return features

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, C, H, W], int64 [N] -> scores [N]."""
        score: Tensor = self.score(self.features(x), y)
        return score


class Autoencoder(nn.Module):
    """The same convolutions -> a code -> the decoder; the score is the error of its reconstruction (for BEGAN).

    The label joins the code: it says as what the decoder is to take it.
    """

    def __init__(self, channels: int, resolution: int, classes: int, code: int, width: int, *, norm: bool) -> None:
        super().__init__()
        # nothing but a dense layer lies between the convolutions and batch normalisation
        self.layers = nn.Sequential(*_halvings(channels, width, bias=not norm))
        self.code = nn.Sequential(
            nn.Linear(2 * width * (resolution // 4) ** 2, code, bias=not norm),
            *_norm(BatchNorm1d, code, norm),
            nn.LeakyReLU(SLOPE),
        )
        self.condition = Condition(code, classes)
        self.decoder = Decoder(channels, resolution, self.condition.width, (), width, norm=norm)
        self.apply(_initialise)

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, C, H, W], int64 [N] -> the shape of x."""
        again: Tensor = self.decoder(self.condition(self.code(as_rows(self.layers(x))), y))
        return again

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, C, H, W], int64 [N] -> scores [N], not negative."""
        return reconstruction_error(x, self.reconstruct(x, y))


def players(
    *, shape: tuple[int, ...], classes: int, latent: int, width: int = 64, hidden: int = 1024,
    norm: Literal["batch", "none"] = "batch", critic: Literal["score", "autoencoder"] = "score",
) -> tuple[Generator, Discriminator | Autoencoder]:  # fmt: skip
    """Both players.

    Args:
        shape: [C, H, W]: any number of channels, and squares, their side a multiple of 4. The dense layers grow with
            its square: for pictures of 28 to 64 pixels.
        classes: 0 is unconditional, as in the study.
        latent: Dimensions of z, and of an autoencoder's code (64 in the study).
        width: Channels at half the resolution; at a quarter there are twice as many.
        hidden: Units of the dense layer.
        norm: Normalisation in D.
        critic: What D is: a network that ends in a score, or an autoencoder whose error is the score.
    """
    channels, resolution = planes(shape, 4, doubled=False)
    if norm not in ("batch", "none"):
        raise ValueError(f"norm: expected batch or none, got {norm!r}")
    if critic not in ("score", "autoencoder"):
        raise ValueError(f"critic: expected score or autoencoder, got {critic!r}")
    G = Generator(channels, resolution, classes, latent, width, hidden)
    if critic == "autoencoder":
        return G, Autoencoder(channels, resolution, classes, latent, width, norm=norm == "batch")
    return G, Discriminator(channels, resolution, classes, width, hidden, norm=norm == "batch")


def _halvings(channels: int, width: int, *, bias: bool) -> list[nn.Module]:
    """[N, C, H, W] -> [N, 2 width, H / 4, W / 4]."""
    return [
        nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(SLOPE), nn.Conv2d(width, 2 * width, 4, 2, 1, bias=bias)
    ]  # fmt: skip


def _norm(kind: type[BatchNorm2d], width: int, norm: bool) -> list[nn.Module]:
    """Return a layer with the study's epsilon, which is felt: the first activations are as small as the weights."""
    return [kind(width, eps=1e-3)] if norm else []


def _initialise(module: nn.Module) -> None:
    """N(0, 0.02), as in the study."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
