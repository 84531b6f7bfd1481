"""The order of classes and samples, and the splits: by content alone, so that nothing else can change them."""

import hashlib
from collections import Counter
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
    group: str | None = None
    """Group whose samples all lie in one split."""


def mirror_image(sample: NDArray[Any]) -> NDArray[Any]:
    """A sample [C, H, W] with left and right exchanged."""
    return sample[..., ::-1]


def sort_samples(
    kept: dict[int, str | None], class_names: Sequence[str], spool: Spool, shape: tuple[int, ...], *,
    mirror: bool = False, groups: Sequence[str | None] = (),
) -> list[Row]:  # fmt: skip
    """The samples in the order of the prepared set, which depends on their content and labels alone.

    `shape` is that of all of them, () where each has its own. With `mirror`, each row knows the hash of its mirror
    image as well; with `groups`, those of all samples in the spool, its group.
    """
    number = {name: i for i, name in enumerate(class_names)}
    rows = []
    for i, label in kept.items():
        sample = spool.read(i, shape)
        mirror_digest = _digest(mirror_image(sample)) if mirror else b""
        group = groups[i] if groups else None
        rows.append(Row(_digest(sample), 0 if label is None else number[label], i, False, mirror_digest, group))
    return sorted(rows)


def _digest(sample: NDArray[Any]) -> bytes:
    return hashlib.sha256(sample.tobytes()).digest()


def deal(rows: list[Row], shares: dict[str, float]) -> dict[str, list[Row]]:
    """The rows of each split: the first 8 bytes of the digest, as a fraction of 2^64, against the shares.

    Where the rows hold a sample and its mirror image, the smaller of their digests decides for both. The smaller m of
    two uniform fractions lies below t with probability 1 - (1 - t)^2, so 1 - (1 - m)^2 keeps the shares.

    A group goes as a whole where `_deal_groups` puts it.

    Raises:
        DataError: A split with a share has no sample, or train has fewer than 2.
    """
    splits: dict[str, list[Row]] = {split: [] for split in SPLITS}
    there = {row.digest for row in rows}
    dealt = _deal_groups([row for row in rows if row.group is not None], shares)
    for row in rows:
        fraction = int.from_bytes(row.digest[:8]) / 2**64
        if row.mirror_digest != row.digest and row.mirror_digest in there:
            smaller = int.from_bytes(min(row.digest, row.mirror_digest)[:8]) / 2**64
            fraction = 1 - (1 - smaller) ** 2
        name = "test" if fraction < shares["test"] else "validation" if fraction < sum(shares.values()) else "train"
        splits[name if row.group is None else dealt[row.group]].append(row)
    empty = [name for name, share in shares.items() if share > 0 and not splits[name]]
    if empty or len(splits["train"]) < 2:
        counts = ", ".join(f"{name} {len(split):,}" for name, split in splits.items())
        groups = f" of {len(dealt):,} groups (data.group)" if dealt else ""
        problem = f"data: too few samples{groups} for the splits ({counts}); expected 2 for train and 1 for each other"
        raise DataError(f"{problem}. Add samples, or change data.validation and data.test (0: no such split).")
    return splits


def _deal_groups(rows: list[Row], shares: dict[str, float]) -> dict[str, str]:
    """The split of each group: groups come in the order of the SHA-256 of their names.

    Each takes the first split with a share that it brings nearer to it, in two rounds: no split gets its second group
    before each has one. Where none fits a split, it gets the smallest. The rest is train.
    """
    one = _joined(rows)
    sizes = Counter(one[str(row.group)] for row in rows)
    waiting = sorted(sizes, key=_order)
    dealt: dict[str, str] = {}
    for most in (1, len(waiting)):
        for name, share in shares.items():
            mine = [group for group, split in dealt.items() if split == name]
            count = sum(sizes[group] for group in mine)
            for group in waiting:
                if group not in dealt and len(mine) < most and count + sizes[group] / 2 <= share * len(rows):
                    dealt[group] = name
                    mine.append(group)
                    count += sizes[group]
            left = [group for group in waiting if group not in dealt]
            if share and not mine and left:
                dealt[min(left, key=lambda group: (sizes[group], _order(group)))] = name
    return {group: dealt.get(first, "train") for group, first in one.items()}


def _joined(rows: list[Row]) -> dict[str, str]:
    """The name under which each group is dealt: groups with equal samples, or mirror images of one another, are one."""
    heads = {str(row.group): str(row.group) for row in rows}

    def head(group: str) -> str:
        while heads[group] != group:
            group = heads[group]
        return group

    seen: dict[bytes, str] = {}
    for row in rows:
        key = min(row.digest, row.mirror_digest or row.digest)
        first, second = sorted((head(seen.setdefault(key, str(row.group))), head(str(row.group))), key=_order)
        heads[second] = first
    return {group: head(group) for group in heads}


def _order(group: str) -> bytes:
    return hashlib.sha256(group.encode()).digest()
