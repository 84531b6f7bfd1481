"""The language extractor: a language model that is trained by likelihood on the very texts it will judge.

An LSTM (Hochreiter & Schmidhuber 1997) reads a text word by word and predicts each next one. The means over the words
of a text, of its states and of the nats that a word cost, are the features: the states say what a text is about, the
nats whether one word follows from another. The sum of the nats is the text's likelihood. With labels it also learns to
tell them by the means of its states, so that it is a classifier too.

Behind the end of a text there is nothing to read and nothing to predict: padding enters neither figure.
"""

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ganops.core import cores
from ganops.core.cores import in_pieces
from ganops.core.devices import exact, repeatable
from ganops.core.errors import FeatureError
from ganops.core.terminal import progress
from ganops.kinds import text
from ganops.metrics.extractors.extractor import Extractor, Labels, Texts, hash_weights, read

WIDTH = 64
"""Units of the LSTM, and dimensions of a word: it reads and expects by one table (Press &
Wolf 2017), half the work where the vocabulary is large."""
DROPOUT = 0.2
"""Share of the numbers of words and states that a step of the training does not see."""
BATCH = 64
"""Texts of a step."""
LEARNING_RATE = 3e-3
ROUND = (50, 500)
"""Fewest and most steps between two looks at the held-out likelihood; between them, the texts once."""
ROUNDS, PATIENCE, GAIN = 30, 2, 0.01
"""Most looks, those without a gain after which the training ends, and a gain, as a share of the likelihood."""
MIN_TEXTS = 10
"""The fewest texts that an extractor learns from."""
PIECE = 64
"""Texts whose likelihood is computed at once."""


class Network(nn.Module):
    """Numbers of words int64 [N, L] -> the states of the LSTM and what it expects next."""

    def __init__(self, words: int, classes: int, ends: bool, width: int = WIDTH) -> None:
        super().__init__()
        self.ends = ends
        self.reader = nn.Embedding(words, width)
        nn.init.normal_(self.reader.weight, std=width**-0.5)
        self.first = nn.Parameter(torch.zeros(width))
        self.recurrent = nn.LSTM(width, width, batch_first=True)
        self.bias = nn.Parameter(torch.zeros(words))
        self.head = nn.Linear(width, classes) if classes else None
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(width + 1))
        self.register_buffer("deviation", torch.ones(width + 1))

    def states(self, x: Tensor) -> Tensor:
        """States before the first word and behind each one: int64 [N, L] -> [N, L + 1, width]."""
        start = self.first.expand(len(x), 1, -1)
        seen = F.dropout(torch.cat([start, self.reader(x)], 1), DROPOUT, self.training)
        states: Tensor = F.dropout(self.recurrent(seen)[0], DROPOUT, self.training)
        return states

    def losses(self, x: Tensor, states: Tensor) -> Tensor:
        """-log p of each word given those before it, in nats, and 0 behind the end: [N, L]."""
        mask = read_words(x, self.ends)
        nats = states.new_zeros(x.shape)
        logits = F.linear(states[:, :-1][mask], self.reader.weight, self.bias)
        nats[mask] = F.cross_entropy(logits, x[mask], reduction="none")
        return nats


def read_words(x: Tensor, ends: bool) -> Tensor:
    """True for each word of a text up to its end, that included: int64 [N, L] -> bool [N, L]."""
    ended = x == 0 if ends else torch.zeros_like(x, dtype=torch.bool)
    return ended.long().cumsum(1) - ended.long() == 0


def pooled(states: Tensor, mask: Tensor) -> Tensor:
    """The mean of the states behind the words of each text: [N, L + 1, d], bool [N, L] -> [N, d]."""
    weights = mask[:, :, None].to(states)
    return (states[:, 1:] * weights).sum(1) / weights.sum(1)


