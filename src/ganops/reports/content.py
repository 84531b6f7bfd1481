"""The content of a report, as the stages hand it over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganops.kinds import KINDS


@dataclass(frozen=True)
class Report:
    """The content of a report. Everything but the title may be left empty, and its section is left out."""

    title: str
    """Name of the model."""
    version: int | None = None
    """Version in the registry; None: it is not registered yet."""
    date: str = ""
    """Day on which the training ended: YYYY-MM-DD."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    """The verdict: name -> number or text, in the order of the headline; the first is the head number."""
    manifest: Mapping[str, Any] = field(default_factory=dict)
    """The prepared data: `source` {`name`}, `sample` {`kind`, `shape` [C, H, W]}, `splits` {name: {`samples`, `classes`
    {name: samples}}}, `duplicates`, `rejected` [{`name`, `reason`}], `sha256`."""
    history: Sequence[Mapping[str, Any]] = ()
    """One entry a tick: `kimg` and any of the keys in PANELS."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """name -> number, or {`value`, `interval` [low, high], `real`, `noise`, `floor`, `blind`}: the values that real
    samples and noise would get, that of training images in the place of generated ones, and what the metric does not
    tell from real samples, in words. `<name>_std` is shown beside <name>."""
    champion: Mapping[str, Any] = field(default_factory=dict)
    """The former champion: `version`, `samples`, `selected` (what its figures are worth), and `metrics` {name: {`one`
    (its value), `difference` (of this generator from it), `interval` [low, high], `other_is` (this generator: better,
    worse, ...)}}, or `reason`."""
    decision: Mapping[str, Any] = field(default_factory=dict)
    """Decision on the championship of this generator: `passed`, `reasons` against it in words, `checks` [{`metric`,
    `value`, `bound` {at_most or at_least: limit}, `passed`}], and `improvement` over the champion {`passed`, `reason`}
    or None."""
    memorisation: Mapping[str, Any] = field(default_factory=dict)
    """`verdict` in words, `copied_share`, and `signs` {name: {`generated`, `held_out`, `copied`: number}}."""
    protocol: Mapping[str, Any] = field(default_factory=dict)
    """Protocol of the metrics."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """The extractor's card: `extractor`, `published` (the weights of FID), `dimensions`, `hash`, `details` {`accuracy`,
    `chance`, `feature_error`}, `ladder` {rung: Fréchet distance, <rung>_coverage: coverage} with the rungs `real` and
    `noise`."""
    trials: Sequence[Mapping[str, Any]] = ()
    """One entry a trial, as in trials.json: `number`, `parameters` {dotted path: value}, `score` (lower is better) or
    None, `kimg`, `rung`, `status`."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """The content of params.yaml."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """`commands` [text] that give the same generator in a clone, `commit`, `changed` (files differed from it), `patch`
    {`name`, `content` (bytes)}, `search` {`search`, `trial`, `parameters`, `reason`} where one found the parameters,
    `hashes` {path: hash}, `versions` {software: version}, `hardware`, `precision`."""
    pictures: Mapping[str, Path] = field(default_factory=dict)
    """Name (see PICTURES, and `samples`, `preview`, `memorisation`) -> PNG, JPEG or SVG file, or WebP, which moves."""
    played: Sequence[tuple[str, Mapping[str, Path]]] = ()
    """Samples that are heard or watched: the class in words, and `generated` and `real` -> WAV, or animated WebP."""
    sentences: Mapping[str, Sequence[tuple[str, float]]] = field(default_factory=dict)
    """Generated texts to read: title -> texts, each with the nats of a word by the extractor."""
    curve: Mapping[str, Any] = field(default_factory=dict)
    """Quality-diversity curve: `model` and `baseline` [{`truncation`, figures by name, `intervals`}], `real` {figures},
    `domination` of the model by the baseline [{`truncation`, `by`: a truncation or None}], and what is `left_out`
    {figure: reason}."""
    filmstrip: Sequence[tuple[float, Path]] = ()
    """(kimg, picture) of the same latents while G learns."""
    parameters: Mapping[str, int] = field(default_factory=dict)
    """Numbers of parameters: of the `generator`, and of the `discriminator` or `encoder`."""
    seconds: float | None = None
    """Seconds of the training's steps."""
    improved: bool | None = None
    """True where the game improved on its warm-up, False where these are the warm-up's weights; None: it had none."""
    reconstruction: Mapping[str, Any] = field(default_factory=dict)
    """Reconstructions of held-out samples by an autoencoder: `error`, `interval`, `samples`, `split`, `what` was
    computed, in words; or `left_out`, the reason why there are none."""
    bound: Mapping[str, Any] = field(default_factory=dict)
    """The bound of their likelihood: `bits_per_dimension`, `interval`, `nats`, `what`. Of texts the interval is that of
    the `nats`, beside them is the `divergence`, and an `alarm` where the code says nothing."""
    again: Sequence[tuple[str, str]] = ()
    """Held-out texts and their reconstructions."""

    @property
    def kind(self) -> str:
        """Kind of the samples, a name in `kinds.KINDS`."""
        return str(self.manifest.get("sample", {}).get("kind", "image"))

    @property
    def unit(self) -> str:
        """Noun for a sample."""
        return KINDS[self.kind].UNIT

    @property
    def samples(self) -> int | None:
        """Number of samples of all splits; None: it is not known."""
        return sum(split["samples"] for split in self.manifest.get("splits", {}).values()) or None

    @property
    def shape(self) -> Sequence[int]:
        """Shape of a sample; empty: it is not known."""
        shape: Sequence[int] = self.manifest.get("sample", {}).get("shape", ())
        return shape

    def worded(self, text: str) -> str:
        """Return a text that speaks of images in the words of the samples' kind."""
        return text.replace("image", self.unit).replace("Image", self.unit.capitalize())
