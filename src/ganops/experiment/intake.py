"""Stored samples of whatever a person has: arrays, pictures, folders, data sets."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ganops import config
from ganops.core.errors import InputError
from ganops.data import decoders
from ganops.data.sources.item import ItemError
from ganops.experiment.datasets import opened
from ganops.experiment.samples import (
    EXPECTED,
    Arrays,
    Ends,
    Tell,
    apart,
    as_array,
    ends_of,
    images,
    numbered,
    of_folder,
)
from ganops.kinds import KINDS, Spec


class Intake:
    """Makes stored samples to learn from, and later others in the same form."""

    def __init__(self, data: Any, side: int | None, tell: Tell) -> None:
        """Take the section `data` of the parameters.

        Args:
            data: How samples come to their form.
            side: Pixels to which all images come; None: nobody has stated them.
            tell: Hears what was changed in the samples.
        """
        self.data, self.side, self.tell = data, side, tell
        self.store: Callable[[NDArray[Any]], NDArray[Any]] | None = None
        """Makes a stored sample of a raw one, by what was learnt of those to learn from."""
        self.ends: Ends | None = None
        """Range of the floats of images to learn from."""

    def learn(self, samples: Any, labels: ArrayLike | None = None) -> Arrays:
        """Return samples to learn from, with their labels.

        Raises:
            InputError: They are not such samples or labels.
            DataError: The files cannot be read.
        """
        data = self.data
        own: ArrayLike | None
        names: tuple[str, ...] = ()
        if self._is_path(samples):
            raw, own = self._read(samples, self.side)
            if len(raw) < 2:
                raise InputError(f"{samples}: expected 2 or more {KINDS[data.kind].UNIT}s, got {len(raw)}")
            stored, facts = self._finished(raw)
        else:
            samples, own, names = opened(samples, data.kind)
            stored, facts = self._learnable(samples)
        if labels is not None:
            own, names = labels, ()
        y, names = (None, ()) if own is None else numbered(own, len(stored), names)
        if isinstance(data, config.ImageData) and data.mirror:
            stored, y = np.concatenate([stored, stored[..., ::-1]]), None if y is None else np.tile(y, 2)
        return Arrays(stored, y, Spec(data.kind, stored.shape[1:], len(names), facts), names)

    def like(self, samples: Any, spec: Spec) -> tuple[NDArray[Any], Any]:
        """Return samples as those that were learnt from were stored, and the labels that they bring, or None.

        Raises:
            InputError: They are no such samples, or it was loaded and does not know how.
        """
        if self._is_path(samples):
            raw, own = self._read(samples, spec.shape[-1])
            if not raw:
                raise InputError(f"{samples}: expected at least one {spec.noun}, got none")
            if spec.kind in ("image", "video"):
                raw = [_deep(each, spec.shape[0]) for each in raw]
            return np.stack([self.store(each) if self.store else each for each in raw]), own
        found = opened(samples, self.data.kind)
        return self._stored(found.samples, spec), found.named

    def _read(self, path: Path | str, side: int | None) -> tuple[list[NDArray[Any]], list[str] | None]:
        """Return the raw samples of a source, and their labels where all have one."""
        try:
            return of_folder(path, self.data, side, self.tell)
        except ModuleNotFoundError as error:
            raise InputError(f"{path}: reading it needs {error.name}: pip install 'ganops[pipeline]'") from error

    def _is_path(self, samples: Any) -> bool:
        return isinstance(samples, Path) or (isinstance(samples, str) and self.data.kind != "text")

    def _learnable(self, samples: Any) -> tuple[NDArray[Any], dict[str, Any]]:
        """Return stored samples, and the facts of their kind; but for images by what is learnt of all of them."""
        if isinstance(self.data, config.ImageData):
            given = apart(samples)
            self.ends = ends_of(given)
            return images(given, self.data, self.side, self.tell), {}
        return self._finished(self._raw(samples))

    def _finished(self, raw: list[NDArray[Any]]) -> tuple[NDArray[Any], dict[str, Any]]:
        """Return stored samples of raw ones, and the facts of their kind."""
        decoder = decoders.of(self.data)
        shape, _ = decoder.common(each.shape for each in raw)
        if self.data.kind == "image":
            shape = (shape[0], *raw[0].shape[1:])
        _, facts, self.store, _ = decoder.finish(raw, shape, {})
        # films among which some are coloured all get three channels; texts have no shape in common
        return np.stack([self.store(np.broadcast_to(each, shape or each.shape)) for each in raw]), facts

    def _stored(self, samples: Any, spec: Spec) -> NDArray[Any]:
        """Return samples in memory as those that were learnt from were stored."""
        if isinstance(self.data, config.ImageData):
            stored = images(samples, self.data, spec.shape[-1], self.tell, fewest=1, like=self.ends)
            return stored.repeat(3, axis=1) if stored.shape[1] < spec.shape[0] else stored
        if self.store is None:
            raise InputError(f"this GAN was loaded without the way in which {spec.unit}s are stored: fit it here")
        raw, depth = self._raw(samples, fewest=1), spec.shape[0] if spec.kind == "video" else 1
        return np.stack([self.store(each if depth == 1 else _deep(each, depth)) for each in raw])

    def _raw(self, samples: Any, fewest: int = 2) -> list[NDArray[Any]]:
        """Return clips, films or texts as the pipeline decodes files of them, and tell what was changed."""
        decoder, kind = decoders.of(self.data), self.data.kind
        what, expected = f"{KINDS[kind].UNIT}s", EXPECTED[kind]
        if isinstance(samples, str | bytes):
            raise InputError(f"{what}: expected {expected}, got one string")
        raw: list[NDArray[Any]] = []
        notes: Counter[str] = Counter()
        several = samples if isinstance(samples, list | tuple) else as_array(samples, what)
        if isinstance(several, np.ndarray) and not several.ndim:
            raise InputError(f"{what}: expected {expected}, got {type(samples).__name__}")
        for sample in several:
            try:
                decoded, changed = decoder.decode(_text(sample) if kind == "text" else as_array(sample, what))
                if not decoded.size:
                    raise ItemError("empty")
            except ItemError as error:
                raise InputError(f"{what}[{len(raw)}]: {error}") from error
            raw.append(decoded)
            notes.update(changed)
        if len(raw) < fewest:
            raise InputError(f"{what}: expected {expected} of at least {fewest} {what}, got {len(raw)}")
        for note, count in notes.items():
            self.tell(f"{count:,} of {len(raw):,} {what}: {note}")
        return raw


def _deep(film: NDArray[Any], depth: int) -> NDArray[Any]:
    """An image [C, H, W] or a film [C, T, H, W] with so many channels, where it is gray."""
    return np.broadcast_to(film, (max(depth, len(film)), *film.shape[1:]))


def _text(sample: Any) -> str:
    if not isinstance(sample, str):
        raise ItemError(f"expected a str, got {type(sample).__name__}")
    return str(sample)
