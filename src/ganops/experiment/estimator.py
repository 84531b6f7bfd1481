"""The library in one object, for notebooks: the same core, in this process."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ganops import config
from ganops.core.errors import UserError
from ganops.core.terminal import training_bar
from ganops.experiment import checks, machine
from ganops.experiment.run import Run
from ganops.generator import Generator
from ganops.generator.encoder import Encoder
from ganops.generator.inversion import draw, invert
from ganops.generator.projection import STEPS
from ganops.kinds import Spec


@dataclass(frozen=True)
class _Arrays:
    """Samples in memory, as a run wants them: all of them are for training."""

    pixels: NDArray[np.uint8]
    y: NDArray[np.int64] | None
    spec: Spec
    hash: str = "in memory"

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(str(i) for i in range(self.spec.classes))

    def samples(self, split: str) -> NDArray[np.uint8]:
        return self.pixels

    def labels(self, split: str) -> NDArray[np.int64] | None:
        return self.y


class GAN:
    """A GAN, or an autoencoder in its place, that learns from arrays and draws pictures.

    >>> GAN(architecture="r3gan", loss="relativistic").fit(images).predict(16)  # doctest: +SKIP
    >>> GAN(loss="vae").fit(images).encode(images[:16])  # doctest: +SKIP

    Args:
        architecture: `began`, `dcgan`, `infogan`, `mlp`, `r3gan`, `sngan` or `stylegan2`.
        loss: `began`, `hinge`, `least_squares`, `minimax`, `non_saturating`, `relativistic`, `relativistic_average` or
            `wasserstein`; or, without a game, `autoencoder`, `two_stage_vae` or `vae`.
        kimg: Thousands of images shown to D.
        seed: Everything random follows from it.
        device: `auto`, `cpu` or `cuda`.
        params: Any other parameter of `params.yaml` by its dotted path, for example `{"loss.r1": 0.5}`.
    """

    def __init__(
        self,
        architecture: str = "dcgan",
        loss: str = "non_saturating",
        *,
        kimg: float = 100,
        seed: int = 0,
        device: str = "auto",
        params: Mapping[str, Any] | None = None,
    ) -> None:
        self.experiment = config.parse({}).override(
            {
                "model.architecture": architecture,
                "loss.name": loss,
                "train.kimg": kimg,
                "seed": seed,
                "compute.device": device,
                **(params or {}),
            }
        )
        checks.check(self.experiment)
        self.generator: Generator | None = None
        self.encoder: Encoder | None = None
        """Encoder of an autoencoder, once it has learnt."""
        self.history: list[dict[str, float]] = []

    def fit(self, images: ArrayLike, labels: ArrayLike | None = None) -> Self:
        """Trains from the start and keeps the averaged generator.

        Args:
            images: uint8 [N, H, W], [N, H, W, C] or [N, C, H, W]; squares of 16, 32, 64, 128 or 256 pixels.
            labels: Integers [N] from 0 on make the GAN conditional; None: unconditional.

        Raises:
            UserError: The arrays are not such images or labels.
        """
        pixels = _channels_first(np.asarray(images))
        y = None if labels is None else _whole_numbers(np.asarray(labels), len(pixels))
        spec = Spec("image", pixels.shape[1:], 0 if y is None else int(y.max()) + 1)
        device = machine.choose_device(self.experiment.compute.device)
        run = Run(self.experiment, _Arrays(pixels, y, spec), None, device)
        with training_bar("train", self.experiment.train.kimg) as show:
            for progress in run.play():
                show(progress.row, progress.alarms)
        self.generator, self.encoder, self.history = run.best_generator(), run.best_encoder(), run.history
        return self

    def predict(
        self, seeds: int | ArrayLike, labels: ArrayLike | None = None, truncation: float = 1.0
    ) -> NDArray[np.uint8]:
        """One picture for each seed: uint8 [N, H, W, C]; a number N stands for the seeds 0 ... N-1.

        Raises:
            UserError: The GAN has not been trained.
        """
        generator = self._learnt()
        wanted = np.arange(seeds) if isinstance(seeds, int) else np.asarray(seeds, np.int64)
        y = None if labels is None else np.broadcast_to(np.asarray(labels, np.int64), wanted.shape)
        return generator.spec.shown(generator.sample(wanted, y, truncation))

    def encode(self, images: ArrayLike, labels: ArrayLike | None = None, *, steps: int = STEPS) -> NDArray[np.float32]:
        """The latent of each picture, float32 [N, D], of which `decode` makes the nearest picture that it can.

        An autoencoder's encoder gives its code. A game has no encoder: the latent is found by optimisation, which takes
        seconds for each picture (`generator.projection`).

        Args:
            images: Pictures as for `fit`, one or more, of the shape that it learnt.
            labels: Integers [N]; a conditional GAN needs them.
            steps: Steps of the optimisation.

        Raises:
            UserError: It has not been trained, or the arrays are not such images or labels.
        """
        generator, pixels = self._learnt(), _channels_first(np.asarray(images), fewest=1)
        y = self._labels(labels, len(pixels))
        return invert(generator, self.encoder, pixels, y, steps=steps).latents

    def decode(self, latents: ArrayLike, labels: ArrayLike | None = None) -> NDArray[np.uint8]:
        """One picture for each latent that `encode` found, float32 [N, D] -> uint8 [N, H, W, C].

        Raises:
            UserError: It has not been trained, or they are not its latents or labels.
        """
        generator, z = self._learnt(), np.asarray(latents, np.float32)
        y = self._labels(labels, len(z))
        return generator.spec.shown(draw(generator, z, y, "code" if self.encoder else "z"))

    def save(self, folder: Path) -> None:
        """Writes the generator as `artifacts/generator` of the pipeline is written, an encoder beside it.

        Raises:
            UserError: The GAN has not been trained.
        """
        self._learnt().save(folder)
        if self.encoder:
            self.encoder.save(folder)

    def _learnt(self) -> Generator:
        if self.generator is None:
            raise UserError("this GAN has not learnt yet: call fit(images) first")
        return self.generator

    def _labels(self, labels: ArrayLike | None, count: int) -> NDArray[np.int64] | None:
        """Labels of so many pictures; None where it learnt without."""
        classes = self._learnt().classes
        if labels is None and classes:
            raise UserError(f"labels: expected integers from 0 to {classes - 1}, one for each picture, got none")
        if labels is None or not classes:
            return None
        y = _whole_numbers(np.asarray(labels), count)
        if y.max() >= classes:
            raise UserError(f"labels: expected integers from 0 to {classes - 1}, got {y.max()}")
        return y


def _channels_first(images: NDArray[Any], fewest: int = 2) -> NDArray[np.uint8]:
    if images.dtype != np.uint8:
        raise UserError(f"images: expected uint8 from 0 to 255, got {images.dtype}")
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim == 4 and images.shape[1] not in (1, 3) and images.shape[3] in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    sizes = (16, 32, 64, 128, 256)
    if images.ndim != 4 or images.shape[1] not in (1, 3) or images.shape[2] != images.shape[3]:
        raise UserError(f"images: expected [N, H, W], [N, H, W, C] or [N, C, H, W] and squares, got {images.shape}")
    if images.shape[2] not in sizes or len(images) < fewest:
        raise UserError(
            f"images: expected at least {fewest} of {', '.join(map(str, sizes))} pixels, got {images.shape}"
        )
    return np.ascontiguousarray(images)


def _whole_numbers(labels: NDArray[Any], count: int) -> NDArray[np.int64]:
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise UserError(f"labels: expected {count} integers from 0 on, got {labels.dtype} {labels.shape}")
    return labels.astype(np.int64)
