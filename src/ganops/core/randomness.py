"""Randomness that depends on its key alone, so that no generator state has to be kept or synchronised."""

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ganops.core.devices import fetched, pinned


def seed_of(*key: int | str) -> int:
    """A 63-bit seed from any key, the same on every machine."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "little") >> 1


def generator(*key: int | str) -> torch.Generator:
    """A fresh generator of the CPU whose stream depends on `key` only.

    Seeded as usual, torch's Mersenne Twister (MT19937, Matsumoto & Nishimura 1998) would take the lower 32 bits of
    `seed_of`: of 77,000 streams two would be the same, more likely than not. So its whole state is a hash of the key
    (SHAKE-256).
    """
    source = torch.Generator().manual_seed(seed_of(*key))
    state, words = source.get_state(), hashlib.shake_256(repr(key).encode()).digest(4 * WORDS)
    state.numpy()[FIRST : FIRST + 8 * WORDS].view("<u8")[:] = np.frombuffer(words, "<u4")
    return source.set_state(state)


WORDS = 624
"""Number of 32-bit words in the state of MT19937."""
FIRST = 24
"""Place in bytes of these words, 8 bytes each, in the state that torch gives out and takes."""


Numbers = tuple[Tensor, ...]
Make = Callable[[torch.Generator], Numbers]
"""A function that draws numbers for the batch of all workers, each [N, ...], on the CPU."""


@dataclass(frozen=True)
class Draws:
    """The random numbers of one turn: drawn for the batch of all workers, of which each takes its slice.

    They are drawn on the CPU wherever they are needed: a GPU's own would be others, and not those of another GPU.
    """

    key: tuple[int | str, ...]
    batch: int
    """Samples of all workers."""
    part: slice
    """Slice of this worker's samples."""
    device: torch.device
    dtype: torch.dtype
    ahead: "Ahead | None" = None
    """The numbers that have been drawn already; None: none."""

    def normal(self, name: str, *shape: int) -> Tensor:
        """Standard normal numbers [N, *shape] for this worker's samples."""
        whole = torch.Size((self.batch, *shape))
        return self.of(name, lambda source: (torch.empty(whole, dtype=self.dtype).normal_(generator=source),))[0]

    def uniform(self, name: str, *shape: int) -> Tensor:
        """Numbers from [0, 1), likewise."""
        whole = torch.Size((self.batch, *shape))
        return self.of(name, lambda source: (torch.empty(whole, dtype=self.dtype).uniform_(generator=source),))[0]

    def of(self, name: str, make: Make) -> Numbers:
        """Return this worker's slice of the numbers that `make` draws from a fresh source, on the device."""
        return tuple(fetched(each, self.device) for each in self.on_host(name, make))

    def on_host(self, name: str, make: Make) -> Numbers:
        """Return the same on the CPU, from where a GPU can fetch them: drawn ahead, or now."""
        return self.ahead.take(self, name, make) if self.ahead else self.draw(name, make)

    def draw(self, name: str, make: Make) -> Numbers:
        """Return the same, drawn now."""
        return tuple(pinned(each[self.part], self.device) for each in make(self.source(name)))

    def source(self, name: str) -> torch.Generator:
        """A fresh source of numbers for the batch of all workers."""
        return generator(*self.key, name)


@dataclass
class Ahead:
    """Draws the numbers of turns to come in a thread of its own while the present ones are learnt from.

    It draws what any turn before has asked for: some in vain where turns differ, and what is new when it is asked for.
    """

    turns: int
    """Turns that may be under way: the numbers of earlier ones are forgotten."""
    _asked: dict[str, Make] = field(default_factory=dict, repr=False)
    _drawn: dict[tuple[int | str, ...], Future[dict[str, Numbers]]] = field(default_factory=dict, repr=False)
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "draws"), repr=False)

    def expect(self, draws: Draws) -> None:
        """Begin to draw the numbers of a turn."""
        self._drawn[draws.key] = self._thread.submit(self._draw, draws, {**self._asked})
        for old in [*self._drawn][: -self.turns]:
            del self._drawn[old]

    def take(self, draws: Draws, name: str, make: Make) -> Numbers:
        """Return numbers on the CPU, drawn ahead or now; an error in drawing them is raised here."""
        self._asked[name] = make
        found = self._drawn[draws.key].result() if draws.key in self._drawn else {}
        return found[name] if name in found else draws.draw(name, make)

    @staticmethod
    def _draw(draws: Draws, asked: dict[str, Make]) -> dict[str, Numbers]:
        return {name: draws.draw(name, make) for name, make in asked.items()}
