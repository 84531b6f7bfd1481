"""The stage `prepare`: any source of samples to a prepared set."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganops.core.errors import ConfigError, DataError
from ganops.core.files import atomic, atomic_folder, hash_json, remove, write_json
from ganops.core.pictures import save_grid
from ganops.core.storage import Store
from ganops.data import writing
from ganops.data.arrange import deal, hash_samples, mirror_image, order_classes
from ganops.data.cache import place_of
from ganops.data.decoders import Decoder
from ganops.data.intake import Intake, Mapper, Rejection, Spool, here, take_in
from ganops.data.kept import keeping
from ganops.data.naming import AUTO, NONE, Naming
from ganops.data.prepared import Prepared
from ganops.data.sample_table import Row, Shape, Split, Table
from ganops.data.shards import HERE, record
from ganops.data.sources import locate, read_source
from ganops.data.sources.item import Source, Wanted, printable
from ganops.kinds import KINDS

REJECTED = "rejected.json"
"""The list of all rejected files when they are too many; it lies beside the output, which is then not written."""

FEW = 10
"""A class with fewer samples is noted in the manifest."""

FEW_GROUPS = 50
"""Groups of a split that the manifest names, at most."""

HEARD = 10
"""Samples in a preview that is heard, at most."""

_LISTED = 10  # rejected files that an error shows


def prepare(
    source: Path | str, out: Path, preview: Path, decoder: Decoder, *, labels: str = AUTO, group: str = NONE,
    validation: float = 0.1, test: float = 0.1, max_rejected: float = 0.01, shard: int | str = writing.AUTO,
    storage: str = HERE, mapper: Mapper = here, decoded: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Reads a source, writes the prepared set to the folder `out` and a picture of some samples to `preview`.

    The set depends on the content and labels alone: samples are ordered, and dealt to the splits, by the SHA-256 of
    what the decoder makes of them. So names, order, packing and the number of workers change nothing, equal samples
    never lie in two splits, and the first n samples of a split are a fair draw. Where mirror images are added, images
    that are each other's mirror image never lie in two splits either.

    Args:
        source: a path, the name of a folder in `data`, or a URI such as s3://bucket/folder; see `sources.SOURCES` for
            what is accepted.
        out: replaced as a whole when all went well, else left as it was.
        preview: a PNG; of sound, a WAV of some clips is written beside it, of texts a file of some, of films a WebP.
        decoder: what makes samples of the items of the source; see `decoders.DECODERS`.
        labels: `auto`: those of the source, and then a sample without one is rejected; `none`: unconditional; else a
            pattern, whose one group is the label in the name of a file (without its suffix).
        group: `none`; else a pattern, whose one group is the sample's group in its path (likewise): the samples of a
            group, such as a speaker or a film, lie in one split.
        validation: share of the samples, between 0 and 1; 0 leaves the split empty.
        test: likewise.
        max_rejected: the share of files that may be unreadable.
        shard: samples of each shard; `auto`: one array for each split, or shards where these would be large.
        storage: `here`: shards lie in `out`; else the folder or the address where they lie.
        mapper: who decodes the samples; by default as many processes as the machine has cores and the set is worth.
        decoded: file of decoded samples between runs (see `Kept`); None: all are decoded.

    Returns:
        The manifest, which is also in `out`.

    Raises:
        ConfigError: a parameter that is not possible.
        DataError: a source that cannot be used, too many rejected files, too few samples, no space left.
    """
    naming, listed = Naming.of(labels, group), out.parent / REJECTED
    shares = {"validation": validation, "test": test}
    parameters = _parameters(labels, group, shares, max_rejected, shard, storage)
    path = locate(source)
    path = path.absolute() if isinstance(path, Path) else path  # whoever decodes may run in another folder
    _check_apart(path, out)
    with _explained(out), atomic_folder(out) as draft, Spool(draft) as spool, Table(draft) as table:
        found = naming.applied(read_source(path, replace(decoder.wanted, paths=bool(naming))))
        decoder = replace(decoder, **found.stated)
        with keeping(None if found.raw else decoded, decoder, mapper) as rest:
            taken = take_in(found, spool, table, decoder, rest)
        labelled = _select(taken, table, labels)
        _check_rejected(taken.rejected, len(table), max_rejected, listed, decoder.wanted)
        _check_any(path, found, table, decoder.wanted)
        class_names = order_classes(table.labels if labelled else (), found.class_names)
        common, conversions = decoder.common(table.shapes())
        taken.conversions.update(conversions)
        hash_samples(table, spool, class_names, common, mirror=decoder.mirror)
        splits = _dealt(table, shares, decoder.mirror)
        read = partial(_read, spool, common)
        sample, files = _write(draft, splits, read, decoder, common, taken, bool(class_names), shard, storage)
        manifest = {
            "source": {"name": printable(path.name), "kind": found.kind},
            "sample": sample,
            **_census(splits, class_names, table.duplicates()),
            **files,
            "parameters": {**decoder.shown(), **parameters},
            **_left_out(taken, found),
        }
        write_json(draft / "manifest.json", manifest)
    _show(Prepared.open(out), preview)
    remove(listed)
    return manifest


