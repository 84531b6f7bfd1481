"""Oracle (Yu et al. 2017, "SeqGAN", section 5): an LSTM with random weights, whose language is known exactly.

A text is L words, numbers below V: each is drawn of the softmax that the LSTM gives after those before it. The first
one follows a start token, which is the word 0. There is no end: all texts have L words. So the probability of any text
is known, and with it the entropy of the language, below which no model's likelihood can fall.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ganops.core.devices import exact
from ganops.core.files import hash_file, read_json, write_json
from ganops.core.latents import latents, normal_table
from ganops.core.randomness import generator, seed_of

DESCRIPTION, WEIGHTS = "oracle.json", "oracle.safetensors"
"""Files of an oracle's folder."""
START = 0
"""Number of the word before the first one."""
BATCH = 250
"""Texts that are drawn or judged at a time."""
PRECISION = 0.001
"""Standard error of an estimate, as a share of it."""
ROUND, ROUNDS = 2000, 100
"""Texts by which an estimate grows until it is as precise, and times that it may."""
LONGEST = 1024
"""Most words of a text."""
PUBLISHED_LENGTH = 20
"""Words of a text of the published oracle."""
GATES = ("i", "f", "c", "og")
"""Names in SeqGAN of an LSTM's input gate, forget gate, candidate and output gate, in the order of PyTorch."""


class Estimate(NamedTuple):
    """A mean over texts, in nats."""

    text: float
    """Mean of a text."""
    word: float
    """Mean of a word: that of a text, divided by the words in it."""
    error: float
    """Standard error of `text`."""


