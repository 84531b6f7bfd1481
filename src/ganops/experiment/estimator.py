"""The library in one object, for notebooks: the same core, in this process."""

import inspect
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from ganops import config
from ganops.core.errors import ConfigError, InputError, ParameterError
from ganops.core.pictures import grid
from ganops.core.terminal import say, training_bar
from ganops.experiment import arguments, build, checks, machine
from ganops.experiment.checkpoint import STATE
from ganops.experiment.intake import Intake
from ganops.experiment.player import Player
from ganops.experiment.run import Run
from ganops.experiment.samples import Arrays, as_array
from ganops.experiment.scores import Scores, scores
from ganops.generator import DESCRIPTION, WEIGHTS, Generator, encoder
from ganops.generator.encoder import Encoder
from ganops.generator.inversion import draw, invert
from ganops.generator.projection import STEPS, expect_gradient
from ganops.generator.walks import between
from ganops.kinds import KINDS, Spec
from ganops.models import mocogan
from ganops.training.state import State

USUAL = {"text": "lstm", "video": "mocogan", "wave": "wavegan"}
"""Architecture of a kind where none is asked for; of others dcgan."""


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
            `began` goes with `architecture="began"`, or `critic: autoencoder` among the `model.options` of `mlp` and
            `infogan`, and these with it alone.
        kind: Of the samples: `image`, `sound` (spectrograms of clips), `text`, `video` or `wave` (clips as they are).
        rate: Samples a second of the clips that it learns from and gives, 8,000 where it is not stated.
        fps: Frames a second of the films that it learns from and gives, 8 where it is not stated.
        kimg: Thousands of samples shown to D.
        seed: Everything random follows from it.
        device: `auto`, `cpu`, `cuda` or `mps`.
        params: Any other parameter of `params.yaml` by its dotted path, for example `{"loss.r1": 0.5}`.
            Where it is not stated, `model.latent` of texts is two numbers for each word, behind those of the code
            (`model.options.code`), which `vae` needs; of `mocogan` the numbers of the content, and of the motion in
            each frame. `data.resolution`, stated, is that to which all images come.
        warm_start: `fit` goes on where the last one ended: an interrupted one to its `kimg`, a whole one for `kimg`
            more.
        verbose: Shows a bar or lines while it learns, and what was changed in the samples.
    """

    generator: Generator | None = None
    encoder: Encoder | None = None
    """Encoder of an autoencoder, once it has learnt."""
    history: Sequence[dict[str, float]] = ()
    """One row for each tick of the training."""
    _run: Run | None = None
    """The training, which can go on."""
    _samples: Arrays | None = None
    _intake: Intake | None = None
    """Makes samples like those that it has learnt from."""

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
        _ = self.experiment  # refuses at once what is unknown or impossible

    @property
    def experiment(self) -> config.Experiment:
        """The experiment of the parameters, as they are now.

        Raises:
            ParameterError: One is unknown or impossible.
        """
        try:
            return self._experiment()
        except ConfigError as error:
            raise ParameterError(str(error)) from error

    def _experiment(self) -> config.Experiment:
        kind, params = self.kind, self.params or {}
        experiment = config.parse({}).override(
            {
                "model.architecture": self.architecture or USUAL.get(kind, "dcgan"),
                "loss.name": self.loss,
                "train.kimg": self.kimg,
                "seed": self.seed,
                "compute.device": self.device,
                **({"compute.launcher": "local", "tune.trials": 0} if self.device == "mps" else {}),
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
            InputError: One is unknown or impossible; then none is changed.
        """
        if unknown := [name for name in params if name not in PARAMETERS]:
            raise InputError(f"{unknown[0]}: unknown to GAN; known: {', '.join(PARAMETERS)}")
        changed = type(self)(**self.get_params() | params)
        for name in PARAMETERS:
            setattr(self, name, getattr(changed, name))
        return self

    def __repr__(self) -> str:
        usual = inspect.signature(type(self)).parameters
        told = (f"{name}={value!r}" for name, value in self.get_params().items() if value != usual[name].default)
        return f"{type(self).__name__}({', '.join(told)})"

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what it takes, and that it wants no labels."""
        from sklearn.utils import InputTags, Tags, TargetTags

        clips = self.kind in ("sound", "wave")
        takes = InputTags(one_d_array=False, two_d_array=clips, three_d_array=self.kind == "image",
                          string=self.kind == "text")  # fmt: skip
        return Tags(estimator_type=None, target_tags=TargetTags(required=False), input_tags=takes)

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
            InputError: They are not such samples or labels.
            DataError: The files cannot be read.
        """
        intake = self._taking()
        learnt = intake.learn(samples, labels)
        run = self._continued(learnt) if self.warm_start and self._run else self._begun(self.experiment, learnt)
        self._play(run)
        self._run, self._samples, self._intake = run, learnt, intake
        self.generator, self.encoder, self.history = run.best_generator(), run.best_encoder(), run.history
        return self

    def _play(self, run: Run) -> None:
        """Train to the end, or to the last tick before an interruption."""
        kept, rows, interrupted, experiment = None, 0, False, run.experiment
        shown = training_bar("train", experiment.train.kimg, run.spec.unit, build.warm_up_kimg(experiment))
        with shown if self.verbose else nullcontext(_unseen) as show, closing(cast(Any, run.play())) as ticks:
            try:
                for progress in ticks:
                    show(progress.row, progress.alarms, picture=progress.picture, notes=progress.notes)
                    kept, rows = deepcopy(run.state), len(run.history)
            except KeyboardInterrupt:
                if kept is None:  # nothing has been learnt
                    raise
                interrupted = True
        if interrupted and kept and kept.step < run.recipe.steps:
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
            InputError: The samples are of another form.
        """
        assert self._run
        former = self._run
        if learnt.spec != former.spec or learnt.class_names != former.class_names:
            before, now = (
                f"{each.spec.described} {'of ' + ', '.join(each.class_names) if each.class_names else 'without labels'}"
                for each in (former, learnt)
            )
            raise InputError(f"warm_start: expected {before}, as before; got {now}")
        had, has = (each.train.batch * each.train.d_steps for each in (former.experiment, self.experiment))
        if had != has:
            raise InputError(
                f"warm_start: expected {had} samples a step (train.batch x train.d_steps), as before; got {has}"
            )
        kimg = former.experiment.train.kimg
        if former.state.step >= sum(phase.recipe.steps for phase in (*former.before, former.last)):
            kimg += self.kimg
        run = self._begun(self.experiment.override({"train.kimg": kimg}), learnt)
        try:
            _take(run, former.state)
        except ValueError as error:
            raise InputError(f"warm_start: other networks than before ({error}): fit with warm_start=False") from error
        run.log, run.selection.best = (
            former.log.gathered(),
            former.selection.best,
        )  # what fails leaves the former as it was
        return run

    def predict(self, seeds: int | ArrayLike, labels: Any = None, truncation: float = 1.0) -> NDArray[Any]:
        """Return one sample for each seed; a number N stands for the seeds 0 ... N-1.

        Images are uint8 [N, H, W, C], films uint8 [N, T, H, W, C], clips int16 [N, T], texts str [N]; `truncation` of
        these is the temperature. Labels are numbers or names, one for all or one each; None: classes take turns.

        Raises:
            InputError: The GAN has not been trained, or there are no such seeds, labels or truncation.
        """
        generator, wanted = self._learnt(), arguments.seeds(seeds)
        y = self._labels(labels, len(wanted), one=True)
        return generator.shown(generator.sample(wanted, y, arguments.truncation(truncation)))

    def interpolate(
        self, a: int, b: int, steps: int = 9, label: int | str | None = None, truncation: float = 1.0
    ) -> NDArray[Any]:
        """Return samples at equal steps from the latent of seed `a` to that of seed `b`, as `predict` gives them.

        Raises:
            InputError: The GAN has not been trained, or there are no such seeds, label or truncation.
        """
        generator, (first, last), (count,) = self._learnt(), arguments.seeds([a, b]), arguments.seeds([steps])
        if count < 2:
            raise InputError(f"steps: expected 2 or more, got {steps}")
        y = self._labels(label, 1, one=True)
        ends = int(first), int(last)
        wanted = None if y is None else int(y[0])
        return generator.shown(between(generator, ends, wanted, arguments.truncation(truncation), int(count)))

    def plot(self, seeds: int | ArrayLike = 32, labels: Any = None, truncation: float = 1.0) -> Image.Image:
        """Return a grid of samples as a picture, which a notebook shows; of conditional ones a column for each class.

        Raises:
            InputError: As of `predict`.
        """
        generator, wanted = self._learnt(), arguments.seeds(seeds)
        y = self._labels(labels, len(wanted), one=True)
        stored = generator.sample(wanted, y, arguments.truncation(truncation))
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
            InputError: It has not learnt here, or they are not such samples, or too few, or of another form.
        """
        generator = self._learnt()
        if self._samples is None:
            raise InputError("evaluate: this GAN was loaded without what it learnt from: fit it here")
        stored, y = self._like(samples, labels)
        if stored.shape[1:] != (spec := generator.spec).shape:
            raise InputError(f"evaluate: expected {spec.described}, got {spec.unit}s of the shape {stored.shape[1:]}")
        device = str(machine.choose_device(self.experiment.compute.device))
        return scores(generator, self._samples, Arrays(stored, y, spec), self.experiment.features, count=count,
                      seed=self.experiment.seed, device=device)  # fmt: skip

    def player(self, shown: ArrayLike) -> Player:
        """Return players of one clip int16 [T] or film uint8 [T, H, W, C], or of several, for a notebook.

        Raises:
            InputError: It has not been trained, or draws what takes no time.
        """
        spec, samples = self._learnt().spec, np.asarray(shown)
        if not spec.played:
            raise InputError(f"player: {spec.unit}s are not played, expected a GAN of kind sound, video or wave")
        like = spec.shown(spec.empty(0))
        one = like.shape[1:]
        if samples.dtype != like.dtype or samples.shape not in (one, (len(samples), *one)):
            axes = ", ".join(map(str, one))
            raise InputError(
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
        stored, y = self._like(samples, labels)
        if self.encoder and generator.spec.kind == "text":  # between texts there are no distances
            return self.encoder.encode(stored, y)
        return invert(generator, self.encoder, stored, y, steps=steps).latents

    def decode(self, latents: ArrayLike, labels: ArrayLike | None = None) -> NDArray[Any]:
        """One sample for each latent that `encode` found, float32 [N, D], as `predict` gives them.

        Raises:
            InputError: It has not been trained, or they are not its latents or labels.
            UserError: Its samples are texts, and it has no encoder.
        """
        generator, z = self._learnt(), as_array(latents, "latents")
        if z.dtype.kind not in "fiu" or z.ndim != 2:
            raise InputError(f"latents: expected float32 [N, {generator.latent}], got {z.dtype} {z.shape}")
        z = z.astype(np.float32)
        if not self.encoder:
            expect_gradient(generator.spec)
        return generator.shown(draw(generator, z, self._labels(labels, len(z)), "code" if self.encoder else "z"))

    def save(self, folder: Path | str) -> None:
        """Write the generator as `artifacts/generator` of the pipeline is written, an encoder beside it.

        Raises:
            InputError: The GAN has not been trained, or the folder holds something else, which would be lost.
        """
        generator, place = self._learnt(), Path(folder)
        there = sorted(place.iterdir()) if place.is_dir() else []
        others = [each.name for each in there if each.name not in (DESCRIPTION, WEIGHTS, encoder.WEIGHTS)]
        if others or place.is_file() or (there and not (place / "generator.json").is_file()):
            got = "a file" if place.is_file() else f"one with {(others or [there[0].name])[0]}"
            raise InputError(
                f"save: expected a new folder, or that of a generator, which is replaced; {place} is {got}"
            )
        generator.save(place)
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

    def _taking(self) -> Intake:
        """Return what makes samples to learn from."""
        data = self.experiment.data
        side = getattr(data, "resolution", None) if "data.resolution" in (self.params or {}) else None
        return Intake(data, side, self._tell)

    def _like(self, samples: Any, labels: ArrayLike | None) -> tuple[NDArray[Any], NDArray[np.int64] | None]:
        """Return samples as those that it has learnt from were stored, and numbers of their labels.

        Raises:
            InputError: They are no such samples or labels, or it was loaded and does not know how.
        """
        stored, own = (self._intake or self._taking()).like(samples, self._learnt().spec)
        return stored, self._labels(own if labels is None else labels, len(stored))

    def _learnt(self) -> Generator:
        if self.generator is None:
            raise _not_fitted(f"this GAN has not learnt yet: call fit({KINDS[self.experiment.data.kind].UNIT}s) first")
        return self.generator

    def _labels(self, labels: Any, count: int, *, one: bool = False) -> NDArray[np.int64] | None:
        return arguments.labels(labels, count, self._learnt(), one=one)


PARAMETERS = tuple(inspect.signature(GAN).parameters)
"""Names of the parameters of `GAN`, in their order."""


def _not_fitted(text: str) -> InputError:
    """Return the error of what has not learnt yet: scikit-learn's own as well, where that is installed."""
    try:
        from sklearn.exceptions import NotFittedError
    except ModuleNotFoundError:
        return InputError(text)
    kind: type[InputError] = type("NotFittedError", (InputError, NotFittedError), {})
    return kind(text)


def _unseen(row: Mapping[str, float], alarms: Sequence[str] = (), **more: Any) -> None:
    """Show nothing of a tick."""


def _data_of(spec: Spec) -> dict[str, Any]:
    """Return the keys of the section data that samples tell of themselves."""
    sizes = {
        "image": {"resolution": spec.shape[-1]},
        "text": {"length": spec.shape[0], "words": max(4, len(spec.facts.get("words", ())))},
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