def _parameters(
    labels: str, group: str, shares: dict[str, float], max_rejected: float, shard: int | str, storage: str
) -> dict[str, Any]:
    """Return the parameters beside the decoder's as the manifest states them, once they are possible."""
    _check(shares, max_rejected)
    asked = {"group": (group, NONE), "shard": (shard, writing.AUTO), "storage": (storage, HERE)}
    unusual = {name: value for name, (value, usual) in asked.items() if value != usual}
    return {"labels": labels, **shares, "max_rejected": max_rejected, **unusual}


def _write(
    draft: Path, splits: dict[str, Split], read: Callable[[Row], NDArray[Any]], decoder: Decoder, common: Shape,
    taken: Intake, labelled: bool, shard: int | str, storage: str,
) -> tuple[dict[str, Any], dict[str, Any]]:  # fmt: skip
    """Write the splits; return the manifest's accounts of a sample and of the files, and count conversions."""
    shape, facts, store, notes = decoder.finish(map(read, splits["train"]), common, taken.conversions)
    taken.conversions.update(notes)
    like = np.empty(shape, KINDS[decoder.kind].STORED)
    place = None if storage == HERE else place_of(storage)
    each = record(like, labelled=labelled).itemsize
    size = writing.shard_size(shard, storage, sum(map(len, splits.values())), each)
    written = {
        split: writing.write_split(
            draft / split, f"{decoder.wanted.unit}s", like, (store(read(row)) for row in rows),
            (row.label for row in rows) if labelled else None, len(rows), size, partial(_keep, place),
        )
        for split, rows in splits.items()
    }  # fmt: skip
    sample = {"kind": decoder.kind, "shape": list(shape), "dtype": str(like.dtype), "facts": facts}
    digests = {name: digest for each in written.values() for name, digest in each.arrays.items()}
    return sample, {"sha256": hash_json(digests), **_shards(written, size, place)}


def _left_out(taken: Intake, found: Source) -> dict[str, Any]:
    """Return the manifest's accounts of conversions, of what was rejected, and of what is no sample."""
    return {
        "conversions": dict(sorted((+taken.conversions).items())),
        "rejected": [rejection._asdict() for rejection in sorted(taken.rejected)],
        "ignored": sorted(map(printable, found.ignored)),
        **({"ignored_more": found.more} if found.more else {}),
    }


def _dealt(table: Table, shares: dict[str, float], mirror: bool) -> dict[str, Split]:
    """Deal samples to the splits, and add the mirror images of the training samples where they are asked for."""
    splits = deal(table, shares)
    return splits | {"train": splits["train"].with_mirror_images()} if mirror else splits


def _read(spool: Spool, shape: Shape, row: Row) -> NDArray[Any]:
    """Return the raw sample of a row."""
    sample = spool.read(row.place, row.shape, shape)
    return mirror_image(sample) if row.mirrored else sample


def _keep(place: Store | None, path: Path, digest: str) -> None:
    """Leaves a shard where it was written, or moves it to its storage."""
    if place:
        writing.move(place, path, digest)


def _shards(written: dict[str, writing.Written], size: int | None, place: Store | None) -> dict[str, Any]:
    """Return the manifest's account of the shards; nothing where there are none."""
    if not size:
        return {}
    where = HERE if place is None else place.uri or place.path
    digests = {split: each.shards for split, each in written.items()}
    return {"shards": {"size": size, "storage": where, "sha256": digests}}


def _census(splits: dict[str, Split], class_names: Sequence[str], duplicates: int) -> dict[str, Any]:
    """Return the manifest's counts of the samples."""
    counts: dict[str, Any] = {}
    total: Counter[int] = Counter()
    for split, rows in splits.items():
        members = Counter(row.label for row in rows)
        total += members
        classes = {name: members[i] for i, name in enumerate(class_names)}
        counts[split] = {"samples": len(rows), **({"classes": classes} if classes else {}), **_groups(rows)}
    return {
        "classes": list(class_names),
        "splits": counts,
        "duplicates": duplicates,
        f"classes_below_{FEW}": {name: total[i] for i, name in enumerate(class_names) if total[i] < FEW},
    }


