"""BEGAN (Berthelot et al. 2017, section 3.5): D is an autoencoder, and G has the architecture of its decoder."""

from typing import Any

from torch import Tensor, nn

from ganops.models.layers import Condition, as_maps, as_rows, planes, reconstruction_error, stages


class Decoder(nn.Module):
    """z -> 8x8 -> pairs of convolutions with ELU, with doublings to the nearest neighbour between them -> samples."""

    def __init__(self, channels: int, resolution: int, classes: int, latent: int, width: int) -> None:
        super().__init__()
        self.condition = Condition(latent, classes)
        self.start = nn.Linear(self.condition.width, width * 64)
        layers = _pair(width)
        for _ in range(_doublings(resolution)):
            layers += [nn.Upsample(scale_factor=2), *_pair(width)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, channels, 3, padding=1))
        self.apply(_initialise)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, latent], int64 [N] -> float [N, C, H, W], nominally in [-1, 1] (no tanh)."""
        x = as_maps(self.start(self.condition(z, y)), 8)
        images: Tensor = self.layers(x)
        return images


class Autoencoder(nn.Module):
    """Convolutions that halve the resolution down to 8x8 -> code -> decoder; the score is the error, small for real x.

    The label joins the code: it says as what the decoder is to take it.
    """

    beyond = ("code", "decoder")
    """The parts behind the features."""

    def __init__(self, channels: int, resolution: int, classes: int, latent: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.ELU(), *_pair(width)]
        wide = width
        for _ in range(_doublings(resolution)):
            # the number of filters grows linearly, as published
            layers += [nn.Conv2d(wide, wide + width, 3, stride=2, padding=1), nn.ELU(), *_pair(wide + width)]
            wide += width
        self.width = wide * 64
        self.encoder, self.code = nn.Sequential(*layers), nn.Linear(self.width, latent)
        for part in (self.encoder, self.code):
            part.apply(_initialise)
        self.decoder = Decoder(channels, resolution, classes, latent, width)

    def features(self, x: Tensor) -> Tensor:
        """Float [N, C, H, W] -> [N, width]."""
        return as_rows(self.encoder(x))

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, C, H, W], int64 [N] -> the shape of x."""
        again: Tensor = self.decoder(self.code(self.features(x)), y)
        return again

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, C, H, W], int64 [N] -> scores [N], not negative."""
        return reconstruction_error(x, self.reconstruct(x, y))


def players(*, shape: tuple[int, ...], classes: int, latent: int, width: int = 32) -> tuple[Decoder, Autoencoder]:
    """Both players.

    Args:
        shape: [C, H, W]: any number of channels, and squares, their side a power of two from 8.
        classes: 0 is unconditional.
        latent: Dimensions of z, and of the autoencoder's code (64 published).
        width: Filters of the decoder, and of the encoder's first level (128 published for 128 pixels).
    """
    channels, resolution = planes(shape, 8)
    given: dict[str, Any] = {
        "channels": channels, "resolution": resolution, "classes": classes, "latent": latent, "width": width,
    }  # fmt: skip
    return Decoder(**given), Autoencoder(**given)


def _pair(width: int) -> list[nn.Module]:
    return [layer for _ in range(2) for layer in (nn.Conv2d(width, width, 3, padding=1), nn.ELU())]


def _doublings(resolution: int) -> int:
    """Return the number of doublings from 8x8 to `resolution`."""
    return stages(resolution) - 1


def _initialise(module: nn.Module) -> None:
    """Keeps the variance (Glorot & Bengio 2010): there is no normalisation to restore it."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        assert module.bias is not None
        nn.init.zeros_(module.bias)
