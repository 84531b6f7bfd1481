"""The order of samples: epochs as permutations by index arithmetic, so that none of 10^9 entries is ever in memory.

Samples that lie in one array are shuffled as a whole. Those in shards are shuffled in two levels: the shards change
places, by a keyed permutation of which any entry is computed by itself; then some neighbours of them, a window, are
shuffled sample by sample. Which samples lie in one shard follows from the hash of their content (`arrange`): a shard is
a fair draw of the set, and so is a window. Within a batch, which chance has chosen, samples come in the order of their
shards: a slice of it needs few of them. The order knows nothing of files, caches and workers.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganops.core.randomness import generator, seed_of
from ganops.data.shards import WINDOW

ROUNDS = 8
"""Rounds of the Feistel network: four of a random function hide it from who may ask both ways (Luby & Rackoff 1988),
and these halves may have a single bit."""
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio: its multiples lie as far from one another as can be."""

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Permutation:
    """A keyed permutation of 0 to count - 1, of which any entry is computed by itself, both ways.

    A Feistel network permutes the numbers of an even number of bits; one that leads out of the range is permuted again
    until it is within (cycle walking: Black & Rogaway 2002, "Ciphers with Arbitrary Finite Domains"). That takes less
    than four walks on average, since the domain is less than four times the range.
    """

    count: int
    key: int
    """Key of 63 bits."""

    def __call__(self, entries: Integers) -> Integers:
        """Return the numbers at places, int64 [N]."""
        return self._walk(entries, range(ROUNDS))

    def inverse(self, entries: Integers) -> Integers:
        """Return the places of numbers, int64 [N]."""
        return self._walk(entries, range(ROUNDS)[::-1])

    def _walk(self, entries: Integers, rounds: range) -> Integers:
        x = np.array(entries, np.uint64)
        outside = np.ones(x.shape, bool)
        while outside.any():
            x[outside] = self._network(x[outside], rounds)
            outside = x >= self.count
        return x.astype(np.int64)

    def _network(self, x: NDArray[np.uint64], rounds: range) -> NDArray[np.uint64]:
        """Each round adds a function of one half, with a key of its own, to the other, and exchanges the two."""
        bits = np.uint64(((self.count - 1).bit_length() + 1) // 2)
        low = np.uint64((1 << int(bits)) - 1)
        keys = _mixed(np.uint64(self.key) + np.arange(1, ROUNDS + 1, dtype=np.uint64) * GOLDEN)
        left, right = x >> bits, x & low
        if rounds.step < 0:
            left, right = right, left
        for number in rounds:
            left, right = right, left ^ (_mixed(right ^ keys[number]) & low)
        if rounds.step < 0:
            left, right = right, left
        return left << bits | right


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014), whose steps are multiples of `GOLDEN`."""
    x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return x ^ x >> np.uint64(31)


class _Window(NamedTuple):
    """A window of an epoch."""

    start: int
    """Place of its first sample in the epoch."""
    shards: Tensor
    """Shards of it, int64 [at most WINDOW]."""
    gap: int
    """Offset behind the last sample of the shard that has fewer than others; behind all, where it has no such."""
    shuffled: Tensor
    """Permutation of its samples."""


@dataclass
class Order:
    """The endless sequence of samples: epochs, each of which shows every sample once.

    It depends on the four numbers alone. Memory is that of a window, time that of the positions asked for.
    """

    count: int
    """Samples."""
    shard: int
    """Samples of each shard; the last one may have fewer. As many as there are samples, or more: one array."""
    seed: int
    window: int = WINDOW
    """Shards that are shuffled together."""
    _shorts: dict[int, int] = field(default_factory=dict, repr=False)
    _opened: dict[int, _Window] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.shard = min(self.shard, self.count)
        self.shards = -(-self.count // self.shard)
        self.windows = -(-self.shards // self.window)
        """Windows of an epoch."""
        self._lacking = self.shards * self.shard - self.count  # of the last shard

    def __call__(self, positions: Tensor) -> Tensor:
        """Return the samples at positions of the sequence, int64 [N]."""
        windows, samples = self.window_of(positions), torch.empty_like(positions)
        for number in sorted({*windows.tolist()}):
            here, window = windows == number, self._open(number)
            samples[here] = self._placed(window, window.shuffled[positions[here] % self.count - window.start])[0]
        return samples

    def batch(self, turn: int, size: int) -> Tensor:
        """Return the samples of the turn-th piece of the sequence, in the order of their shards' places, int64 [size].

        Of an array they are in that of the sequence.
        """
        found, position, end = [], turn * size, (turn + 1) * size
        while position < end:
            number = self.window_at(position)
            window = self._open(number)
            start = position % self.count - window.start
            samples, within = self._placed(window, window.shuffled[start : start + end - position])
            found.append((samples, within + number * self.window))
            position += len(samples)
        samples, places = found[0] if len(found) == 1 else (torch.cat(each) for each in zip(*found, strict=True))
        return samples[places.argsort(stable=True)]

    def _placed(self, window: _Window, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """The samples at offsets of a window's shards, laid end to end, and the places of their shards in it."""
        offsets = offsets + self._lacking * (offsets >= window.gap)
        within = offsets // self.shard
        return window.shards[within] * self.shard + offsets % self.shard, within

    def window_of(self, positions: Tensor) -> Tensor:
        """Return the windows of positions, numbered through all epochs, int64 [N]."""
        return torch.tensor([self.window_at(position) for position in positions.tolist()])

    def window_at(self, position: int) -> int:
        """Return the window of a position, numbered through all epochs."""
        epoch, place = divmod(position, self.count)
        after = place >= self._start(epoch, self._short(epoch) // self.window + 1)
        return epoch * self.windows + (place + self._lacking * after) // (self.window * self.shard)

    def shards_of(self, window: int) -> list[int]:
        """Return the shards of a window, in the order of their places."""
        epoch, number = divmod(window, self.windows)
        places = np.arange(number * self.window, min((number + 1) * self.window, self.shards))
        return [int(shard) for shard in self._permutation(epoch)(places)]

    def next_use(self, shards: Integers, window: int) -> Integers:
        """Return the first window that needs each shard, this one or a later one."""
        epoch, number = divmod(window, self.windows)
        here, later = (self._permutation(e).inverse(shards) // self.window for e in (epoch, epoch + 1))
        return np.where(here >= number, epoch * self.windows + here, (epoch + 1) * self.windows + later)

    def some(self, count: int) -> Tensor:
        """Return samples to look at, ascending: any of an array; of shards, the first ones, int64 [at most count]."""
        if self.shards > 1:
            return torch.arange(min(count, self.count))
        return torch.randperm(self.count, generator=generator(self.seed, "codes"))[:count].sort().values

    def _open(self, number: int) -> _Window:
        if number not in self._opened:
            for old in [each for each in self._opened if each < number - 1]:
                del self._opened[old]
            self._opened[number] = self._make(*divmod(number, self.windows))
        return self._opened[number]

    def _make(self, epoch: int, number: int) -> _Window:
        start, end = self._start(epoch, number), self._start(epoch, number + 1)
        short = self._short(epoch) - number * self.window
        gap = (short + 1) * self.shard - self._lacking if 0 <= short < self.window else end - start
        key = ("epoch", epoch) if self.shards == 1 else ("epoch", epoch, "window", number)
        shuffled = torch.randperm(end - start, generator=generator(self.seed, *key))
        return _Window(start, torch.tensor(self.shards_of(epoch * self.windows + number)), gap, shuffled)

    def _start(self, epoch: int, number: int) -> int:
        """The place in an epoch at which a window begins; behind the last one, the end."""
        lacking = self._lacking if self._short(epoch) < number * self.window else 0
        return min(number * self.window * self.shard - lacking, self.count)

    def _short(self, epoch: int) -> int:
        """The place of the shard that may have fewer samples."""
        if epoch not in self._shorts:
            for old in [each for each in self._shorts if each < epoch - 1]:
                del self._shorts[old]
            self._shorts[epoch] = int(self._permutation(epoch).inverse(np.array([self.shards - 1]))[0])
        return self._shorts[epoch]

    def _permutation(self, epoch: int) -> Permutation:
        return Permutation(self.shards, seed_of(self.seed, "shards", epoch))
