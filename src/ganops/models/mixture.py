"""A mixture of Gaussians: fitted to codes by expectation-maximisation, and drawn from by normal numbers alone."""

import math

import torch
from torch import Tensor, nn

from ganops.core.randomness import generator

ROUNDS = 12
"""Rounds of k-means, and then of expectation-maximisation."""


class Mixture(nn.Module):
    """z -> a code: a component is chosen by two numbers of z, and the rest goes through its mean and covariance.

    The component follows from the ratio of the two, whose arctangent is uniform: so it stays the same where all of z
    is scaled, as truncation does, and at z = 0 it is the middle one. With one component, or one for each class, nothing
    is chosen.
    """

    means: Tensor
    roots: Tensor
    edges: Tensor

    def __init__(self, code: int, classes: int, components: int) -> None:
        """`components` 1: one Gaussian, or one for each class; more: each class has shares of its own in all."""
        super().__init__()
        self.classes, self.chosen = classes, components > 1
        self.latent = code + self.choosing(components)
        number = components if self.chosen else max(1, classes)
        self.register_buffer("means", torch.zeros(number, code))
        self.register_buffer("roots", torch.eye(code).repeat(number, 1, 1))
        self.register_buffer("edges", torch.zeros(max(1, classes), number - 1) if self.chosen else torch.zeros(0))

    @staticmethod
    def choosing(components: int) -> int:
        """Numbers of z that choose the component."""
        return 2 if components > 1 else 0

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, latent], int64 [N] -> codes [N, code]."""
        label = y if y is not None and self.classes else torch.zeros_like(z[:, 0], dtype=torch.long)
        if self.chosen:
            one, other, z = z[:, :1], z[:, 1:2], z[:, 2:]
            ratio, below = torch.where(one < 0, -other, other), torch.where(one == 0, 1, one.abs())  # not yet divided
            label = (ratio > below * self.edges[label]).sum(1)
        # copied for each code they take memory by the square of its numbers: a single one is not, to the same bits
        roots = self.roots if not self.chosen and self.classes <= 1 else self.roots[label]
        moved = (roots @ z[:, :, None].to(self.roots.dtype))[:, :, 0]
        return self.means[label] + moved

    @torch.no_grad()
    def fit(self, codes: Tensor, y: Tensor | None, seed: int) -> None:
        """Fits the mixture to codes [N, code] with labels [N], in float64; the same codes give the same mixture."""
        codes = codes.to("cpu", torch.float64)
        of_class = torch.nn.functional.one_hot(y.cpu(), self.classes).double() if self.classes and y is not None \
            else torch.ones(len(codes), 1, dtype=torch.float64)  # fmt: skip
        shares = _expectation_maximisation(codes, len(self.means), seed) if self.chosen else of_class
        means, covariances = _moments(codes, shares)
        self.means.copy_(means)
        self.roots.copy_(torch.linalg.cholesky(covariances))
        if self.chosen:
            weights = of_class.T @ shares
            weights = torch.where(weights.sum(1, keepdim=True) > 0, weights, shares.sum(0))  # a class without samples
            weights /= weights.sum(1, keepdim=True)
            below = weights.cumsum(1)[:, :-1].clamp(0, 1)
            self.edges.copy_(torch.tan(math.pi * (below - 0.5)))


def _expectation_maximisation(codes: Tensor, components: int, seed: int) -> Tensor:
    """Shares of each code in the components, [N, K]: from k-means on, whose centres begin as k-means++ draws them."""
    source = generator(seed, "mixture")
    centres = codes[torch.randint(len(codes), (1,), generator=source)]
    for _ in range(components - 1):
        nearest = torch.cdist(codes, centres).square().amin(1) + 1e-12
        centres = torch.cat([centres, codes[torch.multinomial(nearest, 1, generator=source)]])
    for _ in range(ROUNDS):
        shares = torch.nn.functional.one_hot(torch.cdist(codes, centres).argmin(1), components).double()
        centres = torch.where(shares.sum(0)[:, None] > 0, _centres(codes, shares), centres)
    for _ in range(ROUNDS):
        means, covariances = _moments(codes, shares)
        roots = torch.linalg.cholesky(covariances)
        lengths = torch.stack([torch.linalg.solve_triangular(root, (codes - mean).T, upper=False).square().sum(0)
                               for root, mean in zip(roots, means, strict=True)], 1)  # fmt: skip
        heights = torch.diagonal(roots, dim1=1, dim2=2).log().sum(1)
        shares = (shares.mean(0).clamp_min(1e-12).log() - heights - lengths / 2).softmax(1)
    return shares


def _centres(codes: Tensor, shares: Tensor) -> Tensor:
    return shares.T @ codes / shares.sum(0).clamp_min(1e-12)[:, None]


def _moments(codes: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Means [K, d] and covariances [K, d, d] of the components.

    Each covariance is drawn towards that of all codes by as many samples as a code has numbers: few samples say little.
    """
    counts, means = shares.sum(0), _centres(codes, shares)
    everywhere, d = codes.T.cov(correction=0).reshape(codes.shape[1], -1), codes.shape[1]
    means = torch.where(counts[:, None] > 0, means, codes.mean(0))
    covariances = []
    for count, mean, share in zip(counts, means, shares.T, strict=True):
        centred = codes - mean
        own = (centred * share[:, None]).T @ centred
        floor = 1e-6 * everywhere.diagonal().mean().clamp_min(1e-12) * torch.eye(d, dtype=codes.dtype)
        covariances.append((own + d * everywhere) / (count + d) + floor if len(counts) > 1 else own / count + floor)
    return means, torch.stack(covariances)
