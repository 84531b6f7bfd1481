"""Decoders: one file for each kind of samples. They make raw samples of a source's items, and stored ones of those."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from numpy.typing import NDArray

from ganops.data.image_decoder import ImageDecoder
from ganops.data.sound_decoder import SoundDecoder
from ganops.data.sources.item import Wanted

Store = Callable[[NDArray[Any]], NDArray[Any]]
"""Makes a stored sample of a raw one."""


class Decoder(Protocol):
    """Parameters of a preparation; pickled to whoever decodes.

    Samples are ordered, hashed and dealt to the splits by their raw bytes, which are integers: no rounding moves them.
    """

    @property
    def kind(self) -> str:
        """A name in `kinds.KINDS`."""

    @property
    def wanted(self) -> Wanted:
        """The samples in a source."""

    @property
    def mirror(self) -> bool:
        """True where the mirror image of every training sample is added."""

    def decode(self, data: Any) -> tuple[NDArray[Any], tuple[str, ...]]:
        """Return the raw sample in the bytes of a file, or in pixels, and the conversions that are worth a note.

        Raises:
            ItemError: It is no intact sample.
        """

    def common(self, shapes: Iterable[tuple[int, ...]]) -> tuple[tuple[int, ...], dict[str, int]]:
        """Return the shape that all raw samples of a set get, and the number of conversions that this takes."""

    def finish(
        self, train: Iterable[NDArray[Any]], shape: tuple[int, ...]
    ) -> tuple[tuple[int, ...], dict[str, Any], Store]:
        """Return the shape of stored samples, the facts of their kind, and the function that stores a raw sample.

        What is learnt of samples is learnt of `train` alone: raw training samples of that shape, walked once or not.
        """

    def shown(self) -> dict[str, Any]:
        """Return the parameters as a user gives them."""


DECODERS: dict[str, Callable[..., Decoder]] = {"image": ImageDecoder, "sound": SoundDecoder}


def of(parameters: Any) -> Decoder:
    """Return the decoder of a section `data`: that of its kind, with the parameters that it takes of them.

    Raises:
        ConfigError: A value is not possible.
    """
    make = DECODERS[parameters.kind]
    return make(**{name: getattr(parameters, name) for name in inspect.signature(make).parameters})
