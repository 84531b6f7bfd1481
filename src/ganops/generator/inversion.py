"""Inversion: the latents of given pictures, by an encoder or by projection, kept as a file, and drawn again."""

from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray

from ganops.core.errors import UserError
from ganops.core.files import atomic
from ganops.core.pictures import Images
from ganops.generator.artefact import Generator
from ganops.generator.encoder import Encoder, decoder
from ganops.generator.projection import STEPS, Features, expect, project

KINDS = ("code", "z")
"""Kinds of latents: what the decoder of an autoencoder takes, and what the generator does, which has a prior before."""
COLUMNS = 16
"""Most pictures beside one another on a sheet."""


@dataclass(frozen=True)
class Inversion:
    """Latents of pictures."""

    latents: NDArray[np.float32]
    """[N, code], or [N, latent]."""
    kind: str
    """One of `KINDS`."""
    labels: NDArray[np.int64] | None
    """[N]; None: the generator takes none."""
    distances: NDArray[np.float32]
    """Root mean squared error in grey levels, 0 to 255, of each picture against the one that its latent gives, [N]."""
    by: str
    """The way in which they were found, for people."""
    fingerprint: str
    """Fingerprint of the generator."""
    names: tuple[str, ...] = ()
    """Names of the pictures; empty: they have none."""

    def save(self, path: Path) -> None:
        """Writes an npz without pickles: an array for each field, no `labels` where there are none."""
        fields = {name: value for name, value in vars(self).items() if value is not None}
        with atomic(path) as draft, draft.open("wb") as file:
            np.savez(file, allow_pickle=False, **fields)

    @classmethod
    def load(cls, path: Path) -> "Inversion":
        """Reads what `save` wrote.

        Raises:
            UserError: There is no such file, or it holds something else.
        """
        if path.is_file() and not is_zipfile(path):
            raise UserError(f"{path}: expected latents as `ganops encode` writes them, an npz; it is none")
        try:
            with np.load(path, allow_pickle=False) as file:
                found = {name: file[name] for name in file.files}
            texts = {name: str(found[name]) for name in ("kind", "by", "fingerprint")}
            made = cls(**{"labels": None} | found | texts | {"names": tuple(found["names"].tolist())})
            made.check()
        except (OSError, ValueError, TypeError, KeyError, EOFError, BadZipFile) as error:
            raise UserError(f"{path}: expected latents as `ganops encode` writes them, got {error}") from error
        return made

    def check(self) -> None:
        """Refuse arrays that do not fit one another.

        Raises:
            ValueError: They are of other types or shapes than `Inversion` says.
        """
        z, y = self.latents, self.labels
        if self.kind not in KINDS or z.dtype != np.float32 or z.ndim != 2 or not len(z):
            raise ValueError(f"latents {self.kind!r} of {z.dtype} {list(z.shape)}")
        if y is not None and (y.dtype != np.int64 or y.shape != z.shape[:1]):
            raise ValueError(f"labels of {y.dtype} {list(y.shape)} for {len(z)} latents")

    def draw(self, generator: Generator) -> Images:
        """Pictures of the latents, see `draw`.

        Raises:
            UserError: They are of another generator.
        """
        return draw(generator, self.latents, self.labels, self.kind)


def draw(generator: Generator, latents: NDArray[np.float32], labels: NDArray[np.int64] | None, kind: str) -> Images:
    """Stored samples of latents of one of `KINDS`, float32 [N, D] with labels int64 [N] -> [N, *shape].

    Raises:
        UserError: The generator takes latents of another size, other labels, or no codes.
    """
    description, classes = generator.description, generator.classes
    size = description.code if kind == "code" else description.latent
    if latents.ndim != 2 or latents.shape[1] != size or not len(latents):
        takes = f"[N, {size}] of the kind {kind}" if size else "no codes, it has no encoder"
        raise UserError(f"latents: this generator takes {takes}; got {list(latents.shape)}")
    if (labels is None) != (classes == 0) or (labels is not None and not 0 <= labels.min() <= labels.max() < classes):
        got = "none" if labels is None else f"{labels.min()} to {labels.max()}"
        raise UserError(f"labels: this generator takes {f'0 to {classes - 1}' if classes else 'none'}, got {got}")
    network = decoder(generator.network) if kind == "code" else generator.network
    return replace(generator, network=network).render(latents, labels)


def invert(
    generator: Generator, encoder: Encoder | None, images: Images, labels: NDArray[np.int64] | None = None, *,
    steps: int = STEPS, seed: int = 0, features: Features | None = None, names: tuple[str, ...] = (),
) -> Inversion:  # fmt: skip
    """Find the latents of pictures: their codes where there is an encoder, else by projection.

    Args:
        generator: The generator.
        encoder: Its encoder; None: `projection.project` finds them.
        images: uint8 [N, C, H, W] of its shape.
        labels: int64 [N]; None: where it takes labels, that of the nearest picture.
        steps: Steps of the projection, as the next two.
        seed: It begins at the latents of other seeds.
        features: They count beside pixels.
        names: Names of the pictures, if they have any.

    Raises:
        UserError: The pictures are not of the generator's shape, see `project`.
    """
    expect(generator, images)
    own = None if not generator.classes else labels
    if encoder:
        z, own = _codes(encoder, images, own)
        kind, by, again = "code", "its encoder", encoder.decode(z, own)
    else:
        found = project(generator, images, own, steps=steps, seed=seed, features=features)
        z, own = found.latents, found.labels
        kind, by, again = "z", f"optimisation, {steps} steps", found.pictures
    return Inversion(z, kind, own, distances(images, again), by, generator.description.fingerprint, names)


def _codes(
    encoder: Encoder, images: Images, labels: NDArray[np.int64] | None
) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
    """Codes of pictures and their labels; of unknown ones those under which the picture comes back best."""
    classes = encoder.description.classes
    if labels is not None or not classes:
        return encoder.encode(images, labels), labels
    tried = [np.full(len(images), label) for label in range(classes)]
    codes = [encoder.encode(images, label) for label in tried]
    errors = [distances(images, encoder.decode(*each)) for each in zip(codes, tried, strict=True)]
    best = np.argmin(errors, 0)
    return np.stack(codes)[best, np.arange(len(images))], best


def distances(images: Images, others: Images) -> NDArray[np.float32]:
    """Root mean squared error in grey levels of each picture against another, two times [N, C, H, W] -> [N].

    Of waves [N, 1, T] it is in as many levels of their range: 255.
    """
    level = (np.iinfo(images.dtype).max - np.iinfo(images.dtype).min) / 255
    errors = [np.sqrt(np.square(a.astype(np.float32) - b).mean()) / level for a, b in zip(images, others, strict=True)]
    return np.array(errors, np.float32)


def sheet(images: Images, others: Images) -> tuple[Images, int]:
    """Pictures for a grid of so many columns: a row of them, and those that their latents give below, and so on."""
    columns = min(COLUMNS, len(images))
    blank = np.full((-len(images) % columns, *images.shape[1:]), 255, np.uint8)
    rows = [np.concatenate([each, blank]).reshape(-1, columns, *images.shape[1:]) for each in (images, others)]
    return np.stack(rows, 1).reshape(-1, *images.shape[1:]), columns
