"""The order of classes and samples, and the splits: by content alone, so that nothing else can change them."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from numpy.typing import NDArray

from ganops.core.errors import DataError
from ganops.data.intake import Spool
from ganops.data.sample_table import Shape, Split, Table

_SPLIT_NAMES = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}


def order_classes(labels: Iterable[str | None], stated: Sequence[str]) -> tuple[str, ...]:
    """The classes that have a sample, as the source orders them; else numbers by value, then names by alphabet.

    Raises:
        DataError: All classes are named like splits.
    """
    names = {label for label in labels if label is not None}
    if names and {name.casefold() for name in names} <= _SPLIT_NAMES:
        found = ", ".join(sorted(names))
        problem = f"data.source: the classes would be {found}: name one of them as the source, or data.labels: none"
        raise DataError(problem)
    place = {name: i for i, name in enumerate(stated)}

    def key(name: str) -> tuple[int, bool, int, str]:
        return place.get(name, len(place)), not name.isdecimal(), int(name) if name.isdecimal() else 0, name

    return tuple(sorted(names, key=key))


def mirror_image(sample: NDArray[Any]) -> NDArray[Any]:
    """A sample [C, H, W] with left and right exchanged."""
    return sample[..., ::-1]


def hash_samples(table: Table, spool: Spool, class_names: Sequence[str], shape: Shape, *, mirror: bool = False) -> None:
    """Note the digests of the samples in the table: the set is ordered and dealt by content and labels alone.

    `shape` is that of all of them, () where each has its own. With `mirror`, each is known by its mirror image as well.
    """

    def hashes(place: int, own: Shape) -> tuple[bytes, bytes]:
        sample = spool.read(place, own, shape)
        digest = _digest(sample)
        return digest, _digest(mirror_image(sample)) if mirror else digest

    table.hash(hashes, class_names)


def _digest(sample: NDArray[Any]) -> bytes:
    return hashlib.sha256(sample.tobytes()).digest()


def deal(table: Table, shares: dict[str, float]) -> dict[str, Split]:
    """Deal the samples to the splits: the first 8 bytes of the digest, as a fraction of 2^64, against the shares.

    Where the table holds a sample and its mirror image, the smaller of their digests decides for both. The smaller m of
    two uniform fractions lies below t with probability 1 - (1 - t)^2, so 1 - (1 - m)^2 keeps the shares.

    A group goes as a whole where `_deal_groups` puts it.

    Raises:
        DataError: A split with a share has no sample, or train has fewer than 2.
    """
    dealt = _deal_groups(table, shares)

    def split(digest: bytes, paired: bool, group: str | None) -> str:
        if group is not None:
            return dealt[group]
        fraction = int.from_bytes(digest[:8]) / 2**64
        fraction = 1 - (1 - fraction) ** 2 if paired else fraction
        return "test" if fraction < shares["test"] else "validation" if fraction < sum(shares.values()) else "train"

    splits = table.deal(split)
    empty = [name for name, share in shares.items() if share > 0 and not splits[name]]
    if empty or len(splits["train"]) < 2:
        counts = ", ".join(f"{name} {len(split):,}" for name, split in splits.items())
        groups = f" of {len(dealt):,} groups (data.group)" if dealt else ""
        problem = f"data: too few samples{groups} for the splits ({counts}); expected 2 for train and 1 for each other"
        raise DataError(f"{problem}. Add samples, or change data.validation and data.test (0: no such split).")
    return splits


def _deal_groups(table: Table, shares: dict[str, float]) -> dict[str, str]:
    """The split of each group: groups come in the order of the SHA-256 of their names.

    Each takes the first split with a share that it brings nearer to it, in two rounds: no split gets its second group
    before each has one. Where none fits a split, it gets the smallest. The rest is train.
    """
    own = Counter(group for _, group in table.grouped())
    one, sizes, total = _joined(own, table), Counter[str](), own.total()
    for group, count in own.items():
        sizes[one[group]] += count
    waiting = sorted(sizes, key=_order)
    dealt: dict[str, str] = {}
    for most in (1, len(waiting)):
        for name, share in shares.items():
            mine = [group for group, split in dealt.items() if split == name]
            count = sum(sizes[group] for group in mine)
            for group in waiting:
                if group not in dealt and len(mine) < most and count + sizes[group] / 2 <= share * total:
                    dealt[group] = name
                    mine.append(group)
                    count += sizes[group]
            left = [group for group in waiting if group not in dealt]
            if share and not mine and left:
                dealt[min(left, key=lambda group: (sizes[group], _order(group)))] = name
    return {group: dealt.get(first, "train") for group, first in one.items()}


def _joined(groups: Iterable[str], table: Table) -> dict[str, str]:
    """The name under which each group is dealt: groups with equal samples, or mirror images of one another, are one."""
    heads = {group: group for group in groups}

    def head(group: str) -> str:
        while heads[group] != group:
            group = heads[group]
        return group

    for (twin, one), (first, other) in pairwise(table.grouped()):
        if twin == first and one != other:
            head_one, head_other = sorted((head(one), head(other)), key=_order)
            heads[head_other] = head_one
    return {group: head(group) for group in heads}


def _order(group: str) -> bytes:
    return hashlib.sha256(group.encode()).digest()
