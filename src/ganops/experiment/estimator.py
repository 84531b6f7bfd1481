"""The library in one object, for notebooks: the same core, in this process."""

import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ganops import config
from ganops.core.errors import UserError
from ganops.core.files import embedded
from ganops.core.terminal import say, training_bar
from ganops.data import decoders
from ganops.data.sources.item import ItemError
from ganops.experiment import build, checks, machine
from ganops.experiment.run import Run
from ganops.generator import Generator
from ganops.generator.encoder import Encoder
from ganops.generator.inversion import draw, invert
from ganops.generator.projection import STEPS, expect_gradient
from ganops.kinds import KINDS, Spec
from ganops.models import mocogan


@dataclass(frozen=True)
class _Arrays:
    """Samples in memory, as a run wants them: all of them are for training."""

    stored: NDArray[Any]
    y: NDArray[np.int64] | None
    spec: Spec
    hash: str = "in memory"

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(str(i) for i in range(self.spec.classes))

    def samples(self, split: str) -> NDArray[Any]:
        return self.stored

    def labels(self, split: str) -> NDArray[np.int64] | None:
        return self.y


SOUND, FILM = '<audio controls src="{}"></audio>', '<img style="image-rendering: pixelated; min-width: 96px" src="{}">'
"""HTML in which a file is played."""
USUAL = {"text": "lstm", "video": "mocogan", "wave": "wavegan"}
"""Architecture of a kind where none is asked for; of others dcgan."""
EXPECTED = {
    "sound": "int16 [N, T]",
    "text": "a list of str",
    "video": "uint8 [N, T, H, W] or [N, T, H, W, C]",
    "wave": "int16 [N, T]",
}
"""Samples of each kind, in words, but for images."""


@dataclass(frozen=True)
class Player:
    """Samples that a notebook plays where this is the last line of a cell."""

    files: tuple[tuple[str, bytes], ...]
    """Media type and content of each."""

    def _repr_html_(self) -> str:
        """Return a player for each sound, or each film as a picture that moves, as HTML that holds them."""
        return "\n".join((SOUND if media.startswith("audio") else FILM).format(embedded(media, content))
                         for media, content in self.files)  # fmt: skip


