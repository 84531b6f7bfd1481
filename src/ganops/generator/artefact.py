"""The trained generator as an artefact: a folder with weights (safetensors) and their description (JSON)."""

import inspect
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from ganops.core import devices
from ganops.core.cores import in_pieces
from ganops.core.devices import repeatable
from ganops.core.errors import DivergenceError, UserError
from ganops.core.files import atomic, atomic_folder, read_json, write_json
from ganops.core.labels import in_turn
from ganops.core.latents import latents, normal_table
from ganops.kinds import Spec
from ganops.models import ARCHITECTURES, coded
from ganops.models.layers import channels_last

WEIGHTS = "generator.safetensors"
DESCRIPTION = "generator.json"
WARM_UP = "warm_up.safetensors"
"""The best weights of the average within the phase before a game: in a checkpoint, and beside the generator."""
DISCRIMINATOR = "discriminator.safetensors"
"""The last weights of a game's D, beside the generator: another training may begin with both (`train.start`)."""
BATCH = 250
"""Samples that a processor computes at once."""
BYTES = 1024
"""Bytes of a GPU's memory that drawing takes for each number of a sample: 12 to 300 for most architectures, 1,100 for
sngan of 32 pixels, 600 for the published StyleGAN2 of 256 pixels."""
ROWS = 4
"""Rows from which on a product of matrices sums in one order, whatever their number; 16 bits show more than 8 do. A
piece of waves has so many, or a multiple."""
_table = cache(normal_table)


@dataclass(frozen=True)
class Description:
    """Description of a generator: the parameters that build its network again, and its training."""

    architecture: str
    options: dict[str, Any]
    latent: int
    classes: int
    class_names: tuple[str, ...]
    shape: tuple[int, ...]
    """Shape of a stored sample."""
    kimg: float
    """Thousands of real samples that D had seen."""
    fingerprint: str
    """Fingerprint of the training: parameters, data, extractor and code."""
    params: dict[str, Any] = field(default_factory=dict)
    """The parameters that it was trained with, those of a search among them: sections as in `params.yaml`."""
    class_counts: tuple[int, ...] = ()
    """The number of training samples of each class, in whose shares evaluations draw labels; empty: not known."""
    prior: dict[str, Any] = field(default_factory=dict)
    """The network between z and the code that the architecture decodes (`models.coded.with_prior`); empty: z is it."""
    code: int = 0
    """Dimensions of the code of an autoencoder; 0: there is no encoder."""
    moments: int = 1
    """Numbers that the encoder has for each of them (`losses.Family`)."""
    kind: str = "image"
    """Kind of its samples: a name in `kinds.KINDS`."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Facts of that kind."""
    ancestor: Mapping[str, str] = field(default_factory=dict)
    """The generator with whose weights its training began: `name`, `fingerprint`, `weights` (SHA-256); empty: none."""

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Description":
        """Return the description that is kept as JSON; former versions of it, of images, keep channels and resolution.

        Raises:
            TypeError: The content is no description.
            KeyError: Likewise.
        """
        kept = {key: value for key, value in content.items() if key not in ("channels", "resolution")}
        lists = {name: tuple(kept.get(name, ())) for name in ("class_names", "class_counts")}
        return cls(**kept | lists | {"shape": Spec.of(content).shape})

    @property
    def spec(self) -> Spec:
        """Specification of its samples."""
        return Spec(self.kind, self.shape, self.classes, self.facts)