def _groups(rows: Split) -> dict[str, Any]:
    """Return the manifest's count of a split's groups, with the samples of each where they are few; or nothing."""
    sizes = Counter(row.group for row in rows if row.group is not None)
    if not sizes:
        return {}
    return {
        "groups": len(sizes),
        **({"group_samples": dict(sorted(sizes.items()))} if len(sizes) <= FEW_GROUPS else {}),
    }


def _select(taken: Intake, table: Table, labels: str) -> bool:
    """Return True for a labelled set, in which a sample without a label is rejected."""
    labelled = labels != NONE and bool(table.labels)
    if labelled:
        reason = "no label, where others have one (data.labels: none takes all)"
        taken.rejected += [Rejection(name, reason) for name in table.drop_unlabelled()]
    return labelled


def _examples(labels: NDArray[np.int64] | None, count: int, classes: int) -> NDArray[np.intp]:
    """Return the places of up to 8 samples of each class, in rows, fewer and closer where there are many classes."""
    if labels is None:
        return np.arange(min(64, count))
    each = max(1, min(8, 128 // classes))
    return np.array([i for label in range(min(classes, 128)) for i in np.flatnonzero(labels == label)[:each]])


def _show(prepared: Prepared, preview: Path) -> None:
    """Write a picture of some samples and, beside it, one file of texts, of films, or of clips: one a class, or ten."""
    spec = prepared.spec
    with prepared.unread("train") as (samples, labels):
        picked = _examples(labels, len(samples), len(prepared.class_names))
        chosen = samples[picked]
    save_grid(preview, spec.look(chosen))
    if spec.heard:  # to listen takes time
        first = np.arange(len(picked)) if labels is None else np.unique(labels[picked], return_index=True)[1]
        chosen = chosen[first[:HEARD]]
    for suffix in (".wav", ".txt", ".webp"):  # of a former set
        remove(preview.with_suffix(suffix))
    if joined := spec.joined(spec.shown(chosen)):
        suffix, _, content = joined
        with atomic(preview.with_suffix(suffix)) as draft:
            draft.write_bytes(content)


def _check(shares: dict[str, float], max_rejected: float) -> None:
    if not (min(shares.values()) >= 0 and sum(shares.values()) < 1):
        raise ConfigError(f"data.validation, data.test: expected shares with a sum below 1, got {shares}")
    if not 0 <= max_rejected <= 1:
        raise ConfigError(f"data.max_rejected: expected a share from 0 to 1, got {max_rejected}")


def _check_apart(source: Path | Store, out: Path) -> None:
    """The output is replaced as a whole, so the source must not lie in it; nor may it be read as a source next time."""
    if (local := source if isinstance(source, Path) else source.local) is None:
        return
    inner, outer = local.resolve(), out.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise DataError(f"data.source: {local} and the output {out} lie in one another; expected two separate places")


def _check_any(path: Path | Store, found: Source, table: Table, wanted: Wanted) -> None:
    if not len(table):
        others = len(found.ignored) + found.more
        raise DataError(f"data.source: {path} holds no {wanted.unit}s, only {others:,} files of other kinds")


def _check_rejected(rejected: list[Rejection], accepted: int, allowed: float, report: Path, wanted: Wanted) -> None:
    """Refuses the set when too much of it cannot be read, and leaves the whole list in `report`."""
    total = len(rejected) + accepted
    if len(rejected) <= allowed * total:
        return
    listed = sorted(rejected)
    write_json(report, [rejection._asdict() for rejection in listed])
    shown = listed[:_LISTED]
    width = max(14, *(len(rejection.name) for rejection in shown))
    noun = f"{wanted.unit}s" if wanted.lines else "files"
    rest = f"the other {len(listed) - len(shown):,} are" if len(listed) > len(shown) else "these are"
    share = f"{100 * len(listed) / total:.1f} %"
    lines = [
        f"data: {len(listed):,} of {total:,} {noun} were rejected"
        f" ({share}, at most {100 * allowed:g} % is allowed by data.max_rejected):",
        *(f"  {rejection.name:<{width}} {rejection.reason}" for rejection in shown),
        f"  {'...':<{width}} {rest} listed in {report}",
    ]
    raise DataError("\n".join(lines))


@contextmanager
def _explained(out: Path) -> Iterator[None]:
    """Readers name their own failures, so what is left are those of writing."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        problem = f"{out} cannot be written: {getattr(error, 'strerror', None) or error}. Nothing is left half-written"
        raise DataError(
            f"{problem}; make room (three times the size of the prepared set), or write elsewhere."
        ) from error
