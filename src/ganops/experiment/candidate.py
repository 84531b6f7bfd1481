"""A candidate of a training: the weights of its average at a line of the history, with those of its encoder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from ganops.core.devices import moved
from ganops.generator import Description, Generator
from ganops.generator.artefact import generator_network
from ganops.generator.encoder import VARIANCE, Encoder, decoder, encoder_network

ENCODER = "encoder."
"""Prefix of an encoder's tensors among those of a candidate."""
CPU = torch.device("cpu")

Row = dict[str, float]
"""A line of the history."""


@dataclass(frozen=True)
class Candidate:
    """Weights on the CPU, with what makes networks of them."""

    row: Row
    """The line of the history at which they were copied."""
    description: Description
    weights: dict[str, Tensor]

    @classmethod
    def of(cls, row: Row, generator: Generator, encoder: nn.Module | None, variance: Tensor | None) -> Self:
        """Copy the weights of a generator, and of an encoder with the variance of what is decoded of its codes."""
        weights = dict(generator.network.state_dict())
        if encoder is not None:
            weights |= {ENCODER + name: tensor for name, tensor in encoder.state_dict().items()}
            weights |= {ENCODER + VARIANCE: torch.zeros(()) if variance is None else variance}
        copies = {name: tensor.detach().to("cpu", copy=True) for name, tensor in weights.items()}
        return cls(row, generator.description, copies)

    @property
    def kimg(self) -> float:
        """Thousands of samples that G had seen."""
        return self.row["kimg"]

    def generator(self, device: torch.device = CPU) -> Generator:
        """Make the generator."""
        weights = {name: tensor for name, tensor in self.weights.items() if not name.startswith(ENCODER)}
        return Generator(moved(_filled(generator_network(self.description), weights), device), self.description)

    def encoder(self) -> Encoder | None:
        """Make the encoder; None: there is none, as in a game."""
        weights = {
            name.removeprefix(ENCODER): tensor for name, tensor in self.weights.items() if name.startswith(ENCODER)
        }
        if not weights:
            return None
        variance = float(weights.pop(VARIANCE))
        network = _filled(encoder_network(self.description), weights)
        return Encoder(network, decoder(self.generator().network), self.description, variance)


def _filled(network: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    """Return the network with such weights, in their precision."""
    first, _ = next(network.named_parameters())
    network.to(weights[first].dtype).load_state_dict(weights)
    return network