@dataclass(frozen=True)
class Generator:
    """A generator that draws one sample for one seed, whatever the batch."""

    network: nn.Module
    description: Description

    def sample(
        self, seeds: NDArray[np.int64], labels: NDArray[np.int64] | None = None, truncation: float = 1.0,
        batch: int | None = None,
    ) -> NDArray[Any]:  # fmt: skip
        """One stored sample for each seed: int64 [N] -> [N, *shape], of images uint8 [N, C, H, W].

        Args:
            seeds: Any integers.
            labels: int64 [N], or None: the seed modulo the number of classes, so that each is seen; evaluations draw
                them in the shares of the training samples (`labels.Labelling`). Ignored without classes.
            truncation: Scale of the latents, or temperature of a text's words; 1 is what was trained, towards 0 the
                samples lose variety.
            batch: Samples computed at once; None: as `devices.batch` has it.
        """
        seeds = np.asarray(seeds, np.int64)
        if labels is None and self.description.classes:
            labels = in_turn(seeds, self.description.classes)
        return self.render(latents(seeds, self.description.latent, _table()), labels, batch, truncation)

    @property
    def spec(self) -> Spec:
        """Specification of its samples."""
        return self.description.spec

    @property
    def latent(self) -> int:
        """Dimensions of a latent."""
        return self.description.latent

    @property
    def classes(self) -> int:
        """0: it takes no labels."""
        return self.description.classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name for each class; empty: they have none."""
        return self.description.class_names

    @property
    def class_counts(self) -> tuple[int, ...]:
        """The number of training samples of each class; empty: not known."""
        return self.description.class_counts

    def render(
        self, z: Tensor | NDArray[np.float32], labels: NDArray[np.int64] | None = None, batch: int | None = None,
        truncation: float = 1.0,
    ) -> NDArray[Any]:  # fmt: skip
        """One stored sample for each latent: float32 [N, latent], labels int64 [N] -> [N, *shape].

        Raises:
            TrainingError: The network gives NaN or infinity.
        """
        spec = self.spec
        weight = next(self.network.parameters())
        samples = spec.empty(len(z))

        @torch.no_grad()  # of each thread
        def drawn(piece: slice) -> None:
            y = torch.from_numpy(np.array(labels, np.int64)[piece]).to(weight.device) if spec.classes else None
            latent = torch.as_tensor(z[piece]).to(weight)
            count, missing = len(latent), -len(latent) % ROWS if samples.dtype == np.int16 else 0
            if missing:
                latent, y = F.pad(latent, (0, 0, 0, missing)), None if y is None else F.pad(y, (0, missing))
            x = draw(self.network, latent, latent.new_full((len(latent),), truncation), y)
            samples[piece] = spec.stored(finite(x))[:count].cpu().numpy()

        size = batch or at_once(spec, weight.device)
        with repeatable(weight.device):
            for _ in in_pieces(drawn, len(z), size, weight.device.type):
                pass
        return samples

    @property
    def has_likelihood(self) -> bool:
        """True where it knows the probability of a sample (`nll`)."""
        return has_likelihood(self.network)

    def shown(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return stored samples as a reader of the registered model gets them."""
        return self.spec.shown(stored)

    def save(self, folder: Path) -> None:
        """Writes the folder, atomically."""
        with atomic_folder(folder) as draft:
            weights = {name: tensor.cpu().contiguous() for name, tensor in self.network.state_dict().items()}
            save_file(weights, draft / WEIGHTS)
            write_json(draft / DESCRIPTION, asdict(self.description))

    @classmethod
    def load(
        cls, folder: Path, device: torch.device | str = "cpu", *, description_file: str = DESCRIPTION,
        weights_file: str = WEIGHTS,
    ) -> "Generator":  # fmt: skip
        """Reads a folder that `save` wrote.

        Args:
            folder: The folder.
            device: Where it will draw.
            description_file: Name of its description there, which a registered version keeps under another one.
            weights_file: Name of its weights.

        Raises:
            UserError: The folder is not a generator's, or its files are missing, damaged or not of one another.
        """
        if not (folder / description_file).is_file():
            raise UserError(
                f"{folder} holds no generator: expected {description_file} and {weights_file}, as `train` writes them"
            )
        try:
            content = read_json(folder / description_file)
            description = Description.of(content)
            network = generator_network(description)
            network.load_state_dict(load_file(folder / weights_file))
        except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
            raise UserError(
                f"{folder} holds a generator that is damaged or of another version: {error}. Train or fetch it again."
            ) from error
        return cls(devices.moved(network, device), description)


def save_separate(folder: Path, seeds: NDArray[np.int64], shown: NDArray[Any], spec: Spec) -> None:
    """Write one file for each seed, named by it, of shown samples; other files of the folder stay."""
    for seed, one in zip(seeds, shown, strict=True):
        suffix, _, content = spec.file(one)
        with atomic(folder / f"{seed}{suffix}") as draft:
            draft.write_bytes(content)


