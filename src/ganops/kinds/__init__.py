"""Kinds of samples: the forms in which networks, pages and readers of a model meet what is stored.

Each kind is one file of a few functions. It needs numpy alone, because every registered model carries a copy of it;
torch and Pillow are imported where they are used.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ganops.kinds import image, sound, text, video, wave

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Facts = Mapping[str, Any]
"""Plain JSON that a kind's functions need besides the samples: rates, statistics, words; empty for images."""


@dataclass(frozen=True)
class Spec:
    """Specification of stored samples: all that networks, extractors and pages learn about the data."""

    kind: str
    """A name in `KINDS`."""
    shape: tuple[int, ...]
    """Shape of one stored sample, channels first; of an image [C, H, W]."""
    classes: int = 0
    """Number of labels; 0: unconditional."""
    facts: Facts = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, description: Mapping[str, Any]) -> "Spec":
        """Return the specification in a generator's description; former ones, of images, state channels and resolution.

        Raises:
            KeyError: The description states no shape.
        """
        known = description
        shape = known["shape"] if "shape" in known else (known["channels"], known["resolution"], known["resolution"])
        return cls(known.get("kind", "image"), tuple(shape), known["classes"], known.get("facts", {}))

    @property
    def inputs(self) -> tuple[int, ...]:
        """Shape of a sample as networks see it; of a text [L, V]."""
        return KINDS[self.kind].inputs(self.shape, self.facts)

    @property
    def unit(self) -> str:
        """Noun for one sample."""
        return KINDS[self.kind].UNIT

    @property
    def noun(self) -> str:
        """Noun for one sample that was drawn, as pages speak of it: picture, clip."""
        return "picture" if self.kind == "image" else self.unit

    @property
    def played(self) -> bool:
        """True where a sample takes time: it is heard, or watched."""
        return self.kind in ("sound", "video", "wave")

    @property
    def strips(self) -> bool:
        """True where a still is many times as wide as high: a film strip, of which few stand side by side."""
        return self.kind == "video"

    @property
    def variety(self) -> str:
        """Noun for what `truncation` sets, as pages speak of it: truncation, or the temperature of a text's words."""
        return "temperature" if self.kind == "text" else "truncation"

    @property
    def heard(self) -> bool:
        """True where a sample is a sound: pages have a player for each, and the facts a rate."""
        return self.kind in ("sound", "wave")

    def empty(self, count: int) -> NDArray[Any]:
        """Return an array for so many stored samples."""
        return np.empty((count, *self.shape), KINDS[self.kind].STORED)

    def floats(self, stored: "Tensor", dtype: "torch.dtype") -> "Tensor":
        """Return stored samples as networks see them (`Kind.floats`)."""
        return KINDS[self.kind].floats(stored, self.facts, dtype)

    def stored(self, x: "Tensor") -> "Tensor":
        """Return what networks draw as stored samples (`Kind.stored`)."""
        return KINDS[self.kind].stored(x, self.facts)

    def shown(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return stored samples as a reader of the model gets them (`Kind.shown`)."""
        return KINDS[self.kind].shown(stored, self.facts)

    def look(self, stored: NDArray[Any]) -> NDArray[np.uint8]:
        """Return stills of stored samples (`Kind.look`)."""
        return KINDS[self.kind].look(stored, self.facts)

    def file(self, shown: NDArray[Any]) -> tuple[str, str, bytes]:
        """Return one shown sample as a file (`Kind.file`)."""
        return KINDS[self.kind].file(shown, self.facts)

    def joined(self, shown: NDArray[Any]) -> tuple[str, str, bytes] | None:
        """Return shown samples as one file that holds all of them (`Kind.joined`)."""
        return KINDS[self.kind].joined(shown, self.facts)

    @property
    def joined_format(self) -> str | None:
        """Name of the format of `joined`, such as wav; None: there is none."""
        found = self.joined(self.shown(self.empty(0)))
        return found and found[0].removeprefix(".")

    @property
    def described(self) -> str:
        """The samples as a person speaks of them (`Kind.words`)."""
        return KINDS[self.kind].words(self.shape, self.facts)

    @property
    def words(self) -> str:
        """The samples in words: 1 x 32 x 32 images, texts of 20 words."""
        if self.kind == "text":
            return f"{self.unit}s of {self.shape[0]} {self.facts['by']}"
        return f"{' x '.join(map(str, self.shape))} {self.unit}s"

    def summary(self) -> str:
        """Return the shape of a sample as networks see it, and the number of classes: 1x32x32, 10 classes."""
        return f"{'x'.join(map(str, self.inputs))}, {self.classes or 'no'} classes"


class Kind(Protocol):
    """A module of this package. *Stored*: integers, as they lie on the disk. *Shown*: what a reader of a model gets."""

    UNIT: str
    """Noun for one sample; with an s it names arrays on the disk and the output of the ONNX graph."""
    STORED: str
    """Name of the dtype of stored samples."""
    LAST: bool
    """True where the ONNX graph puts the channels last."""

    def inputs(self, shape: tuple[int, ...], facts: Facts) -> tuple[int, ...]:
        """Return the shape that stored samples of a shape have for networks."""

    def floats(self, stored: "Tensor", facts: Facts, dtype: "torch.dtype") -> "Tensor":
        """Return stored samples [N, ...] as networks see them; `stored(floats(s)) == s`, exactly."""

    def stored(self, x: "Tensor", facts: Facts) -> "Tensor":
        """Return what networks draw as stored samples; values beyond the range are clipped."""

    def shown(self, stored: NDArray[Any], facts: Facts) -> NDArray[Any]:
        """Return what a reader of the model gets, sample by sample, whatever else is in the batch."""

    def look(self, stored: NDArray[Any], facts: Facts) -> NDArray[Any]:
        """Return stills for every page: uint8 [N, 1 or 3, H, W]."""

    def file(self, shown: NDArray[Any], facts: Facts) -> tuple[str, str, bytes]:
        """Return one shown sample as a file: its suffix with the dot, its media type (RFC 6838), its bytes."""

    def joined(self, shown: NDArray[Any], facts: Facts) -> tuple[str, str, bytes] | None:
        """Return shown samples as one file: one after the other, or side by side; None: there is no such file."""

    def words(self, shape: tuple[int, ...], facts: Facts) -> str:
        """Return stored samples of a shape as a person speaks of them: 32x32 grey images."""

    def agree(self, one: NDArray[Any], other: NDArray[Any]) -> str | None:
        """Return how stored samples of two runtimes differ by more than their rounding, or None."""


KINDS: dict[str, Kind] = {"image": image, "sound": sound, "text": text, "video": video, "wave": wave}
"""Images: uint8 [C, H, W] with 1 or 3 channels, shown as uint8 [H, W, C].

Sounds: log mel spectrograms uint8 [1, bands, frames], shown as clips int16 [T].

Texts: numbers of words uint16 [L], shown as strings.

Videos: films uint8 [C, T, H, W], shown as uint8 [T, H, W, C].

Waves: clips int16 [1, T], shown as int16 [T].
"""
