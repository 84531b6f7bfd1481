"""The encoder of an autoencoder, kept beside its generator: finds the code of a picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ganops.core.cores import in_pieces
from ganops.core.devices import moved, repeatable
from ganops.core.errors import UserError
from ganops.core.files import atomic
from ganops.generator.artefact import Description, Generator, at_once, generator_network, players
from ganops.models import coded
from ganops.models.layers import channels_last

WEIGHTS = "encoder.safetensors"
"""File beside the generator's."""
BIAS = "head.bias"
"""Name of the tensor that has as many numbers as the encoder says of a picture."""
VARIANCE = "variance"
"""Name of the decoder's variance among its tensors."""


@dataclass(frozen=True)
class Encoder:
    """An encoder, and the decoder that its codes are for."""

    network: nn.Module
    decoder: nn.Module
    """code, y -> samples [N, *shape], as networks see them."""
    description: Description
    """Description of the generator."""
    variance: float = 0.0
    """Variance of a number around the decoder's output; 0: the codes are points."""

    def encode(
        self, samples: NDArray[Any], labels: NDArray[np.int64] | None = None, batch: int | None = None
    ) -> NDArray[np.float32]:
        """Codes of stored samples, [N, *shape] -> [N, code]: of a distribution the mean."""
        return self.moments(samples, labels, batch)[:, : self.description.code]

    def moments(
        self, samples: NDArray[Any], labels: NDArray[np.int64] | None = None, batch: int | None = None
    ) -> NDArray[np.float32]:
        """All that the encoder says of stored samples, [N, *shape] -> [N, code], or means and log variances beside."""
        weight = next(self.network.parameters())
        out = np.empty((len(samples), self.description.code * self.description.moments), np.float32)

        @torch.no_grad()  # of each thread
        def read(piece: slice) -> None:
            x = self.description.spec.floats(torch.from_numpy(np.array(samples[piece])).to(weight.device), weight.dtype)
            out[piece] = self.network(x, self._labels(labels, piece, weight)).float().cpu().numpy()

        size = batch or at_once(self.description.spec, weight.device)
        with repeatable(weight.device):
            for _ in in_pieces(read, len(samples), size, weight.device.type):
                pass
        return out

    def decode(
        self, codes: NDArray[np.float32], labels: NDArray[np.int64] | None = None, batch: int | None = None
    ) -> NDArray[Any]:
        """Stored samples of codes, float32 [N, code] -> [N, *shape]; of texts the likeliest word at each place."""
        weight, spec = next(self.network.parameters()), self.description.spec

        @torch.no_grad()  # of each thread
        def draw(piece: slice) -> NDArray[Any]:
            code = torch.from_numpy(np.array(codes[piece])).to(weight)
            return spec.stored(self.decoder(code, self._labels(labels, piece, weight))).cpu().numpy()

        with repeatable(weight.device):
            pieces = [*in_pieces(draw, len(codes), batch or at_once(spec, weight.device), weight.device.type)]
        return np.concatenate(pieces)

    def _labels(self, labels: NDArray[np.int64] | None, piece: slice, weight: Tensor) -> Tensor | None:
        if not self.description.classes:
            return None
        if labels is None:
            raise UserError(f"labels: expected one of {self.description.classes} classes for each picture, got none")
        return torch.from_numpy(np.array(labels[piece], np.int64)).to(weight.device)

    @classmethod
    def beside(cls, folder: Path, generator: Generator) -> "Encoder | None":
        """The encoder beside a generator, for the device where that is; None: there is no file of one.

        Raises:
            UserError: Its file is damaged.
        """
        return cls.load(folder, generator) if (folder / WEIGHTS).is_file() else None

    def save(self, folder: Path) -> None:
        """Writes its file into the folder of the generator."""
        save_encoder(self.network.state_dict(), self.variance, folder)

    @classmethod
    def load(cls, folder: Path, generator: Generator) -> "Encoder":
        """Reads the encoder beside a generator, for the device where that is.

        Raises:
            UserError: There is none, or its file is damaged.
        """
        if not generator.description.code:
            raise UserError(f"{folder} holds a generator without an encoder: no autoencoder was trained")
        network = encoder_network(generator.description)
        try:
            tensors = load_file(folder / WEIGHTS)
            variance = float(tensors.pop(VARIANCE))
            expected, got = len(network.get_parameter(BIAS)), len(tensors[BIAS])
            if got != expected:
                raise UserError(
                    f"{folder / WEIGHTS} is another generator's: expected {expected} numbers for each picture (codes "
                    f"of {generator.description.code}), got {got}. Train or fetch both again."
                )
            network.load_state_dict(tensors)
        except (OSError, KeyError, RuntimeError, SafetensorError) as error:
            raise UserError(
                f"{folder / WEIGHTS} is damaged or of another version: {error}. Train or fetch it again."
            ) from error
        device = next(generator.network.parameters()).device
        return cls(moved(network, device), decoder(generator.network), generator.description, variance)


def save_encoder(weights: dict[str, Tensor], variance: float, folder: Path) -> None:
    """Writes the file of an encoder."""
    tensors = {name: tensor.cpu().contiguous() for name, tensor in weights.items()}
    with atomic(folder / WEIGHTS) as draft:
        save_file(tensors | {VARIANCE: torch.tensor(variance, dtype=torch.float64)}, draft)


def decoder(network: nn.Module) -> nn.Module:
    """The decoder of a generator's network, without the prior before it."""
    inner = getattr(network, "decoder", None) if isinstance(network, coded.Fitted | coded.TwoStage) else network
    assert inner is not None
    return inner


def encoder_network(description: Description) -> nn.Module:
    """The encoder's network of a description, in evaluation mode, its weights not yet loaded."""
    _, D = players(description)
    network = coded.encoder(D, description.code, description.classes, description.moments, description.prior)
    return channels_last(network).eval().requires_grad_(False)


def parameters(description: Description) -> dict[str, int]:
    """Numbers of parameters that are learnt: of the `generator`, and of the `discriminator` or `encoder` beside it."""
    networks = {"generator": generator_network(description)}
    if description.code:
        networks["encoder"] = encoder_network(description)
    else:
        networks["discriminator"] = players(description)[1]
    return {name: sum(each.numel() for each in network.parameters()) for name, network in networks.items()}
