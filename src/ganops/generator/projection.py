"""Projection: latents whose pictures are nearest to given ones, found by optimisation. It needs no encoder.

Abdal et al. 2019 ("Image2StyleGAN", equation 1) descend by the squared errors of pixels and of features, Karras et al.
2020 ("Analyzing and improving the image quality of StyleGAN", appendix D) by Adam, with a learning rate that rises and
falls. The latents here are those that the generator takes, kept plausible by their normal density as in Bora et al.
2017 ("Compressed sensing using generative models").
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganops.core.cores import side_by_side
from ganops.core.errors import UserError
from ganops.core.latents import latents, normal_table
from ganops.core.terminal import progress
from ganops.generator.artefact import Generator
from ganops.kinds import Spec

STEPS = 300
"""Steps of Adam for each picture where nobody says otherwise."""
CANDIDATES, FEWEST = 512, 32
"""Seeds whose pictures are compared with each: all together, and of each class at least where none is known."""
STARTS, CLASSES = 4, 16
"""Nearest seeds from which a search begins; where no class is known, nearest classes, with the best seed of each."""
SCOUTING = 0.25
"""Share of the steps that are taken from all starts; the others go on from the best of what these found."""
RATE, RISE, FALL = 0.1, 0.05, 0.25
"""Learning rate, and the shares of the steps in which it rises on a line and falls on half a cosine."""
VARIANCE = 0.03
"""Variance of a pixel in [-1, 1] around the generator's: the larger it is, the more likely latents are preferred."""
GREYS = 127.5
"""Grey levels in a unit of [-1, 1]."""
BATCH = 64
"""Pictures that are compared at once."""

Features = Callable[[Tensor], Tensor]
"""Samples [N, C, H, W] in [-1, 1] -> features [N, d]; gradients pass through."""


@dataclass(frozen=True)
class Projection:
    """Latents of pictures."""

    latents: NDArray[np.float32]
    """[N, latent]."""
    labels: NDArray[np.int64] | None
    """[N]; None: the generator takes none."""
    pictures: NDArray[np.uint8]
    """The generator's pictures of them, [N, C, H, W]."""
    distances: NDArray[np.float32]
    """Root mean squared errors in grey levels of the best latents so far: of the starts, then after each step,
    [N, S + 1]."""


def project(
    generator: Generator, images: NDArray[np.uint8], labels: NDArray[np.int64] | None = None, *, steps: int = STEPS,
    seed: int = 0, features: Features | None = None,
) -> Projection:  # fmt: skip
    """Find the latents of pictures, each by itself: what one gets does not depend on the others.

    Args:
        generator: Any generator.
        images: uint8 [N, C, H, W] of its shape.
        labels: int64 [N]; None: of a generator with classes the best one is found as well.
        steps: Steps of Adam, at least 1.
        seed: Another one begins from other latents; from 0 on.
        features: Their mean squared difference is added to that of the pixels; None: pixels alone.

    Raises:
        UserError: The pictures are not of the generator's shape, or the steps or the seed too small.
    """
    expect(generator, images)
    for name, number, least in (("steps", steps, 1), ("seed", seed, 0)):
        if number < least:
            raise UserError(f"{name}: expected at least {least}, got {number}")
    starts = _starts(generator, images, labels, seed)
    exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    with exact, progress("encode", len(images) * steps, "steps") as advance:

        def find(i: int) -> tuple[Tensor, int, Tensor]:
            return _Search(generator, images[i], features, advance).find(*starts[i], steps)

        device = next(generator.network.parameters()).device
        found = list(side_by_side(find, range(len(images)), device.type))
    z = torch.stack([each[0] for each in found]).numpy()
    own = np.array([each[1] for each in found], np.int64) if generator.classes else None
    return Projection(z, own, generator.render(z, own), torch.stack([each[2] for each in found]).numpy())


def expect_gradient(spec: Spec) -> None:
    """Refuse samples that lie apart from one another: between words there is nothing that a search could go through.

    Raises:
        UserError: They are texts.
    """
    if spec.kind == "text":
        raise UserError("latents of texts cannot be found: no gradient leads from word to word")


def expect(generator: Generator, images: NDArray[np.uint8]) -> None:
    """Refuse what is no array of samples as a generator draws them, or has no latents that could be found.

    Raises:
        UserError: There are none, or they are of another shape or type, or texts.
    """
    expect_gradient(generator.spec)
    like = generator.spec.empty(1)
    if images.dtype != like.dtype or images.shape[1:] != like.shape[1:] or not len(images):
        shape = ", ".join(map(str, like.shape[1:]))
        raise UserError(
            f"{generator.spec.noun}s: expected {like.dtype} [N, {shape}], which the generator draws, got "
            f"{images.dtype} {list(images.shape)}"
        )


