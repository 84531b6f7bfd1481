"""All that is known of a trained generator when it is registered."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from ganops.core.files import hash_file, hash_json
from ganops.data.about import AUTO
from ganops.kinds import Spec
from ganops.registry import tracking


@dataclass(frozen=True, kw_only=True)
class Package:
    """All that is known of a trained generator when it is registered."""

    generator: nn.Module
    """G(z float32 [N, D], y int64 [N] or None) -> [N, *shape], with its final weights."""
    description: Mapping[str, Any]
    """architecture, options, latent, classes, class_names, kind, shape, facts (`generator.Description`)."""
    weights: Path
    """The same weights as safetensors."""
    evaluation: Mapping[str, Any]
    """The metrics by name, and under `protocol` how they were measured."""
    params: Mapping[str, Any]
    """The parameters, nested as in `params.yaml`."""
    history: Sequence[Mapping[str, float]]
    """One row for one report of the training: `step` (samples shown to D) and its values."""
    pictures: Sequence[Path]
    """Pictures that the run keeps."""
    strip: Mapping[int, Path] = field(default_factory=dict)
    """Pictures of samples at validations, by `step` of the history."""
    report: Path | None
    """File or folder of the evaluation's report."""
    lock: Path | None
    """`dvc.lock`, whose hashes are the run's lineage."""
    fingerprint: str
    """Names the training."""
    data_licence: str | None = None
    """Licence of the training images; None: nobody has stated it."""
    data_name: str | None = None
    """Name of the training images for people."""
    data_hash: str | None = None
    """SHA-256 of the prepared set."""
    hashes: Mapping[str, str] | None = None
    """DVC's hashes of all that it comes from, by path; None: those of `lock`."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """Search that found the parameters: `search` (its name), `trial` (number), `parameters` and `reason`."""
    changes: Path | None = None
    """The patch from the commit to the tree that made it, where there is one."""
    encoder: Path | None = None
    """The encoder of an autoencoder as safetensors (`generator.encoder`); None: there is none."""
    parameters: Mapping[str, int] = field(default_factory=dict)
    """Numbers of parameters: of the `generator`, and of the `discriminator` or `encoder` that it learnt with."""
    played: Sequence[Path] = ()
    """Samples that can be heard, which the run keeps."""
    commands: Sequence[str] = ()
    """Commands that make the same generator in a clone."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """The content of `metrics/train.json`: `kimg`, `seconds`, `hardware` and more."""

    @property
    def spec(self) -> Spec:
        """Specification of the samples."""
        return Spec.of(self.description)

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers of the evaluation."""
        return tracking.numbers(self.evaluation)

    @functools.cached_property
    def weights_hash(self) -> str:
        """SHA-256 of the weights."""
        return hash_file(self.weights)

    @property
    def stated_name(self) -> str | None:
        """Name of the training images that a person states; None: it follows from their source, or is not known."""
        return None if self.params.get("data", {}).get("name", AUTO) == AUTO else self.data_name

    def identity(self) -> str:
        """SHA-256 of what makes a version another one: training, weights, encoder, evaluation, name and licence."""
        return self.identity_under(self.stated_name, self.data_licence)

    def identity_under(self, name: str | None, licence: str | None) -> str:
        """Return the identity under another name and licence of the training images; None: nobody states it."""
        stated = [licence] if licence else []
        encoder = [{"encoder": hash_file(self.encoder)}] if self.encoder else []
        named = [{"data": name}] if name else []
        return hash_json([self.fingerprint, self.weights_hash, dict(self.evaluation), *stated, *encoder, *named])