def at_once(spec: Spec, device: torch.device) -> int:
    """Return how many samples a generator, or an encoder, computes at once on a device."""
    return devices.batch(device, BATCH, BYTES * math.prod(spec.shape))


def draw(G: nn.Module, z: Tensor, truncation: Tensor, y: Tensor | None) -> Tensor:
    """Samples of latents [N, latent] at truncations [N]: of scaled latents, or where G is tempered at temperatures."""
    tempered = getattr(G, "tempered", False)
    samples: Tensor = G(z, y, temperature=truncation) if tempered else G(z * truncation[:, None], y)
    return samples


def has_likelihood(G: nn.Module) -> bool:
    """Return True where `G(z, y, given=x)` gives the logits of samples; with a code, it gives those of one code."""
    return "given" in inspect.signature(G.forward).parameters and not getattr(G, "code", 0)


def nll(
    generator: Generator, stored: NDArray[Any], labels: NDArray[np.int64] | None = None, *, temperature: float = 1.0,
    batch: int = BATCH,
) -> NDArray[np.float64]:  # fmt: skip
    """-log p(x | label) of stored texts under a generator, in nats: uint16 [N, L] -> [N], summed over all L places.

    The padding behind the end of a text is counted: so it is a distribution over all texts of L places.

    Args:
        generator: One that has a likelihood.
        stored: Texts in its vocabulary.
        labels: int64 [N] where it has classes; ignored else.
        temperature: Divides the logits, as the `truncation` of `Generator.sample`.
        batch: Texts computed at once.

    Raises:
        UserError: The generator has no likelihood, or has classes and there are no labels.
    """
    spec, network = generator.spec, generator.network
    if not generator.has_likelihood:
        code = " whose code is known" if getattr(network, "code", 0) else ""
        raise UserError(
            f"{generator.description.architecture} has no likelihood of samples{code}: expected a generator of texts, "
            "lstm with options.code: 0"
        )
    if spec.classes and labels is None:
        raise UserError(f"labels: expected one for each text, of {spec.classes} classes, got none")

    def look(piece: slice) -> NDArray[np.float64]:
        y = None if labels is None or not spec.classes else labels[piece]
        return _nll(network, spec, stored[piece], y, temperature)

    device = next(network.parameters()).device.type
    return np.concatenate([np.zeros(0), *in_pieces(look, len(stored), batch, device)])


@torch.no_grad()
def _nll(
    G: nn.Module, spec: Spec, stored: NDArray[Any], labels: NDArray[np.int64] | None, temperature: float
) -> NDArray[np.float64]:
    like = next(G.parameters())
    words = torch.from_numpy(np.array(stored)).to(like.device)
    y = None if labels is None else torch.from_numpy(np.array(labels, np.int64)).to(like.device)
    z, at = like.new_empty(len(words), 0), like.new_full((len(words),), temperature)
    logits: Tensor = G(z, y, temperature=at, given=spec.floats(words, like.dtype))
    logits = devices.exact(logits)
    nats = -logits.log_softmax(-1).gather(-1, words.to(logits.device).long()[..., None]).sum((1, 2))
    found: NDArray[np.float64] = nats.cpu().numpy()
    return found


def finite(x: Tensor) -> Tensor:
    """Return samples [N, ...] as they are, since no integer would tell NaN from a number.

    Raises:
        DivergenceError: A value of some sample is NaN or infinite.
    """
    broken = int((~x.isfinite()).flatten(1).any(1).sum())
    if broken:
        raise DivergenceError(
            f"the generator draws values that are not finite (NaN or infinity) in {broken} of {len(x)} samples: its "
            "training diverged, or its weights are damaged. Train it again, with smaller learning rates or "
            "train.precision: fp32 where it diverged."
        )
    return x


def players(description: Description) -> tuple[nn.Module, nn.Module]:
    """The players of the architecture of a description, with fresh weights."""
    return ARCHITECTURES[description.architecture](
        shape=description.spec.inputs,
        classes=description.classes,
        latent=description.code if description.prior else description.latent,
        **description.options,
    )


def generator_network(description: Description) -> nn.Module:
    """The network of a description, in evaluation mode, its weights not yet loaded."""
    G, _ = players(description)
    G = coded.with_prior(G, description.code, description.classes, description.prior)
    return channels_last(G).eval().requires_grad_(False)