def _starts(
    generator: Generator, images: NDArray[np.uint8], labels: NDArray[np.int64] | None, seed: int
) -> list[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Latents [K, D] and labels [K] of the nearest candidates of each picture."""
    unknown = bool(generator.classes) and labels is None
    own = np.zeros(len(images), np.int64) if labels is None else labels
    count = max(FEWEST, CANDIDATES // generator.classes) if unknown else CANDIDATES
    z = latents(seed * CANDIDATES + np.arange(count), generator.latent, normal_table())
    near: list[list[tuple[float, int, int]]] = [[] for _ in images]
    for label in range(generator.classes) if unknown else np.unique(own).tolist():
        drawn = generator.render(z, np.full(count, label))
        for i in range(len(images)) if unknown else np.flatnonzero(own == label):
            errors = _errors(drawn, images[i])
            near[i] += [(errors[k], label, k) for k in np.argsort(errors)[: 1 if unknown else STARTS]]
    best = [sorted(each)[: CLASSES if unknown else STARTS] for each in near]
    return [(z[[k for *_, k in each]], np.array([label for _, label, _ in each])) for each in best]


def _errors(drawn: NDArray[np.uint8], image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean squared errors of stored samples [N, *shape] against one."""
    pieces = (drawn[start : start + BATCH].astype(np.float32) for start in range(0, len(drawn), BATCH))
    axes = tuple(range(1, drawn.ndim))
    return np.concatenate([np.square(piece - image).mean(axes) for piece in pieces])


class _Search:
    """The search for the latent of one picture."""

    def __init__(
        self, generator: Generator, image: NDArray[np.uint8], features: Features | None, advance: Callable[[int], None]
    ) -> None:
        self.network, self.weight = generator.network, next(generator.network.parameters())
        self.conditional = bool(generator.classes)
        self.x = generator.spec.floats(torch.from_numpy(np.array(image)).to(self.weight.device), torch.float32)[None]
        self.features, self.advance = features, advance
        with torch.no_grad():
            self.seen = None if features is None else features(self.x)

    def find(self, z: NDArray[np.float32], y: NDArray[np.int64], steps: int) -> tuple[Tensor, int, Tensor]:
        """The best latent [D], its label and its distances [steps + 1], from starts [K, D] with labels [K]."""
        scouting = round(SCOUTING * steps) if len(z) > 1 else 0
        start, label = torch.from_numpy(z).to(self.weight.device), torch.from_numpy(y).to(self.weight.device)
        found, losses, scouted = self._descend(start, label, scouting)
        best = losses.argmin()[None]
        found, _, followed = self._descend(found[best], label[best], steps - scouting)
        return found[0].cpu(), int(label[best]), torch.stack([*scouted, *followed[1:]]).cpu()

    def _descend(self, start: Tensor, y: Tensor, steps: int) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Steps of Adam down the loss from latents [K, D], of which none knows of the others.

        Returns:
            The best of each [K, D], their losses [K], and before each step and at the end the distance of the best [].
        """
        z, least, path = start.clone().requires_grad_(), torch.full_like(start[:, 0], torch.inf), []
        kept, nearest, adam = start, torch.full_like(least, torch.inf), torch.optim.Adam([z])
        pull = 2 * VARIANCE / self.x[0].numel()
        for step in range(steps + 1):
            distance, pixels = self._distance(z, y)
            with torch.no_grad():
                loss = distance + pull / 2 * z.square().sum(1)
                better = loss < least
                least, kept = torch.where(better, loss, least), torch.where(better[:, None], z, kept)
                nearest = torch.where(better, pixels.sqrt() * GREYS, nearest)
            path.append(nearest[least.argmin()])
            if step < steps:
                (slope,) = torch.autograd.grad(distance.sum(), z)
                # a number without a slope chooses, as that of a mixture's component does: it stays
                z.grad = slope + pull * z.detach() * (slope != 0)
                adam.param_groups[0]["lr"] = _rate(step, steps)
                adam.step()
                self.advance(1)
        return kept, least, path

    def _distance(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The distance [K] of each latent's picture, and the part of its pixels."""
        made = self.network(z.to(self.weight), y if self.conditional else None).float()
        pixels = (made - self.x).square().flatten(1).mean(1)
        if self.features is None or self.seen is None:
            return pixels, pixels.detach()
        return pixels + (self.features(made) - self.seen).square().mean(1), pixels.detach()


def _rate(step: int, steps: int) -> float:
    """The learning rate of a step (Karras et al. 2020, appendix D)."""
    rise, left = (step + 1) / (RISE * steps), (steps - step) / (FALL * steps)
    return RATE * min(1.0, rise) * (0.5 - 0.5 * math.cos(math.pi * min(1.0, left)))
