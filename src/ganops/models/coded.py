"""Networks of autoencoders, made of the players of any architecture: G decodes, D without its score encodes."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganops.models.layers import Condition
from ganops.models.mixture import Mixture


class Encoder(nn.Module):
    """The trunk of a discriminator -> codes [N, code], or the moments of their distributions [N, 2 code].

    Labels shift what is said of a sample, as they condition the decoder. No sample is compared with others (`group`).
    """

    def __init__(self, D: Any, outputs: int, classes: int) -> None:
        """Takes D apart: what lies behind its features goes.

        Raises:
            ValueError: D has no features.
        """
        super().__init__()
        if not hasattr(D, "features"):
            raise ValueError("an encoder is made of D's features, and this D has none")
        for part in D.beyond:
            delattr(D, part)
        D.group = 1
        self.trunk, self.head = D, nn.Linear(D.width, outputs)
        nn.init.normal_(self.head.weight, std=START / math.sqrt(D.width))
        nn.init.zeros_(self.head.bias)
        self.label = nn.Embedding(classes, outputs) if classes else None
        if self.label is not None:
            nn.init.zeros_(self.label.weight)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, ...], int64 [N] -> [N, outputs]."""
        out: Tensor = self.head(self.trunk.features(x))
        return out if self.label is None else out + self.label(y).to(out.dtype)


START = 0.1
"""Deviation of an encoder's output at the start where its features have mean square 1."""


class TwoStageEncoder(Encoder):
    """The encoders of both stages of a two-stage VAE."""

    def __init__(self, D: Any, outputs: int, classes: int, hidden: int) -> None:
        super().__init__(D, outputs, classes)
        self.second = Residual(outputs // 2, outputs, classes, hidden)

    def forward(self, x: Tensor, y: Tensor | None = None, *, second: bool = False) -> Tensor:
        """Float [N, ...], int64 [N] -> moments [N, 2 code]; `second`: those of the codes of codes [N, code]."""
        out: Tensor = self.second(x, y) if second else super().forward(x, y)
        return out


class Residual(nn.Module):
    """x, then zeros, plus three hidden layers of it and the label; at the start exactly x and zeros."""

    def __init__(self, inputs: int, outputs: int, classes: int, hidden: int) -> None:
        super().__init__()
        self.condition, self.more = Condition(inputs, classes), outputs - inputs
        widths = [self.condition.width, *[hidden] * 3]
        hiddens = [layer for i, o in itertools.pairwise(widths) for layer in (nn.Linear(i, o), nn.ReLU())]
        self.layers = nn.Sequential(*hiddens, nn.Linear(hidden, outputs))
        for parameter in self.layers[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        """[N, inputs], [N] -> [N, outputs]."""
        added: Tensor = self.layers(self.condition(x, y))
        return F.pad(x, (0, self.more)) + added


class TwoStage(nn.Module):
    """A decoder behind the decoder of its codes (Dai & Wipf 2019, section 4): z -> code -> sample.

    Half of z goes through the second decoder, whose output is the mean of the code, the other half is the code's
    deviation from it. At the start the code is the first half.
    """

    deviation: Tensor

    def __init__(self, decoder: nn.Module, code: int, classes: int, hidden: int) -> None:
        super().__init__()
        self.decoder, self.latent = decoder, self.numbers(code, hidden)
        self.prior = Residual(code, code, classes, hidden)
        self.register_buffer("deviation", torch.zeros(()))

    @staticmethod
    def numbers(code: int, hidden: int) -> int:
        """Numbers of z for a code."""
        return 2 * code

    def forward(self, z: Tensor, y: Tensor | None = None, *, second: bool = False) -> Tensor:
        """Float z [N, latent] or codes [N, code], int64 [N] -> samples; `second`: codes of codes -> means of codes."""
        if second:
            mean: Tensor = self.prior(z, y)
            return mean
        if z.shape[1] == self.latent:
            z, apart = z.chunk(2, 1)
            z = self.prior(z, y) + self.deviation * apart
        sample: Tensor = self.decoder(z, y)
        return sample

    def vary(self, variance: Tensor) -> None:
        """Takes the variance of a code around its mean."""
        self.deviation.copy_(variance.sqrt())


class Fitted(nn.Module):
    """A decoder behind a density of its codes (Ghosh et al. 2020, section 4): z -> code -> sample."""

    def __init__(self, decoder: nn.Module, code: int, classes: int, components: int) -> None:
        super().__init__()
        self.decoder, self.density = decoder, Mixture(code, classes, components)
        self.latent = self.density.latent

    @staticmethod
    def numbers(code: int, components: int) -> int:
        """Numbers of z for a code."""
        return code + Mixture.choosing(components)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, latent], int64 [N] -> float [N, ...]."""
        sample: Tensor = self.decoder(self.density(z, y), y)
        return sample


PRIORS: dict[str, type[Fitted] | type[TwoStage]] = {"fitted": Fitted, "two_stage": TwoStage}
"""Networks before a decoder, made by (decoder, code, classes, **options)."""


def with_prior(decoder: nn.Module, code: int, classes: int, prior: Mapping[str, Any]) -> nn.Module:
    """Return a decoder behind the network that `prior` names, with its options; where that is empty, the decoder."""
    options = dict(prior)
    return PRIORS[options.pop("name")](decoder, code, classes, **options) if options else decoder


def code_of(G: nn.Module, latent: int) -> int:
    """Return how many numbers of z, the first ones, an encoder finds: those of `G.code`, else all of them."""
    return int(getattr(G, "code", latent))


def latent(code: int, prior: Mapping[str, Any]) -> int:
    """Return the numbers of z for a code, with the network that `prior` names before the decoder."""
    options = dict(prior)
    return PRIORS[options.pop("name")].numbers(code, **options) if options else code


def encoder(D: nn.Module, code: int, classes: int, moments: int, prior: Mapping[str, Any]) -> Encoder:
    """Return an encoder made of D, with that of the second stage where there is one; `moments` as in `Family`."""
    if prior.get("name") == "two_stage":
        return TwoStageEncoder(D, moments * code, classes, prior["hidden"])
    return Encoder(D, moments * code, classes)