class GAN:
    """A GAN, or an autoencoder in its place, that learns from arrays and draws pictures, clips, films or texts.

    >>> GAN(architecture="r3gan", loss="relativistic").fit(images).predict(16)  # doctest: +SKIP
    >>> GAN(loss="vae").fit(images).encode(images[:16])  # doctest: +SKIP
    >>> gan = GAN(kind="sound", rate=8000).fit(clips, labels)  # doctest: +SKIP
    >>> gan.player(gan.predict(16))  # doctest: +SKIP
    >>> gan = GAN(kind="video", fps=8).fit(films, labels)  # doctest: +SKIP
    >>> gan.player(gan.predict(16))  # doctest: +SKIP
    >>> gan = GAN(kind="wave", rate=8000).fit(clips, labels)  # doctest: +SKIP
    >>> gan = GAN(kind="text", loss="likelihood").fit(["a b c", "a b d"])  # doctest: +SKIP
    >>> gan.predict(4, truncation=0.7)  # doctest: +SKIP

    Args:
        architecture: `began`, `dcgan`, `infogan`, `mlp`, `r3gan`, `sngan` or `stylegan2`; of texts `lstm`, of films
            `mlp` or `mocogan`, of waves `mlp` or `wavegan`. None: `dcgan`, `lstm`, `mocogan` or `wavegan`, as the kind
            is.
        loss: `began`, `hinge`, `least_squares`, `minimax`, `non_saturating`, `relativistic`, `relativistic_average` or
            `wasserstein`; or, without a game, `autoencoder`, `two_stage_vae` or `vae`; of texts `likelihood` or `vae`.
        kind: Of the samples: `image`, `sound` (spectrograms of clips), `text`, `video` or `wave` (clips as they are).
        rate: Samples a second of the clips that it learns from and gives, 8,000 where it is not stated.
        fps: Frames a second of the films that it learns from and gives, 8 where it is not stated.
        kimg: Thousands of samples shown to D.
        seed: Everything random follows from it.
        device: `auto`, `cpu` or `cuda`.
        params: Any other parameter of `params.yaml` by its dotted path, for example `{"loss.r1": 0.5}`.
            Where it is not stated, `model.latent` of texts is two numbers for each word, behind those of the code
            (`model.options.code`), which `vae` needs; of `mocogan` the numbers of the content, and of the motion in
            each frame.
    """

    def __init__(
        self,
        architecture: str | None = None,
        loss: str = "non_saturating",
        *,
        kind: str = "image",
        rate: int | None = None,
        fps: float | None = None,
        kimg: float = 100,
        seed: int = 0,
        device: str = "auto",
        params: Mapping[str, Any] | None = None,
    ) -> None:
        self.experiment = config.parse({}).override(
            {
                "model.architecture": architecture or USUAL.get(kind, "dcgan"),
                "loss.name": loss,
                "train.kimg": kimg,
                "seed": seed,
                "compute.device": device,
                "data.kind": kind,
                **({"features.extractor": "language"} if kind == "text" else {}),
                **({} if rate is None else {"data.rate": rate}),
                **({} if fps is None else {"data.fps": fps}),
                **(params or {}),
            }
        )
        if (latent := _latent(self.experiment)) and "model.latent" not in (params or {}):
            self.experiment = self.experiment.override({"model.latent": latent})
        checks.check(self.experiment)
        self.generator: Generator | None = None
        self.encoder: Encoder | None = None
        """Encoder of an autoencoder, once it has learnt."""
        self.history: list[dict[str, float]] = []
        self._store: Callable[[NDArray[Any]], NDArray[Any]] | None = None
        """Makes a stored sample of a clip or a text, by what was learnt of those that it has learnt from."""

    def fit(self, samples: ArrayLike, labels: ArrayLike | None = None) -> Self:
        """Trains from the start and keeps the averaged generator.

        Args:
            samples: Images uint8 [N, H, W], [N, H, W, C] or [N, C, H, W]; squares of 16, 32, 64, 128 or 256 pixels. Or
                clips int16 [N, T], or floats between -1 and 1, at `rate`; a list of them may have several lengths. They
                are made as loud as 16 bits can be, and cut or padded to `data.samples` (8,192), as the pipeline does.
                Or texts, a list or an array of str; the vocabulary is of all of them. Or films uint8 [N, T, H, W] or
                [N, T, H, W, C], or a list of several lengths and sizes; they are cut, or their last frame is held, to
                `data.frames` (8), and made squares of `data.resolution` (32), as the pipeline does.
            labels: Integers [N] from 0 on make the GAN conditional; None: unconditional.

        Raises:
            UserError: The arrays are not such samples or labels.
        """
        stored, facts = self._learnable(samples)
        y = None if labels is None else _whole_numbers(np.asarray(labels), len(stored))
        spec = Spec(self.experiment.data.kind, stored.shape[1:], 0 if y is None else int(y.max()) + 1, facts)
        device = machine.choose_device(self.experiment.compute.device)
        run = Run(self.experiment, _Arrays(stored, y, spec), None, device)
        with training_bar("train", self.experiment.train.kimg, spec.unit, build.warm_up_kimg(self.experiment)) as show:
            for progress in run.play():
                show(progress.row, progress.alarms)
        self.generator, self.encoder, self.history = run.best_generator(), run.best_encoder(), run.history
        return self

    def predict(self, seeds: int | ArrayLike, labels: ArrayLike | None = None, truncation: float = 1.0) -> NDArray[Any]:
        """One sample for each seed; a number N stands for the seeds 0 ... N-1.

        Images are uint8 [N, H, W, C], films uint8 [N, T, H, W, C], clips int16 [N, T], texts str [N]; `truncation` of
        these is the temperature.

        Raises:
            UserError: The GAN has not been trained.
        """
        generator = self._learnt()
        wanted = np.arange(seeds) if isinstance(seeds, int) else np.asarray(seeds, np.int64)
        y = None if labels is None else np.broadcast_to(np.asarray(labels, np.int64), wanted.shape)
        return generator.shown(generator.sample(wanted, y, truncation))

    def player(self, shown: ArrayLike) -> Player:
        """Return players of one clip int16 [T] or film uint8 [T, H, W, C], or of several, for a notebook.

        Raises:
            UserError: It has not been trained, or draws what takes no time.
        """
        spec, samples = self._learnt().spec, np.asarray(shown)
        if not spec.played:
            raise UserError(f"player: {spec.unit}s are not played, expected a GAN of kind sound, video or wave")
        like = spec.shown(spec.empty(0))
        one = like.shape[1:]
        if samples.dtype != like.dtype or samples.shape not in (one, (len(samples), *one)):
            axes = ", ".join(map(str, one))
            raise UserError(
                f"player: expected {like.dtype} [{axes}] or [N, {axes}], got {samples.dtype} {samples.shape}"
            )
        return Player(tuple(spec.file(sample)[1:] for sample in samples.reshape(-1, *one)))

    def encode(self, samples: ArrayLike, labels: ArrayLike | None = None, *, steps: int = STEPS) -> NDArray[np.float32]:
        """The latent of each sample, float32 [N, D], of which `decode` makes the nearest sample that it can.

        An autoencoder's encoder gives its code. A game has no encoder: the latent is found by optimisation, which takes
        seconds for each sample (`generator.projection`).

        Args:
            samples: Images, clips or films as for `fit`, one or more, of the shape that it learnt.
            labels: Integers [N]; a conditional GAN needs them.
            steps: Steps of the optimisation.

        Raises:
            UserError: It has not been trained, or the arrays are not such samples or labels, or texts without encoder.
        """
        generator = self._learnt()
        if not self.encoder:
            expect_gradient(generator.spec)
        if self._store is None:
            stored = _channels_first(np.asarray(samples), fewest=1)
        else:
            raw = self._raw(samples, fewest=1)
            depth = generator.spec.shape[0] if generator.spec.kind == "video" else 1
            stored = np.stack([self._store(each if depth == 1 else _deep(each, depth)) for each in raw])
        y = self._labels(labels, len(stored))
        if self.encoder and generator.spec.kind == "text":  # between texts there are no distances
            return self.encoder.encode(stored, y)
        return invert(generator, self.encoder, stored, y, steps=steps).latents

    def decode(self, latents: ArrayLike, labels: ArrayLike | None = None) -> NDArray[Any]:
        """One sample for each latent that `encode` found, float32 [N, D], as `predict` gives them.

        Raises:
            UserError: It has not been trained, or they are not its latents or labels, or texts without encoder.
        """
        generator, z = self._learnt(), np.asarray(latents, np.float32)
        if not self.encoder:
            expect_gradient(generator.spec)
        return generator.shown(draw(generator, z, self._labels(labels, len(z)), "code" if self.encoder else "z"))

    def save(self, folder: Path) -> None:
        """Writes the generator as `artifacts/generator` of the pipeline is written, an encoder beside it.

        Raises:
            UserError: The GAN has not been trained.
        """
        self._learnt().save(folder)
        if self.encoder:
            self.encoder.save(folder)

    def _learnable(self, samples: ArrayLike) -> tuple[NDArray[Any], dict[str, Any]]:
        """Return stored samples, and the facts of their kind; but for images by what is learnt of all of them."""
        if self.experiment.data.kind == "image":
            return _channels_first(np.asarray(samples)), {}
        raw, decoder = self._raw(samples), decoders.of(self.experiment.data)
        shape, _ = decoder.common(each.shape for each in raw)
        _, facts, self._store, _ = decoder.finish(raw, shape, {})
        # films among which some are coloured all get three channels; texts have no shape in common
        return np.stack([self._store(np.broadcast_to(each, shape or each.shape)) for each in raw]), facts

    def _raw(self, samples: ArrayLike, fewest: int = 2) -> list[NDArray[Any]]:
        """Return clips, films or texts as the pipeline decodes files of them, and tell what was changed."""
        decoder, kind = decoders.of(self.experiment.data), self.experiment.data.kind
        what, expected = f"{KINDS[kind].UNIT}s", EXPECTED[kind]
        if isinstance(samples, str | bytes):
            raise UserError(f"{what}: expected {expected}, got one string")
        raw: list[NDArray[Any]] = []
        notes: Counter[str] = Counter()
        for sample in samples if isinstance(samples, list | tuple) else np.asarray(samples):
            try:
                decoded, changed = decoder.decode(_text(sample) if kind == "text" else np.asarray(sample))
                if not decoded.size:
                    raise ItemError("empty")
            except ItemError as error:
                raise UserError(f"{what}[{len(raw)}]: {error}") from error
            raw.append(decoded)
            notes.update(changed)
        if len(raw) < fewest:
            raise UserError(f"{what}: expected {expected} of at least {fewest} {what}, got {len(raw)}")
        for note, count in notes.items():
            say("fit", f"{count:,} of {len(raw):,} {what}: {note}")
        return raw

    def _learnt(self) -> Generator:
        if self.generator is None:
            raise UserError(f"this GAN has not learnt yet: call fit({KINDS[self.experiment.data.kind].UNIT}s) first")
        return self.generator

    def _labels(self, labels: ArrayLike | None, count: int) -> NDArray[np.int64] | None:
        """Labels of so many samples; None where it learnt without."""
        classes = self._learnt().classes
        if labels is None and classes:
            raise UserError(
                f"labels: expected integers from 0 to {classes - 1}, one for each {self._learnt().spec.noun}, got none"
            )
        if labels is None or not classes:
            return None
        y = _whole_numbers(np.asarray(labels), count)
        if y.max() >= classes:
            raise UserError(f"labels: expected integers from 0 to {classes - 1}, got {y.max()}")
        return y


def _latent(experiment: config.Experiment) -> int | None:
    """Return the dimensions of a latent, where samples and architecture leave no choice."""
    data, model = experiment.data, experiment.model
    if isinstance(data, config.TextData):
        return int(model.options.get("code", 0)) + 2 * data.length
    if isinstance(data, config.VideoData) and model.architecture == "mocogan":
        taken = inspect.signature(mocogan.players).parameters
        content, motion = (model.options.get(name, taken[name].default) for name in ("content", "motion"))
        return int(content + data.frames * motion)
    return None


def _deep(film: NDArray[Any], depth: int) -> NDArray[Any]:
    """A film [C, T, H, W] with so many channels, where it is gray."""
    return np.broadcast_to(film, (max(depth, len(film)), *film.shape[1:]))


def _text(sample: Any) -> str:
    if not isinstance(sample, str):
        raise ItemError(f"expected a str, got {type(sample).__name__}")
    return str(sample)


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
