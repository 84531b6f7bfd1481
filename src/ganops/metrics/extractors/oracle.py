"""The oracle extractor: the true model of a synthetic language, so that a likelihood is the truth, and not a guess."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganops.core.cores import in_pieces
from ganops.core.errors import FeatureError
from ganops.core.oracle import OracleNetwork
from ganops.metrics.extractors.extractor import Extractor, Labels, Texts, hash_weights, read
from ganops.metrics.extractors.language import PIECE, pooled, read_words

SIZES = ("words", "length", "hidden", "embedding")
"""Sizes in its card, of which the network is built again."""


class Oracle(Extractor):
    """The LSTM of an oracle's folder: means of its states and of the nats of a word, as of `Language`."""

    name: ClassVar[str] = "oracle"
    kinds: ClassVar[tuple[str, ...]] = ("text",)
    classifier: ClassVar[bool] = False
    network: OracleNetwork

    def __init__(self, network: OracleNetwork, scale: Tensor, hash: str, card: dict[str, Any], device: str) -> None:
        super().__init__(network, hash, card, device)
        self.dimensions, self.scale = network.hidden + 1, scale.to(device)

    @classmethod
    def make(
        cls, texts: Texts, labels: Labels | None, validation: Texts, validation_labels: Labels | None, *,
        seed: int, device: str = "cpu", facts: Mapping[str, Any], weights: str | None = None,
    ) -> Self:  # fmt: skip
        """The true model in the folder `weights`; nothing is learned from the texts but the scale of the features.

        Raises:
            FeatureError: There is no oracle in that folder, or the texts are not of its language.
        """
        try:
            network = OracleNetwork.load(Path(weights)) if weights else None
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise FeatureError(f"features.weights: expected the folder of an oracle, got {weights}: {error}") from error
        if network is None:
            raise FeatureError("features.weights: expected the folder of an oracle (`ganops toy oracle`), got none")
        if (len(facts["words"]), texts.shape[1]) != (network.words, network.length):
            raise FeatureError(
                f"the oracle {weights} has texts of {network.length} of {network.words:,} words, the data are of "
                f"{texts.shape[1]} of {len(facts['words']):,}: set data.length and data.words to the oracle's"
            )
        parameters = sum(weight.numel() for weight in network.parameters())
        sizes = (network.words, network.length, network.hidden, network.embedding.embedding_dim)
        card = {"objective": "the true model", "vocabulary": network.words, "parameters": parameters,
                **dict(zip(SIZES, sizes, strict=True))}  # fmt: skip
        made = cls(network, torch.zeros(2, network.hidden + 1), "", card, device)
        made.scale[1] = 1
        found, _ = made.features(texts)
        made.scale = torch.from_numpy(np.stack([found.mean(axis=0), found.std(axis=0) + 1e-6])).to(device)
        made.hash = hash_weights(made.weights())
        nats = float(made.nll(validation).mean())
        made.card |= {"nll": nats, "nll_word": nats / network.length}
        made.card["perplexity"] = float(np.exp(made.card["nll_word"]))
        return made

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """The extractor that `save` wrote; FeatureError where its files are missing or damaged."""
        state, description = read(folder)
        network = OracleNetwork(**{name: description["card"][name] for name in SIZES})
        scale = state.pop("scale")
        network.load_state_dict(state)
        return cls(network, scale, description["hash"], description["card"], device)

    def weights(self) -> dict[str, Tensor]:
        """The tensors of the oracle, and the mean and deviation [2, d] of its features."""
        return {**self.network.state_dict(), "scale": self.scale}

    def outputs(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features [N, d], and no probabilities."""
        x = x.long()
        # states behind the words: those before them, of texts with one word more
        found = pooled(self.network.states(torch.cat([x, x[:, :1]], 1)), read_words(x, ends=False))
        nats = self.network.nll(x).to(found) / x.shape[1]
        return (torch.cat([found, nats[:, None]], 1) - self.scale[0]) / self.scale[1], None

    def nll(self, texts: NDArray[Any]) -> NDArray[np.float64]:
        """-log p of each text in nats: uint16 [N, L] -> [N]."""

        def of(piece: slice) -> NDArray[np.float64]:
            x = torch.from_numpy(texts[piece].astype(np.int64)).to(self.device)
            found: NDArray[np.float64] = self.network.nll(x).cpu().numpy()
            return found

        device = torch.device(self.device).type
        return np.concatenate([np.zeros(0), *in_pieces(of, len(texts), PIECE, device)])
