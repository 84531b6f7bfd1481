"""The order of classes and samples, and the splits: by content alone, so that nothing else can change them."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

from ganops.core.errors import DataError
from ganops.data.intake import Spool
from ganops.data.prepared import SPLITS

_SPLIT_NAMES = {"train", "training", "val", "valid", "validation", "test", "testing"}


def order_classes(labels: Iterable[str | None], stated: Sequence[str]) -> tuple[str, ...]:
    """The classes that have a sample, as the source orders them; else numbers by value, then names by alphabet.

    Raises:
        DataError: All classes are named like splits.
    """
    names = {label for label in labels if label is not None}
    if names and names <= _SPLIT_NAMES:
        found = ", ".join(sorted(names))
        problem = f"data.source: the classes would be {found}: name one of them as the source, or data.labels: none"
        raise DataError(problem)
    place = {name: i for i, name in enumerate(stated)}

    def key(name: str) -> tuple[int, bool, int, str]:
        return place.get(name, len(place)), not name.isdecimal(), int(name) if name.isdecimal() else 0, name

    return tuple(sorted(names, key=key))


class Row(NamedTuple):
    """A sample of the set: rows compare by the SHA-256 of their content, then by label. `place`: that in the spool."""

    digest: bytes
    label: int
    place: int
    mirrored: bool = False
    mirror_digest: bytes = b""
    """SHA-256 of the pixels of its mirror image, where that one must not lie in another split."""


def mirror_image(sample: NDArray[Any]) -> NDArray[Any]:
    """A sample [C, H, W] with left and right exchanged."""
    return sample[..., ::-1]


def sort_samples(
    kept: dict[int, str | None], class_names: Sequence[str], spool: Spool, shape: tuple[int, ...], *,
    mirror: bool = False,
) -> list[Row]:  # fmt: skip
    """The samples in the order of the prepared set, which depends on their content and labels alone.

    `shape` is that of all of them. With `mirror`, each row knows the hash of its mirror image as well.
    """
    number = {name: i for i, name in enumerate(class_names)}
    rows = []
    for i, label in kept.items():
        sample = spool.read(i, shape)
        mirror_digest = _digest(mirror_image(sample)) if mirror else b""
        rows.append(Row(_digest(sample), 0 if label is None else number[label], i, mirror_digest=mirror_digest))
    return sorted(rows)


def _digest(sample: NDArray[Any]) -> bytes:
    return hashlib.sha256(sample.tobytes()).digest()


def deal(rows: list[Row], shares: dict[str, float]) -> dict[str, list[Row]]:
    """The rows of each split: the first 8 bytes of the digest, as a fraction of 2^64, against the shares.

    Where the rows hold a sample and its mirror image, the smaller of their digests decides for both. The smaller m of
    two uniform fractions lies below t with probability 1 - (1 - t)^2, so 1 - (1 - m)^2 keeps the shares.

    Raises:
        DataError: A split with a share has no sample, or train has fewer than 2.
    """
    splits: dict[str, list[Row]] = {split: [] for split in SPLITS}
    there = {row.digest for row in rows}
    for row in rows:
        fraction = int.from_bytes(row.digest[:8]) / 2**64
        if row.mirror_digest != row.digest and row.mirror_digest in there:
            smaller = int.from_bytes(min(row.digest, row.mirror_digest)[:8]) / 2**64
            fraction = 1 - (1 - smaller) ** 2
        name = "test" if fraction < shares["test"] else "validation" if fraction < sum(shares.values()) else "train"
        splits[name].append(row)
    empty = [name for name, share in shares.items() if share > 0 and not splits[name]]
    if empty or len(splits["train"]) < 2:
        counts = ", ".join(f"{name} {len(split):,}" for name, split in splits.items())
        problem = f"data: too few samples for the splits ({counts}); expected 2 for train and 1 for each other"
        raise DataError(f"{problem}. Add samples, or change data.validation and data.test (0: no such split).")
    return splits
