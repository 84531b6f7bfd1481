"""`params.yaml` as frozen, typed sections. An unknown or impossible value is refused with its full path.

The comment under each field is the sentence that editors show (see `params.schema.json`).
"""

import difflib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ganops.core import patterns
from ganops.core.errors import ConfigError
from ganops.core.files import read_yaml
from ganops.core.node_folder import CACHE_BYTES
from ganops.core.redaction import carries_secret
from ganops.kinds import Spec, sound

Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Factor = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs", "file")
"""Schemes of the addresses that pyarrow opens."""


class Section(BaseModel):
    """A part of `params.yaml`: frozen, strict about its keys, finite in its numbers."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True, protected_namespaces=()
    )


class Course(Section):
    """A value that moves from `start` to `end` while the training runs."""

    start: NotNegative
    """The value at the first step."""
    end: NotNegative
    """The value at the last step."""
    shape: Literal["cosine", "linear"] = "cosine"
    """Shape of the curve: half a cosine, or a straight line."""


Schedule = Annotated[
    Annotated[NotNegative, Tag("number")] | Annotated[Course, Tag("course")],
    Discriminator(lambda value: "course" if isinstance(value, dict | Course) else "number"),
]
"""A constant, or a course from one value to another over `train.kimg`."""


def _largest(value: float | Course) -> float:
    return max(value.start, value.end) if isinstance(value, Course) else value


def _expect_no_secret(address: str) -> None:
    if carries_secret(address):
        raise ValueError("keys do not belong into an address, which is printed: set them in the environment")


def _place(storage: str) -> str:
    """A folder, or an address that pyarrow opens; ValueError for any other."""
    scheme, separator, rest = storage.partition("://")
    _expect_no_secret(storage)
    if not storage or (separator and (scheme not in SCHEMES or not rest)):
        schemes = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise ValueError(f"expected a folder, or an address that begins with {schemes}, got {storage!r}")
    return storage


def _without_default(schema: dict[str, Any]) -> None:
    """Leave the embedded set out of a schema: projects of other data have it as well."""
    schema.pop("default", None)


class Data(Section):
    """The source of the samples, and their preparation, as far as it is the same for all kinds."""

    source: Annotated[str, Field(json_schema_extra=_without_default)] = "fashion-mnist-10k"
    """A folder, zip, tar, Parquet or idx pair, absolute or below data/; an s3:// or gs:// folder; name of a download.

    Of texts also a .txt, .tsv or .jsonl file with one a line, or the folder of an oracle.
    """
    labels: str = "auto"
    """auto: sub-folders, a label column or files; none: unconditional; or a pattern: its group, in a file's name."""
    group: str = "none"
    """A pattern whose group, in a file's path, says which samples lie in one split: speakers, takes, films; or none."""
    validation: Share = 0.1
    """Share of the samples that selection (tuning, best checkpoint) looks at."""
    test: Share = 0.1
    """Share of the samples that only the final evaluation looks at."""
    max_rejected: Share = 0.01
    """The stage fails when more than this share of the files cannot be used."""
    name: Annotated[str, Field(min_length=1)] = "auto"
    """Name of the data set for people; auto: the source's own (the embedded set, downloads), else its last part."""
    licence: Annotated[str, Field(min_length=1)] = "auto"
    """Licence of the samples, for the card; auto: as the source says (the embedded set, downloads), else none."""
    shard: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """Samples of each file of the prepared set, which decides their order; auto: one array a split, up to 8 GiB."""
    storage: Annotated[str, Field(min_length=1)] = "here"
    """The place of the shards: here, in data/prepared; or a shared folder, or an address (s3://, gs://, abfs://...)."""

    @field_validator("source")
    @classmethod
    def _address_is_public(cls, source: str) -> str:
        _expect_no_secret(source)
        return source

    @field_validator("storage")
    @classmethod
    def _storage_is_known(cls, storage: str) -> str:
        return _place(storage)

    @field_validator("labels", "group")
    @classmethod
    def _pattern_has_one_group(cls, value: str, info: ValidationInfo) -> str:
        patterns.compiled(value, ("auto", "none") if info.field_name == "labels" else ("none",))
        return value

    @model_validator(mode="after")
    def _splits_leave_something(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError(f"validation + test is {self.validation + self.test:g}: nothing is left to train on")
        if not self.validation or not self.test:
            raise ValueError("validation and test must both be above 0: selection and evaluation each need a split")
        return self


class ImageData(Data):
    """Images."""

    kind: Literal["image"] = "image"
    """The kind of the samples."""
    resolution: Literal[16, 32, 64, 128, 256] = 32
    """Height and width in pixels of the prepared images."""
    channels: Literal["auto", 1, 3] = "auto"
    """1 (gray) or 3 (colour); auto: what the source has."""
    fit: Literal["crop", "pad", "stretch"] = "pad"
    """Way in which a picture becomes a square: centre crop, pad with the background, or stretch."""
    background: str = "black"
    """The colour behind transparent pixels and in the padding."""
    resize: Literal["lanczos", "bicubic", "bilinear", "box"] = "lanczos"
    """The antialiased filter that changes the resolution."""
    mirror: bool = False
    """Adds the mirror image of every training sample: for faces and landscapes, not for digits, text or shoes."""

    @property
    def spec(self) -> Spec:
        """Specification of the samples, as far as it is known before the source is read: `auto` channels are 1."""
        return Spec("image", (1 if self.channels == "auto" else self.channels, self.resolution, self.resolution))


class SoundData(Data):
    """Clips of sound."""

    kind: Literal["sound"]
    """The kind of the samples."""
    rate: Annotated[int, Field(ge=1000, le=384_000)] = 8000
    """Samples a second of a clip: files of others are resampled."""
    samples: Annotated[int, Field(ge=1, le=2**20)] = 8192
    """Samples of a clip: shorter ones are padded on both sides, longer ones cut."""
    bands: Annotated[int, Field(ge=1, le=1024)] = 64
    """Mel bands of the spectrogram: its height. Its width is samples / hop; architectures draw squares."""
    window: Annotated[int, Field(ge=2, le=2**16)] = 256
    """Samples of the window of the short-time Fourier transform."""
    hop: Annotated[int, Field(ge=1, le=2**16)] = 128
    """Samples between two windows."""

    @property
    def spec(self) -> Spec:
        """Specification of the samples, as far as it is known before the source is read."""
        return Spec("sound", (1, self.bands, self.samples // self.hop))

    @model_validator(mode="after")
    def _spectrogram_is_possible(self) -> Self:
        sound.check(self.model_dump())
        return self


class TextData(Data):
    """Texts: sentences, or lines."""

    kind: Literal["text"]
    """The kind of the samples."""
    by: Literal["words", "characters"] = "words"
    """The units of a text."""
    length: Annotated[int, Field(ge=1, le=1024)] = 20
    """Words (or characters) of a text: shorter ones are padded, longer ones cut."""
    words: Annotated[int, Field(ge=4, le=2**16)] = 5000
    """Size of the vocabulary, at most: the commonest words of the split train, the end of a text, and the unknown."""
    lower: bool = False
    """Makes all letters small."""

    @property
    def spec(self) -> Spec:
        """Specification of the samples before the source is read: with a vocabulary as large as it may be."""
        words = ["", *map(str, range(1, self.words))]
        return Spec("text", (self.length,), facts={"words": words, "by": self.by})


class WaveData(Data):
    """Clips of sound, as their samples."""

    kind: Literal["wave"]
    """The kind of the samples."""
    rate: Annotated[int, Field(ge=1000, le=384_000)] = 8000
    """Samples a second of a clip: files of others are resampled."""
    samples: Annotated[int, Field(ge=64, le=2**20)] = 8192
    """Samples of a clip: shorter ones are padded on both sides, longer ones cut."""

    @property
    def spec(self) -> Spec:
        """Specification of the samples."""
        return Spec("wave", (1, self.samples), facts={"rate": self.rate, "samples": self.samples})


class VideoData(Data):
    """Films of one length and size."""

    kind: Literal["video"]
    """The kind of the samples."""
    frames: Annotated[int, Field(ge=2, le=256)] = 8
    """Frames of a film: of longer ones the beginning is taken, the last frame of shorter ones is held."""
    every: Annotated[int, Field(ge=1, le=1000)] = 1
    """Takes one frame of so many."""
    fps: Literal["auto"] | Positive = "auto"
    """Frames a second that are counted, taken by their times; auto: all frames, at the rate of most films."""
    resolution: Literal[16, 32, 64, 128, 256] = 32
    """Height and width in pixels of the prepared frames."""
    channels: Literal["auto", 1, 3] = "auto"
    """1 (gray) or 3 (colour); auto: what the source has."""
    fit: Literal["crop", "pad", "stretch"] = "pad"
    """Way in which a frame becomes a square: centre crop, pad with the background, or stretch."""
    background: str = "black"
    """The colour behind transparent pixels and in the padding."""
    resize: Literal["lanczos", "bicubic", "bilinear", "box"] = "lanczos"
    """The antialiased filter that changes the resolution."""

    @property
    def spec(self) -> Spec:
        """Specification of the samples, as far as it is known before the source is read: `auto` channels are 1."""
        channels = 1 if self.channels == "auto" else self.channels
        return Spec("video", (channels, self.frames, self.resolution, self.resolution), facts={"fps": 8})


SECTIONS: dict[str, type[ImageData] | type[SoundData] | type[TextData] | type[VideoData] | type[WaveData]] = {
    "image": ImageData,
    "sound": SoundData,
    "text": TextData,
    "video": VideoData,
    "wave": WaveData,
}
"""Section `data` of each kind."""


def _kind(value: Any) -> str:
    return str(value.get("kind", "image") if isinstance(value, Mapping) else getattr(value, "kind", "image"))


class Features(Section):
    """The frozen function whose features the metrics compare."""

    extractor: str = "domain"
    """domain: a CNN of this data; inception: that of FID; inception_bf16: quicker, never FID; pixels: no network. Of
    texts language: a language model of this data; oracle: the true one. Of films
    also motion: what changes between frames, which judges beside the others anyway."""
    weights: Path | None = None
    """Path of the Inception weights (null: torch's hub cache, else their published address), or of an oracle."""
    minimum_accuracy: Share = 0.5
    """A domain extractor below this validation accuracy is refused (labelled data only)."""


class Model(Section):
    """The two players."""

    architecture: str = "dcgan"
    """began, dcgan, infogan, mlp, r3gan, sngan or stylegan2; of texts lstm; of films mlp or mocogan; of waves mlp or
    wavegan."""
    latent: Annotated[int, Field(ge=1, le=4096)] = 128
    """Dimensions of the latent z; of texts two for each word, after those of the code, model.options.code."""
    conditional: bool = True
    """false: labels serve the extractor only."""
    options: dict[str, Any] = {}
    """Keyword arguments of the architecture (see its file in src/ganops/models/)."""


class WarmUp(Section):
    """The training of G alone before a game."""

    name: str = "likelihood"
    """The objective: likelihood."""
    kimg: Positive
    """Thousands of real samples, of those of `train.kimg`."""
    learning_rate: Schedule = Course(start=5e-3, end=5e-4)
    """Adam's learning rate of G."""


class Loss(Section):
    """The objective."""

    name: str = "non_saturating"
    """A game: began, hinge, least_squares, minimax, non_saturating, relativistic, relativistic_average, wasserstein.

    Or a family of autoencoders, where D without its score is the encoder: autoencoder, vae or two_stage_vae; of texts
    vae. Or likelihood, of texts: D rests.
    """
    options: dict[str, Any] = {}
    """Keyword arguments of the objective (see src/ganops/losses/)."""
    warm_up: WarmUp | None = None
    """A phase before a game, in which G learns alone; null: there is none."""
    r1: Schedule = 0.2
    """Weight γ of the gradient penalty on real samples."""
    r2: Schedule = 0.0
    """Weight γ of the gradient penalty on generated samples."""
    penalty: str = "none"
    """none, or a gradient penalty beside the samples: dragan, wgan_gp or zero_centred_gp; one more pass through D."""
    penalty_weight: Schedule = 10.0
    """Weight λ of that penalty."""
    clip: NotNegative = 0
    """Largest absolute weight of D, as in the first Wasserstein GAN; 0: no limit."""
    interval: Annotated[int, Field(ge=1, le=1024)] = 4
    """The penalties act every this many steps, with that many times the weight (lazy regularisation)."""


class LearningRate(Section):
    """One learning rate for each player."""

    generator: Schedule = Course(start=1e-3, end=1e-4)
    """Learning rate of G."""
    discriminator: Schedule = Course(start=1e-3, end=1e-4)
    """Learning rate of D."""


def _both(rate: Any) -> Any:
    """A number is the learning rate of both."""
    return {"generator": rate, "discriminator": rate} if isinstance(rate, int | float) else rate


class Augment(Section):
    """The transforms of the samples that D is shown, real and generated ones alike."""

    transforms: str | dict[str, Factor] = "none"
    """none, ada, bgc, diffaugment or r3gan; or names and factors: {xint: 1}; of sounds {time: 1, gain: 1}."""
    strength: Literal["auto", "adaptive"] | Schedule = "auto"
    """The chance of each transform; adaptive: from 0 on, as D overfits (ADA); auto: 1 for diffaugment, or adaptive."""
    target: Share = 0.6
    """The mean sign of D's decision on real samples that an adaptive strength aims at."""
    kimg: Positive = 500
    """Thousands of samples in which an adaptive strength can go from 0 to 1."""
    consistency: NotNegative = 0
    """Weight of what transforms do to D's scores; above 0, D decides on the samples themselves (bCR)."""

    @field_validator("strength")
    @classmethod
    def _strength_is_a_chance(
        cls, strength: Literal["auto", "adaptive"] | Schedule
    ) -> Literal["auto", "adaptive"] | Schedule:
        if not isinstance(strength, str) and _largest(strength) > 1:
            raise ValueError("must not exceed 1")
        return strength


class Train(Section):
    """The training of both players."""

    kimg: Positive = 120
    """Thousands of real samples shown to D in all."""
    batch: Annotated[int, Field(ge=2, le=2**20)] = 32
    """Samples of one turn of D over all workers."""
    d_steps: Annotated[int, Field(ge=1, le=100)] = 1
    """Turns of D for each turn of G."""
    learning_rate: Annotated[
        LearningRate, BeforeValidator(_both, json_schema_input_type=LearningRate | NotNegative)
    ] = LearningRate()
    """Adam's learning rates; a number is that of both players."""
    beta1: Share = 0.5
    """Adam's β1 (momentum)."""
    beta2: Schedule = 0.99
    """Adam's β2."""
    ema_kimg: Schedule = 5
    """Half-life of the average of G's weights, at most a twentieth of the progress; 0: no average."""
    augment: Augment = Augment()
    """The transforms of the samples that D is shown."""
    precision: Literal["auto", "bf16", "fp32", "fp64"] = "auto"
    """auto: bf16 where the processor computes in it, else fp32; scores and penalties are wider. fp64: for proofs."""
    tick_kimg: Positive = 4
    """A line, a picture of fixed latents and the losses every so often."""
    checkpoint_kimg: Positive = 8
    """A validation distance every so often, and a checkpoint with it as far as that is cheap."""
    validation_samples: Annotated[int, Field(ge=100)] = 2000
    """Generated samples of the validation distance."""
    start: Annotated[str, Field(min_length=1)] | None = None
    """The generator with whose weights a game begins: a folder, models:/NAME/VERSION or models:/NAME@ALIAS; or null."""
    freeze_D: Annotated[int, Field(ge=0, le=100)] = 0
    """The first so many layers of D do not learn, those next to the samples: for a start on few samples."""

    @field_validator("beta2")
    @classmethod
    def _beta_below_one(cls, beta2: Schedule) -> Schedule:
        if _largest(beta2) >= 1:
            raise ValueError("must stay below 1")
        return beta2


class Space(Section):
    """The values that a search may try for one parameter: exactly one of four kinds, perhaps under a condition."""

    log_uniform: tuple[Positive, Positive] | None = None
    """The bounds of a number whose logarithm is uniform."""
    uniform: tuple[float, float] | None = None
    """The bounds of a uniform number."""
    integer: tuple[int, int] | None = None
    """The bounds of a whole number, both of which may be drawn."""
    choice: Annotated[tuple[Any, ...], Field(min_length=1)] | None = None
    """A list of values."""
    points: Annotated[int, Field(ge=2, le=1000)] | None = None
    """Number of values of a range in a grid: at equal steps, the bounds among them."""
    when: dict[str, Any] = {}
    """Condition: other choices of the space have this value, or one of a list: {model.architecture: r3gan}."""

    @model_validator(mode="after")
    def _one_kind_with_ordered_bounds(self) -> Self:
        if sum(kind is not None for kind in (self.log_uniform, self.uniform, self.integer, self.choice)) != 1:
            raise ValueError("expected exactly one of choice, integer, log_uniform and uniform")
        if self.bounds and self.bounds[0] >= self.bounds[1]:
            raise ValueError(f"the lower bound {self.bounds[0]:g} is not below the upper bound {self.bounds[1]:g}")
        if self.points and not self.bounds:
            raise ValueError("points belong to a range: a choice lists its values")
        return self

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The bounds of a range; None: a choice."""
        return self.log_uniform or self.uniform or self.integer


Spaces = Annotated[
    Annotated[Space, Tag("one")] | Annotated[tuple[Space, ...], Tag("several")],
    Discriminator(lambda value: "several" if isinstance(value, list | tuple) else "one"),
]
"""The values of one parameter, or several alternatives with conditions that exclude one another."""


class Bound(Section):
    """A limit that a metric must keep."""

    at_most: float | None = None
    """The largest value that passes."""
    at_least: float | None = None
    """The smallest value that passes."""

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if self.at_most is None and self.at_least is None:
            raise ValueError("expected at_most or at_least")
        if self.at_most is not None and self.at_least is not None and self.at_least > self.at_most:
            raise ValueError(f"nothing is at least {self.at_least:g} and at most {self.at_most:g}")
        return self


class Tune(Section):
    """The search for better parameters."""

    trials: Annotated[int, Field(ge=0)] = 4
    """Number of trials; 0: no search, the parameters are handed on as they are."""
    kimg: Positive = 6
    """Length of a trial: the first part of the training it stands for, or all of it where that is shorter."""
    minutes: Positive | None = None
    """Minutes after which no trial begins, and those that run end at their next judgement; null: no limit."""
    rungs: Annotated[int, Field(ge=1, le=100)] = 3
    """Times that a trial is judged, after equal parts of its length."""
    search: Literal["random", "grid", "optuna"] = "random"
    """random; grid: all combinations; or Optuna's tree-structured Parzen estimator."""
    scheduler: Literal["asha", "pbt", "none"] = "asha"
    """asha ends the worse trials early; pbt: they take over the better ones' weights; none: all run to the end."""
    reduction: Annotated[float, Field(gt=1)] = 2
    """asha: one of so many trials goes on beyond the judgements 1, r, r², ..."""
    limits: dict[str, Bound] = {}
    """A trial that breaks one ends: of alarms (in a tick), precision, recall, density, coverage (on validation)."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seed of the draws from the space; the trainings themselves follow the seed of the experiment."""
    space: dict[str, Spaces] = {}
    """Dotted paths of parameters and the values to try."""


class Evaluate(Section):
    """The report on the finished generator."""

    samples: Annotated[int, Field(ge=100)] = 10000
    """Number of generated samples."""
    split: Literal["test", "train"] = "test"
    """The real images to compare with: test, or train as papers do (fid50k_train), which does not punish copies."""
    truncations: tuple[Annotated[float, Field(gt=0, le=1)], ...] = ()
    """Truncations at which the generator is measured as well, of texts temperatures: the quality-diversity curve."""


class Register(Section):
    """The model in the registry."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "ganops-generator"
    """Name of the model: letters, digits, dots, dashes and underscores."""
    gate: dict[str, Bound] = {}
    """Metrics of the evaluation and the limits a champion must keep."""
    improve: Annotated[str, Field(min_length=1)] = "auto"
    """The metric in which a champion must be beaten with 95 % confidence; auto: the Fréchet distance; none: no need."""
    fail_on_reject: bool = False
    """End with an error where the generator did not pass: for CI. It is registered all the same."""


class TrialCompute(Section):
    """The resources of one trial of the search."""

    workers: Count = 1
    """1: the trial trains in its own process; more: Ray Train starts so many for each trial."""
    cpus: Count = 1
    """Cores of each worker, and at most so many threads."""
    gpus: Annotated[float, Field(gt=0, le=1)] = 1
    """Share of a GPU for each worker, where there are any: a fraction lets trials share one."""

    @model_validator(mode="after")
    def _workers_share_no_gpu(self) -> Self:
        if self.workers > 1 and self.gpus != 1:
            raise ValueError(f"gpus: each of {self.workers} workers needs one of its own, got {self.gpus:g}")
        return self


class Compute(Section):
    """The place where it runs. Not part of the experiment: no stage depends on it."""

    launcher: Literal["ray", "local"] = "ray"
    """ray: Ray, here or on a cluster (RAY_ADDRESS), where that gains; local: in the stage's own process."""
    workers: Literal["auto"] | Count | tuple[Count, Count] = "auto"
    """auto: one for each GPU and 16 samples of a step, or without GPUs one. [1, 4]: as many as there is room for."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """auto: cuda where there is a GPU, else cpu. mps, Apple's GPU, only where it is asked for: launcher: local."""
    threads: Literal["auto"] | Count = "auto"
    """Threads of each worker of a training. auto: one for a small network; continued runs keep theirs."""
    validation: Literal["auto", "inline", "apart"] = "auto"
    """inline: worker 0 judges, the others wait; apart: a core (or GPU) is kept for it; auto: apart if one is free."""
    data: Literal["auto", "device", "stream"] = "auto"
    """device: all samples in its memory; stream: read as they are needed; auto: stream if
    they lie in shards, or more than half of it would be taken."""
    cache: ByteSize = ByteSize(CACHE_BYTES)
    """Bytes, or words such as 2 GB, of each machine's disk for shards of data.storage, at most."""
    graphs: Literal["auto", "off"] = "off"
    """auto: GPUs record steps as CUDA graphs, with the sums over workers, and launch each as a whole; off: never."""
    trial: TrialCompute = TrialCompute()
    """The resources of one trial of the search."""
    storage: str = ".ganops"
    """Checkpoints of unfinished runs, results of searches: a shared folder, or an address (s3://, gs://, abfs://...)."""
    checkpoint_minutes: Literal["auto"] | NotNegative = "auto"
    """Minutes of a training between two checkpoints, saved at the next tick; 0: at each. auto: at validations as far as
    that takes 2 % of the time, and after 5 minutes."""

    @field_validator("workers")
    @classmethod
    def _bounds_are_ordered(cls, workers: str | int | tuple[int, int]) -> str | int | tuple[int, int]:
        if isinstance(workers, tuple) and workers[0] >= workers[1]:
            raise ValueError(f"expected [fewest, most], got [{workers[0]}, {workers[1]}]")
        return workers

    @field_validator("storage")
    @classmethod
    def _address_is_known(cls, storage: str) -> str:
        return _place(storage)

    @field_validator("cache", mode="wrap")
    @classmethod
    def _cache_is_a_size(cls, cache: Any, parse: Callable[[Any], ByteSize]) -> ByteSize:
        try:
            return parse(cache)
        except ValidationError:
            raise ValueError(f"expected bytes, or words such as 2 GB, got {cache!r}") from None

    @model_validator(mode="after")
    def _apart_from_something(self) -> Self:
        if self.validation == "apart" and self.launcher == "local":
            raise ValueError("validation: apart needs launcher: ray; auto or inline run in the stage's own process")
        if "://" in self.storage and self.launcher == "local":
            raise ValueError(
                f"storage: {self.storage} needs launcher: ray; launcher: local keeps its checkpoints in a folder"
            )
        if self.device == "mps" and self.launcher == "ray":
            raise ValueError("device: mps needs launcher: local; Ray's workers have no GPU of Apple")
        return self


class Experiment(Section):
    """The whole of `params.yaml`."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Everything random follows from it."""
    data: Annotated[
        Annotated[ImageData, Tag("image")]
        | Annotated[SoundData, Tag("sound")]
        | Annotated[TextData, Tag("text")]
        | Annotated[VideoData, Tag("video")]
        | Annotated[WaveData, Tag("wave")],
        Discriminator(_kind),
        Field(json_schema_extra=_without_default),
    ] = ImageData()
    """The source of the samples, and their preparation; its keys are those of its kind."""
    features: Features = Features()
    """The frozen function whose features the metrics compare."""
    model: Model = Model()
    """The two players."""
    loss: Loss = Loss()
    """The objective of the game."""
    train: Train = Train()
    """The training of both players."""
    tune: Tune = Tune()
    """The search for better parameters."""
    evaluate: Evaluate = Evaluate()
    """The report on the test split."""
    register_: Annotated[Register, Field(alias="register")] = Register()
    """The model in the registry."""
    compute: Compute = Compute()
    """The place where it runs. Not part of the experiment: no stage depends on it."""

    @model_validator(mode="after")
    def _space_is_made_of_parameters(self) -> Self:
        for path in self.tune.space:
            if path.split(".")[0] not in ("model", "loss", "train"):
                raise ValueError(f"tune.space.{path}: only parameters of model, loss and train can be searched")
        return self

    @model_validator(mode="after")
    def _apple_has_it(self) -> Self:
        if self.compute.device == "mps" and self.train.precision == "fp64":
            raise ValueError("train.precision: Apple's GPU (compute.device: mps) has no fp64; auto is fp32 there")
        if self.compute.device == "mps" and self.tune.trials:
            raise ValueError("tune.trials: a search runs on Ray, which has no GPU of Apple; expected 0 for mps")
        return self

    def override(self, values: Mapping[str, Any]) -> "Experiment":
        """A copy with dotted paths replaced, checked as the file is: `{"train.batch": 32}`.

        Raises:
            ConfigError: A path leads through a value, or the result is no experiment.
        """
        content = self.content()
        if values.get("data.kind", self.data.kind) != self.data.kind:  # what is said of any kind stays
            content["data"] = {key: value for key, value in content["data"].items() if key in Data.model_fields}
        for path, value in values.items():
            *parents, last = path.split(".")
            section = content
            for key in parents:
                if section.get(key) is None:  # a section that may be left out
                    section[key] = {}
                section = section[key]
                if not isinstance(section, dict):
                    raise ConfigError(f"params.{path}: {key} is a value, not a section")
            section[last] = value
        return parse(content)

    def content(self) -> dict[str, Any]:
        """The parameters as plain JSON values, nested as in the file."""
        content: dict[str, Any] = self.model_dump(mode="json", by_alias=True)
        return content


COMPUTE = "GANOPS_COMPUTE"
"""Variable with keys of `compute` as JSON that win over the file: another place is not another experiment."""


def load(path: Path = Path("params.yaml")) -> Experiment:
    """Reads and checks a parameter file (YAML 1.2: `4e-4` is a number).

    Raises:
        ConfigError: The file is missing or malformed, or a key or value is unknown or impossible.
    """
    try:
        content = read_yaml(path)
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing: run in the project's folder, where params.yaml is") from None
    except ValueError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from None
    experiment = parse({} if content is None else content)  # an empty file: all defaults
    if not (elsewhere := os.environ.get(COMPUTE)):
        return experiment
    try:
        return experiment.override({f"compute.{key}": value for key, value in json.loads(elsewhere).items()})
    except (ValueError, AttributeError):
        raise ConfigError(f"{COMPUTE}: expected a JSON object of keys of compute, got {elsewhere}") from None


def parse(content: Any) -> Experiment:
    """Checks plain values as an experiment; all problems are reported together.

    Raises:
        ConfigError: One line for each unknown, missing or impossible key, with its full path.
    """
    lines: dict[str, list[str]] = {}
    try:
        experiment = Experiment.model_validate(content)
    except ValidationError as error:
        for problem in error.errors():
            path, text = _explain(problem)
            lines.setdefault(path, []).append(text)
    else:
        for path, got in _truths("params", content, experiment.content()):
            lines[path] = [f"expected a number, got {str(got).lower()}"]
    if lines:
        explained = (f"{path}: " + " or ".join(dict.fromkeys(texts)) for path, texts in lines.items())
        raise ConfigError("\n".join(explained))
    return experiment


def _truths(path: str, given: Any, taken: Any) -> Iterator[tuple[str, bool]]:
    """The paths at which true or false was given and something else, such as the number 1, was taken for it."""
    if isinstance(given, bool):
        if taken is not given:
            yield path, given
    elif isinstance(given, Mapping) and isinstance(taken, Mapping):
        for key in given.keys() & taken.keys():
            yield from _truths(f"{path}.{key}", given[key], taken[key])
    elif isinstance(given, Sequence) and isinstance(taken, Sequence) and not isinstance(given, str):
        for i, (one, other) in enumerate(zip(given, taken, strict=False)):
            yield from _truths(f"{path}.{i}", one, other)


_UNION_BRANCHES = {
    "number",
    "course",
    "int",
    "literal['auto']",
    "constrained-float",
    "constrained-int",
    "tuple[constrained-int, constrained-int]",
    "one",
    "several",
}
"""Words that pydantic adds to the location of a problem in a union; not keys of the file."""


_NOW = {"params.register.data_licence": "data.licence, beside the source whose images it is about"}
"""Keys of former versions, and what stands in their place."""


def _explain(problem: Any) -> tuple[str, str]:
    place = [str(key) for key in problem["loc"]]
    kind = place.pop(1) if place[:1] == ["data"] and place[1:2] and place[1] in SECTIONS else "image"
    keys = [key for key in place if key not in _UNION_BRANCHES]
    path, got = ".".join(["params", *keys]), problem["input"]
    if path in _NOW:
        return path, f"is now {_NOW[path]}"
    if problem["type"] == "union_tag_invalid":
        near = difflib.get_close_matches(problem["ctx"]["tag"], SECTIONS, n=1)
        hint, names = f"; did you mean {near[0]}?" if near else "", list(SECTIONS)
        return f"{path}.kind", f"expected {', '.join(names[:-1])} or {names[-1]}, got {problem['ctx']['tag']!r}{hint}"
    if problem["type"] == "extra_forbidden":
        return path, _unknown(keys, kind)
    if problem["type"] == "value_error":
        return path, str(problem["ctx"]["error"])
    if problem["type"] == "missing":
        return path, "missing"
    if problem["type"] == "too_short":
        return path, f"expected at least {problem['ctx']['min_length']} value, got none"
    if problem["type"] in ("model_type", "dict_type"):
        return path, f"expected a section of keys and values, got {got!r}"
    message = problem["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return path, f"expected {message}, got {'a section' if isinstance(got, dict) else repr(got)}"


def _unknown(keys: list[str], kind: str) -> str:
    """Return what is said of a key that is not known where it stands."""
    known = _fields(keys[:-1], kind)
    others = [name for name, section in SECTIONS.items() if keys[-1] in section.model_fields]
    if others and keys[:-1] == ["data"]:
        return f"unknown for data.kind: {kind}; it is a key of data.kind: {others[0]}"
    near = difflib.get_close_matches(keys[-1], known, n=1)
    return "unknown; " + (f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}")


def _fields(keys: list[str], kind: str) -> list[str]:
    """The keys that the section at this path knows, `data` being of a kind."""
    if keys == ["data"]:
        return list(SECTIONS[kind].model_fields)
    section: Any = Experiment
    for key in keys:
        field = next((field for name, field in section.model_fields.items() if (field.alias or name) == key), None)
        # a dict's own keys, and places in a list, lead to its one kind of section
        section = next(_sections(field.annotation), section) if field else section
    return [field.alias or name for name, field in section.model_fields.items()]


def _sections(kind: Any) -> Iterator[type[Section]]:
    """The sections in a type, from the outside in."""
    if isinstance(kind, type) and issubclass(kind, Section):
        yield kind
    for inner in get_args(kind):
        yield from _sections(inner)
