"""The library in one object, for notebooks: the same core, in this process."""

import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from ganops import config
from ganops.core.errors import UserError
from ganops.core.files import embedded
from ganops.core.pictures import grid
from ganops.core.terminal import say, training_bar
from ganops.data import decoders
from ganops.data.sources.item import ItemError
from ganops.experiment import build, checks, machine
from ganops.experiment.run import STATE, Run
from ganops.experiment.samples import EXPECTED, Arrays, images, numbered, of_folder
from ganops.experiment.scores import Scores, scores
from ganops.generator import Generator
from ganops.generator.encoder import Encoder
from ganops.generator.inversion import draw, invert
from ganops.generator.projection import STEPS, expect_gradient
from ganops.generator.walks import between
from ganops.kinds import KINDS, Spec
from ganops.models import mocogan
from ganops.training.state import State

SOUND, FILM = '<audio controls src="{}"></audio>', '<img style="image-rendering: pixelated; min-width: 96px" src="{}">'
"""HTML in which a file is played."""
USUAL = {"text": "lstm", "video": "mocogan", "wave": "wavegan"}
"""Architecture of a kind where none is asked for; of others dcgan."""


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
    """A GAN, or an autoencoder in its place, that learns from samples and draws pictures, clips, films or texts.

    It behaves as scikit-learn's estimators do: `get_params`, `set_params`, `clone`, a `repr` of what is not usual, a
    `fit` that returns itself, and `warm_start`.

    >>> import numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (64, 16, 16), np.uint8)
    >>> small = {"train.batch": 8, "model.options": {"width": 4}, "model.latent": 8}
    >>> gan = GAN(kimg=0.1, verbose=False, params=small).fit(images, np.arange(64) % 2)
    >>> gan.predict(4, labels=1).shape
    (4, 16, 16, 1)
    >>> gan
    GAN(kimg=0.1, params={'train.batch': 8, 'model.options': {'width': 4}, 'model.latent': 8}, verbose=False)

    Sounds, waves, films and texts, and what an autoencoder can do:

    >>> GAN(loss="vae").fit(images).encode(images[:16])  # doctest: +SKIP
    >>> gan = GAN(kind="sound", rate=8000).fit(clips, labels)  # doctest: +SKIP
    >>> gan.player(gan.predict(16))  # doctest: +SKIP
    >>> gan = GAN(kind="video", fps=8).fit(films, labels)  # doctest: +SKIP
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
            each frame. `data.resolution`, stated, is that to which all images come.
        warm_start: `fit` goes on where the last one ended: an interrupted one to its `kimg`, a whole one for `kimg`
            more.
        verbose: Shows a bar or lines while it learns, and what was changed in the samples.
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
        warm_start: bool = False,
        verbose: bool = True,
    ) -> None:
        self.architecture, self.loss, self.kind, self.rate, self.fps = architecture, loss, kind, rate, fps
        self.kimg, self.seed, self.device, self.params = kimg, seed, device, params
        self.warm_start, self.verbose = warm_start, verbose
        self.experiment = self._experiment()
        self.generator: Generator | None = None
        self.encoder: Encoder | None = None
        """Encoder of an autoencoder, once it has learnt."""
        self.history: list[dict[str, float]] = []
        self._store: Callable[[NDArray[Any]], NDArray[Any]] | None = None
        """Makes a stored sample of a clip or a text, by what was learnt of those that it has learnt from."""
        self._run: Run | None = None
        """The training, which can go on."""
        self._samples: Arrays | None = None

    def _experiment(self) -> config.Experiment:
        """Return the experiment of the parameters.

        Raises:
            ConfigError: One is unknown or impossible.
        """
        kind, params = self.kind, self.params or {}
        experiment = config.parse({}).override(
            {
                "model.architecture": self.architecture or USUAL.get(kind, "dcgan"),
                "loss.name": self.loss,
                "train.kimg": self.kimg,
                "seed": self.seed,
                "compute.device": self.device,
                "data.kind": kind,
                **({"features.extractor": "language"} if kind == "text" else {}),
                **({} if self.rate is None else {"data.rate": self.rate}),
                **({} if self.fps is None else {"data.fps": self.fps}),
                **params,
            }
        )
        if (latent := _latent(experiment)) and "model.latent" not in params:
            experiment = experiment.override({"model.latent": latent})
        checks.check(experiment)
        return experiment

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name, as they were given.

        >>> GAN(loss="vae").get_params()["loss"]
        'vae'
        """
        return {name: getattr(self, name) for name in PARAMETERS}

    def set_params(self, **params: Any) -> Self:
        """Change parameters; what was learnt stays until the next `fit`.

        >>> GAN().set_params(kimg=20, seed=1)
        GAN(kimg=20, seed=1)

        Raises:
            UserError: One is unknown or impossible; then none is changed.
        """
        if unknown := [name for name in params if name not in PARAMETERS]:
            raise UserError(f"{unknown[0]}: unknown to GAN; known: {', '.join(PARAMETERS)}")
        changed = type(self)(**self.get_params() | params)
        for name in (*PARAMETERS, "experiment"):
            setattr(self, name, getattr(changed, name))
        return self

    def __repr__(self) -> str:
        usual = inspect.signature(type(self)).parameters
        told = (f"{name}={value!r}" for name, value in self.get_params().items() if value != usual[name].default)
        return f"{type(self).__name__}({', '.join(told)})"

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that it wants no labels."""
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False))

    def __sklearn_is_fitted__(self) -> bool:
        """Tell scikit-learn that it has learnt."""
        return self.generator is not None

    def fit(self, samples: Any, labels: ArrayLike | None = None) -> Self:
        """Train, from the start unless `warm_start`, and keep the averaged generator.

        An interruption (Ctrl-C, or the stop of a notebook) keeps what was learnt up to the last tick; with
        `warm_start=True`, `fit` goes on from there, and ends as it would have without.

        Args:
            samples: Images uint8 or floats [N, H, W], [N, H, W, C] or [N, C, H, W] of any size, a tensor, or a list of
                pictures or arrays of several sizes: squares of 16, 32, 64, 128 or 256 pixels stay as they are, others
                come to such ones as `prepare` makes them. Or clips int16 [N, T], or floats between -1 and 1, at
                `rate`; a list of them may have several lengths. They are made as loud as 16 bits can be, and cut or
                padded to `data.samples` (8,192), as the pipeline does. Or texts, a list or an array of str; the
                vocabulary is of all of them. Or films uint8 [N, T, H, W] or [N, T, H, W, C], or a list of several
                lengths and sizes; they are cut, or their last frame is held, to `data.frames` (8), and made squares of
                `data.resolution` (32), as the pipeline does. Or, as a `Path`, a folder, zip, tar or Parquet file of
                any of these, whose sub-folders or label column are the labels.
            labels: Integers [N] from 0 on, or strings, make the GAN conditional; None: unconditional.

        Raises:
            UserError: They are not such samples or labels.
        """
        learnt = self._arrays(samples, labels)
        run = self._continued(learnt) if self.warm_start and self._run else self._begun(self.experiment, learnt)
        self._play(run)
        self._run, self._samples = run, learnt
        self.generator, self.encoder, self.history = run.best_generator(), run.best_encoder(), run.history
        return self

    def _play(self, run: Run) -> None:
        """Train to the end, or to the last tick before an interruption."""
        kept, rows, experiment = None, 0, run.experiment
        shown = training_bar("train", experiment.train.kimg, run.spec.unit, build.warm_up_kimg(experiment))
        with shown if self.verbose else nullcontext(_unseen) as show, closing(cast(Any, run.play())) as ticks:
            try:
                for progress in ticks:
                    show(progress.row, progress.alarms)
                    kept, rows = deepcopy(run.state), len(run.history)
            except KeyboardInterrupt:
                if kept is None:  # nothing has been learnt
                    raise
        if kept and run.state.step < run.recipe.steps:
            _take(run, kept)  # a step, or what follows a tick, may have been cut in its middle
            del run.history[rows:]
            run.keep()
            self._tell(f"interrupted at {run.history[-1]['kimg']:.4g} of {experiment.train.kimg:g} kimg: what was "
                       "learnt is kept, and with warm_start=True fit goes on")  # fmt: skip

    def _begun(self, experiment: config.Experiment, learnt: Arrays) -> Run:
        return Run(experiment, learnt, None, machine.choose_device(experiment.compute.device))

    def _continued(self, learnt: Arrays) -> Run:
        """Return a training that goes on where the last one ended.

        Raises:
            UserError: The samples are of another form.
        """
        assert self._run
        former = self._run
        if learnt.spec != former.spec:
            raise UserError(f"warm_start: expected {former.spec.described}, as before; got {learnt.spec.described}")
        kimg = former.experiment.train.kimg
        if former.state.step >= sum(phase.recipe.steps for phase in (*former.before, former.last)):
            kimg += self.kimg
        run = self._begun(self.experiment.override({"train.kimg": kimg}), learnt)
        _take(run, former.state)
        run.log, run.best, run.best_row = former.log, former.best, former.best_row
        return run

    def predict(self, seeds: int | ArrayLike, labels: Any = None, truncation: float = 1.0) -> NDArray[Any]:
        """Return one sample for each seed; a number N stands for the seeds 0 ... N-1.

        Images are uint8 [N, H, W, C], films uint8 [N, T, H, W, C], clips int16 [N, T], texts str [N]; `truncation` of
        these is the temperature. Labels are numbers or names, one for all or one each; None: classes take turns.

        Raises:
            UserError: The GAN has not been trained, or there are no such seeds, labels or truncation.
        """
        generator, wanted = self._learnt(), _seeds(seeds)
        y = self._labels(labels, len(wanted), one=True)
        return generator.shown(generator.sample(wanted, y, _truncation(truncation)))

    def interpolate(
        self, a: int, b: int, steps: int = 9, label: int | str | None = None, truncation: float = 1.0
    ) -> NDArray[Any]:
        """Return samples at equal steps from the latent of seed `a` to that of seed `b`, as `predict` gives them.

        Raises:
            UserError: The GAN has not been trained, or there are no such seeds, label or truncation.
        """
        generator, (first, last), (count,) = self._learnt(), _seeds([a, b]), _seeds([steps])
        if count < 2:
            raise UserError(f"steps: expected 2 or more, got {steps}")
        y = self._labels(label, 1, one=True)
        ends = int(first), int(last)
        return generator.shown(between(generator, ends, None if y is None else int(y[0]), _truncation(truncation),
                                       int(count)))  # fmt: skip

    def plot(self, seeds: int | ArrayLike = 32, labels: Any = None, truncation: float = 1.0) -> Image.Image:
        """Return a grid of samples as a picture, which a notebook shows; of conditional ones a column for each class.

        Raises:
            UserError: As of `predict`.
        """
        generator, wanted = self._learnt(), _seeds(seeds)
        y = self._labels(labels, len(wanted), one=True)
        stored = generator.sample(wanted, y, _truncation(truncation))
        columns = 1 if generator.spec.strips else min(generator.classes or 8, 16) if y is None else None
        return grid(generator.spec.look(stored), columns)

    def evaluate(self, samples: Any, labels: ArrayLike | None = None, count: int = 1000) -> Scores:
        """Measure it against samples that it has not learnt from: figures with 95 % intervals, as a small table.

        The extractor is that of `features.extractor`: `domain`, a network that learns what it was trained on (seconds
        to a minute), `inception` (FID), or `pixels` (at once, and blind to much). At least 40 samples a side.

        Args:
            samples: Held-out samples, as for `fit`.
            labels: Theirs, where it learnt with labels.
            count: Samples that it draws.

        Raises:
            UserError: It has not learnt here, or they are not such samples, or too few, or of another form.
        """
        generator = self._learnt()
        if self._samples is None:
            raise UserError("evaluate: this GAN was loaded without what it learnt from: fit it here")
        real = self._alike(samples, labels)
        device = str(machine.choose_device(self.experiment.compute.device))
        return scores(generator, self._samples, real, self.experiment.features, count=count,
                      seed=self.experiment.seed, device=device)  # fmt: skip

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
        stored = self._stored(samples)
        y = self._labels(labels, len(stored))
        if self.encoder and generator.spec.kind == "text":  # between texts there are no distances
            return self.encoder.encode(stored, y)
        return invert(generator, self.encoder, stored, y, steps=steps).latents

    def _stored(self, samples: Any) -> NDArray[Any]:
        """Return samples as those that it has learnt from were stored.

        Raises:
            UserError: They are no such samples, or it was loaded and does not know how.
        """
        spec, data = self._learnt().spec, self.experiment.data
        if isinstance(data, config.ImageData):
            stored = images(samples, data, spec.shape[-1], self._tell, fewest=1)
            return stored.repeat(3, axis=1) if stored.shape[1] < spec.shape[0] else stored
        if self._store is None:
            raise UserError(f"this GAN was loaded without the way in which {spec.unit}s are stored: fit it here")
        raw, depth = self._raw(samples, fewest=1), spec.shape[0] if spec.kind == "video" else 1
        return np.stack([self._store(each if depth == 1 else _deep(each, depth)) for each in raw])

    def decode(self, latents: ArrayLike, labels: ArrayLike | None = None) -> NDArray[Any]:
        """One sample for each latent that `encode` found, float32 [N, D], as `predict` gives them.

        Raises:
            UserError: It has not been trained, or they are not its latents or labels, or texts without encoder.
        """
        generator, z = self._learnt(), np.asarray(latents, np.float32)
        if not self.encoder:
            expect_gradient(generator.spec)
        return generator.shown(draw(generator, z, self._labels(labels, len(z)), "code" if self.encoder else "z"))

    def save(self, folder: Path | str) -> None:
        """Write the generator as `artifacts/generator` of the pipeline is written, an encoder beside it.

        Raises:
            UserError: The GAN has not been trained.
        """
        self._learnt().save(Path(folder))
        if self.encoder:
            self.encoder.save(Path(folder))

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Return the GAN that `save`, or the pipeline, wrote: it draws and interpolates, and encodes pictures.

        What it learnt from is not in the folder: `evaluate` and `warm_start` want a `fit` here.

        Raises:
            UserError: The folder holds no generator, or a damaged one.
        """
        generator = Generator.load(Path(folder))
        known, spec = generator.description.params, generator.spec
        params = {f"{section}.{key}": value for section in ("model", "loss", "train")
                  for key, value in known.get(section, {}).items()}  # fmt: skip
        params |= {f"data.{key}": value for key, value in _data_of(spec).items()}
        named = {"architecture": "model.architecture", "loss": "loss.name", "kimg": "train.kimg"}
        given = {name: params.pop(path) for name, path in named.items() if path in params}
        gan = cls(**given, kind=spec.kind, seed=known.get("seed", 0), params=params)
        gan.generator, gan.encoder = generator, Encoder.beside(Path(folder), generator)
        return gan

    def _tell(self, text: str) -> None:
        if self.verbose:
            say("fit", text)

    @property
    def _side(self) -> int | None:
        """Pixels to which all images come; None: nobody has stated them."""
        return getattr(self.experiment.data, "resolution", None) if "data.resolution" in (self.params or {}) else None

    def _arrays(self, samples: Any, labels: ArrayLike | None) -> Arrays:
        """Return samples to learn from, with their labels.

        Raises:
            UserError: They are not such samples or labels.
        """
        data = self.experiment.data
        if isinstance(samples, Path) or (isinstance(samples, str) and data.kind != "text"):
            raw, own = of_folder(Path(samples), data, self._side, self._tell)
            if len(raw) < 2:
                raise UserError(f"{samples}: expected 2 or more {KINDS[data.kind].UNIT}s, got {len(raw)}")
            labels = own if labels is None else labels
            stored, facts = self._finished(raw)
        else:
            stored, facts = self._learnable(samples)
        y, names = (None, ()) if labels is None else numbered(labels, len(stored))
        return Arrays(stored, y, Spec(data.kind, stored.shape[1:], len(names), facts), names)

    def _alike(self, samples: Any, labels: ArrayLike | None) -> Arrays:
        """Return other samples in the form of those that it has learnt from.

        Raises:
            UserError: They are not such samples or labels, or of another form.
        """
        spec, data = self._learnt().spec, self.experiment.data
        if isinstance(samples, Path) or (isinstance(samples, str) and data.kind != "text"):
            raw, own = of_folder(Path(samples), data, spec.shape[-1], self._tell)
            labels = own if labels is None else labels
            stored = np.stack([self._store(each) if self._store else each for each in raw])
        else:
            stored = self._stored(samples)
        if stored.shape[1:] != spec.shape:
            raise UserError(f"evaluate: expected {spec.described}, got {spec.unit}s of the shape {stored.shape[1:]}")
        return Arrays(stored, self._labels(labels, len(stored)), spec)

    def _learnable(self, samples: Any) -> tuple[NDArray[Any], dict[str, Any]]:
        """Return stored samples, and the facts of their kind; but for images by what is learnt of all of them."""
        if isinstance(self.experiment.data, config.ImageData):
            return images(samples, self.experiment.data, self._side, self._tell), {}
        return self._finished(self._raw(samples))

    def _finished(self, raw: list[NDArray[Any]]) -> tuple[NDArray[Any], dict[str, Any]]:
        """Return stored samples of raw ones, and the facts of their kind."""
        decoder = decoders.of(self.experiment.data)
        shape, _ = decoder.common(each.shape for each in raw)
        if self.experiment.data.kind == "image":
            shape = (shape[0], *raw[0].shape[1:])
        _, facts, self._store, _ = decoder.finish(raw, shape, {})
        # films among which some are coloured all get three channels; texts have no shape in common
        return np.stack([self._store(np.broadcast_to(each, shape or each.shape)) for each in raw]), facts

    def _raw(self, samples: Any, fewest: int = 2) -> list[NDArray[Any]]:
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
            self._tell(f"{count:,} of {len(raw):,} {what}: {note}")
        return raw

    def _learnt(self) -> Generator:
        if self.generator is None:
            raise UserError(f"this GAN has not learnt yet: call fit({KINDS[self.experiment.data.kind].UNIT}s) first")
        return self.generator

    def _labels(self, labels: Any, count: int, *, one: bool = False) -> NDArray[np.int64] | None:
        """Return numbers of so many labels, numbers or names; None where it learnt without.

        Args:
            labels: Numbers or names.
            count: The samples.
            one: One label may stand for all, and none for classes in turn.

        Raises:
            UserError: They are not labels of its classes, or not as many.
        """
        generator = self._learnt()
        classes, names = generator.classes, generator.description.class_names
        if labels is None and (one or not classes):
            return None
        if not classes:
            if one:
                raise UserError("labels: expected none, since it has learnt without; fit(samples, labels) learns them")
            return None
        known = f"integers from 0 to {classes - 1}" + (f" or {', '.join(names)}" if _named(names) else "")
        if labels is None:
            raise UserError(f"labels: expected {known}, one for each {generator.spec.noun}, got none")
        given = np.asarray(labels)
        given = np.broadcast_to(given, (count,)) if one and given.shape in ((), (1,)) else given
        if given.shape != (count,):
            raise UserError(f"labels: expected {count}{' or one' * one}, got {given.dtype} {given.shape}")
        numbers = [names.index(each) if each in names else each for each in given.tolist()]
        for each in numbers:
            if isinstance(each, bool) or not isinstance(each, int) or not 0 <= each < classes:
                raise UserError(f"labels: expected {known}, got {each!r}")
        return np.array(numbers, np.int64)


