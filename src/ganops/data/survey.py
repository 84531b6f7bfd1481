"""A look at a source before anything is decided: its classes and sizes, and what would become of its samples."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from ganops.core.errors import DataError
from ganops.core.storage import scheme
from ganops.data.decode import decode_all, read_file
from ganops.data.decoders import Decoder
from ganops.data.image_decoder import parse
from ganops.data.sources import locate, read_source
from ganops.data.sources.item import Content, Deferred, ItemError
from ganops.data.sources.storage import Store

LOOKED_AT = 256
"""Samples of a source that are decoded for a look, at most."""
DARK = 128
"""Mean of 8-bit pixels below which pictures on a transparent ground want a white one."""


@dataclass
class Survey:
    """Findings of a look at a source."""

    decoder: Decoder
    """Maker of samples of its items."""
    count: int = 0
    """Samples, as far as names tell."""
    classes: Counter[str] = field(default_factory=Counter)
    """Samples of each class; empty: at least one sample has none, or there is one class."""
    looked_at: list[Content] = field(default_factory=list)
    """Contents of some samples, spread evenly."""

    def results(self, decoder: Decoder) -> tuple[Counter[str], Counter[str], list[tuple[int, ...]]]:
        """Return notes on the samples that were looked at, reasons of rejections, and shapes of raw samples."""
        notes: Counter[str] = Counter()
        rejected: Counter[str] = Counter()
        shapes = []
        for result in decode_all(self.looked_at, decoder):
            if isinstance(result, ItemError):
                rejected[str(result)] += 1
            else:
                sample, changed = result
                notes.update(changed)
                shapes.append(sample.shape)
        return notes, rejected, shapes


def survey(source: str, candidates: Sequence[Decoder]) -> Survey:
    """Look at a source: a path, or the address of a folder on object storage.

    Args:
        source: As `data.source` has it.
        candidates: Decoders of kinds; the first of which there are samples is taken.

    Raises:
        DataError: It does not exist, cannot be read, or holds no such samples.
    """
    path = locate(source if scheme(source) else Path(source))
    refused: DataError | None = None
    for decoder in candidates:
        try:
            found = _look(path, decoder)
        except DataError as error:  # a table has no such column, a file no such samples
            refused = refused or error
            continue
        if found.count:
            return found
    if refused:
        raise refused
    units = dict.fromkeys(f"{each.wanted.unit}s" for each in candidates)
    endings = dict.fromkeys(ending for each in candidates for ending in each.wanted.suffixes)
    raise DataError(f"{path}: expected {' or '.join(units)}, as files that end in {' '.join(endings)}; got none")


def _look(path: Path | Store, decoder: Decoder) -> Survey:
    """Walk a source; keep the contents of some of its samples, spread evenly where their number is known."""
    source, found = read_source(path, decoder.wanted), Survey(decoder)
    step = max(1, (source.count or 0) // LOOKED_AT)
    for item in source.items:
        if isinstance(item.content, str) and not item.content.strip():  # an empty line
            continue
        if found.count % step == 0 and len(found.looked_at) < LOOKED_AT:
            found.looked_at.append(item.content)
        found.count += 1
        found.classes[item.label or ""] += 1
    if found.classes[""] or len(found.classes) < 2:  # a class is what all samples have, and not the same one
        found.classes.clear()
    return found


def sizes(looked_at: list[Content]) -> list[tuple[int, int]]:
    """Width and height in pixels of images, of those that can be read."""
    return [image.size for image in _images(looked_at)]


def background(looked_at: list[Content]) -> str | None:
    """Return the colour on which pictures with a transparent ground are seen best: white for dark ones, else black.

    None: none of them has one.
    """
    means = []
    for image in _images(looked_at):
        if image.has_transparency_data:
            grey, alpha = np.asarray(image.convert("RGBA").convert("LA"), np.float64).transpose(2, 0, 1)
            if alpha.min() < 255 and alpha.sum():
                means.append(float((grey * alpha).sum() / alpha.sum()))
    return None if not means else "white" if np.mean(means) < DARK else "black"


def _images(looked_at: list[Content]) -> Iterator[Image.Image]:
    for content in looked_at:
        try:
            if isinstance(content, np.ndarray):
                yield Image.fromarray(content)
            elif isinstance(content, Path | bytes | Deferred):
                data = content.read() if isinstance(content, Deferred) else content
                yield parse(read_file(data) if isinstance(data, Path) else data)[0]
        except Exception:  # whatever Pillow's readers raise: the decoder tells of those files
            continue
