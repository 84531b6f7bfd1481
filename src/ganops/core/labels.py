"""Labels from integer seeds, in the shares of the training samples: numpy alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

BY_FREQUENCY, IN_TURN = "training frequencies", "seed modulo classes"
"""The two ways of drawing labels, as protocols name them."""

_GOLDEN = np.uint64(11400714819323198485)
"""The odd integer next to 2^64 / φ, where φ is the golden ratio."""


def in_turn(seeds: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return the label of each seed where classes come in turn, the seed modulo their number: int64 [N] -> int64 [N].

    All are 0 where there are no classes. A registered model, which runs without this file, does the same.
    """
    labels: NDArray[np.int64] = np.asarray(seeds, np.int64) % max(classes, 1)
    return labels


def class_labels(seeds: NDArray[np.int64], counts: Sequence[int]) -> NDArray[np.int64]:
    """One label for one seed, whatever the batch: int64 [N] -> int64 [N].

    Each run of consecutive seeds has each class in its share, up to a few samples: multiples of the golden ratio modulo
    1 fill the unit interval evenly, however many there are (Knuth 1998, "The art of computer programming", volume 3,
    section 6.4, theorem S). All of it in integers, so that no runtime rounds it otherwise.

    Args:
        seeds: any integers.
        counts: the number of training samples of each class, not all 0. A class without samples is never drawn.
    """
    present = np.flatnonzero(counts)
    ends = list(accumulate(int(count) for count in counts if count))
    bounds = np.array([end * 2**64 // ends[-1] for end in ends[:-1]], np.uint64)
    places = np.asarray(seeds, np.int64).astype(np.uint64) * _GOLDEN
    labels: NDArray[np.int64] = present[np.searchsorted(bounds, places, side="right")].astype(np.int64)
    return labels


@dataclass(frozen=True)
class Labelling:
    """The labels under which an evaluation draws a generator."""

    classes: int = 0
    """0: it takes none."""
    counts: tuple[int, ...] = ()
    """The number of training samples of each class; empty: they are not known, and classes come in turn."""

    @classmethod
    def of(cls, sampler: Any) -> Self:
        """Return the labelling of a sampler by its `classes` and `class_counts`, if it has them."""
        return cls(getattr(sampler, "classes", 0), tuple(getattr(sampler, "class_counts", ())))

    @property
    def name(self) -> str | None:
        """Name of the labelling for a protocol; None: there are no labels."""
        if not self.classes:
            return None
        return BY_FREQUENCY if self.counts else IN_TURN

    def __call__(self, seeds: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """One label for each seed, int64 [N]; None where there are none."""
        if not self.classes:
            return None
        return class_labels(seeds, self.counts) if self.counts else in_turn(seeds, self.classes)

    def draw(self, sampler: Any, seeds: NDArray[np.int64]) -> NDArray[Any]:
        """Return a sampler's stored sample for each seed, under these labels: [N, *shape]."""
        labels = self(seeds)
        samples: NDArray[Any] = sampler.sample(seeds) if labels is None else sampler.sample(seeds, labels)
        return samples
