"""WaveGAN (Donahue et al. 2019, "Adversarial audio synthesis"): sound as its samples, by convolutions in time alone.

DCGAN in one dimension: kernels of 25 samples, strides of 4. The paper's phase shuffle, which hides from D at which
sample an artefact of the upsampling lies, is not here: it draws random numbers inside D. The augmentation `time` moves
what D sees by whole samples to the same purpose, drawn from the seed and the turn (`train.augment.transforms`).
"""

import itertools

from torch import Tensor, nn

from ganops.models.layers import Condition, Projection

STRIDE = 4
"""Factor by which a layer makes a clip longer, or shorter."""
STARTS = (8, 32)
"""Samples that the first layer draws: from 8 to 31. The paper's 16 are 8 for a clip of 8,192, so that 4 divides it."""
WIDEST = 16
"""Channels of the shortest layers, in widths, at most."""


class Generator(nn.Module):
    """z -> a few samples of many channels -> transposed convolutions, each of which makes them 4 times as many."""

    def __init__(self, channels: int, samples: int, classes: int, latent: int, width: int, kernel: int) -> None:
        super().__init__()
        self.condition = Condition(latent, classes)
        widths = _widths(samples, width)[::-1]
        self.length = samples // STRIDE ** len(widths)
        self.start = nn.Linear(self.condition.width, widths[0] * self.length)
        layers: list[nn.Module] = []
        for i, o in itertools.pairwise([*widths, channels]):
            layers += [nn.ReLU(), nn.ConvTranspose1d(i, o, kernel, STRIDE, (kernel - STRIDE + 1) // 2, 1)]
        self.layers = nn.Sequential(*layers, nn.Tanh())
        self.apply(_initialise)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, latent], int64 [N] -> float [N, C, T] in [-1, 1]."""
        clips: Tensor = self.layers(self.start(self.condition(z, y)).unflatten(1, (-1, self.length)))
        return clips


class Discriminator(nn.Module):
    """Convolutions, each of which makes a clip 4 times as short -> score. Nothing is normalised over a batch."""

    offset = "score.linear.bias"
    """The parameter that moves all scores alike."""
    beyond = ("score",)
    """The parts behind the features."""

    def __init__(self, channels: int, samples: int, classes: int, width: int, kernel: int) -> None:
        super().__init__()
        widths = _widths(samples, width)
        layers: list[nn.Module] = []
        for i, o in itertools.pairwise([channels, *widths]):
            layers += [nn.Conv1d(i, o, kernel, STRIDE, (kernel - STRIDE + 1) // 2), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.width = widths[-1] * (samples // STRIDE ** len(widths))
        self.score = Projection(self.width, classes)
        self.apply(_initialise)

    def features(self, x: Tensor) -> Tensor:
        """Float [N, C, T] -> [N, width]."""
        features: Tensor = self.layers(x)
        return features

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, C, T], int64 [N] -> scores [N]."""
        score: Tensor = self.score(self.features(x), y)
        return score


def players(
    *, shape: tuple[int, ...], classes: int, latent: int, width: int = 16, kernel: int = 25
) -> tuple[Generator, Discriminator]:
    """Both players.

    Args:
        shape: [C, T]: T is a power of 4 times a number from 8 to 31.
        classes: 0 is unconditional.
        latent: Dimensions of z.
        width: Channels at a quarter of the rate (64 in the paper); they double at each layer, up to 16 times.
        kernel: Samples of a kernel, an odd number from 5.
    """
    if len(shape) != 2:
        raise ValueError(f"draws waves [1, T], not samples of {list(shape)}")
    if kernel < STRIDE or not kernel % 2:
        raise ValueError(f"kernel: expected an odd number from {STRIDE + 1} on, got {kernel}")
    channels, samples = shape
    layers(samples)
    return (
        Generator(channels, samples, classes, latent, width, kernel),
        Discriminator(channels, samples, classes, width, kernel),
    )


def layers(samples: int) -> int:
    """Return the number of layers from the first samples to a clip of so many.

    Raises:
        ValueError: There is none; the message has the nearest numbers of samples that there are.
    """
    count = next(count for count in itertools.count() if samples < STARTS[1] * STRIDE**count)
    step = STRIDE**count
    if not count or samples % step:
        least = STARTS[0] * STRIDE
        near = sorted({max(least, samples // step * step), max(least, -(-samples // step) * step)})
        number = " or ".join(map(str, near))
        raise ValueError(
            f"draws clips of {STARTS[0]} to {STARTS[1] - 1} times a power of {STRIDE} samples, got {samples}; the "
            f"nearest data.samples: {number}"
        )
    return count


def _widths(samples: int, width: int) -> list[int]:
    """Channels at a quarter of the rate, a sixteenth, ..."""
    return [width * min(2**i, WIDEST) for i in range(layers(samples))]


def _initialise(module: nn.Module) -> None:
    """Weights that keep the variance (He et al. 2015), since there is no normalisation that would."""
    if isinstance(module, nn.Linear | nn.Conv1d):
        fan = module.weight[0].numel()
    elif isinstance(module, nn.ConvTranspose1d):
        fan = module.weight[:, 0].numel() // STRIDE  # each sample of the output is under a quarter of a kernel
    else:
        return
    nn.init.normal_(module.weight, std=(2 / fan) ** 0.5)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