class OracleNetwork(nn.Module):
    """An LSTM (Hochreiter & Schmidhuber 1997) as a language model: a text -> the logits of each of its words."""

    def __init__(self, *, words: int, length: int, hidden: int, embedding: int) -> None:
        super().__init__()
        self.words, self.length, self.hidden = words, length, hidden
        self.embedding = nn.Embedding(words, embedding)
        self.recurrent = nn.LSTM(embedding, hidden, batch_first=True)
        self.writer = nn.Linear(hidden, words)

    @classmethod
    def drawn(cls, *, words: int, length: int, hidden: int, embedding: int, seed: int) -> Self:
        """Return an oracle whose weights are standard normal numbers of a seed, the same bits on every machine."""
        shapes = _shapes(words, hidden, embedding)
        sizes = [math.prod(shape) for shape in shapes.values()]
        numbers = latents([seed_of("oracle", seed)], sum(sizes), normal_table())[0]
        parts = np.split(numbers, np.cumsum(sizes)[:-1])
        return cls.of_arrays(
            {name: part.reshape(shapes[name]) for name, part in zip(shapes, parts, strict=True)}, length
        )

    @classmethod
    def from_seqgan(cls, folder: Path) -> Self:
        """Return the published oracle of SeqGAN: a folder with each of `of_arrays` as a file of numpy, .npz or .npy.

        Raises:
            ValueError: An array is missing, or its shape is not that of the others.
        """
        return cls.of_arrays({name: _array(Path(folder), name) for name in _shapes(1, 1, 1)}, PUBLISHED_LENGTH)

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]], length: int) -> Self:
        """Return the oracle of arrays as SeqGAN names and multiplies them: i = sigmoid(x wi + h ui + bi), and so on.

        Args:
            arrays: embedding [V, E]; for each of `GATES` w [E, H], u [H, H] and b [H]; wo [H, V] and bo [V].
            length: Words of a text.

        Raises:
            ValueError: The shape of an array is not that of the others.
        """
        if arrays["embedding"].ndim != 2 or arrays["bi"].ndim != 1:
            raise ValueError("expected an embedding [words, dimensions], and a bias bi [hidden]")
        (words, embedding), (hidden,) = arrays["embedding"].shape, arrays["bi"].shape
        for name, shape in _shapes(words, hidden, embedding).items():
            if arrays[name].shape != shape:
                raise ValueError(f"{name}: expected {list(shape)}, got {list(arrays[name].shape)}")
        made = cls(words=words, length=length, hidden=hidden, embedding=embedding)
        weights = {
            "embedding.weight": arrays["embedding"],
            "recurrent.weight_ih_l0": np.concatenate([arrays[f"w{gate}"].T for gate in GATES]),
            "recurrent.weight_hh_l0": np.concatenate([arrays[f"u{gate}"].T for gate in GATES]),
            "recurrent.bias_ih_l0": np.concatenate([arrays[f"b{gate}"] for gate in GATES]),
            "recurrent.bias_hh_l0": np.zeros(4 * hidden),
            "writer.weight": arrays["wo"].T,
            "writer.bias": arrays["bo"],
        }
        made.load_state_dict({name: torch.tensor(np.ascontiguousarray(each)) for name, each in weights.items()})
        return made.eval()

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the oracle in a folder.

        Raises:
            ValueError: It has no description, or the weights are not those that the description names.
            OSError: A file cannot be read.
        """
        folder = Path(folder)
        about = read_json(folder / DESCRIPTION)
        if not isinstance(about, dict) or {*SIZES, "sha256"} - about.keys():
            raise ValueError(f"{folder / DESCRIPTION}: expected {', '.join(SIZES)} and sha256")
        if (got := hash_file(folder / WEIGHTS)) != about["sha256"]:
            raise ValueError(f"{folder / WEIGHTS}: expected the SHA-256 {about['sha256']}, got {got}")
        weights = load_file(folder / WEIGHTS)
        # before a network is made of them: a description may claim any size
        if about | _sizes(weights) != about or not 1 <= about["length"] <= LONGEST:
            expected = f"expected the sizes of its weights, {_sizes(weights)}, and a length from 1 to {LONGEST:,}"
            raise ValueError(f"{folder / DESCRIPTION}: {expected}, got {about}")
        made = cls(**{name: about[name] for name in SIZES})
        made.load_state_dict(weights)
        return made.eval()

    def save(self, folder: Path, **facts: Any) -> None:
        """Write weights and description into a folder; `facts` are added to the description."""
        weights = {name: each.contiguous() for name, each in self.state_dict().items()}
        save_file(weights, Path(folder) / WEIGHTS)
        sizes = dict(zip(SIZES, (self.words, self.length, self.hidden, self.embedding.embedding_dim), strict=True))
        write_json(Path(folder) / DESCRIPTION, {**sizes, **facts, "sha256": hash_file(Path(folder) / WEIGHTS)})

    def states(self, texts: Tensor) -> Tensor:
        """Return the states of which the words are drawn: int64 [N, L] -> [N, L, H]."""
        before = torch.cat([torch.full_like(texts[:, :1], START), texts[:, :-1]], 1)
        found: Tensor = self.recurrent(self.embedding(before))[0]
        return found

    def forward(self, texts: Tensor) -> Tensor:
        """Return the logits of each word, given those before it: int64 [N, L] -> [N, L, V]."""
        logits: Tensor = self.writer(self.states(texts))
        return logits

    @torch.no_grad()
    def nll(self, texts: Tensor) -> Tensor:
        """Return the negative log-likelihood of each text in nats: int64 [N, L] -> float64 [N]."""
        parts = [self(part).log_softmax(2).gather(2, part[:, :, None])[:, :, 0] for part in torch.split(texts, BATCH)]
        return -exact(torch.cat(parts)).sum(1)

    def sample(self, count: int, seed: int) -> Tensor:
        """Draw texts: int64 [count, L], on the CPU."""
        return self._sample(count, "oracle texts", seed)

    @torch.no_grad()
    def _sample(self, count: int, *key: int | str) -> Tensor:
        source, texts = generator(*key), torch.empty(count, self.length, dtype=torch.int64)
        for part in torch.split(texts, BATCH):
            word, state = torch.full((len(part), 1), START), None
            for place in range(self.length):
                hidden, state = self.recurrent(self.embedding(word), state)
                chances = self.writer(hidden[:, 0]).double().softmax(1).cumsum(1)
                uniform = torch.rand(len(part), 1, generator=source, dtype=torch.float64)
                word = torch.searchsorted(chances, uniform, right=True).clamp_max(self.words - 1)
                part[:, place] = word[:, 0]
        return texts

    def floor(self) -> Estimate:
        """Estimate the entropy of the language: the mean of `nll` over its own texts, to `PRECISION`."""
        return self._mean(lambda number: self._sample(ROUND, "floor", number))

    def uniform(self) -> Estimate:
        """Estimate the mean of `nll` over texts of uniform words, to `PRECISION`."""
        size = (ROUND, self.length)
        return self._mean(lambda number: torch.randint(self.words, size, generator=generator("uniform", number)))

    def _mean(self, texts: Callable[[int], Tensor]) -> Estimate:
        found = np.zeros(0)
        for number in range(ROUNDS):
            found = np.concatenate([found, self.nll(texts(number)).numpy()])
            mean, error = float(found.mean()), float(found.std(ddof=1)) / math.sqrt(len(found))
            if error <= PRECISION * mean:
                break
        return Estimate(mean, mean / self.length, error)


SIZES = ("words", "length", "hidden", "embedding")
"""Sizes of an oracle, as its description names them."""


def _sizes(weights: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the sizes that weights have."""
    (words, embedding), hidden = weights["embedding.weight"].shape, weights["writer.weight"].shape[1]
    return {"words": words, "hidden": hidden, "embedding": embedding}


def _shapes(words: int, hidden: int, embedding: int) -> dict[str, tuple[int, ...]]:
    """Name in SeqGAN -> shape of an array of weights."""
    shapes: dict[str, tuple[int, ...]] = {"embedding": (words, embedding)}
    for gate in GATES:
        shapes |= {f"w{gate}": (embedding, hidden), f"u{gate}": (hidden, hidden), f"b{gate}": (hidden,)}
    return {**shapes, "wo": (hidden, words), "bo": (words,)}


def _array(folder: Path, name: str) -> NDArray[Any]:
    """Return the array in a file of numpy; what is called .npz may be a single array all the same."""
    path = next((path for suffix in (".npz", ".npy") if (path := folder / f"{name}{suffix}").is_file()), None)
    if path is None:
        raise ValueError(f"{folder}: expected {name}.npz or {name}.npy, an array of the oracle's weights")
    try:
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.ndarray):
            with found:
                found = found[found.files[0]]
        return np.asarray(found, np.float32)
    except Exception as error:  # numpy raises whatever the bytes lead it to
        raise ValueError(f"{path}: expected an array of numpy, got {type(error).__name__}: {error}") from error
