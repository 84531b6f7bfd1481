"""Decoders: one file for each kind of samples. They make raw samples of a source's items, and stored ones of those."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Protocol

from numpy.typing import NDArray

from ganops.data.image_decoder import ImageDecoder
from ganops.data.sound_decoder import SoundDecoder, WaveDecoder
from ganops.data.sources.item import Wanted
from ganops.data.text_decoder import TextDecoder
from ganops.data.video_decoder import VideoDecoder

Store = Callable[[NDArray[Any]], NDArray[Any]]
"""Makes a stored sample of a raw one."""


class Decoder(Protocol):
    """Parameters of a preparation, a dataclass; pickled to whoever decodes.

    Samples are ordered, hashed and dealt to the splits by their raw bytes, which are integers: no rounding moves them.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

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
        """Return the raw sample in the bytes of a file, in pixels or a text, and the conversions that are worth a note.

        A raw sample without a number, that of an empty line, is passed over.

        Raises:
            ItemError: It is no intact sample.
        """

    def common(self, shapes: Iterable[tuple[int, ...]]) -> tuple[tuple[int, ...], dict[str, int]]:
        """Return the shape that all raw samples of a set get, and the number of conversions that this takes.

        (): each keeps its own.
        """

    def finish(
        self, train: Iterable[NDArray[Any]], shape: tuple[int, ...], conversions: Mapping[str, int]
    ) -> tuple[tuple[int, ...], dict[str, Any], Store, dict[str, int]]:
        """Return the shape of stored samples, the facts of their kind, what stores a raw sample, and conversions.

        What is learnt of samples is learnt of `train` alone: raw training samples of that shape, walked once or not.
        `conversions` are those of all samples so far, and how many went through each.
        """

    def shown(self) -> dict[str, Any]:
        """Return the parameters as a user gives them."""


DECODERS: dict[str, Callable[..., Decoder]] = {
    "image": ImageDecoder,
    "sound": SoundDecoder,
    "text": TextDecoder,
    "video": VideoDecoder,
    "wave": WaveDecoder,
}


def of(parameters: Any) -> Decoder:
    """Return the decoder of a section `data`: that of its kind, with the parameters that it takes of them.

    Raises:
        ConfigError: A value is not possible.
    """
    make = DECODERS[parameters.kind]
    taken = inspect.signature(make).parameters.keys() & type(parameters).model_fields.keys()
    return make(**{name: getattr(parameters, name) for name in taken})