PARAMETERS = tuple(inspect.signature(GAN).parameters)
"""Names of the parameters of `GAN`, in their order."""


def _unseen(row: Mapping[str, float], alarms: Sequence[str] = ()) -> None:
    """Show nothing of a tick."""


def _named(names: Sequence[str]) -> bool:
    """Return True where classes have names of their own, and not their numbers."""
    return names != tuple(map(str, range(len(names))))


def _seeds(seeds: Any) -> NDArray[np.int64]:
    """Return seeds as int64 [N]; a number N stands for 0 ... N-1.

    Raises:
        UserError: They are not whole numbers, or none.
    """
    given = np.asarray(seeds)
    if given.dtype.kind not in "iu" or given.ndim > 1 or (given.dtype.kind == "u" and given.max(initial=0) >= 2**63):
        got = next((each for each in given.ravel().tolist() if not isinstance(each, int) or isinstance(each, bool)),
                   f"{given.dtype} {given.shape}")  # fmt: skip
        raise UserError(f"seeds: expected whole numbers, one for each sample, or their number; got {got!r}")
    if given.ndim == 1:
        return given.astype(np.int64)
    if given < 1:
        raise UserError(f"seeds: expected 1 or more, or a list of them; got {given}")
    return np.arange(int(given))


def _truncation(truncation: Any) -> float:
    """Return a truncation.

    Raises:
        UserError: It is not a number from 0 to 1.
    """
    if isinstance(truncation, bool) or not isinstance(truncation, int | float | np.number) or not 0 <= truncation <= 1:
        raise UserError(f"truncation: expected a number from 0 to 1, where 1 is what was learnt; got {truncation!r}")
    return float(truncation)


def _data_of(spec: Spec) -> dict[str, Any]:
    """Return the keys of the section data that samples tell of themselves."""
    sizes = {
        "image": {"resolution": spec.shape[-1]},
        "text": {"length": spec.shape[0]},
        "video": {"frames": spec.shape[1], "resolution": spec.shape[-1]} if spec.kind == "video" else {},
    }
    taken = config.SECTIONS[spec.kind].model_fields.keys() - {"words"}
    return {**sizes.get(spec.kind, {}), **{key: value for key, value in spec.facts.items() if key in taken}}


def _take(run: Run, state: State) -> None:
    """Let a training go on from the state of another one of the same networks."""
    with TemporaryDirectory() as folder:
        state.save(Path(folder) / STATE)
        run.state.load(Path(folder) / STATE)


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