class Language(Extractor):
    """The trained language model; a classifier where it was trained with labels."""

    name: ClassVar[str] = "language"
    kinds: ClassVar[tuple[str, ...]] = ("text",)
    dimensions = WIDTH + 1
    network: Network

    @classmethod
    def make(
        cls, texts: Texts, labels: Labels | None, validation: Texts, validation_labels: Labels | None, *,
        seed: int, device: str = "cpu", facts: Mapping[str, Any],
    ) -> Self:  # fmt: skip
        """Trains on texts uint16 [N, L]; the weights are those of the best likelihood of the validation texts.

        Args:
            texts: numbers of words.
            labels: int [N] in [0, K), or None.
            validation: uint16 [M, L], other texts.
            validation_labels: int [M], or None.
            seed: decides the weights and the order of the texts: the same bits for the same machine.
            device: where it trains and runs.
            facts: of the kind; `words` is the vocabulary.

        Raises:
            FeatureError: There are too few texts.
        """
        if len(texts) < MIN_TEXTS:
            raise FeatureError(f"the language extractor needs at least {MIN_TEXTS} texts, got {len(texts)}")
        classes = 0 if labels is None else int(labels.max()) + 1
        classes = classes if classes > 1 else 0
        card: dict[str, Any] = {
            "objective": "likelihood and classification" if classes else "likelihood",
            "vocabulary": len(facts["words"]),
            "length": texts.shape[1],
            "ends": facts["words"][0] == text.END,
            "classes": classes,
            "texts": len(texts),
        }
        with torch.random.fork_rng(devices=[]), repeatable(torch.device(device)):
            torch.manual_seed(seed)
            network = _network(card).to(device)
            card["kimg"] = _train(network, texts, labels if classes else None, validation, seed, device)
        extractor = cls(network, "", card, device)
        extractor._standardise(texts)
        extractor.hash = hash_weights(network.state_dict())
        extractor._judge(validation, validation_labels if classes else None)
        return extractor

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """The extractor that `save` wrote; FeatureError where its files are missing or damaged."""
        weights, description = read(folder)
        network = _network(description["card"])
        network.load_state_dict(weights)
        return cls(network, description["hash"], description["card"], device)

    def outputs(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features [N, 65], of unit variance in training, and the probabilities of the classes if there are any.

        Raises:
            FeatureError: The texts have another length than those of the training, or words beyond the vocabulary.
        """
        x = self._checked(x)
        states, mask = self.network.states(x), read_words(x, self.network.ends)
        found, nats = pooled(states, mask), self.network.losses(x, states).sum(1) / mask.sum(1)
        probabilities = None if self.network.head is None else self.network.head(found).softmax(1)
        return (torch.cat([found, nats[:, None]], 1) - self.network.mean) / self.network.deviation, probabilities

    def nll(self, texts: NDArray[Any]) -> NDArray[np.float64]:
        """-log p of each text in nats, up to its end, that included: uint16 [N, L] -> [N].

        Raises:
            FeatureError: As of `outputs`.
        """

        @torch.inference_mode()
        def of(piece: slice) -> NDArray[np.float64]:
            x = self._checked(torch.from_numpy(texts[piece].astype(np.int64)).to(self.device))
            nats = exact(self.network.losses(x, self.network.states(x)))
            found: NDArray[np.float64] = nats.sum(1).cpu().numpy()
            return found

        device = torch.device(self.device)
        with repeatable(device):
            return np.concatenate([np.zeros(0), *in_pieces(of, len(texts), PIECE, device.type)])

    def _checked(self, x: Tensor) -> Tensor:
        """Numbers of words as int64, of the length and the vocabulary that the network knows."""
        x, length, words = x.long(), self.card["length"], self.card["vocabulary"]
        if x.shape[1] != length or int(x.max()) >= words:
            got = f"{x.shape[1]} words, numbers up to {int(x.max())}"
            raise FeatureError(
                f"the {self.name} extractor reads texts of {length} words of a vocabulary of {words:,}, got {got}"
            )
        return x

    @torch.no_grad()
    def _standardise(self, texts: Texts) -> None:
        """Gives each feature of the training texts a mean of 0 and a deviation of 1."""
        found, _ = self.features(texts)
        self.network.mean.copy_(torch.from_numpy(found.mean(axis=0)))
        self.network.deviation.copy_(torch.from_numpy(found.std(axis=0) + 1e-6))

    def _judge(self, texts: Texts, labels: Labels | None) -> None:
        """Puts the likelihood of held-out texts, and the accuracy on them, into the card."""
        self.card["parameters"] = sum(weight.numel() for weight in self.network.parameters())
        nats = float(self.nll(texts).mean())
        words = read_words(torch.from_numpy(texts.astype(np.int64)), self.network.ends).double().sum(1).mean().item()
        self.card |= {"nll": nats, "nll_word": nats / words, "perplexity": math.exp(min(nats / words, 700))}
        if labels is not None:
            _, probabilities = self.features(texts)
            assert probabilities is not None
            self.card["accuracy"] = float((probabilities.argmax(axis=1) == labels).mean())
            self.card["chance"] = float(np.bincount(labels).max() / len(labels))


def _network(card: Mapping[str, Any]) -> Network:
    """The untrained network that a card describes."""
    return Network(card["vocabulary"], card["classes"], card["ends"])


def _train(network: Network, texts: Texts, labels: Labels | None, validation: Texts, seed: int, device: str) -> float:
    """Adam until the held-out likelihood stops rising; return the thousands of texts shown.

    All random draws are made on the CPU from `seed`, but for dropout on another device.
    """
    batch = min(BATCH, len(texts))
    steps = min(max(len(texts) // batch, ROUND[0]), ROUND[1])
    optimiser = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    generator = torch.Generator().manual_seed(seed)
    work = batch * texts.shape[1] * sum(weight.numel() for weight in network.parameters())
    few = cores.threads_for(work, cores.count()) if device == "cpu" else cores.count()
    held_out = torch.from_numpy(validation.astype(np.int64))
    best, kept, since, shown = math.inf, copy.deepcopy(network.state_dict()), 0, 0
    order = torch.randperm(len(texts), generator=generator)
    with cores.threads(few), progress("features", ROUNDS * steps * batch, "texts at most") as advance:
        for _ in range(ROUNDS):
            network.train()
            for _ in range(steps):
                if len(order) < batch:
                    order = torch.randperm(len(texts), generator=generator)
                rows, order = order[:batch].numpy(), order[batch:]
                x = torch.from_numpy(texts[rows].astype(np.int64)).to(device)
                y = None if labels is None else torch.from_numpy(labels[rows].astype(np.int64)).to(device)
                optimiser.zero_grad()
                torch.autograd.backward(_loss(network, x, y))
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()
                advance(batch)
                shown += batch
            reached = _held_out(network, held_out, device)
            since = 0 if reached < (1 - GAIN) * best else since + 1
            if reached < best:
                best, kept = reached, copy.deepcopy(network.state_dict())
            if since == PATIENCE:
                break
    network.load_state_dict(kept)
    return shown / 1000


def _loss(network: Network, x: Tensor, y: Tensor | None) -> Tensor:
    """Mean nats of a word, and of a label where there are labels."""
    states = network.states(x)
    mask = read_words(x, network.ends)
    loss = network.losses(x, states).sum() / mask.sum()
    if network.head is None or y is None:
        return loss
    return loss + F.cross_entropy(network.head(pooled(states, mask)), y)


@torch.inference_mode()
def _held_out(network: Network, texts: Tensor, device: str) -> float:
    """Mean nats of held-out texts int64 [M, L]."""
    network.eval()
    found = 0.0
    for start in range(0, len(texts), PIECE):
        x = texts[start : start + PIECE].to(device)
        found += float(exact(network.losses(x, network.states(x))).sum())
    return found / len(texts)
