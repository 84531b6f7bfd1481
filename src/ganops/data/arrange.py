"""The order of classes and samples, and the splits: by content alone, so that nothing else can change them."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ganops.data.intake import Spool
from ganops.data.prepared import SPLITS
from ganops.errors import DataError

_SPLIT_NAMES = {"train", "training", "val", "valid", "validation", "test", "testing"}


def order_classes(labels: Iterable[str | None], stated: Sequence[str]) -> tuple[str, ...]:
    """The classes that have a sample, as the source orders them; else numbers by value, then names by alphabet."""
    names = {label for label in labels if label is not None}
    if names and names <= _SPLIT_NAMES:
        found = ", ".join(sorted(names))
        raise DataError(
            f"data.source: the classes would be {found}: name one of them as the source, or data.labels: none"
        )
    place = {name: i for i, name in enumerate(stated)}

    def key(name: str) -> tuple[int, bool, int, str]:
        return place.get(name, len(place)), not name.isdecimal(), int(name) if name.isdecimal() else 0, name

    return tuple(sorted(names, key=key))


class Row(NamedTuple):
    """A sample of the set: rows compare by the SHA-256 of the pixels, then by label. `place` is that in the spool."""

    digest: bytes
    label: int
    place: int
    mirrored: bool = False


def sort_samples(kept: dict[int, str | None], class_names: Sequence[str], spool: Spool, channels: int) -> list[Row]:
    """The samples in the order of the prepared set, which depends on their pixels and labels alone."""
    number = {name: i for i, name in enumerate(class_names)}
    digests = ((i, label, hashlib.sha256(spool.read(i, channels)).digest()) for i, label in kept.items())
    return sorted(Row(digest, 0 if label is None else number[label], i) for i, label, digest in digests)


def deal(rows: list[Row], shares: dict[str, float]) -> dict[str, list[Row]]:
    """The rows of each split: the first 8 bytes of the digest, as a fraction of 2^64, against the shares."""
    splits: dict[str, list[Row]] = {split: [] for split in SPLITS}
    for row in rows:
        fraction = int.from_bytes(row.digest[:8]) / 2**64
        name = "test" if fraction < shares["test"] else "validation" if fraction < sum(shares.values()) else "train"
        splits[name].append(row)
    empty = [name for name, share in shares.items() if share > 0 and not splits[name]]
    if empty or len(splits["train"]) < 2:
        counts = ", ".join(f"{name} {len(split):,}" for name, split in splits.items())
        problem = f"data: too few samples for the splits ({counts}); expected 2 for train and 1 for each other"
        raise DataError(f"{problem}. Add images, or change data.validation and data.test (0: no such split).")
    return splits
