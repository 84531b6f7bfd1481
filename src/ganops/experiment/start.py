"""The weights of another generator with which a training begins (fine-tuning)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ganops.config import Experiment
from ganops.core.errors import ConfigError
from ganops.core.files import hash_file, hash_json
from ganops.experiment import build
from ganops.generator import Generator
from ganops.generator.artefact import DISCRIMINATOR, WEIGHTS
from ganops.kinds import Spec

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Start:
    """A generator, and the discriminator beside it where one was kept."""

    generator: Generator
    D: dict[str, Tensor] | None
    ancestor: Mapping[str, str]
    """The ancestor's `name`, the `fingerprint` of its training and the SHA-256 of its `weights`."""

    @classmethod
    def open(cls, folder: Path, name: str) -> "Start":
        """Reads the folder of a generator; the name is that of the folder or of the version that it was fetched of.

        Raises:
            UserError: It holds none, or its files are damaged.
            ConfigError: The discriminator beside it is damaged.
        """
        generator, beside = Generator.load(folder), folder / DISCRIMINATOR
        try:
            D = load_file(beside) if beside.is_file() else None
        except SafetensorError as error:
            raise ConfigError(f"params.train.start: {beside} is damaged: {error}") from error
        hashes = [hash_file(path) for path in (folder / WEIGHTS, beside) if path.is_file()]
        facts = {"name": name, "fingerprint": generator.description.fingerprint, "weights": hash_json(hashes)}
        return cls(generator, D, facts)

    @classmethod
    def of(cls, experiment: Experiment) -> "Start | None":
        """The start that `train.start` names as a folder of this machine; None: there is none.

        Raises:
            ConfigError: It is no folder here.
        """
        place = place_of(experiment)
        return cls.open(*place) if place else None

    @torch.no_grad()
    def fill(
        self, G: nn.Module, D: nn.Module, experiment: Experiment, spec: Spec, class_names: Sequence[str] = ()
    ) -> list[str]:
        """Takes the weights over, and returns notes for people.

        Tables with a row for each class begin as the mean over the ancestor's classes where their numbers differ.

        Raises:
            ConfigError: The networks are others, or words mean others; what differs is named.
        """
        classes = spec.classes
        self._expect_game(experiment, spec)
        notes, before, had = [], self.generator.classes, self.generator.description.class_names
        if before == classes and had and class_names and tuple(class_names) != had:
            notes.append(
                f"train.start: the classes are {', '.join(class_names)}; each begins as that of its number in "
                f"{self.ancestor['name']}, which are {', '.join(had)}"
            )
        shown = f"params.train.start: {self.ancestor['name']}"
        players = {"G": (G, self.generator.network.state_dict()), "D": (D, self.D)}
        for player, (network, weights) in players.items():
            if weights is None:
                notes.append(f"train.start: {self.ancestor['name']} keeps no D, which begins anew")
                continue
            own = network.state_dict()
            tables = [
                name for name in own.keys() & weights.keys()
                if before != classes and weights[name].shape == (before, *own[name].shape[1:])
                and own[name].shape[0] == classes
            ]  # fmt: skip
            if wrong := _differing(own, weights, tables):
                raise ConfigError(f"{shown} has other networks. {player}: {'; '.join(wrong)}")
            for name, tensor in own.items():
                found = weights[name]
                tensor.copy_(found.mean(0).expand_as(tensor) if name in tables else found)
            if tables and player == "G":
                notes.append(
                    f"train.start: {classes} classes where {self.ancestor['name']} has {before}: what differs between "
                    "classes begins as their mean"
                )
        return notes

    def _expect_game(self, experiment: Experiment, spec: Spec) -> None:
        """Refuses a generator whose weights cannot be taken over."""
        description, model, classes = self.generator.description, experiment.model, spec.classes
        shown = f"params.train.start: {self.ancestor['name']}"
        if description.code or description.prior or build.family(experiment):
            raise ConfigError(f"{shown}: autoencoders begin anew; expected a game that begins with a game's generator")
        for key, was, wanted in (
            ("data.kind", description.kind, experiment.data.kind),
            ("model.architecture", description.architecture, model.architecture),
            ("model.latent", description.latent, model.latent),
        ):
            if was != wanted:
                raise ConfigError(f"{shown} has {key}: {was}, here it is {wanted}; expected the same")
        words, theirs = ([*facts.get("words", ())] for facts in (spec.facts, description.facts))
        if words != theirs:
            few, own = (", ".join(each[2:5]) for each in (theirs, words))
            raise ConfigError(
                f"{shown} has other words ({few}, ...) than these texts ({own}, ...): "
                "what it has learnt of a word would be taken for that of another; expected texts of the same vocabulary"
            )
        if bool(description.classes) != bool(classes):
            had, has = ("labels" if each else "no labels" for each in (description.classes, classes))
            raise ConfigError(
                f"{shown} was trained with {had}, and here there are {has}: expected the same; model.conditional: "
                "false leaves labels out"
            )


def place_of(experiment: Experiment) -> tuple[Path, str] | None:
    """The folder of this machine that `train.start` names, and its name; None: there is no start.

    Raises:
        ConfigError: It is no folder here.
    """
    which = experiment.train.start
    if which is None:
        return None
    if not Path(which).is_dir():
        raise ConfigError(
            "params.train.start: expected the folder of a generator, or in a project's stages models:/NAME/VERSION or "
            f"models:/NAME@ALIAS, got {which!r}, which is no folder here"
        )
    return Path(which).resolve(), which


def _differing(own: dict[str, Tensor], found: dict[str, Tensor], tables: list[str]) -> list[str]:
    """Differences of the tensors of two networks, a few in words."""
    shapes: list[Shapes] = [{name: tuple(tensor.shape) for name, tensor in each.items()} for each in (own, found)]
    wrong = [
        f"{name}: expected {shapes[0].get(name, 'nothing')}, got {shapes[1].get(name, 'nothing')}"
        for name in sorted({*own, *found} - {*tables})
        if shapes[0].get(name) != shapes[1].get(name)
    ]
    return [*wrong[:3], f"and {len(wrong) - 3} more"] if len(wrong) > 3 else wrong
